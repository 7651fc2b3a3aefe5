"""RunSettings: what the LRs of a run follow from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..schedules import Horizon, Schedule, ScheduleError

# An error lists the values of so many groups; BERT base has 28 groups.
_MAX_LISTED = 5


@dataclass(frozen=True)
class RunSettings:
    """What the LRs of a run follow from.

    Args:
        schedule (`str`): The schedule as text.
        horizon ([`Horizon`]): The length of the run, in what the clock counts.
        peaks (`tuple[float, ...]`): The peak LR of each parameter group.
        own_schedules (`tuple[str | None, ...]`): The schedule that a group follows instead; empty if no group has one.
        clock (`str`, defaults to `updates`): What the schedule counts.
    """

    schedule: str
    horizon: Horizon
    peaks: tuple[float, ...]
    own_schedules: tuple[str | None, ...] = ()
    clock: str = "updates"

    @classmethod
    def build(
        cls,
        schedule: Schedule,
        horizon: Horizon,
        peaks: Sequence[float],
        own_schedules: Sequence[Schedule | None] = (),
        clock: str = "updates",
    ) -> "RunSettings":
        """Build the settings, without the size of the batch if no schedule uses it: then it cannot change the curve.

        The updates per epoch stay: where they change, a resumed run is at another place in the data.
        """
        for name in ("samples_per_update", "tokens_per_update"):
            unknown: dict[str, Any] = {name: None}
            without = replace(horizon, **unknown)
            try:
                for each in {schedule, *filter(None, own_schedules)}:
                    each.resolve(without, peak=peaks[0])
            except ScheduleError:
                continue
            horizon = without
        texts = tuple(None if each is None else str(each) for each in own_schedules)
        return cls(str(schedule), horizon, tuple(peaks), texts if any(texts) else (), clock)

    @property
    def schedules(self) -> tuple[str, ...]:
        """The schedule that each group follows."""
        return tuple(own or self.schedule for own in self.own_schedules or (None,) * len(self.peaks))

    def reorder(self, order: Sequence[int]) -> "RunSettings":
        """Return the settings with the groups in another order: their positions here."""
        own = tuple(self.own_schedules[index] for index in order) if self.own_schedules else ()
        return replace(self, peaks=tuple(self.peaks[index] for index in order), own_schedules=own)

    def to_data(self) -> dict[str, Any]:
        """Return plain data."""
        of_groups = {"peaks": list(self.peaks), "own_schedules": list(self.own_schedules)}
        return {"schedule": self.schedule, **asdict(self.horizon), **of_groups, "clock": self.clock}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "RunSettings":
        horizon = Horizon(**{name: data[name] for name in Horizon.__dataclass_fields__})
        peaks = tuple(map(float, data["peaks"]))
        own = tuple(None if text is None else str(text) for text in data["own_schedules"])
        if len(own) not in (0, len(peaks)):
            raise ValueError(f"{len(own)} schedules for {len(peaks)} groups")
        return cls(str(data["schedule"]), horizon, peaks, own, str(data["clock"]))

    def differences(self, other: "RunSettings") -> list[str]:
        """List each setting in which `other` differs, with both values."""
        mine, others = self.to_data(), other.to_data()
        return [_explain_difference(name, mine[name], others[name]) for name in mine if mine[name] != others[name]]


def _explain_difference(name: str, was: Any, now: Any) -> str:
    if isinstance(was, list):  # a value for each group
        size = max(len(was), len(now))
        was, now = (values or [None] * size for values in (was, now))
        name = "own schedule" if name == "own_schedules" else name
        if len(was) == len(now) > _MAX_LISTED:
            changed = [index for index in range(size) if was[index] != now[index]]
            name = f"{name} differ in {len(changed)} of {size} groups: that of group {changed[0]}"
            was, now = was[changed[0]], now[changed[0]]
    return f"{name} was {was!r} and is {now!r}"


def format_lrs(lrs: Sequence[float]) -> str:
    """List the distinct LRs of the groups; of many, the first ones and the last.

    Example:
    ```python
    >>> format_lrs([1e-4, 1e-4, 2e-5]), format_lrs([1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5])
    ('0.0001, 2e-05', '1e-05, 2e-05, 3e-05, … 6e-05')

    ```
    """
    texts = list(dict.fromkeys(f"{lr:.4g}" for lr in lrs))
    if len(texts) > _MAX_LISTED:
        texts = [*texts[: _MAX_LISTED - 2], f"… {texts[-1]}"]
    return ", ".join(texts)
