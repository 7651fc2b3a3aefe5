"""What each plateau() of the schedules has seen, and what it makes of the LRs. Pure."""

from dataclasses import dataclass
from typing import Any

from ..schedules import Curve
from ..schedules.curve import Reaction
from ..schedules.families.plateau import Plateau, PlateauState
from .trajectory import Trajectory


@dataclass
class PlateauTracker:
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


def track_plateaus(curves: list[Curve], schedules: tuple[str, ...]) -> list[PlateauTracker]:
    """A fresh one for each `plateau()`, once for all groups that follow the same schedule."""
    return [
        PlateauTracker(text, reaction, reaction.rule.start())
        for text, curve in dict(zip(schedules, curves, strict=True)).items()
        for reaction in curve.reactions
        if isinstance(reaction.rule, Plateau)
    ]


def restore(plateaus: list[PlateauTracker], remembered: list[dict[str, Any]]) -> None:
    """Gives each what the one with the same text had seen; the first to the first, where there are several."""
    left = list(remembered)
    for tracker in plateaus:
        same = next((each for each in left if each["phase"] == str(tracker.reaction.phase)), None)
        if same is not None:
            left.remove(same)
            best = None if same["best"] is None else float(same["best"])
            tracker.state = PlateauState(
                best=best,
                num_bad_epochs=int(same["num_bad_epochs"]),
                cooldown_counter=int(same["cooldown_counter"]),
                scale=float(same["scale"]),
            )


def scales_of(trajectory: Trajectory, plateaus: list[PlateauTracker], scale: float) -> list[float]:
    """What each group's LRs are multiplied by."""
    scales = dict.fromkeys(trajectory.settings.schedules, scale)
    for tracker in plateaus:
        scales[tracker.schedule] *= tracker.state["scale"]
    return [scales[text] for text in trajectory.settings.schedules]


def times(lrs: list[float], scales: list[float]) -> list[float]:
    return [lr * scale for lr, scale in zip(lrs, scales, strict=True)]
