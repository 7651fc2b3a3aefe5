"""The picture of several runs: their metrics and their learning rates, one colour for each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.downsample import thin
from ..runs.metrics import available, in_common, is_loss, resolved, told_apart, words
from ..runs.run import Run
from ..runs.timeline import best_of, lrs_of
from ..schedules import ScheduleError
from .lr_axis import draw_lrs
from .style import (
    COLOURS,
    DASHES,
    STAR,
    Points,
    draw_legend,
    draw_losses,
    finish,
    house_style,
    import_figure,
    plain,
    scale_losses,
    set_note,
    set_title,
    set_updates,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What stands for the training loss among the metrics.
TRAINING = "train_loss"


@house_style
def draw_runs(
    runs: Sequence[Run],
    path: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws several runs on one picture: a panel for each metric and one for the LRs below; a colour for each run.

    A star is at each run's best checkpoint, or evaluation. Runs of the same name are told apart by their folders.

    Args:
        runs (`Sequence[Run]`): From `read_run`.
        path (`str` or `Path`, *optional*): Where to save the picture; the ending gives its format, e.g. `.png`.
        metrics (`Sequence[str]`, *optional*): A panel for each, with or without `eval_`, of the runs that have it;
            `train_loss` is the training loss. Defaults to the first metric that all runs have and their validation loss;
            without such, to the training loss.
        title (`str`, *optional*): Above the picture.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: No runs; no run has a metric that is named; or the runs have nothing in common.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_runs([read_run("runs/linear"), read_run("runs/cosine")], "runs.png", metrics=["accuracy"])
    ```
    """
    if not runs:
        raise ScheduleError("nothing to draw: no runs.")
    names = told_apart(runs)
    drawn = compared(runs, names, metrics)
    lrs = [lrs_of(run) for run in runs]
    has_lrs = any(each.used or each.planned for each in lrs)
    heights = [2.6] * len(drawn) + [2.0] * has_lrs
    size = (9, sum(heights) + 1.4 + 0.2 * len(runs))
    figure = import_figure()(figsize=size, dpi=150, layout="constrained")
    panels: list[Axes] = [*figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]]
    for axes, metric in zip(panels, drawn, strict=False):
        _draw_metric(axes, metric, runs, names, is_first=metric == drawn[0])
    if has_lrs:
        for index, each in enumerate(lrs):
            colour, dashes = _look(index)
            draw_lrs(panels[-1], each, colour, None, 1.5, dashes)
        several = any(len(each.groups) > 1 for each in lrs)
        panels[-1].set_ylabel("learning rate used" + ("\n(first and last group)" if several else ""))
    per_epoch = {run.updates_per_epoch for run in runs}
    set_updates(panels, per_epoch.pop() if len(per_epoch) == 1 else None)
    count = "One run" if len(runs) == 1 else f"{len(runs)} runs"
    set_title(figure, f"{count}: {', '.join(map(_spoken, drawn))}" if title is None else title)
    draw_legend(figure, panels)
    notes = ["the runs have no evaluated metric in common"] if metrics is None and drawn == [TRAINING] else []
    unknown = [name for name, each in zip(names, lrs, strict=True) if not (each.used or each.planned)]
    if unknown:
        notes.append(f"no learning rate in the records of {', '.join(unknown)}")
    set_note(figure, notes)
    return finish(figure, path)


def compared(runs: Sequence[Run], names: Sequence[str], metrics: Sequence[str] | None = None) -> list[str]:
    """The metrics of the panels.

    Raises:
        ScheduleError: No run has a metric that is named; or the runs have nothing in common.
    """
    if metrics is not None:
        return list(dict.fromkeys(_named(runs, name) for name in metrics))
    if drawn := in_common(runs):
        return drawn
    if all(run.series("loss")[0] for run in runs):
        return [TRAINING]
    there = "; ".join(f"{name} has {', '.join(_all(run)) or 'none'}" for run, name in zip(runs, names, strict=True))
    raise ScheduleError(f"the runs have no metric in common: {there}. Name what to draw: each gets a panel.")


def _all(run: Run) -> list[str]:
    return [*(name.removeprefix("eval_") for name in available(run)), *([TRAINING] if run.series("loss")[0] else [])]


def _named(runs: Sequence[Run], name: str) -> str:
    if name == TRAINING and any(run.series("loss")[0] for run in runs):
        return name
    for run in runs:
        if (found := resolved(run, name)) is not None:
            return found
    there = dict.fromkeys(each for run in runs for each in _all(run))
    raise ScheduleError(f"no metric {name!r} in any of the runs; there are {', '.join(there) or 'none'}.")


def _points(run: Run, metric: str) -> Points:
    if metric == TRAINING:
        return run.series("loss")
    return run.series(metric) if metric in available(run) else ([], [])


def _spoken(metric: str) -> str:
    return "training loss" if metric == TRAINING else words(metric)


def _look(index: int) -> tuple[str, Any]:
    """Colours first; a dash of its own each, too, for grey print."""
    return COLOURS[index % len(COLOURS)], DASHES[(index % len(COLOURS) + index // len(COLOURS)) % len(DASHES)]


def _draw_metric(axes: "Axes", metric: str, runs: Sequence[Run], names: Sequence[str], is_first: bool) -> None:
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        colour, dashes = _look(index)
        points = _points(run, metric)
        label = _label(run, name, metric, bool(points[0])) if is_first else "_"
        if metric == TRAINING and points[0]:
            draw_losses(axes, points, label, colour, dashes)
            continue
        marker = "o" if len(points[0]) <= 60 else ""
        axes.plot(
            *thin(*points), label=label, color=colour, linestyle=dashes, marker=marker, markersize=4, linewidth=1.5
        )
        best = best_of(run, metric) if points[0] else None
        if best is not None and is_first:
            axes.plot([best.step], [best.value], "*", color=colour, label="_", **STAR)
    if is_loss(metric):
        scale_losses(axes, [_points(run, metric)[1] for run in runs])
    axes.set_ylabel(plain(_spoken(metric), 40))


def _label(run: Run, name: str, metric: str, is_there: bool) -> str:
    label = plain(name, 34)
    if run.schedule is not None:
        label += f": {plain(run.schedule, 46)}"
    best = best_of(run, metric) if is_there and metric != TRAINING else None
    if best is not None:
        label += f"; best {best.value:.4g} at update {best.step:,}"
    return label if is_there else f"{label}; no {plain(_spoken(metric), 40)}"
