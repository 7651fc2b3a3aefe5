"""What is drawn of a run: the LRs of its groups, its phases, what happened in it, its best evaluation. Data alone."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ..schedules import Curve, parse
from ..schedules.families.cooldown import cooldown_of
from ..schedules.shapes import Array
from ..trajectory.trajectory import Trajectory
from .metrics import is_lower_better
from .record import Row, Segment
from .run import Run, run_of_history

#: Updates with their LRs.
Trace = tuple[Array, Array]

#: Longer runs are computed at so many of their updates, and at all boundaries.
_MOST_UPDATES = 100_000


@dataclass(frozen=True)
class LRs:
    """The LRs that a run used.

    Args:
        used (`dict[str, Trace]`): For each group, of those with the same LRs the first. Exact ones are `(t, LR of update
            t + 1)`, which holds from t to t + 1, with the last one twice; recorded ones `(u, LR of update u)`.
        planned (`dict[str, Trace]`): From the last update that is known to the end of the run, in the same way.
        is_exact (`bool`): Whether they are those of every update.
    """

    used: dict[str, Trace] = field(default_factory=dict)
    planned: dict[str, Trace] = field(default_factory=dict)
    is_exact: bool = False

    @property
    def groups(self) -> list[str]:
        """The names of the groups whose LRs differ."""
        return list(self.used or self.planned)

    @property
    def ends(self) -> list[str]:
        """The first and the last of them."""
        return list(dict.fromkeys([*self.groups[:1], *self.groups[-1:]]))


@dataclass(frozen=True)
class Phase:
    """A phase of the schedule, from an update (counted from 0) to the one after its last."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Event:
    """What changed the LR after `t` updates, in a few words."""

    t: float
    text: str


@dataclass(frozen=True)
class Best:
    """The best evaluation by a metric; `is_kept` where the Trainer itself says so, by `by`."""

    step: int
    value: float
    is_kept: bool
    by: str | None = None


def as_run(run: Run | Sequence[Mapping[str, Any]]) -> Run:
    """A run, or what a Trainer's `state.log_history` tells of one."""
    return run if isinstance(run, Run) else run_of_history(run)


def end_of(run: Run) -> int:
    """The update at which a run is over, as far as it is known now."""
    if not run.segments:
        return run.updates_done
    last = run.segments[-1]
    end = int(np.ceil(last.trajectory.end() - last.offset))
    planned = end if last.trajectory.cooldown_at is not None else run.num_updates or end
    return max(planned, run.updates_done)


def updates_used(run: Run) -> int:
    """The updates whose LRs were used: to the last record, or to the end where no record would lie between."""
    steps = sorted({0, *(int(row["step"]) for row in (*run.train, *run.evaluations))})
    end, done = end_of(run), run.updates_done
    apart = max((after - before for before, after in pairwise(steps)), default=0)
    return end if end - done < apart else done


def sample(run: Run, most: int = _MOST_UPDATES) -> Array:
    """The updates of a run, from 0: all, or so many with both sides of every boundary."""
    end = end_of(run)
    if end <= most:
        return np.arange(end, dtype=np.float64)
    bounds = [bound for phase in phases(run) for bound in (phase.start, phase.end)]
    bounds += [float(segment.start) for segment in run.segments]
    near = [bound + side for bound in bounds for side in (-1, 0)]
    return np.unique(np.clip([*np.linspace(0, end - 1, most).astype(int), *near], 0, end - 1)).astype(np.float64)


def lrs_of(run: Run) -> LRs:
    """The LRs of every update where the run tells them, else those of its records."""
    if not run.segments:
        return _recorded(run)
    updates, done = sample(run), updates_used(run)
    by_group = run.lrs(updates) or {}
    different = {lrs.tobytes(): name for name, lrs in reversed(by_group.items())}
    used: dict[str, Trace] = {}
    planned: dict[str, Trace] = {}
    for name, lrs in by_group.items():
        if different[lrs.tobytes()] != name:
            continue
        known = np.isfinite(lrs)  # a record that begins in the middle of a run does not tell what was before
        for traces, here in ((used, known & (updates < done)), (planned, known & (updates >= done))):
            if here.any():
                end = float(done) if traces is used else float(end_of(run))
                traces[name] = np.append(updates[here], end), np.append(lrs[here], lrs[here][-1])
    return LRs(used, planned, is_exact=True)


def _recorded(run: Run) -> LRs:
    steps, lrs = run.recorded_lrs()
    if not steps:
        return LRs()
    groups = [name for name in run.groups if run.series(f"lr/{name}")[0]]
    points = {groups[0] if groups else "": (steps, lrs)}
    for name in groups[1:]:
        if (each := run.series(f"lr/{name}")) not in points.values():
            points[name] = each
    return LRs({name: (np.array(steps, dtype=float), np.array(lrs)) for name, (steps, lrs) in points.items()})


def phases(run: Run) -> list[Phase]:
    """The phases of the first group's schedule where they were in the run, with what resumes made of them."""
    found: list[Phase] = []
    ends = [*(segment.start for segment in run.segments[1:]), end_of(run)]
    curves: dict[Trajectory, Curve] = {}
    for segment, end in zip(run.segments, ends, strict=False):
        trajectory = segment.trajectory
        if trajectory not in curves:
            settings = trajectory.settings
            curves[trajectory] = parse(settings.schedules[0]).resolve(settings.horizon, peak=settings.peaks[0])
        for phase in _of_segment(segment, curves[trajectory]):
            start, stop = max(phase.start, segment.start), min(phase.end, end)
            if start >= stop:
                continue
            if found and (found[-1].text, found[-1].end) == (phase.text, start):  # an event cut it in two
                start = found.pop().start
            found.append(Phase(phase.text, start, stop))
    return found


def _of_segment(segment: Segment, curve: Curve) -> list[Phase]:
    trajectory = segment.trajectory
    placed = [Phase(part.text, _update(trajectory, part.start), _update(trajectory, part.end)) for part in curve.parts]
    planned = cooldown_of(curve)
    if trajectory.rewarm is not None:
        placed = _before_and_after(
            placed, Phase("rewarm", trajectory.rewarm.at, trajectory.rewarm.at + trajectory.rewarm.over)
        )
    if trajectory.cooldown_at is not None and planned is not None:
        cooldown = Phase(str(planned.phase), trajectory.cooldown_at, trajectory.end())
        placed = [each for each in _before_and_after(placed, cooldown) if each.start < cooldown.end]
    return [Phase(each.text, each.start - segment.offset, each.end - segment.offset) for each in placed]


def _before_and_after(placed: list[Phase], between: Phase) -> list[Phase]:
    before = [Phase(each.text, each.start, min(each.end, between.start)) for each in placed]
    after = [Phase(each.text, max(each.start, between.end), each.end) for each in placed]
    return [each for each in (*before, between, *after) if each.end > each.start]


def _update(trajectory: Trajectory, position: float) -> float:
    """The update at which a trajectory is at a position of its curve: what `Trajectory.stretched` does, backwards."""
    for stretch in reversed(trajectory.stretches):
        if position > stretch.at:
            longer = (stretch.new_end - stretch.at) / (stretch.old_end - stretch.at)
            position = stretch.at + (position - stretch.at) * longer
    return position


def events(run: Run) -> list[Event]:
    """What changed the LR, and where the run was resumed; in the order of the updates."""
    told = [Event(float(row.get("t") or row.get("step") or 0), _in_words(row)) for row in run.events]
    resumed = {event.t for event in told if event.text.startswith("resume")}
    plain = {float(row.get("step", 0)) for row in run.starts[1:]} - resumed
    return sorted([*told, *(Event(t, "resume") for t in plain)], key=lambda event: event.t)


def _in_words(row: Mapping[str, Any]) -> str:
    kind = str(row.get("kind", "event"))
    before, after = row.get("scale_before"), row.get("scale_after")
    if before and after:
        return f"{kind} ×{after / before:.3g}"
    if kind == "resume":
        return f"resume: {row.get('how', '')}".rstrip(": ")
    if "advice" in row:  # what a monitor found; in words it is longer than a picture has room for
        return kind.replace("_", " ")
    return f"{kind}: {row['cause']}" if row.get("cause") else kind


def best_of(run: Run, metric: str, greater_is_better: bool | None = None) -> Best | None:
    """The evaluation of the best checkpoint where the Trainer kept one, else the best by a metric."""
    steps, values = run.series(metric)
    if not steps:
        return None
    by = run.best_metric
    by = by if by is None or by in run.metrics else f"eval_{by}"
    if greater_is_better is None:
        if run.best_step in steps:
            return Best(int(run.best_step), values[steps.index(run.best_step)], True, by)
        known = run.greater_is_better if by == metric else None
        greater_is_better = not is_lower_better(metric) if known is None else known
    index = int(np.argmax(values) if greater_is_better else np.argmin(values))
    return Best(steps[index], values[index], False, metric)


#: What of an event's row has a column of its own, or is for machines.
_NOT_DETAILS = ("start", "step", "epoch", "t", "kind", "cause", "how", "trajectory", "offset", "scales")


@dataclass(frozen=True)
class RowEvent:
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


def row_events(run: Run) -> list[RowEvent]:
    """What changed the LR, and each resume, in order."""
    found = [_event(row) for row in run.events]
    resumed = {event.step for event in found if event.kind == "resume"}
    for row in run.starts[1:]:
        step = _whole(row.get("step"))
        if step and step not in resumed:
            found.append(RowEvent(step, "resume", "with the settings of the checkpoint"))
    return sorted(found, key=lambda event: event.step)


def _event(row: Row) -> RowEvent:
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
    return RowEvent(step, str(row.get("kind", "event")), str(row.get("cause") or how), ", ".join(details))


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
