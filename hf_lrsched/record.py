"""The record of a run: rows in files that are only ever appended to, and how they are read again.

A folder of four files of JSON lines, one row a line:

    run.jsonl           one row for each start, the first and every resume: the schedule, the groups, the settings
    train.jsonl         the Trainer's training records: step, epoch, loss, grad_norm, learning_rate, …
    evaluations.jsonl   one row for each evaluation: step, epoch, learning_rate, lr/<group>, and all metrics
    events.jsonl        what changed the LR: drops of a plateau, cooldowns, resumes

The LR of every update and group follows from the schedule and the events, so it takes no space: see [`Segment`].
"""

import json
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .course import Course
from .schedules.shapes import Array

logger = logging.getLogger(__name__)

VERSION = 1
FOLDER = "record"
RUN, TRAIN, EVALUATIONS, EVENTS = "run.jsonl", "train.jsonl", "evaluations.jsonl", "events.jsonl"

Row = dict[str, Any]


class Appender:
    """Appends rows to a file. What can't be written is told once and never ends a training.

    A row is one write, so that a run that is killed leaves whole rows, and at most one torn at the end, after which the next
    row begins a line of its own.

    Args:
        path (`Path`): The file; made with its folder at the first row.
    """

    def __init__(self, path: Path):
        self.path = path
        self._ends_whole: bool | None = None
        self._has_failed = False

    def append(self, row: Row) -> None:
        """Writes a row. NaN and infinity, which JSON does not have, become null; `not_finite` then names them."""
        strange = [f"{key}={value}" for key, value in row.items() if _is_not_finite(value)]
        row = {key: None if _is_not_finite(value) else value for key, value in row.items()}
        if strange:
            row["not_finite"] = ", ".join(strange)
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=str).encode() + b"\n"
        try:
            if self._ends_whole is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._ends_whole = _ends_whole(self.path)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                line = line if self._ends_whole else b"\n" + line
                self._ends_whole = os.write(file, line) == len(line)
            finally:
                os.close(file)
        except OSError as error:
            self._ends_whole = None
            if not self._has_failed:
                self._has_failed = True
                logger.warning(f"the record can't be written, and training goes on without: {error}")


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _ends_whole(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, without what a crash has torn."""
    if not path.exists():
        return []
    rows = []
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:  # also of bytes that are no text
                continue
            if isinstance(row, dict):
                rows.append(row)
    return rows


@dataclass(frozen=True)
class Segment:
    """From one update on, what every update's LRs follow from: `scale * course(t + offset)`.

    Args:
        start (`int`): The first update, counted from 0.
        course ([`Course`]): The schedule in the run, with what resumes and an early cooldown made of it.
        offset (`float`): Between updates done and the position on the curve, after a resume with another batch size.
        scales (`tuple[float, ...]`): What each group's LRs are multiplied by.
    """

    start: int
    course: Course
    offset: float
    scales: tuple[float, ...]

    def to_row(self) -> Row:
        return {"course": self.course.to_data(), "offset": self.offset, "scales": list(self.scales)}

    @classmethod
    def from_row(cls, row: Row) -> "Segment":
        course = Course.from_data(row["course"])
        return cls(int(row["step"]), course, float(row["offset"]), tuple(map(float, row["scales"])))


def lrs(segments: list[Segment], t: Array) -> list[Array]:
    """The LR of each group for updates (counted from 0), exactly as they were used.

    Args:
        segments (`list[Segment]`): In the order of their starts.
        t (`np.ndarray`): Updates.
    """
    starts = np.array([segment.start for segment in segments])
    which = np.maximum(np.searchsorted(starts, t, side="right") - 1, 0)
    made = [np.empty(len(t)) for _ in segments[-1].scales]
    for index in np.unique(which):
        segment, here = segments[index], which == index
        for lr, values, scale in zip(made, segment.course.lrs(t[here] + segment.offset), segment.scales, strict=True):
            lr[here] = values * scale
    return made


@dataclass(frozen=True)
class Record:
    """The rows of a run, those left out that a resume made again.

    Args:
        starts (`list[dict]`): The rows of `run.jsonl`.
        train (`list[dict]`): Training records.
        evaluations (`list[dict]`): Evaluations.
        events (`list[dict]`): Events.
    """

    starts: list[Row]
    train: list[Row]
    evaluations: list[Row]
    events: list[Row]

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Reads a record's folder, also one of a run that is under way, or that was killed at any byte."""
        starts = read_rows(folder / RUN)
        rows = [_still_true(read_rows(folder / name), starts) for name in (TRAIN, EVALUATIONS, EVENTS)]
        return cls(starts, *rows)

    def segments(self) -> list[Segment] | None:
        """What the LR of every update follows from; `None` where the schedule does not count updates."""
        rows = [row for row in (*self.starts, *self.events) if row.get("course")]
        rows = [row for row in _still_true(rows, self.starts) if "step" in row]
        if not rows or any(row["course"].get("unit", "updates") != "updates" for row in rows):
            return None
        return sorted(map(Segment.from_row, rows), key=lambda segment: segment.start)


def _still_true(rows: list[Row], starts: list[Row]) -> list[Row]:
    """Without what lies after the update at which a later start went on: that one made it again."""
    again = [(row["start"], row["step"]) for row in starts]
    return [
        row
        for row in rows
        if not any(row.get("start", 0) < start and row.get("step", 0) > step for start, step in again)
    ]
