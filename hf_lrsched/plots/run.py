"""The plot of one run: its metrics and the learning rate that it used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.downsample import downsample
from ..runs.metrics import choose_metrics, find_main_metric, get_display_name, is_loss
from ..runs.run import Run
from ..runs.timeline import LRs, RunView
from ..schedules import ScheduleError
from . import style
from .annotations import draw_phases_and_events
from .lr_axis import draw_lrs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METRIC_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#009E73", "linestyle": (0, (4, 1.5, 1, 1.5)), "marker": "s"},
    {"color": "#CC79A7", "linestyle": (0, (1, 1)), "marker": "^"},
    {"color": "#56B4E9", "linestyle": (0, (7, 2)), "marker": "D"},
)
_LOSS_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": (0, (2, 1)), "marker": "x"},
    {"color": "#0072B2", "linestyle": (0, (5, 1)), "marker": "+"},
    {"color": "#009E73", "linestyle": (0, (1, 1)), "marker": "1"},
    {"color": "#CC79A7", "linestyle": (0, (4, 1, 1, 1)), "marker": "2"},
)


@style.house_style
def draw_run(
    run: Run | Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    greater_is_better: bool | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw a run: validation metrics over the updates, the LR used on a second axis, and the losses below.

    Of a run with a record, the LR is that of every update, the phases of its schedule are shaded and named, and thin
    dashed lines stand where the LR was changed: drops of a plateau, an early cooldown, resumes. Of others, the LRs of the
    records are joined. Where the LRs of the parameter groups differ, the first and the last group's are drawn, and the
    span of all. A star marks the best checkpoint, where the Trainer kept one, else the best evaluation; none where the
    metric's name does not say which direction is better. Epochs are on top. No display is needed.

    Args:
        run ([`Run`] or `Sequence[Mapping]`): From `read_run`; or `trainer.state.log_history`.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.
        metrics (`Sequence[str]`, *optional*): What to draw, with or without `eval_`; the first is the one whose best is
            marked. Defaults to up to four of one scale; the losses always have a panel of their own.
        greater_is_better (`bool`, *optional*): For the first metric: marks its best evaluation, whatever the Trainer
            kept. Defaults to the direction of its name: a loss or an error is better lower.
        title (`str`, *optional*): Above the plot. Defaults to the run's name and schedule.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: There is nothing to draw, or no such metric.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_run(read_run("runs/first"), "run.png", metrics=["accuracy"])
    draw_run(trainer.state.log_history, "run.png")
    ```
    """
    view = RunView(run)
    run, lrs = view.run, view.lrs()
    names = choose_metrics(run, metrics)
    upper = [name for name in names if not is_loss(name)]
    losses = [name for name in run.metrics if is_loss(name)][: len(_LOSS_STYLES)]
    has_losses = bool(losses or len(run.points("loss")[0]))
    if not upper and not has_losses and not lrs.lines:
        of = f" of {run.name}" if run.name else ""
        raise ScheduleError(f"nothing to draw{of}: there is neither an evaluation nor a training loss nor an LR.")

    figure, panels = style.make_panels(9, 6.2, (1.7, 1)) if upper and has_losses else style.make_panels(9, 4.6)
    main, below = panels[0], panels[-1]
    if upper:
        _draw_metrics(main, run, upper)
    if has_losses:
        _draw_losses(below, run, losses)
    judged_by = names[0] if metrics and names else find_main_metric([run])
    if judged_by is not None:
        _mark_best(below if is_loss(judged_by) else main, view, judged_by, greater_is_better)
    twin = _draw_lrs(main, lrs) if lrs.lines else None
    style.set_update_limits(panels, twin)
    style.set_update_axis(below, run.updates_per_epoch, main)
    title = ": ".join(filter(None, [run.name, run.schedule or "metrics and learning rate"])) if title is None else title
    style.set_title(figure, title)
    style.draw_legend(figure, [*panels, *([twin] if twin else [])])
    changes = [event for event in view.events if not event.is_finding]
    unnamed = draw_phases_and_events(main, twin, panels[1:], view.phases, changes)
    others = [get_display_name(name) for name in run.metrics if not is_loss(name) and name not in names]
    findings = [f"{each.kind.replace('_', ' ')} (update {each.update:,})" for each in view.events if each.is_finding]
    notes = [
        "" if twin else "the records hold no learning rate",
        f"also evaluated, not drawn: {', '.join(others)}" if others and metrics is None else "",
        f"events without a name here: {unnamed}" if unnamed else "",
        f"the loss monitor found: {', '.join(findings)}" if findings else "",
    ]
    style.set_note(figure, [note for note in notes if note])
    return style.save(figure, path)


def _draw_metrics(axes: "Axes", run: Run, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        _draw_evaluations(axes, run.points(name), get_display_name(name), _METRIC_STYLES[index % len(_METRIC_STYLES)])
    kind = "validation" if names[0] in run.metrics else "training"
    axes.set_ylabel(f"{kind} metric" if len(names) > 1 else style.plain(f"{kind} {get_display_name(names[0])}", 40))


def _draw_losses(axes: "Axes", run: Run, validation: Sequence[str]) -> None:
    training = run.points("loss")
    if len(training[0]):
        style.draw_losses(axes, training, "training loss")
    for name, look in zip(validation, _LOSS_STYLES, strict=False):
        _draw_evaluations(axes, run.points(name), get_display_name(name), look)
    style.set_loss_scale(axes, [training[1], *(run.points(name)[1] for name in validation)])
    axes.set_ylabel("loss")


def _draw_evaluations(axes: "Axes", points: style.Points, label: str, look: Mapping[str, Any]) -> None:
    steps, values = downsample(*points)
    size = 4.5 if len(steps) <= 60 else (2.5 if len(steps) <= 200 else 0)
    axes.plot(steps, values, label=style.plain(label, 50), linewidth=1.6, markersize=size, zorder=4, **look)


def _mark_best(axes: "Axes", view: RunView, metric: str, greater_is_better: bool | None) -> None:
    best = view.best(metric, greater_is_better)
    if best is None:
        return
    value = f"{get_display_name(metric)} {best.value:.4g} at update {best.step:,}"
    label = f"best {get_display_name(metric)}: {best.value:.4g} at update {best.step:,}"
    if best.is_kept:
        label = f"best checkpoint{f' by {get_display_name(best.by)}' if best.by not in (None, metric) else ''}: {value}"
    axes.plot([best.step], [best.value], "*", label=style.plain(label, 90), color="#F0E442", **style.STAR)


def _draw_lrs(main: "Axes", lrs: LRs) -> "Axes":
    twin = main.twinx()
    draw_lrs(twin, lrs, style.LR_COLOUR, "learning rate")
    twin.set_ylabel("learning rate used", color=style.LR_COLOUR)
    twin.tick_params(axis="y", colors=style.LR_COLOUR)
    # Metrics stay above the LR's line.
    main.set_zorder(twin.get_zorder() + 1)
    main.patch.set_visible(False)
    if not main.lines:  # a run without a record yet
        main.set_yticks([])
    return twin
