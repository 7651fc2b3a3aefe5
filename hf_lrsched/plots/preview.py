"""Preview: curves before they train, as a drawing in the terminal, a table, a picture or data."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.files import check_output
from ..schedules import Curve, Horizon, Schedule, ScheduleError, to_data
from . import draw_schedules

# A file holds every update of a run of up to this length, and this many of a longer one, with all boundaries.
_MOST_ROWS = 100_000
#: Files that matplotlib draws, and all that a preview can be written to.
FIGURE_ENDINGS = (".png", ".svg", ".pdf")
ENDINGS = (*FIGURE_ENDINGS, ".csv", ".json")
_MARKERS = ("hd", "•", "x", "o", "+", "*")


@dataclass(frozen=True)
class Preview:
    """Several schedules over the same run, resolved by what trains them.

    Args:
        curves (`Sequence[Curve]`): One for each schedule, over one horizon.
        lr (`float`): The peak LR.
    """

    curves: Sequence[Curve]
    lr: float

    @classmethod
    def of(cls, schedules: Sequence[Schedule], horizon: Horizon, lr: float | None = None) -> "Preview":
        """Resolves schedules for a look at them; without a peak LR, as factors.

        Raises:
            ScheduleError: A schedule can't be meant in this run.

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

    def updates(self, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Updates (0-based) to look at: all, or so many spread evenly, and both sides of every boundary."""
        total = self.horizon.num_updates
        if total <= most:
            return np.arange(total)
        bounds = [bound for curve in self.curves for part in curve.parts for bound in (part.start - 1, part.start)]
        spread = np.linspace(0, total - 1, most).astype(np.int64)
        return np.unique(np.clip(np.concatenate([spread, np.array(bounds)]), 0, total - 1))

    def table(self) -> str:
        """The phases of every schedule: their updates, counted from 1, and the LRs of the first and the last of them."""
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
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        warnings = [f"  warning: {note}" for note in curve.notes]
        return "\n".join([f"{curve.schedule} over {curve.horizon}", *lines, *warnings])

    def drawing(self, width: int = 100, height: int = 20, colour: bool = False) -> str:
        """All schedules on one axis, in characters; vertical lines are the boundaries of the first one's phases.

        Raises:
            ScheduleError: The package plotext is missing.
        """
        try:
            import plotext
        except ImportError as error:
            raise ScheduleError('the drawing needs plotext: pip install "hf-lrsched[plot]"') from error
        updates = self.updates(4 * width)
        plotext.clear_figure()
        plotext.theme("pro" if colour else "clear")
        plotext.plotsize(width, height)
        for curve, marker in zip(self.curves, _cycled(_MARKERS, self.curves), strict=True):
            plotext.plot((updates + 1).tolist(), (self.lr * curve(updates)).tolist(), marker=marker)
        for part in self.curves[0].parts[1:]:
            plotext.vline(part.start + 1, "gray+" if colour else None)
        total = self.horizon.num_updates
        ticks = sorted({1, *(round(total * share / 4) for share in range(1, 5))} - {0})
        plotext.xticks(ticks, [f"{tick:,}" for tick in ticks])
        low, high = 0.0, self.lr * max(float(curve(updates).max()) for curve in self.curves) or 1.0
        levels = [low + (high - low) * share / 4 for share in range(5)]
        plotext.yticks(levels, [f"{level:.2e}" if level else "0" for level in levels])
        plotext.ylim(low, high)
        plotext.xlabel("update" if self.horizon.unit == "updates" else self.horizon.unit)
        text: str = plotext.build() if colour else plotext.uncolorize(plotext.build())
        # A key of its own, for plotext lays it over the curves.
        key = zip(_cycled(_MARKERS, self.curves), self.curves, strict=True)
        lines = [f"  {'▞' if marker == 'hd' else marker}  {curve.schedule}" for marker, curve in key]
        return "\n".join([*lines, *(line.rstrip() for line in text.splitlines())])

    def rows(self) -> tuple[list[str], list[list[float]]]:
        """Header and rows of data: update, epoch where it is known, and the LR of each schedule."""
        updates = self.updates(_MOST_ROWS)
        per_epoch = self.horizon.updates_per_epoch
        columns: list[list[float]] = [(updates + 1).tolist()]
        header = ["update"]
        if per_epoch:
            header.append("epoch")
            columns.append(((updates + 1) / per_epoch).tolist())
        for curve in self.curves:
            header.append(str(curve.schedule))
            columns.append((self.lr * curve(updates)).tolist())
        return header, [list(row) for row in zip(*columns, strict=True)]

    def to_data(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        updates = self.updates(_MOST_ROWS)
        return {
            "num_updates": self.horizon.num_updates,
            "updates_per_epoch": self.horizon.updates_per_epoch,
            "peak_lr": self.lr,
            "update": (updates + 1).tolist(),
            "schedules": [
                {
                    "text": str(curve.schedule),
                    "schedule": to_data(curve.schedule),
                    "phases": [
                        {
                            "text": part.text,
                            "first_update": part.start + 1,
                            "last_update": part.end,
                            "lengths": list(part.arithmetic),
                        }
                        for part in curve.parts
                    ],
                    "warnings": list(curve.notes),
                    "lr": (self.lr * curve(updates)).tolist(),
                }
                for curve in self.curves
            ],
        }

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Writes a file; its ending says what: `.png`, `.svg` or `.pdf`, `.csv`, `.json`.

        Raises:
            ScheduleError: The file exists (and `force` is not set), its folder does not, or the ending is unknown.
        """
        path = Path(path)
        check_output(path, ENDINGS, force)
        if path.suffix.lower() in FIGURE_ENDINGS:
            draw_schedules(self.curves, self.lr, self.updates(4000), path)
        elif path.suffix.lower() == ".csv":
            header, rows = self.rows()
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *rows])
        else:
            path.write_text(json.dumps(self.to_data(), indent=1), encoding="utf-8")
        return path


def _cycled(values: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    return [values[index % len(values)] for index in range(len(like))]
