"""PlateauTracker: what each plateau() of the schedules has observed, and the scales that follow."""

from dataclasses import dataclass
from typing import Any

from ..schedules import Curve
from ..schedules.curve import ReactivePart
from ..schedules.families.plateau import Plateau, PlateauState
from .trajectory import Trajectory


@dataclass
class PlateauTracker:
    """A `plateau()` of one of the schedules, with what it has observed."""

    schedule: str
    reaction: ReactivePart
    state: PlateauState

    @property
    def rule(self) -> Plateau:
        """The `plateau()` itself."""
        rule = self.reaction.shape
        assert isinstance(rule, Plateau)
        return rule

    def to_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {"phase": str(self.reaction.phase), **self.state}


def track_plateaus(curves: list[Curve], schedules: tuple[str, ...]) -> list[PlateauTracker]:
    """Make a tracker for each `plateau()`, one for all groups with the same schedule."""
    return [
        PlateauTracker(text, reaction, reaction.shape.initial_state())
        for text, curve in dict(zip(schedules, curves, strict=True)).items()
        for reaction in curve.reactive_parts
        if isinstance(reaction.shape, Plateau)
    ]


def restore_plateaus(plateaus: list[PlateauTracker], saved: list[dict[str, Any]]) -> int:
    """Give each plateau the saved state of the one with the same text, in order. Returns how many were found."""
    left = list(saved)
    for plateau in plateaus:
        same = next((each for each in left if each["phase"] == str(plateau.reaction.phase)), None)
        if same is not None:
            left.remove(same)
            plateau.state = PlateauState(
                best=None if same["best"] is None else float(same["best"]),
                num_bad_epochs=int(same["num_bad_epochs"]),
                cooldown_counter=int(same["cooldown_counter"]),
                scale=float(same["scale"]),
            )
    return len(saved) - len(left)


def get_scales(trajectory: Trajectory, plateaus: list[PlateauTracker], scale: float) -> list[float]:
    """Return the scale of each group's LRs."""
    scales = dict.fromkeys(trajectory.settings.schedules, scale)
    for plateau in plateaus:
        scales[plateau.schedule] *= plateau.state["scale"]
    return [scales[text] for text in trajectory.settings.schedules]
