"""The plot of several runs: their metrics and their learning rates, one colour for each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.downsample import downsample
from ..runs.metrics import find_common_metrics, get_display_name, is_loss, make_distinct_names, require_metric
from ..runs.run import Run
from ..runs.timeline import RunView
from ..schedules import ScheduleError
from . import style
from .lr_axis import draw_lrs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What the training loss is called among the metrics; in the records it is `loss`.
TRAINING = "train_loss"


@style.house_style
def draw_runs(
    runs: Sequence[Run],
    path: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw several runs in one plot: a panel for each metric and one for the LRs below; a colour for each run.

    A star marks each run's best checkpoint, or evaluation. Runs of the same name get the names of their folders.

    Args:
        runs (`Sequence[Run]`): From `read_run`.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.
        metrics (`Sequence[str]`, *optional*): A panel for each, with or without `eval_`, of the runs that have it;
            `train_loss` is the training loss. Defaults to the metric by which the runs are judged and their validation
            loss, of those that all have; without such, to the training loss.
        title (`str`, *optional*): Above the plot.

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
    names = make_distinct_names(runs)
    drawn = _choose(runs, names, metrics)
    views = [RunView(run) for run in runs]
    lrs = [view.lrs() for view in views]
    heights = [2.6] * len(drawn) + [2.0] * any(each.lines for each in lrs)
    figure, panels = style.make_panels(9, sum(heights) + 1.4 + 0.2 * len(runs), heights)
    for axes, metric in zip(panels, drawn, strict=False):
        _draw_metric(axes, metric, views, names, is_first=metric == drawn[0])
    if len(heights) > len(drawn):
        for index, each in enumerate(lrs):
            colour, dashes = style.get_look(index)
            draw_lrs(panels[-1], each, colour, None, 1.5, dashes)
        several = any(len(each.lines) > 1 for each in lrs)
        panels[-1].set_ylabel("learning rate used" + ("\n(first and last group)" if several else ""))
    style.set_update_limits(panels)
    per_epoch = {run.updates_per_epoch for run in runs}
    style.set_update_axis(panels[-1], per_epoch.pop() if len(per_epoch) == 1 else None, panels[0])
    if title is None:
        count = "One run" if len(runs) == 1 else f"{len(runs)} runs"
        title = f"{count}: {', '.join(map(get_display_name, drawn))}"
    notes = ["the runs have no evaluated metric in common"] if metrics is None and drawn == ["loss"] else []
    unknown = [name for name, each in zip(names, lrs, strict=True) if not each.lines]
    if unknown:
        notes.append(f"no learning rate in the records of {', '.join(unknown)}")
    return style.finish(figure, panels, title, path, notes)


def _choose(runs: Sequence[Run], names: Sequence[str], metrics: Sequence[str] | None = None) -> list[str]:
    """Choose the metrics of the panels, by their names in the records."""
    has_training = [len(run.points("loss")[0]) > 0 for run in runs]
    if metrics is not None:
        is_training = {name: name == TRAINING and any(has_training) for name in metrics}
        return list(dict.fromkeys("loss" if is_training[name] else require_metric(runs, name) for name in metrics))
    if drawn := find_common_metrics(runs):
        return drawn
    if all(has_training):
        return ["loss"]
    found = []
    for run, name, has_loss in zip(runs, names, has_training, strict=True):
        known = [*(metric.removeprefix("eval_") for metric in run.metrics), *([TRAINING] if has_loss else [])]
        found.append(f"{name} has {', '.join(known) or 'none'}")
    raise ScheduleError(f"the runs have no metric in common: {'; '.join(found)}. Name what to draw: each gets a panel.")


def _draw_metric(axes: "Axes", metric: str, views: Sequence[RunView], names: Sequence[str], is_first: bool) -> None:
    for index, (view, name) in enumerate(zip(views, names, strict=True)):
        colour, dashes = style.get_look(index)
        points = view.run.points(metric)
        label = _label(view, name, metric) if is_first else "_"
        if metric == "loss" and len(points[0]):
            style.draw_losses(axes, points, label, colour, dashes)
            continue
        marker = "o" if len(points[0]) <= 60 else ""
        look: Any = {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 4, "linewidth": 1.5}
        axes.plot(*downsample(*points), label=label, **look)
        best = view.best(metric)
        if best is not None and is_first:
            axes.plot([best.step], [best.value], "*", color=colour, label="_", **style.STAR)
    if is_loss(metric):
        style.set_loss_scale(axes, [view.run.points(metric)[1] for view in views])
    axes.set_ylabel(style.plain(get_display_name(metric), 40))


def _label(view: RunView, name: str, metric: str) -> str:
    label = style.plain(name, 34)
    if view.run.schedule is not None:
        label += f": {style.plain(view.run.schedule, 46)}"
    if not len(view.run.points(metric)[0]):
        return f"{label}; no {style.plain(get_display_name(metric), 40)}"
    best = view.best(metric) if metric != "loss" else None
    return label if best is None else f"{label}; best {best.value:.4g} at update {best.step:,}"
