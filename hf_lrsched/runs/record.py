"""The record of a run: what its files hold, and how they are read back. They are only ever appended to: see `append_only.py`.

A folder of files of JSON lines, one row a line:

    run.jsonl           one row for each start, the first and every resume: the schedule, the groups, the settings
    train.jsonl         the Trainer's training records: step, epoch, loss, grad_norm, learning_rate, …
    evaluations.jsonl   one row for each evaluation: step, epoch, learning_rate, lr/<group>, and all metrics
    events.jsonl        what changed the LR: drops of a plateau, cooldowns, resumes
    steps.jsonl         one row for each update that StepSizes measured: update_ratio/<group>, effective_lr_p50/<group>, …

The LR of every update and group follows from the schedule and the events, so it takes no space: see [`Segment`].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..schedules.numbers import is_finite_number
from ..schedules.shapes import Array
from ..trajectory.trajectory import Trajectory
from .rows import Row, Rows

VERSION = 1
FOLDER = "record"
RUN, TRAIN, EVALUATIONS, EVENTS = "run.jsonl", "train.jsonl", "evaluations.jsonl", "events.jsonl"
STEPS = "steps.jsonl"
FILES = (RUN, TRAIN, EVALUATIONS, EVENTS, STEPS)

#: Larger counts are damage: no run comes so far.
_MAX_COUNT = 2**53

#: What SetFit calls its training loss; in a record it is `loss`.
SETFIT_LOSS = "embedding_loss"


@dataclass(frozen=True)
class Segment:
    """What every update's LRs follow from, from one update on: `scale * trajectory(t + offset)`.

    Args:
        start (`int`): The first update, counted from 0.
        trajectory ([`Trajectory`]): The schedule in the run, with what resumes and an early cooldown made of it.
        offset (`float`): Between updates done and the position on the curve, after a resume with another batch size.
        scales (`tuple[float, ...]`): What each group's LRs are multiplied by.
    """

    start: int
    trajectory: Trajectory
    offset: float
    scales: tuple[float, ...]

    def to_row(self) -> Row:
        return {"trajectory": self.trajectory.to_data(), "offset": self.offset, "scales": list(self.scales)}

    @classmethod
    def from_row(cls, row: Row) -> "Segment":
        trajectory = Trajectory.from_data(row["trajectory"])
        return cls(int(row["step"]), trajectory, float(row["offset"]), tuple(map(float, row["scales"])))


def lrs(segments: list[Segment], t: Array) -> list[Array]:
    """Compute the LR of each group for updates (counted from 0), exactly as it was used; NaN before the first segment.

    Args:
        segments (`list[Segment]`): In the order of their starts; of two with the same start the later one holds.
        t (`np.ndarray`): Updates.
    """
    starts = np.array([segment.start for segment in segments])
    which = np.searchsorted(starts, t, side="right") - 1
    found = [np.full(len(t), np.nan) for _ in segments[-1].scales]
    for index in np.unique(which[which >= 0]):
        segment, here = segments[index], which == index
        values = segment.trajectory.lrs(t[here] + segment.offset)
        for lrs_of_group, value, scale in zip(found, values, segment.scales, strict=True):
            lrs_of_group[here] = value * scale
    return found


@dataclass(frozen=True)
class Record:
    """The rows of a run, without those that a resume made again.

    Args:
        starts (`list[dict]`): The rows of `run.jsonl`.
        train (`Sequence[dict]`): Training records.
        evaluations (`Sequence[dict]`): Evaluations.
        events (`list[dict]`): Events.
        step_sizes (`Sequence[dict]`): Measurements of [`StepSizes`].
        num_lost (`int`): Lines that cannot be read, as a crash leaves one.
    """

    starts: list[Row]
    train: Rows
    evaluations: Rows
    events: list[Row]
    step_sizes: Rows
    num_lost: int = 0

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Read a record's folder, also of a run that is under way, or that was killed at any byte."""
        rows = {name: Rows.read(folder / name) for name in FILES}
        starts, events = (list(filter(_is_dated, rows[name])) for name in (RUN, EVENTS))
        train, evaluations, steps = (_drop_repeated(rows[name], starts) for name in (TRAIN, EVALUATIONS, STEPS))
        num_lost = len(rows[RUN]) - len(starts) + len(rows[EVENTS]) - len(events)
        num_lost += sum(each.num_lost for each in rows.values())
        events = [row for row in events if not any(_is_repeated(row, start) for start in starts)]
        return cls(starts, train, evaluations, events, steps, num_lost)

    def segments(self) -> list[Segment] | None:
        """What the LR of every update follows from; `None` where that is not known.

        That is where the schedule does not count updates or is another scheduler's, or where the row of a start is lost.
        """
        known = {row["start"] for row in self.starts if "start" in row}
        if not self.starts or not self.starts[-1].get("trajectory"):
            return None
        starts = np.concatenate([rows.column("start") for rows in (self.train, self.evaluations, self.step_sizes)])
        distinct = np.nan_to_num(starts)[np.diff(starts, prepend=np.nan) != 0]
        if not known.issuperset([*distinct, *(row.get("start", 0) for row in self.events)]):
            return None
        rows = [row for row in (*self.starts, *self.events) if row.get("trajectory") and "step" in row]
        rows = [row for row in rows if not any(_is_repeated(row, start) for start in self.starts)]
        if not rows or any(row["trajectory"].get("unit", "updates") != "updates" for row in rows):
            return None
        return [Segment.from_row(row) for row in sorted(rows, key=lambda row: (row["step"], row.get("start", 0)))]


def _is_dated(row: Row) -> bool:
    """Return whether a row's counts are counts: a failing disk may leave any bytes."""
    counts = (row.get(key, 0) for key in ("start", "step", "t"))
    return all(is_finite_number(count) and 0 <= count <= _MAX_COUNT for count in counts)


def _drop_repeated(rows: Rows, starts: list[Row]) -> Rows:
    """Drop the rows after the update from which a later start resumed: that start made them again."""
    starts_of, steps = np.nan_to_num(rows.column("start")), np.nan_to_num(rows.column("step"))
    is_dropped = (steps < 0) | (steps > _MAX_COUNT)
    for start in starts:
        is_dropped |= (starts_of < start.get("start", 0)) & (steps > start.get("step", 0))
    return rows.select(~is_dropped) if is_dropped.any() else rows


def _is_repeated(row: Row, start: Row) -> bool:
    """Return whether a start made an event again."""
    if row.get("start", 0) >= start.get("start", 0) or row.get("step", 0) < start.get("step", 0):
        return False
    # At that very update, the events that the checkpoint knew are still true.
    known = start.get("events", ()) if row.get("step", 0) == start.get("step", 0) else ()
    is_known = any(all(row.get(key) == event[key] for key in event) for event in known)
    return not is_known and ("kind" in row or row.get("step", 0) != start.get("step", 0))
