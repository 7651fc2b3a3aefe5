"""What a run's LRs follow from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..schedules import Horizon, Schedule, ScheduleError

# An error names so many groups' values; BERT base has 28 groups.
_MOST_LISTED = 5


@dataclass(frozen=True)
class RunSettings:
    """What a run's LRs follow from.

    Args:
        schedule (`str`): The schedule's text.
        horizon ([`Horizon`]): The run, in what the clock counts.
        peaks (`tuple[float, ...]`): The peak LR of each parameter group.
        own (`tuple[str | None, ...]`): The groups' own schedules, which they follow instead; empty where none has one.
        clock (`str`): What is counted, e.g. `updates`.
    """

    schedule: str
    horizon: Horizon
    peaks: tuple[float, ...]
    own: tuple[str | None, ...] = ()
    clock: str = "updates"

    @classmethod
    def of(
        cls,
        schedule: Schedule,
        horizon: Horizon,
        peaks: Sequence[float],
        own: Sequence[Schedule | None] = (),
        clock: str = "updates",
    ) -> "RunSettings":
        """The settings, without the batch's size where no schedule uses it: then it can't change the curve.

        The updates per epoch stay: where they change, a resumed run goes on at another place in the data.
        """
        for name in ("samples_per_update", "tokens_per_update"):
            without = replace(horizon, **{name: None})  # type: ignore[arg-type]
            try:
                for each in {schedule, *filter(None, own)}:
                    each.resolve(without, peak=peaks[0])
            except ScheduleError:
                continue
            horizon = without
        texts = tuple(None if each is None else str(each) for each in own)
        return cls(str(schedule), horizon, tuple(peaks), texts if any(texts) else (), clock)

    @property
    def schedules(self) -> tuple[str, ...]:
        """The schedule that each group follows."""
        return tuple(own or self.schedule for own in self.own or (None,) * len(self.peaks))

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schedule": self.schedule,
            **asdict(self.horizon),
            "peaks": list(self.peaks),
            "own": list(self.own),
            "clock": self.clock,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "RunSettings":
        # What a state of an older version lacks has its default.
        horizon = Horizon(**{name: data[name] for name in Horizon.__dataclass_fields__ if name in data})
        peaks = tuple(map(float, data["peaks"]))
        own = tuple(None if text is None else str(text) for text in data.get("own", ()))
        if len(own) not in (0, len(peaks)):
            raise ValueError(f"{len(own)} schedules for {len(peaks)} groups")
        return cls(str(data["schedule"]), horizon, peaks, own, str(data.get("clock", "updates")))

    def differences(self, other: "RunSettings") -> list[str]:
        """What `other` has otherwise, in words."""
        mine, others = self.to_data(), other.to_data()
        return [_difference(name, mine[name], others[name]) for name in mine if mine[name] != others[name]]


def _difference(name: str, was: Any, now: Any) -> str:
    if isinstance(was, list):  # a value for each group
        size = max(len(was), len(now))
        was, now = (values or [None] * size for values in (was, now))
        name = "own schedule" if name == "own" else name
        if len(was) == len(now) > _MOST_LISTED:
            changed = [index for index in range(size) if was[index] != now[index]]
            name = f"{name} differ in {len(changed)} of {size} groups: that of group {changed[0]}"
            was, now = was[changed[0]], now[changed[0]]
    return f"{name} was {was!r} and is {now!r}"


def listed(lrs: Sequence[float]) -> str:
    """The different ones of the groups' LRs, of many the first.

    Example:
    ```python
    >>> listed([1e-4, 1e-4, 2e-5]), listed([1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5])
    ('0.0001, 2e-05', '1e-05, 2e-05, 3e-05, … 6e-05')

    ```
    """
    texts = list(dict.fromkeys(f"{lr:.4g}" for lr in lrs))
    if len(texts) > _MOST_LISTED:
        texts = [*texts[: _MOST_LISTED - 2], f"… {texts[-1]}"]
    return ", ".join(texts)
