"""What plots and the report show of a run, worked out once: the LRs of its groups, its phases, its events, its best evaluation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..schedules import Curve, Part
from ..schedules.metric_names import resolve_direction
from ..schedules.numbers import is_finite_number
from ..schedules.shapes import Array
from ..trajectory.phases import find_phases
from ..trajectory.trajectory import Trajectory
from .downsample import MAX_POINTS, select_points
from .metrics import resolve_metric
from .record import Segment, lrs
from .rows import Row
from .run import Run, read_count, run_from_history

#: Longer runs are looked at in so many of their updates, and in blocks: 28 groups would not fit into memory at once.
_MAX_UPDATES = 4_000_000
_BLOCK = 1 << 17

#: What of an event's row has a field of its own, or is for machines.
_NOT_DETAILS = ("start", "step", "epoch", "t", "kind", "cause", "how", "trajectory", "offset", "scales")

#: Words for fields of an event whose names do not say enough.
_DETAILS = {"since": "since update", "advice": "advice:"}


@dataclass(frozen=True)
class LRLine:
    """The LR of groups that have the same one at every update.

    Args:
        groups (`list[str]`): Their names.
        updates (`np.ndarray`): Exact LRs: `t`, whose LR update `t + 1` uses. Recorded ones: the update that used it.
        lrs (`np.ndarray`): At these updates.
    """

    groups: list[str]
    updates: Array
    lrs: Array


@dataclass(frozen=True)
class LRs:
    """The LRs of a run.

    Args:
        lines (`list[LRLine]`): In the order of the groups.
        done (`int`): The updates whose LRs were used. Later ones are planned.
        end (`int`): All updates.
        is_exact (`bool`): Whether they follow from the schedule, not from some records.
        is_complete (`bool`): Whether every update is among them.
    """

    lines: list[LRLine]
    done: int
    end: int
    is_exact: bool = False
    is_complete: bool = True

    def used(self, line: LRLine) -> tuple[Array, Array]:
        """Return the part of a line that was used; of exact ones with the last LR twice, so that its step has a width."""
        return self._part(line, line.updates < self.done, self.done) if self.is_exact else (line.updates, line.lrs)

    def planned(self, line: LRLine) -> tuple[Array, Array]:
        """Return the part of a line that is planned, in the same way."""
        is_planned = line.updates >= (self.done if self.is_exact else np.inf)
        return self._part(line, is_planned, self.end)

    def _part(self, line: LRLine, here: Any, end: float) -> tuple[Array, Array]:
        if not here.any():
            return line.updates[here], line.lrs[here]
        return np.append(line.updates[here], float(end)), np.append(line.lrs[here], line.lrs[here][-1])


@dataclass(frozen=True)
class RunEvent:
    """What changed the LR or the run, or what a monitor found.

    Args:
        update (`int`): Updates done.
        kind (`str`): E.g. `plateau`.
        cause (`str`): Why, or how.
        details (`str`): What else is known: the LRs before and after.
        label (`str`): The event in a few words.
        is_finding (`bool`): Whether a monitor only reported it: nothing was changed.
    """

    update: int
    kind: str
    cause: str
    details: str = ""
    label: str = ""
    is_finding: bool = False

    @property
    def text(self) -> str:
        """The event in full."""
        return ": ".join(filter(None, (self.kind, self.cause))) + (f" ({self.details})" if self.details else "")


@dataclass(frozen=True)
class Best:
    """The best evaluation by a metric; `is_kept` where the Trainer kept that checkpoint, judged by the metric `by`."""

    step: int
    value: float
    is_kept: bool
    by: str | None = None


class RunView:
    """What plots and the report show of a run, each worked out once.

    Args:
        run ([`Run`] or `Sequence[Mapping]`): A run, or a Trainer's `state.log_history`.
    """

    def __init__(self, run: Run | Sequence[Mapping[str, Any]]):
        self.run = run if isinstance(run, Run) else run_from_history(run)

    @cached_property
    def end(self) -> int:
        """The update at which the run is over, as far as it is known now."""
        run = self.run
        if not run.segments:
            return max(run.num_updates, run.updates_done)
        last = run.segments[-1]
        end = int(np.ceil(last.trajectory.end() - last.offset))
        planned = end if last.trajectory.cooldown_at is not None else run.num_updates or end
        return max(planned, run.updates_done)

    @cached_property
    def done(self) -> int:
        """The updates whose LRs were used: to the last record, or to the end where no record would lie between."""
        run = self.run
        widest = np.max(np.diff(run.recorded_updates, prepend=0.0), initial=0.0)
        return self.end if self.end - run.updates_done < widest else run.updates_done

    @cached_property
    def curves(self) -> dict[Trajectory, list[Curve]]:
        """The curve of each group, for each trajectory that the run had.

        Raises:
            ScheduleError: A schedule has a name that is not registered here.
        """
        return {segment.trajectory: segment.trajectory.curves() for segment in self.run.segments}

    @cached_property
    def phases(self) -> list[Part]:
        """The phases of the first group's schedule where they were in the run, with what resumes made of them."""
        found: list[Part] = []
        segments = self.run.segments
        ends = [*(segment.start for segment in segments[1:]), self.end]
        for segment, segment_end in zip(segments, ends, strict=False):
            for phase in find_phases(segment.trajectory, self.curves[segment.trajectory][0], segment.offset):
                start, end = max(phase.start, segment.start), min(phase.end, segment_end)
                before = found[-1] if found else None
                if start >= end:
                    if before and (before.text, before.start, before.end) == (phase.text, phase.start, phase.end):
                        found[-1] = phase  # it was to be longer, until the resume that begins here
                    continue
                if before and (before.text, before.arithmetic, before.end) == (phase.text, phase.arithmetic, start):
                    start = found.pop().start  # an event cut it in two
                found.append(phase._replace(start=start, end=end))
        return found

    @cached_property
    def events(self) -> list[RunEvent]:
        """What changed the LR, each resume, and what a monitor found; in the order of the updates."""
        found = [_read_event(row) for row in self.run.events]
        resumed = {event.update for event in found if event.kind == "resume"}
        for row in self.run.starts[1:]:
            if (update := read_count(row.get("step"))) and update not in resumed:
                found.append(RunEvent(update, "resume", "with the settings of the checkpoint", label="resume"))
        return sorted(found, key=lambda event: event.update)

    def lrs(self, max_points: int = MAX_POINTS) -> LRs:
        """Return the LRs of every update where the record gives them, else those of the records.

        Args:
            max_points (`int`): Of a longer run so many updates, with extremes, jumps and those of the evaluations.
        """
        segments = self.run.segments
        if not segments:
            return self._recorded_lrs()
        groups = _distinct_groups(segments)
        updates = self._select_updates([same[0] for same in groups], max_points)
        by_group = lrs(segments, updates)
        names = self.run.groups
        lines = [LRLine([names[index] for index in same], updates, by_group[same[0]]) for same in groups]
        return LRs(lines, self.done, self.end, True, len(updates) == max(self.end, 1) - segments[0].start)

    def best(self, metric: str, greater_is_better: bool | None = None) -> Best | None:
        """Return the evaluation of the best checkpoint where the Trainer kept it, else the best by a metric.

        Args:
            metric (`str`): By its name in the records.
            greater_is_better (`bool`, *optional*): Whatever the Trainer kept. Defaults to the direction that the metric's
                name shows, then to what the run says of its metric; `None` is returned where neither is known. A checkpoint
                that the Trainer kept by the wrong direction does not count.
        """
        run = self.run
        steps, values = run.points(metric)
        if not len(steps):
            return None
        by = resolve_metric(run, run.best_metric)
        if greater_is_better is None:
            # Trainer takes the greatest perplexity for the best where the user says nothing.
            by_direction = resolve_direction(by or "", run.greater_is_better)
            is_worst = run.greater_is_better is not None and (by_direction == "max") != run.greater_is_better
            if run.best_step is not None and run.best_step in steps and not is_worst:
                return Best(int(run.best_step), float(values[steps == run.best_step][0]), True, by)
            direction = resolve_direction(metric, run.greater_is_better if by == metric else None)
            if direction is None:
                return None
            greater_is_better = direction == "max"
        index = int(np.argmax(values) if greater_is_better else np.argmin(values))
        return Best(int(steps[index]), float(values[index]), False, metric)

    def _recorded_lrs(self) -> LRs:
        run, lines = self.run, list[LRLine]()
        groups = [name for name in run.groups if len(run.points(f"lr/{name}")[0])]
        first = tuple(np.array(each, dtype=np.float64) for each in run.recorded_lrs())
        points = {groups[0] if groups else "": first, **{name: run.points(f"lr/{name}") for name in groups[1:]}}
        for name, line in points.items():
            same = next((each for each in lines if all(map(np.array_equal, (each.updates, each.lrs), line))), None)
            if same is not None:
                same.groups.append(name)
            elif len(line[0]):
                lines.append(LRLine([name], *line))
        return LRs(lines, self.done, self.end)

    def _select_updates(self, groups: Sequence[int], max_points: int) -> Array:
        """Updates, counted from 0: every one of a short run, of a longer one as [`RunView.lrs`] says."""
        segments = self.run.segments
        first, total = segments[0].start, max(self.end, 1)  # what was before the record begins is not known
        if total - first <= max_points:
            return np.arange(first, total, dtype=np.float64)
        stride = max((total - first) / _MAX_UPDATES, 1)
        updates = np.floor(first + np.arange(0, total - first, stride))
        kept_updates: list[Array] = []
        kept_lines: list[list[Array]] = []
        for begin in range(0, len(updates), _BLOCK):
            block = updates[begin : begin + _BLOCK]
            by_group = lrs(segments, block)
            kept = select_points([by_group[group] for group in groups], max_points)
            kept_updates.append(block[kept])
            kept_lines.append([by_group[group][kept] for group in groups])
        lines = [np.concatenate(parts) for parts in zip(*kept_lines, strict=True)]
        selected = np.concatenate(kept_updates)[select_points(lines, max_points)]
        # The LR beside each evaluation, and where the line turns from what was used to what is planned.
        steps = self.run.evaluations.column("step")
        wanted = np.append(steps[select_points([steps], max_points)], [self.done, total]) - 1
        return np.union1d(selected, wanted.clip(first, total - 1))


def _distinct_groups(segments: Sequence[Segment]) -> list[list[int]]:
    """Return the parameter groups, those together that have the same LR at every update."""
    found: dict[Any, list[int]] = {}
    for index in range(len(segments[-1].scales)):
        keys = []
        for segment in segments:
            settings, rewarm = segment.trajectory.settings, segment.trajectory.rewarm
            lr = rewarm and rewarm.lrs[index]
            keys.append((settings.schedules[index], settings.peaks[index], segment.scales[index], lr))
        found.setdefault(tuple(keys), []).append(index)
    return list(found.values())


def _read_event(row: Row) -> RunEvent:
    kind, how, cause = str(row.get("kind", "event")), row.get("how"), row.get("cause")
    before, after = row.get("scale_before"), row.get("scale_after")
    label = ": ".join(str(each) for each in (kind, how if kind == "resume" else cause) if each)
    if is_finite_number(before) and is_finite_number(after) and before:
        label = f"{kind} ×{after / before:.3g}"
    details = []
    for name in ("lr", "scale"):
        values = row.get(f"{name}_before"), row.get(f"{name}_after")
        if None not in values:
            details.append(f"{'LR' if name == 'lr' else name} {' → '.join(map(_format_values, values))}")
    for key, value in row.items():
        if key not in _NOT_DETAILS and not key.endswith(("_before", "_after")):
            details.append(f"{_DETAILS.get(key, key)} {_format_values(value)}")
    cause = str(cause or (f"on_resume={how}" if how else ""))
    update = read_count(row.get("t", row.get("step")))
    return RunEvent(update, kind, cause, ", ".join(details), label, "advice" in row)


def _format_values(value: Any) -> str:
    """One value, or those of the groups, each once."""
    values = list(dict.fromkeys(map(_format_value, value if isinstance(value, list) else [value])))
    return ", ".join(values if len(values) <= 6 else [*values[:5], "…"])


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
