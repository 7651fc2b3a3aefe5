"""The heat map of the groups' learning rates."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.run import Run
from ..runs.timeline import RunView
from ..schedules import ScheduleError
from ..schedules.shapes import Array
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

#: A group of biases and norms beside the weights of the same layer.
_NO_DECAY = "/no_decay"
#: An LR of 0.
_ZERO: dict[str, Any] = {"facecolor": "#FFFFFF", "edgecolor": "#888888", "hatch": "////"}
#: A plot has fewer pixels in a row.
_COLUMNS = 2000
#: Decades below the highest LR that have colours of their own.
_DECADES = 3
#: More rows than this have names for some of them only.
_ROWS = 64


@style.house_style
def draw_heat_map(
    lrs: "Run | Mapping[str, ArrayLike]", path: str | Path | None = None, *, title: str | None = None
) -> "Figure":
    """Draw the LR of each parameter group at each update as a colour: layers beside one another, the first on top.

    The colours are logarithmic where the LRs span more than a decade; an LR of 0 is hatched. `layer_3` and
    `layer_3/no_decay` are one row where their LRs are the same. The highest LR of each row stands beside its name.

    Args:
        lrs ([`Run`] or `Mapping[str, ArrayLike]`): A run from `read_run`; or the LRs of the updates of each group by its
            name, such as those of a schedule before training. Of a run without a record, the LRs at its evaluations.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.
        title (`str`, *optional*): Above the plot. Defaults to the run's name and schedule.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: The LRs of the groups are not known, are of different lengths, or are all 0.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_heat_map(read_run("runs/layerwise"), "groups.png")
    updates = np.arange(345)
    draw_heat_map({name: peak * curve(updates) for name, peak in peaks.items()}, "groups.png")
    ```
    """
    from matplotlib.colors import LogNorm, Normalize

    run = lrs if isinstance(lrs, Run) else None
    edges, rows = _read_run(lrs) if isinstance(lrs, Run) else _read_mapping(lrs)
    rows = _merge_equal_rows(rows)
    values = np.array(list(rows.values()), dtype=np.float64)
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        raise ScheduleError("nothing to draw: every LR is 0.")
    high = float(positive.max())
    low = max(float(positive.min()), high / 10**_DECADES)
    is_log = high > 10 * low
    norm: Any = LogNorm(low, high) if is_log else Normalize(0 if low == high else low, high)

    shown = min(len(rows), _ROWS)
    figure, (axes,) = style.make_panels(9, 2.3 + 0.24 * max(shown, 6))
    axes.patch.set(**_ZERO)
    mesh = axes.pcolormesh(
        edges,
        np.arange(len(rows) + 1),
        np.ma.masked_where(~(values > 0), values),  # also NaN
        norm=norm,
        cmap="viridis",  # even steps of lightness, which also hold in grey and for colour-blind readers
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=axes, extend="min" if float(positive.min()) < low else "neither", pad=0.02)
    bar.set_label("learning rate" + (" (log scale)" if is_log else ""))
    digits = style.count_digits(bar.get_ticks())
    bar.ax.yaxis.set_major_formatter(lambda value, _: style.format_lr(value, digits))
    bar.ax.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(len(rows), 0)
    every = -(-len(rows) // _ROWS)
    ticks = range(0, len(rows), every)
    peaks = [float(np.nanmax(row)) for row in rows.values()]
    shown_peaks = [style.format_lr(peak, style.count_digits(peaks)) for peak in peaks]
    labels = [f"{style.plain(name, 40)}   {peak}" for name, peak in zip(rows, shown_peaks, strict=True)]
    axes.set_yticks([tick + 0.5 for tick in ticks], [labels[tick] for tick in ticks], fontsize=8)
    axes.set_ylabel("parameter group, its highest LR")
    style.set_update_axis(axes, run.updates_per_epoch if run is not None else None)
    if (values == 0).any():
        axes.fill_between([], [], label="LR 0", **_ZERO)
    if run is not None and run.segments and (done := RunView(run).done) < edges[-1]:
        axes.axvline(done, label="planned from here on", color="#000000", linewidth=1.4, linestyle=(0, (3, 2)))
    if title is None:
        title = ": ".join(filter(None, [run.name, run.schedule])) if run is not None else ""
    return style.finish(figure, [axes], title or "Learning rate of each group", path)


def _read_run(run: Run) -> tuple[Array, dict[str, Array]]:
    if run.segments:
        start, end = run.segments[0].start, RunView(run).end
        updates = np.unique(np.linspace(start, end - 1, min(end - start, _COLUMNS)).astype(np.int64)).astype(np.float64)
        return np.append(updates, end), run.lrs(updates) or {}
    names = [name for name in run.groups if len(run.points(f"lr/{name}")[0])]
    rows = {name: dict(zip(*run.series(f"lr/{name}"), strict=True)) for name in names}
    steps = sorted(set().union(*rows.values()))
    if not steps:
        raise ScheduleError(
            f"the LRs of the parameter groups of {run.name} are not known: it has no record, and its evaluations hold none. "
            "A ScheduledTrainer writes a record; for a stock Trainer: callbacks=[RunRecorder()]."
        )
    steps = [step for step in steps if step > 0]
    return np.array([0, *steps], dtype=np.float64), {
        name: np.array([row.get(step, np.nan) for step in steps]) for name, row in rows.items()
    }


def _read_mapping(lrs: "Mapping[str, ArrayLike]") -> tuple[Array, dict[str, Array]]:
    rows = {str(name): np.asarray(row, dtype=np.float64).reshape(-1) for name, row in lrs.items()}
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ScheduleError(
            f"a heat map needs the LRs of the same updates for each group, got {', '.join(map(str, sorted(lengths))) or 'none'}."
        )
    (count,) = lengths
    picked = np.unique(np.linspace(0, count - 1, min(count, _COLUMNS)).astype(np.int64))
    return np.append(picked, count).astype(np.float64), {name: row[picked] for name, row in rows.items()}


def _merge_equal_rows(rows: Mapping[str, Array]) -> dict[str, Array]:
    """Drop groups that only repeat their layer's other group."""
    made: dict[str, Array] = {}
    for name, row in rows.items():
        other = made.get(name.removesuffix(_NO_DECAY))
        if other is None or not np.array_equal(other, row, equal_nan=True):
            made[name] = row
    return made
