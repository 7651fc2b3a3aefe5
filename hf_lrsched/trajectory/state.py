"""Where a run goes on, by the scheduler's state in a checkpoint. Pure: states in, positions and trajectories out."""

from dataclasses import dataclass, field
from typing import Any

from .plateaus import PlateauTracker
from .trajectory import Trajectory

STATE_VERSION = 2

# The state must not grow with the run: of its events, the latest.
MOST_EVENTS = 16


@dataclass
class Found:
    """What a checkpoint says of where a run goes on."""

    t: int
    position: float
    trajectory: Trajectory
    plateaus: list[PlateauTracker]
    scale: float
    seconds: float
    events: list[dict[str, Any]]
    guard: dict[str, float] = field(default_factory=dict)
    before: Trajectory | list[float] | None = None
