"""What a comparison shows: the table, the file of all runs, the plot, and the report."""

import contextlib
import csv
import io
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..console import format_table
from ..files import replace_file
from ..plots import draw_boxes
from ..plots.style import format_lr, to_bytes
from ..report.html import render_report
from ..report.tables import Lead, Table, draw_as_uri
from ..runs.metrics import get_display_name
from ..runs.run import Run, read_run
from ..schedules import ScheduleError
from ..schedules.metric_names import get_metric_direction
from ..schedules.numbers import format_count
from .cells import AUTO, Arm, Grid
from .statistics import ALPHA, POWER, Difference, compare_paired
from .worker import Outcome

_NONE = "–"
_HEADER = ("schedule", "peak LR", "seeds", "mean", "std", "difference", "95 % interval", "p", "verdict", "seeds needed")


@dataclass(frozen=True)
class Comparison:
    """The runs of a grid, judged by a metric.

    Args:
        grid ([`Grid`]): What was compared.
        outcomes (`Sequence[Outcome]`): What is known of each cell.
        metric (`str`): The metric, as the user named it.
    """

    grid: Grid
    outcomes: Sequence[Outcome]
    metric: str

    def value(self, outcome: Outcome) -> float:
        """Return the metric of a run; NaN where it has none, or was pruned."""
        values = [outcome.metrics.get(name, math.nan) for name in (f"eval_{self.metric}", self.metric)]
        found = next((each for each in values if math.isfinite(each)), math.nan)
        return found if outcome.state == "complete" else math.nan

    def values(self, arm: Arm) -> list[float]:
        """Return the metric of each seed."""
        return [self.value(outcome) for outcome in self.outcomes if outcome.cell.is_run and outcome.cell.arm == arm]

    @property
    def baseline(self) -> float | None:
        """What a model that learned nothing scores, where the recipe knows it."""
        name = f"baseline_{self.metric.removeprefix('eval_')}"
        return next((outcome.metrics[name] for outcome in self.outcomes if name in outcome.metrics), None)

    def describe_arm(self, arm: Arm) -> tuple[str, str]:
        """Return the schedule and the peak LR, also of a search."""
        lrs = {outcome.lr for outcome in self.outcomes if outcome.cell.arm == arm and outcome.lr is not None}
        found = ", ".join(format_lr(lr) for lr in sorted(lrs)) or _NONE
        return arm.schedule, f"{found} ({AUTO})" if arm.lr == AUTO else format_lr(float(arm.lr))

    def make_table(self) -> Table:
        """Make the table: each arm, and its difference from the first schedule at the same LR."""
        rows = []
        for first, others in self.grid.families():
            found = compare_paired(self.values(first), [self.values(other) for other in others])
            rows.append([*self._describe(first), *([_NONE] * 3), "compared with", _NONE])
            rows += [[*self._describe(other), *self._judge(each)] for other, each in zip(others, found, strict=True)]
        comparisons = len(self.grid.arms) - len(self.grid.families())
        note = (
            f"Differences are paired by seed. Intervals are Bonferroni's, p-values Holm's, of the paired t-test. Tie: p is "
            f"{ALPHA} or more, so these seeds show no difference. Seeds needed: with so many, {POWER:.0%} of comparisons would find "
            "a difference of this size."
        )
        if comparisons > len(self.grid.schedules) - 1 > 0:
            note += " Each learning rate is compared and corrected on its own."
        if (baseline := self.baseline) is not None:
            note += f" Majority class: {baseline:.4g}."
        title = f"{get_display_name(self.metric)} of {len(self.grid.arms)} arms, {format_count(self.grid.num_seeds, 'seed')}"
        return Table(title, _HEADER, rows, note, numbers=frozenset(range(2, 8)) | {9})

    def _describe(self, arm: Arm) -> list[str]:
        values = [value for value in self.values(arm) if math.isfinite(value)]
        mean = f"{statistics.fmean(values):.4f}" if values else _NONE
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else _NONE
        return [*self.describe_arm(arm), f"{len(values)}", mean, spread]

    def _judge(self, found: Difference) -> list[str]:
        if not found.num_seeds:
            return [_NONE] * 5
        interval = _NONE if math.isnan(found.low) else f"{found.low:+.4f} to {found.high:+.4f}"
        p_value = _NONE if math.isnan(found.p_value) else f"{found.p_value:.3g}"
        verdict = "higher" if found.mean > 0 else "lower"
        if (direction := get_metric_direction(self.metric)) is not None:
            verdict = "better" if (found.mean > 0) == (direction == "max") else "worse"
        if found.is_tie:
            verdict = "tie" if found.num_seeds > 1 else "one seed"
        return [f"{found.mean:+.4f}", interval, p_value, verdict, str(found.seeds_needed or _NONE)]

    def write(self, folder: Path) -> list[str]:
        """Write the runs as CSV, the plot and the report, named by the metric; return a line about each."""
        name = self.metric.replace("/", "_")
        writers: dict[str, Callable[[], bytes]] = {
            f"{name}.csv": self._make_csv,
            f"{name}.png": self._draw,
            f"{name}.html": lambda: self._make_report(folder),
        }
        lines = []
        for file, make in writers.items():
            try:
                content = make()
            except (ImportError, ScheduleError) as error:  # without matplotlib, or before the first run has ended
                lines.append(f"no {file}: {error}")
                continue
            replace_file(folder / file, content)  # each process writes the same files at its end
            lines.append(f"wrote {folder / file}")
        return lines

    def _make_csv(self) -> bytes:
        names = sorted({name for outcome in self.outcomes for name in outcome.metrics})
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(
            ["schedule", "learning_rate_setting", "seed", "learning_rate", "state", "seconds", *names, "error"]
        )
        for each in self.outcomes:
            arm = each.cell.arm
            row = [arm.schedule, arm.lr, each.cell.seed, each.lr, each.state, each.seconds]
            writer.writerow([*row, *(each.metrics.get(name) for name in names), each.error])
        return file.getvalue().encode()

    def _draw(self) -> bytes:
        values = {", LR ".join(self.describe_arm(arm)): self.values(arm) for arm in self.grid.arms}
        return to_bytes(draw_boxes(values, metric=self.metric, baseline=self.baseline))

    def _make_report(self, folder: Path) -> bytes:
        """The report of one run of each arm, the plot and the table above them."""
        runs = [run for arm in self.grid.arms if (run := self._read_one(arm, folder)) is not None]
        image = draw_as_uri(self._draw)
        lead = Lead(self.make_table(), image, "A dot for each seed, a box for each schedule; numbers are in the table.")
        return render_report(runs, lead)

    def _read_one(self, arm: Arm, folder: Path) -> Run | None:
        """The first run of an arm that is complete, else the first that left something."""
        outcomes = [each for each in self.outcomes if each.cell.arm == arm and each.cell.is_run]
        for each in sorted(outcomes, key=lambda outcome: outcome.state != "complete"):
            # Its folder may be on another machine, or it failed before its training.
            with contextlib.suppress(ScheduleError):
                return read_run(folder / each.cell.folder)
        return None


def format_summary(table: Table) -> str:
    """Write a table for the terminal."""
    left = set(range(len(table.header))) - table.numbers
    return "\n".join([table.title, "", *format_table([table.header, *table.rows], left), "", table.note])
