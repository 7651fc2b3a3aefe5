"""Trajectory: the LR of every update of a run, resumes with other settings included."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..schedules import Curve, ScheduleError, parse
from ..schedules.families.cooldown import cool_down, find_cooldown
from ..schedules.shapes import Array
from .settings import RunSettings


@dataclass(frozen=True)
class Stretch:
    """From position `at` on, what was to last until `old_end` lasts until `new_end`."""

    at: float
    old_end: int
    new_end: int

    def __call__(self, t: Array) -> Array:
        later = self.at + (t - self.at) * ((self.old_end - self.at) / (self.new_end - self.at))
        return np.where(t < self.at, t, later)


@dataclass(frozen=True)
class Rewarm:
    """From position `at` on, a straight line over `over` updates from these LRs to the curve."""

    at: float
    over: int
    lrs: tuple[float, ...]


@dataclass(frozen=True)
class Trajectory:
    """The LR of every update: `peak * curve(t)`, changed by resumes and by an early cooldown.

    Args:
        settings ([`RunSettings`]): What the LRs follow from.
        stretches (`tuple[Stretch, ...]`): Made by `on_resume="stretch"`, the latest first.
        rewarm ([`Rewarm`], *optional*): Made by `on_resume="rewarm"`: a climb to the curve.
        cooldown_at (`float`, *optional*): The position at which the cooldown began earlier than planned.
    """

    settings: RunSettings
    stretches: tuple[Stretch, ...] = ()
    rewarm: Rewarm | None = None
    cooldown_at: float | None = None

    def curves(self) -> list[Curve]:
        """Return the curve of each group: one object for all groups with the same schedule, unless it names an LR."""
        wanted = list(zip(self.settings.schedules, self.settings.peaks, strict=True))
        curves: dict[tuple[str, float], Curve] = {}
        for text in dict.fromkeys(self.settings.schedules):
            schedule, pairs = parse(text), {pair for pair in wanted if pair[0] == text}
            try:
                curves |= dict.fromkeys(pairs, schedule.resolve(self.settings.horizon))
            except ScheduleError:  # an LR is another factor of each peak
                curves |= {pair: schedule.resolve(self.settings.horizon, peak=pair[1]) for pair in pairs}
        return [curves[pair] for pair in wanted]

    def end(self, curves: list[Curve] | None = None) -> float:
        """Return the position at which the run is over."""
        if self.cooldown_at is None:
            return self.stretches[0].new_end if self.stretches else self.settings.horizon.num_updates
        planned = [found for curve in curves or self.curves() if (found := find_cooldown(curve)) is not None]
        return self.cooldown_at + max(each.end - each.start for each in planned)

    def lrs(self, t: Array, curves: list[Curve] | None = None) -> list[Array]:
        """Return the LRs at positions, for each group."""
        peaks = self.settings.peaks
        curves = self.curves() if curves is None else curves
        on_curve = self._to_curve_positions(t)
        distinct = {id(curve): curve for curve in curves}  # groups with one schedule share a curve
        factors = {key: curve(on_curve) for key, curve in distinct.items()}
        lrs = [peak * factors[id(curve)] for peak, curve in zip(peaks, curves, strict=True)]
        if self.rewarm is not None:
            lrs = self._apply_rewarm(self.rewarm, t, lrs, curves)
        return lrs if self.cooldown_at is None else self._apply_cooldown(self.cooldown_at, t, lrs, curves)

    def lrs_at(self, t: float, curves: list[Curve] | None = None) -> list[float]:
        """Return the LR of each group at one position."""
        return [float(lr[0]) for lr in self.lrs(np.array([float(t)]), curves)]

    def to_curve_position(self, t: float) -> float:
        """Return the position on the curve itself: not the position in the run if the curve was stretched."""
        return float(self._to_curve_positions(np.array([float(t)]))[0])

    def _to_curve_positions(self, t: Array) -> Array:
        for stretch in self.stretches:
            t = stretch(t)
        return t

    def _apply_cooldown(self, at: float, t: Array, lrs: list[Array], curves: list[Curve]) -> list[Array]:
        within = t >= at
        if not within.any():
            return lrs
        levels = replace(self, cooldown_at=None).lrs_at(at, curves)
        since = np.maximum(t, at)
        made = []
        for lr, level, curve, peak in zip(lrs, levels, curves, self.settings.peaks, strict=True):
            if find_cooldown(curve) is not None and peak:
                lr = np.where(within, peak * cool_down(curve, at, level / peak, peak)(since), lr)
            made.append(lr)
        return made

    def _apply_rewarm(self, rewarm: Rewarm, t: Array, lrs: list[Array], curves: list[Curve]) -> list[Array]:
        within = (t >= rewarm.at) & (t < rewarm.at + rewarm.over)
        if not within.any():
            return lrs
        goals = replace(self, rewarm=None).lrs_at(rewarm.at + rewarm.over, curves)
        p = (t - rewarm.at) / rewarm.over
        return [
            np.where(within, start + (goal - start) * p, lr)
            for lr, start, goal in zip(lrs, rewarm.lrs, goals, strict=True)
        ]

    def reorder(self, order: Sequence[int]) -> "Trajectory":
        """Return the trajectory with the groups in another order: their positions here."""
        climb = self.rewarm and replace(self.rewarm, lrs=tuple(self.rewarm.lrs[index] for index in order))
        return replace(self, settings=self.settings.reorder(order), rewarm=climb)

    def to_data(self) -> dict[str, Any]:
        """Plain data, from which [`from_data`] makes an equal trajectory."""
        return {
            **self.settings.to_data(),
            "stretches": [asdict(stretch) for stretch in self.stretches],
            "rewarm": None if self.rewarm is None else {**asdict(self.rewarm), "lrs": list(self.rewarm.lrs)},
            "cooldown_at": self.cooldown_at,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Trajectory":
        stretches = tuple(Stretch(**stretch) for stretch in data["stretches"])
        rewarm = data["rewarm"]
        if rewarm is not None:
            rewarm = Rewarm(rewarm["at"], rewarm["over"], tuple(rewarm["lrs"]))
        return cls(RunSettings.from_data(data), stretches, rewarm, data["cooldown_at"])
