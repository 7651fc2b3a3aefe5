"""Preview: curves before they train, as a drawing in the terminal, a table, a plot or data."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..console import format_table
from ..files import check_output
from ..schedules import Curve, Horizon, Schedule, to_data
from .schedules import draw_schedules
from .style import FIGURE_ENDINGS
from .terminal import draw_in_terminal

# A file holds every update of a run of up to this length, and this many of a longer one, with all boundaries.
_MAX_ROWS = 100_000


@dataclass(frozen=True)
class Preview:
    """Several schedules over the same run, resolved as in training.

    Args:
        curves (`Sequence[Curve]`): One for each schedule, over one horizon.
        lr (`float`): The peak LR.
    """

    curves: Sequence[Curve]
    lr: float

    @classmethod
    def of(cls, schedules: Sequence[Schedule], horizon: Horizon, lr: float | None = None) -> "Preview":
        """Resolve schedules for a look at them; without a peak LR, as factors.

        Raises:
            ScheduleError: A schedule is invalid in this run.

        Example:
        ```python
        >>> from hf_lrsched import cosine, warmup
        >>> print(Preview.of([warmup("10%") >> cosine()], Horizon(345), lr=2e-5).table())
        warmup(10%) >> cosine() over 345 updates
          phase        updates  LR first  LR last     lengths
          warmup(10%)  1-35     0         1.943e-05   10% of 345 updates = 35
          cosine()     36-345   2e-05     5.135e-10   what is left: 310 updates

        ```
        """
        return cls([schedule.resolve(horizon, peak=lr) for schedule in schedules], 1.0 if lr is None else lr)

    @property
    def horizon(self) -> Horizon:
        return self.curves[0].horizon

    def updates(self, max_updates: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Select updates (counted from 0) to look at: all, or so many spread evenly, and both sides of every boundary."""
        total = self.horizon.num_updates
        if total <= max_updates:
            return np.arange(total)
        bounds = [bound for curve in self.curves for part in curve.parts for bound in (part.start - 1, part.start)]
        spread = np.linspace(0, total - 1, max_updates).astype(np.int64)
        return np.unique(np.clip(np.concatenate([spread, np.array(bounds)]), 0, total - 1))

    def table(self) -> str:
        """List the phases of every schedule: their updates, counted from 1, and the LRs of their first and last update."""
        return "\n\n".join(self._table(curve) for curve in self.curves)

    def _table(self, curve: Curve) -> str:
        per_epoch = self.horizon.updates_per_epoch
        rows = [["phase", "updates", *(["epochs"] if per_epoch else []), "LR first", "LR last", "lengths"]]
        for part in curve.parts:
            row = [part.text, f"{part.start + 1}-{part.end}"]
            if per_epoch:
                row.append(f"{part.start / per_epoch:.3g}-{part.end / per_epoch:.3g}")
            lrs = [self.lr * curve(t) for t in (part.start, max(part.end - 1, part.start))]
            rows.append([*row, *(f"{lr:.4g}" for lr in lrs), "; ".join(part.arithmetic)])
        lines = [f"  {line}" for line in format_table(rows, left=range(len(rows[0])))]
        warnings = [f"  warning: {note}" for note in curve.notes]
        return "\n".join([f"{curve.schedule} over {curve.horizon}", *lines, *warnings])

    def drawing(self, width: int = 100, height: int = 20, colour: bool = False) -> str:
        """Draw all schedules in characters; see [`draw_in_terminal`]."""
        return draw_in_terminal(self.curves, self.lr, self.updates(4 * width), width, height, colour)

    def rows(self) -> tuple[list[str], list[list[float]]]:
        """Return header and rows of data: update, epoch where it is known, and the LR of each schedule."""
        updates, per_epoch = self.updates(_MAX_ROWS), self.horizon.updates_per_epoch
        columns = {"update": updates + 1, **({"epoch": (updates + 1) / per_epoch} if per_epoch else {})}
        header = [*columns, *(str(curve.schedule) for curve in self.curves)]
        values = [*columns.values(), *(self.lr * curve(updates) for curve in self.curves)]
        return header, [list(row) for row in zip(*(column.tolist() for column in values), strict=True)]

    def to_data(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        updates = self.updates(_MAX_ROWS)
        schedules = []
        for curve in self.curves:
            phases = [
                {"text": part.text, "first_update": part.start + 1, "last_update": part.end}
                | {"lengths": list(part.arithmetic)}
                for part in curve.parts
            ]
            data = {"text": str(curve.schedule), "schedule": to_data(curve.schedule), "phases": phases}
            schedules.append({**data, "warnings": list(curve.notes), "lr": (self.lr * curve(updates)).tolist()})
        return {
            "num_updates": self.horizon.num_updates,
            "updates_per_epoch": self.horizon.updates_per_epoch,
            "peak_lr": self.lr,
            "update": (updates + 1).tolist(),
            "schedules": schedules,
        }

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write a file; its ending gives the format: `.png`, `.svg` or `.pdf`, `.csv`, `.json`.

        Raises:
            ScheduleError: The file exists (and `force` is not set), its folder does not, or the ending is unknown.
        """
        path = Path(path)
        check_output(path, (*FIGURE_ENDINGS, ".csv", ".json"), force)
        ending = path.suffix.lower()
        if ending in FIGURE_ENDINGS:
            draw_schedules(self.curves, self.lr, self.updates(4000), path)
        elif ending == ".csv":
            header, rows = self.rows()
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *rows])
        else:
            path.write_text(json.dumps(self.to_data(), indent=1), encoding="utf-8")
        return path
