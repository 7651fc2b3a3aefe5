"""Course: the LR of every update of a run, also one that was resumed with other settings. Pure data and mathematics."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..schedules import Curve, Horizon, Schedule, ScheduleError, as_length, parse
from ..schedules.errors import brief, nearest
from ..schedules.families.plateau import cooldown_of, cooled
from ..schedules.shapes import Array
from .clocks import Epochs, as_clock

RESUME_CHOICES = {
    "strict": "refuse",
    "keep": "finish the old curve, then stay at its end",
    "stretch": "the rest of the old curve over the rest of the new run",
    "switch": "the new curve at the same position",
    "rewarm": "climb, or fall, from the checkpoint's LR to the new curve, over 5% of the run; 'rewarm(200)' over 200 updates",
}


# An error names so many groups' values; BERT base has 28 groups.
_MOST_LISTED = 5


@dataclass(frozen=True)
class Settings:
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
    ) -> "Settings":
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
    def from_data(cls, data: dict[str, Any]) -> "Settings":
        # What a state of an older version lacks has its default.
        horizon = Horizon(**{name: data[name] for name in Horizon.__dataclass_fields__ if name in data})
        peaks = tuple(map(float, data["peaks"]))
        own = tuple(None if text is None else str(text) for text in data.get("own", ()))
        if len(own) not in (0, len(peaks)):
            raise ValueError(f"{len(own)} schedules for {len(peaks)} groups")
        return cls(str(data["schedule"]), horizon, peaks, own, str(data.get("clock", "updates")))

    def differences(self, other: "Settings") -> list[str]:
        """What `other` has otherwise, in words."""
        mine, others = self.to_data(), other.to_data()
        return [_difference(name, mine[name], others[name]) for name in mine if mine[name] != others[name]]


@dataclass(frozen=True)
class Stretch:
    """From update `at` on, what was to last until `old_end` lasts until `new_end`."""

    at: float
    old_end: int
    new_end: int

    def __call__(self, t: Array) -> Array:
        later = self.at + (t - self.at) * ((self.old_end - self.at) / (self.new_end - self.at))
        return np.where(t < self.at, t, later)


@dataclass(frozen=True)
class Rewarm:
    """From update `at` on, over `over` updates, in a straight line from these LRs to the curve."""

    at: float
    over: int
    lrs: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """The LR of every update: `peak * curve(t)`, and what resumes and an early end made of it.

    Args:
        settings ([`Settings`]): What the LRs follow from.
        stretches (`tuple[Stretch, ...]`): The latest one first.
        rewarm ([`Rewarm`], *optional*): A climb onto the curve.
        cooldown_at (`float`, *optional*): The position at which the cooldown began before its time.
    """

    settings: Settings
    stretches: tuple[Stretch, ...] = ()
    rewarm: Rewarm | None = None
    cooldown_at: float | None = None

    def curves(self) -> list[Curve]:
        """The curve of each group: one object for all with the same schedule and peak."""
        wanted = list(zip(self.settings.schedules, self.settings.peaks, strict=True))
        parsed = {text: parse(text) for text in set(self.settings.schedules)}
        resolved = {(text, peak): parsed[text].resolve(self.settings.horizon, peak=peak) for text, peak in set(wanted)}
        return [resolved[each] for each in wanted]

    def end(self, curves: list[Curve] | None = None) -> float:
        """The position at which the run is over."""
        if self.cooldown_at is None:
            return self.stretches[0].new_end if self.stretches else self.settings.horizon.num_updates
        planned = [found for curve in curves or self.curves() if (found := cooldown_of(curve)) is not None]
        return self.cooldown_at + max(each.end - each.start for each in planned)

    def lrs(self, t: Array, curves: list[Curve] | None = None) -> list[Array]:
        """The LRs of updates, for each group."""
        peaks = self.settings.peaks
        curves = self.curves() if curves is None else curves
        stretched = t
        for stretch in self.stretches:
            stretched = stretch(stretched)
        factors = {id(curve): curve(stretched) for curve in curves}
        lrs = [peak * factors[id(curve)] for peak, curve in zip(peaks, curves, strict=True)]
        if self.rewarm is not None:
            lrs = self._rewarmed(self.rewarm, t, lrs, curves)
        return lrs if self.cooldown_at is None else self._cooled(self.cooldown_at, t, lrs, curves)

    def stretched(self, t: float) -> float:
        """The position on the curve itself of an update of this run."""
        for stretch in self.stretches:
            t = float(stretch(np.array([t]))[0])
        return t

    def _cooled(self, at: float, t: Array, lrs: list[Array], curves: list[Curve]) -> list[Array]:
        within = t >= at
        if not within.any():
            return lrs
        levels = replace(self, cooldown_at=None).lrs(np.array([float(at)]), curves)
        since = np.maximum(t, at)
        made = []
        for lr, level, curve, peak in zip(lrs, levels, curves, self.settings.peaks, strict=True):
            if cooldown_of(curve) is not None and peak:
                lr = np.where(within, peak * cooled(curve, at, float(level[0]) / peak, peak)(since), lr)
            made.append(lr)
        return made

    def _rewarmed(self, rewarm: Rewarm, t: Array, lrs: list[Array], curves: list[Curve]) -> list[Array]:
        within = (t >= rewarm.at) & (t < rewarm.at + rewarm.over)
        if not within.any():
            return lrs
        goals = replace(self, rewarm=None).lrs(np.array([float(rewarm.at + rewarm.over)]), curves)
        p = (t - rewarm.at) / rewarm.over
        return [
            np.where(within, start + (goal[0] - start) * p, lr)
            for lr, start, goal in zip(lrs, rewarm.lrs, goals, strict=True)
        ]

    def to_data(self) -> dict[str, Any]:
        """Plain data, from which [`from_data`] makes an equal course."""
        return {
            **self.settings.to_data(),
            "stretches": [asdict(stretch) for stretch in self.stretches],
            "rewarm": None if self.rewarm is None else {**asdict(self.rewarm), "lrs": list(self.rewarm.lrs)},
            "cooldown_at": self.cooldown_at,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Course":
        stretches = tuple(Stretch(**stretch) for stretch in data["stretches"])
        rewarm = data["rewarm"]
        return cls(
            Settings.from_data(data),
            stretches,
            None if rewarm is None else Rewarm(rewarm["at"], rewarm["over"], tuple(rewarm["lrs"])),
            data.get("cooldown_at"),
        )


def check_on_resume(on_resume: str) -> tuple[str, str | None]:
    """A choice and, for `rewarm(LENGTH)`, its length.

    Raises:
        ScheduleError: Not a choice.

    Example:
    ```python
    >>> check_on_resume("rewarm(2%)")
    ('rewarm', '2%')

    ```
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", on_resume) if isinstance(on_resume, str) else None
    choice = match[1] if match else ""
    if choice not in RESUME_CHOICES or (match and match[2] is not None and choice != "rewarm"):
        raise ScheduleError(
            f"on_resume must be one of {', '.join(RESUME_CHOICES)} or rewarm(LENGTH), got {brief(on_resume)}."
            f"{nearest(str(on_resume), RESUME_CHOICES)}"
        )
    over = match[2] if match else None
    if choice == "rewarm":
        over = str(as_length("5%" if over is None else over, "the length of rewarm()"))
    return choice, over


def same_data(was: Settings, new: Settings) -> bool:
    """Do both follow the passes over the data, with the same schedules, and differ in the batch's size alone?"""
    if not isinstance(as_clock(new.clock), Epochs) or replace(was, horizon=new.horizon) != new:
        return False
    run, per_epoch = was.horizon.num_updates, was.horizon.updates_per_epoch
    if not per_epoch or not new.horizon.updates_per_epoch:
        return False
    # The updates of a run are rounded up, for a part of an epoch and at each epoch's end.
    return abs(Fraction(run, per_epoch) * new.horizon.updates_per_epoch - new.horizon.num_updates) <= 1


def resume(old: Course, was: Settings, new: Settings, t: float, on_resume: str) -> Course:
    """The course of a run that goes on at update t with settings that have changed.

    Args:
        old ([`Course`]): The checkpoint's; what earlier resumes made of it included.
        was ([`Settings`]): Those of the run that wrote the checkpoint.
        new ([`Settings`]): Those of this run.
        t (`float`): The position: updates done, or what else the clock counts.
        on_resume (`str`): One of [`RESUME_CHOICES`].

    Raises:
        ScheduleError: `on_resume` is `strict`; or the choice is not possible here.
    """
    choice, over = check_on_resume(on_resume)
    if len(old.settings.peaks) != len(new.peaks):
        raise ScheduleError(
            f"can't resume: the checkpoint's optimizer has {len(old.settings.peaks)} parameter groups, this one "
            f"{len(new.peaks)}."
        )
    if was.horizon.unit != new.horizon.unit:
        raise ScheduleError(
            f"can't resume: the checkpoint's schedule counts {was.clock}, this one {new.clock}. A position in the one says "
            "nothing of the other; resume with the checkpoint's clock."
        )
    if old.cooldown_at is not None and choice in ("stretch", "rewarm"):
        raise ScheduleError(
            f"on_resume={choice!r} is not possible here: the checkpoint's run began its cooldown at {old.cooldown_at:g}. "
            "Finish it with 'keep', or go on with the new curve by 'switch'."
        )
    fresh = Course(new)
    if choice == "strict":
        where = _where(t, new.horizon.unit)
        raise ScheduleError(refusal(was.differences(new), where, lrs_at(old, t), lrs_at(fresh, t), RESUME_CHOICES))
    if choice == "keep":
        return old
    if choice == "switch":
        return fresh
    if choice == "stretch":
        old_end = old.stretches[0].new_end if old.stretches else old.settings.horizon.num_updates
        if t >= min(old_end, new.horizon.num_updates):
            raise ScheduleError(
                f"on_resume='stretch': at {_where(t, new.horizon.unit)} nothing is left of the old curve's {old_end} "
                f"{new.horizon.unit} or of the new run's {new.horizon.num_updates}."
            )
        return replace(old, stretches=(Stretch(t, old_end, new.horizon.num_updates), *old.stretches))
    return rewarmed(new, t, lrs_at(old, t), over or "5%")


def rewarmed(new: Settings, t: float, lrs: list[float], over: str) -> Course:
    """The new curve, reached from these LRs in a straight line."""
    updates = math.ceil(as_length(over).updates(new.horizon))
    if t + updates > new.horizon.num_updates:
        raise ScheduleError(
            f"rewarm({over}): {updates} {new.horizon.unit} from {_where(t, new.horizon.unit)} on, but the run has "
            f"{new.horizon.num_updates}."
        )
    return Course(new, rewarm=Rewarm(t, updates, tuple(lrs)))


def lrs_at(course: Course, t: float, curves: list[Curve] | None = None) -> list[float]:
    """The LR of each group for update t."""
    return [float(lr[0]) for lr in course.lrs(np.array([float(t)]), curves)]


def refusal(
    differences: list[str], where: str, before: list[float], after: list[float], choices: dict[str, str]
) -> str:
    """Why a resume is refused, with the LRs and the choices."""
    lines = "\n".join(f"  {name!r}: {what}" for name, what in choices.items() if name != "strict")
    return (
        f"can't resume at {where}: {'; '.join(differences)}. The next update's LR is {listed(before)} by the checkpoint "
        f"and {listed(after)} by the new settings. Resume with the checkpoint's settings, or choose on_resume=\n{lines}"
    )


def _where(t: float, unit: str) -> str:
    return f"update {t:g}" if unit == "updates" else f"{t:.6g} {unit}"


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
