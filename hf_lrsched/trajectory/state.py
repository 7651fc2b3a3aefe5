"""Where a run goes on, by the scheduler's state in a checkpoint. Pure: states in, positions and courses out."""

from dataclasses import dataclass, field
from typing import Any

from .plateaus import Watcher
from .trajectory import Course

STATE_VERSION = 2

# The state must not grow with the run: of its events, the latest.
MOST_EVENTS = 16


@dataclass
class Found:
    """What a checkpoint says of where a run goes on."""

    t: int
    position: float
    course: Course
    watchers: list[Watcher]
    scale: float
    seconds: float
    events: list[dict[str, Any]]
    guard: dict[str, float] = field(default_factory=dict)
    before: Course | list[float] | None = None
