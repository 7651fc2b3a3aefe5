"""The picture of one run: its metrics and the learning rate that it used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.downsample import thin
from ..runs.metrics import chosen, is_loss, left_out, words
from ..runs.run import Run
from ..runs.timeline import LRs, as_run, best_of, events, lrs_of, phases
from ..schedules import ScheduleError
from .annotations import draw_phases_and_events
from .lr_axis import draw_lrs
from .style import (
    LR_COLOUR,
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


@house_style
def draw_run(
    run: Run | Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    greater_is_better: bool | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws a run: validation metrics over the updates, the LR used on a second axis, and the losses below.

    Of a run with a record, the LR is that of every update, the phases of its schedule are shaded and named, and thin
    dashed lines stand where the LR was changed: drops of a plateau, an early cooldown, resumes. Of others, the LRs of the
    records are joined. Where the LRs of the parameter groups differ, the first and the last group's are drawn, and the
    span of all. A star is at the best checkpoint, where the Trainer kept one, else at the best evaluation. Epochs are on
    top. No display is needed.

    Args:
        run ([`Run`] or `Sequence[Mapping]`): From `read_run`; or `trainer.state.log_history`.
        path (`str` or `Path`, *optional*): Where to save the picture; the ending gives its format, e.g. `.png`.
        metrics (`Sequence[str]`, *optional*): What to draw, with or without `eval_`; the first is the one whose best is
            marked. Defaults to up to four of one scale; the losses always have a panel of their own.
        greater_is_better (`bool`, *optional*): For the first metric: marks its best evaluation, whatever the Trainer
            kept. Defaults to what its name says: a loss or an error is better lower.
        title (`str`, *optional*): Above the picture. Defaults to the run's name and schedule.

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
    run = as_run(run)
    names = chosen(run, metrics)
    upper = [name for name in names if not is_loss(name)]
    validation = [name for name in run.metrics if is_loss(name) and run.series(name)[0]][: len(_LOSS_STYLES)]
    training, lrs = run.series("loss"), lrs_of(run)
    has_losses = bool(validation or training[0])
    if not upper and not has_losses and not lrs.used and not lrs.planned:
        raise ScheduleError(f"nothing to draw{_of(run)}: there is neither an evaluation nor a training loss nor an LR.")

    figure = import_figure()(figsize=(9, 6.2 if upper and has_losses else 4.6), dpi=150, layout="constrained")
    panels = _panels(figure, bool(upper) and has_losses)
    main, below = panels[0], panels[-1]
    if upper:
        _draw_metrics(main, run, upper)
    if has_losses:
        _draw_losses(below, run, training, validation)
    if names:
        _mark_best(main, below, run, names, greater_is_better)
    twin = _draw_lrs(main, lrs) if lrs.used or lrs.planned else None
    set_updates(panels, run.updates_per_epoch, twin)
    set_title(figure, title if title is not None else _title(run))
    rest = left_out(run, names) if metrics is None else []
    draw_legend(figure, [*panels, *([twin] if twin else [])])
    unnamed = draw_phases_and_events(main, twin, panels[1:], phases(run), events(run))
    notes = {"also evaluated, not drawn: ": ", ".join(map(words, rest)), "events without a name here: ": unnamed}
    unknown = [] if twin else ["the records hold no learning rate"]
    set_note(figure, [*unknown, *(what + which for what, which in notes.items() if which)])
    return finish(figure, path)


def _of(run: Run) -> str:
    return f" of {run.name}" if run.name else ""


def _title(run: Run) -> str:
    return ": ".join(filter(None, [run.name, run.schedule or "metrics and learning rate"]))


def _panels(figure: "Figure", two: bool) -> "list[Axes]":
    if not two:
        return [figure.subplots()]
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
    return [upper, lower]


def _draw_metrics(axes: "Axes", run: Run, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        _draw_evaluations(axes, run.series(name), words(name), _METRIC_STYLES[index % len(_METRIC_STYLES)])
    axes.set_ylabel("validation metric" if len(names) > 1 else plain(f"validation {words(names[0])}", 40))


def _draw_losses(axes: "Axes", run: Run, training: Points, validation: Sequence[str]) -> None:
    if training[0]:
        draw_losses(axes, training, "training loss")
    for name, style in zip(validation, _LOSS_STYLES, strict=False):
        _draw_evaluations(axes, run.series(name), words(name), style)
    scale_losses(axes, [training[1], *(run.series(name)[1] for name in validation)])
    axes.set_ylabel("loss")


def _draw_evaluations(axes: "Axes", points: Points, label: str, style: Mapping[str, Any]) -> None:
    steps, values = thin(*points)
    size = 4.5 if len(steps) <= 60 else (2.5 if len(steps) <= 200 else 0)
    axes.plot(steps, values, label=plain(label, 50), linewidth=1.6, markersize=size, zorder=4, **style)


def _mark_best(main: "Axes", below: "Axes", run: Run, names: Sequence[str], greater_is_better: bool | None) -> None:
    """Of the metric that the Trainer went by, where it is drawn, else of the first one."""
    name = names[0]
    best = best_of(run, name, greater_is_better)
    if best is None:
        return
    by = f" by {words(best.by)}" if best.is_kept and best.by not in (None, name) else ""
    value = f"{best.value:.4g} at update {best.step:,}"
    label = f"best checkpoint{by}: {words(name)} {value}" if best.is_kept else f"best {words(name)}: {value}"
    (below if is_loss(name) else main).plot(
        [best.step], [best.value], "*", label=plain(label, 90), color="#F0E442", **STAR
    )


def _draw_lrs(main: "Axes", lrs: LRs) -> "Axes":
    twin = main.twinx()
    draw_lrs(twin, lrs, LR_COLOUR, "learning rate")
    twin.set_ylabel("learning rate used", color=LR_COLOUR)
    twin.tick_params(axis="y", colors=LR_COLOUR)
    # Metrics stay above the LR's line.
    main.set_zorder(twin.get_zorder() + 1)
    main.patch.set_visible(False)
    if not main.lines:  # a run without a record yet
        main.set_yticks([])
    return twin
