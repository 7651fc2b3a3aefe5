"""Watchers: what each plateau() of the schedules has seen, and what it makes of the LRs. Pure."""

from dataclasses import dataclass
from typing import Any

from ..schedules import Curve
from ..schedules.curve import Reaction
from ..schedules.families.plateau import Plateau, PlateauState
from .trajectory import Course


@dataclass
class Watcher:
    """A `plateau()` of one of the schedules, with what it has seen."""

    schedule: str
    reaction: Reaction
    state: PlateauState

    @property
    def rule(self) -> Plateau:
        rule = self.reaction.rule
        assert isinstance(rule, Plateau)
        return rule

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return {"phase": str(self.reaction.phase), **self.state}


def watchers_of(curves: list[Curve], schedules: tuple[str, ...]) -> list[Watcher]:
    """A fresh one for each `plateau()`, once for all groups that follow the same schedule."""
    return [
        Watcher(text, reaction, reaction.rule.start())
        for text, curve in dict(zip(schedules, curves, strict=True)).items()
        for reaction in curve.reactions
        if isinstance(reaction.rule, Plateau)
    ]


def restore(watchers: list[Watcher], remembered: list[dict[str, Any]]) -> None:
    """Gives each what the one with the same text had seen; the first to the first, where there are several."""
    left = list(remembered)
    for watcher in watchers:
        same = next((each for each in left if each["phase"] == str(watcher.reaction.phase)), None)
        if same is not None:
            left.remove(same)
            best = None if same["best"] is None else float(same["best"])
            watcher.state = PlateauState(
                best=best, bad=int(same["bad"]), resting=int(same["resting"]), scale=float(same["scale"])
            )


def scales_of(course: Course, watchers: list[Watcher], scale: float) -> list[float]:
    """What each group's LRs are multiplied by."""
    scales = dict.fromkeys(course.settings.schedules, scale)
    for watcher in watchers:
        scales[watcher.schedule] *= watcher.state["scale"]
    return [scales[text] for text in course.settings.schedules]


def times(lrs: list[float], scales: list[float]) -> list[float]:
    return [lr * scale for lr, scale in zip(lrs, scales, strict=True)]
