"""What changed the LRs of a run, in full."""

import json
import math
from dataclasses import dataclass
from typing import Any

from .record import Row
from .run import Run

#: What of an event's row has a column of its own, or is for machines.
_NOT_DETAILS = ("start", "step", "epoch", "t", "kind", "cause", "how", "course", "offset", "scales")


@dataclass(frozen=True)
class Event:
    """What changed the LR, or a resume.

    Args:
        step (`int`): Updates done.
        kind (`str`): E.g. `plateau`.
        cause (`str`): Why, or how.
        details (`str`): What else is known: the LRs before and after.
    """

    step: int
    kind: str
    cause: str
    details: str = ""

    @property
    def text(self) -> str:
        return ": ".join(filter(None, (self.kind, self.cause))) + (f" ({self.details})" if self.details else "")


def events(run: Run) -> list[Event]:
    """What changed the LR, and each resume, in order."""
    found = [_event(row) for row in run.events]
    resumed = {event.step for event in found if event.kind == "resume"}
    for row in run.starts[1:]:
        step = _whole(row.get("step"))
        if step and step not in resumed:
            found.append(Event(step, "resume", "with the settings of the checkpoint"))
    return sorted(found, key=lambda event: event.step)


def _event(row: Row) -> Event:
    details = []
    for name in ("lr", "scale"):
        before, after = row.get(f"{name}_before"), row.get(f"{name}_after")
        if before is not None and after is not None:
            details.append(f"{'LR' if name == 'lr' else name} {_listed(before)} → {_listed(after)}")
    others = {key: value for key, value in row.items() if key not in _NOT_DETAILS}
    others = {key: value for key, value in others.items() if not key.endswith(("_before", "_after"))}
    details += [f"{key} {_listed(value)}" for key, value in others.items()]
    how = f"on_resume={row['how']}" if row.get("how") else ""
    step = _whole(row.get("t", row.get("step")))
    return Event(step, str(row.get("kind", "event")), str(row.get("cause") or how), ", ".join(details))


def _listed(value: Any) -> str:
    """One value, or those of the groups, each once."""
    values = list(dict.fromkeys(map(_shown, value))) if isinstance(value, list) else [_shown(value)]
    return ", ".join(values if len(values) <= 6 else [*values[:5], "…"])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0
