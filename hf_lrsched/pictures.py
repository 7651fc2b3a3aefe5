"""Pictures: schedules before training; a run's metrics and the learning rate that it used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .schedules import Curve, ScheduleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
Points = tuple[list[float], list[float]]

# Okabe and Ito's colours, which stay apart for colour-blind readers; dashes and markers keep them apart in grey print.
_LR_COLOUR = "#D55E00"
_METRIC_STYLES = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#009E73", "linestyle": (0, (4, 1.5, 1, 1.5)), "marker": "s"},
    {"color": "#CC79A7", "linestyle": (0, (1, 1)), "marker": "^"},
    {"color": "#56B4E9", "linestyle": (0, (7, 2)), "marker": "D"},
)
_TRAINING_STYLE = {"color": "#555555", "linestyle": "-", "linewidth": 1.1}
_SCHEDULE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_SCHEDULE_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
_SHADES = ("#ECECEC", "#FFFFFF")

#: Entries of an evaluation record that are no metrics.
_NOT_METRICS = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time", "jit_compilation_time")
#: What is better when it is lower, by the end of its name.
_LOWER_IS_BETTER = ("loss", "error", "perplexity", "mse", "mae", "rmse", "wer", "cer")


def draw_run(
    log_history: Sequence[Record],
    path: str | Path | None = None,
    *,
    curve: Curve | None = None,
    peak: float | None = None,
    metrics: Sequence[str] | None = None,
    greater_is_better: bool | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws a run: validation metrics over the updates, the LR used on a second axis, and the losses below.

    The phases of the schedule are shaded and named, epochs are on top, the best evaluation is marked with a star. No
    display is needed.

    Args:
        log_history (`Sequence[Mapping]`): `trainer.state.log_history`, or that of a `trainer_state.json`.
        path (`str` or `Path`, *optional*): Where to save the picture; the ending gives its format, e.g. `.png`.
        curve ([`Curve`], *optional*): The schedule as it ran, `trainer.lr_scheduler.curves[0]`: the LR of every update is
            drawn then. Without it the LRs of the records are joined.
        peak (`float`, *optional*): The peak LR that belongs to the curve, `trainer.lr_scheduler.peaks[0]`.
        metrics (`Sequence[str]`, *optional*): What to draw, without `eval_`; the first is the one whose best is marked.
            Defaults to all that were evaluated except for the loss, or the loss if there is nothing else.
        greater_is_better (`bool`, *optional*): For the first metric. Defaults to what its name says: a loss or an error
            is better lower.
        title (`str`, *optional*): Above the picture. Defaults to the schedule.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: There is nothing to draw, an unknown metric, or a curve without its peak.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    scheduler = trainer.lr_scheduler
    draw_run(trainer.state.log_history, "run.png", curve=scheduler.curves[0], peak=scheduler.peaks[0])
    ```
    """
    figure_class = _import_figure()
    if (curve is None) != (peak is None):
        raise ScheduleError("curve and peak belong together: LR = peak x curve(t). Give both or neither.")
    series = _evaluation_series(log_history)
    training = _series(log_history, "loss")
    lrs = _curve_points(curve, peak) if curve is not None and peak is not None else _recorded_lrs(log_history)
    names = _chosen(series, metrics)
    losses = {"training loss": training, "validation loss": series.get("loss", ([], []))}
    losses = {name: points for name, points in losses.items() if points[0]}
    if not names and not losses:
        raise ScheduleError("nothing to draw: the log holds neither an evaluation nor a training loss.")

    upper = {name: series[name] for name in names if name != "loss"}
    figure = figure_class(figsize=(9, 6.2 if upper and losses else 4.6), dpi=150, layout="constrained")
    panels = _panels(figure, bool(upper) and bool(losses))
    last = max(x for xs, _ in (*series.values(), training, lrs) for x in xs)
    main = panels[0]
    if upper:
        _draw_metrics(main, upper)
    if losses:
        _draw_losses(panels[-1], losses)
    if names:
        _mark_best(panels[-1] if names[0] == "loss" else main, names[0], series[names[0]], greater_is_better)
    lr_axes = _draw_lr(main, lrs, exact=curve is not None) if lrs[0] else None
    for axes in panels:
        axes.set_xlim(-0.01 * last, 1.01 * last)  # a marker at the last update is drawn whole
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel("update (optimizer step)")
    _draw_epochs(main, _updates_per_epoch(log_history, curve))
    _legend(figure, [*panels, *([lr_axes] if lr_axes else [])])
    figure.suptitle(title if title is not None else str(curve.schedule if curve else "Metrics and learning rate"))
    if curve is not None:
        strip = _name_phases(main, lr_axes, curve)
        # What lies at the back is drawn first: the second axis.
        _shade(main if lr_axes is None else lr_axes, curve, 1 - strip)
        for axes in panels[1:]:
            _shade(axes, curve)
    if path is not None:
        figure.savefig(path)
    return figure


def draw_schedules(
    curves: Sequence[Curve], lr: float = 1.0, updates: Any = None, path: str | Path | None = None
) -> "Figure":
    """Draws schedules before training on one axis: updates below, epochs above, thin lines where phases begin.

    Args:
        curves (`Sequence[Curve]`): Over the same run.
        lr (`float`, defaults to 1): The peak LR; 1 draws factors.
        updates (`np.ndarray`, *optional*): The updates to draw, from 0. Defaults to all.
        path (`str` or `Path`, *optional*): Where to save the picture; the ending gives its format, e.g. `.png`.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_schedules([bert().resolve(345, 115), wsd().resolve(345, 115)], lr=2e-5, path="schedules.png")
    ```
    """
    figure = _import_figure()(figsize=(8, 4.2 + 0.22 * len(curves)), dpi=150, layout="constrained")
    axes = figure.subplots()
    horizon = curves[0].horizon
    updates = np.arange(horizon.num_updates) if updates is None else updates
    for index, curve in enumerate(curves):
        colour = _SCHEDULE_COLOURS[index % len(_SCHEDULE_COLOURS)]
        dashes = _SCHEDULE_DASHES[index % len(_SCHEDULE_DASHES)]
        lrs = lr * curve(updates)
        axes.plot(updates + 1, lrs, color=colour, linestyle=dashes, linewidth=1.8, label=str(curve.schedule))
        for part in curve.parts[1:]:
            axes.axvline(part.start + 1, color=colour, linewidth=0.6, alpha=0.35)
    axes.set_xlabel("update (optimizer step)")
    axes.set_ylabel("factor of the peak learning rate" if lr == 1 else "learning rate")
    axes.set_xlim(1, max(horizon.num_updates, 2))
    axes.set_ylim(bottom=0)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    _draw_epochs(axes, horizon.updates_per_epoch)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9, ncols=1)
    figure.suptitle("Learning rate before training", fontsize=11)
    if path is not None:
        figure.savefig(path)
    return figure


def _import_figure() -> "type[Figure]":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "hf-lrsched[plot]"') from error
    return Figure


def _series(log_history: Sequence[Record], key: str) -> Points:
    """The updates and finite values of one entry; a later record of the same update replaces an earlier one."""
    found = {
        record["step"]: float(record[key])
        for record in log_history
        if key in record and isinstance(record[key], int | float) and np.isfinite(record[key])
    }
    return [float(step) for step in sorted(found)], [found[step] for step in sorted(found)]


def _evaluation_series(log_history: Sequence[Record]) -> dict[str, Points]:
    """The metrics of the evaluations, by their names without `eval_`."""
    keys = dict.fromkeys(key for record in log_history for key in record if key.startswith("eval_"))
    names = [key.removeprefix("eval_") for key in keys]
    series = {
        name: _series(log_history, f"eval_{name}")
        for name in names
        if name not in ("learning_rate", *_NOT_METRICS) and not name.startswith("lr/")
    }
    return {name: points for name, points in series.items() if points[0]}


def _chosen(series: Mapping[str, Points], metrics: Sequence[str] | None) -> list[str]:
    if metrics is None:
        return [name for name in series if name != "loss"] or list(series)
    for name in metrics:
        if name not in series:
            raise ScheduleError(f"no metric {name!r} among the evaluations; there are {', '.join(series) or 'none'}.")
    return list(metrics)


def _curve_points(curve: Curve, peak: float) -> Points:
    """The LR of every update. Update u = t + 1 uses curve(t)."""
    updates = np.arange(curve.horizon.num_updates)
    return (updates + 1.0).tolist(), (peak * curve(updates)).tolist()


def _recorded_lrs(log_history: Sequence[Record]) -> Points:
    found: dict[float, float] = {}
    for key in ("learning_rate", "eval_learning_rate"):
        found |= dict(zip(*_series(log_history, key), strict=True))
    return sorted(found), [found[step] for step in sorted(found)]


def _updates_per_epoch(log_history: Sequence[Record], curve: Curve | None) -> float | None:
    if curve is not None and curve.horizon.updates_per_epoch is not None:
        return float(curve.horizon.updates_per_epoch)
    known = [record["step"] / record["epoch"] for record in log_history if record.get("epoch") and record.get("step")]
    return known[-1] if known else None


def _panels(figure: "Figure", two: bool) -> "list[Axes]":
    if not two:
        return [figure.subplots()]
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
    return [upper, lower]


def _draw_metrics(axes: "Axes", series: Mapping[str, Points]) -> None:
    for (name, points), style in zip(series.items(), _METRIC_STYLES * len(series), strict=False):
        axes.plot(*points, label=_words(name), linewidth=1.6, markersize=4.5, zorder=4, **style)
    axes.set_ylabel("validation metric" if len(series) > 1 else f"validation {_words(next(iter(series)))}")


def _draw_losses(axes: "Axes", losses: Mapping[str, Points]) -> None:
    for name, points in losses.items():
        if name == "training loss":
            axes.plot(*points, label=name, **_TRAINING_STYLE)  # type: ignore[arg-type]
        else:
            axes.plot(*points, label=name, color="#000000", linestyle=(0, (2, 1)), marker="x", markersize=5, zorder=4)
    axes.set_ylabel("loss")


def _mark_best(axes: "Axes", name: str, points: Points, greater_is_better: bool | None) -> None:
    greater = not name.endswith(_LOWER_IS_BETTER) if greater_is_better is None else greater_is_better
    index = int(np.argmax(points[1]) if greater else np.argmin(points[1]))
    update, value = points[0][index], points[1][index]
    label = f"best {_words(name, 'validation ')}: {value:.4g} at update {update:.0f}"
    style = {"color": "#F0E442", "markeredgecolor": "#000000", "markersize": 14, "linestyle": "none"}
    axes.plot([update], [value], "*", label=label, zorder=6, clip_on=False, **style)  # type: ignore[arg-type]


def _draw_lr(axes: "Axes", lrs: Points, exact: bool) -> "Axes":
    twin = axes.twinx()
    style = {"color": _LR_COLOUR, "linewidth": 1.8}
    # Exact LRs hold for one update each; those of the records are joined, what lies between is not known.
    steps = {"drawstyle": "steps-pre"} if exact else {"marker": "."}
    twin.plot(*lrs, label="learning rate", **style, **steps)  # type: ignore[arg-type]
    twin.set_ylim(bottom=0)
    twin.set_ylabel("learning rate used", color=_LR_COLOUR)
    twin.tick_params(axis="y", colors=_LR_COLOUR)
    twin.yaxis.set_major_formatter(lambda value, _: _short(value))
    # Metrics stay above the LR's line.
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)
    return twin


def _shade(axes: "Axes", curve: Curve, top: float = 1.0) -> None:
    """Every other phase has a grey ground, and a thin line stands at each beginning; up to `top` of the axes."""
    for index, part in enumerate(curve.parts):
        axes.axvspan(part.start, part.end, ymax=top, color=_SHADES[index % 2], zorder=-5, linewidth=0)
        if part.start:
            axes.axvline(part.start, ymax=top, color="#999999", linewidth=0.7, zorder=-4)


def _draw_epochs(axes: "Axes", updates_per_epoch: float | None) -> None:
    if updates_per_epoch is None:
        return
    there, back = (lambda x: np.asarray(x) / updates_per_epoch), (lambda x: np.asarray(x) * updates_per_epoch)
    top = axes.secondary_xaxis("top", functions=(there, back))
    top.set_xlabel("epoch")


def _legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    """One legend below the picture, where it can hide nothing."""
    handles = [handle for axes in panels for handle in axes.get_legend_handles_labels()[0]]
    labels = [label for axes in panels for label in axes.get_legend_handles_labels()[1]]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _name_phases(axes: "Axes", lr_axes: "Axes | None", curve: Curve) -> float:
    """Names the phases in a strip of its own above the data, in as many rows as they need to stay apart.

    Returns:
        `float`: The height of the strip, as a share of the axes.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # places the axes: only then has a text a width
    box, to_axes = axes.get_window_extent(), axes.transAxes.inverted()
    row_height = 18 * axes.figure.dpi / 72 / box.height  # of a text of 9 points
    filled: list[float] = []  # how far each row is filled, in shares of the axes' width
    texts = []
    for part in (part for part in curve.parts if part.end > part.start):
        text = axes.text(0, 0, part.text, fontsize=9, va="center", ha="left", color="#333333", transform=axes.transAxes)
        width = text.get_window_extent().width / box.width
        middle = to_axes.transform(axes.transData.transform(((part.start + part.end) / 2, 0.0)))[0]
        left = max(min(middle - width / 2, 0.994 - width), 0.006)
        row = next((index for index, end in enumerate(filled) if end + 0.015 <= left), len(filled))
        if row == 3:  # too many phases to name each
            text.remove()
            continue
        filled[row : row + 1] = [left + width]
        texts.append((text, left, row))
    for text, left, row in texts:
        text.set_position((left, 1 - row_height * (row + 0.5)))
    strip = row_height * len(filled)
    for panel in (panel for panel in (axes, lr_axes) if panel is not None):
        low, high = panel.get_ylim()
        panel.set_ylim(low, low + (high - low) / (1 - strip))
    return strip


def _words(name: str, loss_prefix: str = "") -> str:
    return (
        f"{loss_prefix}loss"
        if name == "loss"
        else name.replace("_", " ").replace("f1", "F1").replace("matthews", "Matthews")
    )


def _short(lr: float) -> str:
    """`2e-5` for 2e-05."""
    mantissa, _, exponent = f"{lr:.3g}".partition("e") if lr == 0 else f"{lr:.2e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
