"""Rich displays in notebooks: a schedule, a curve, a run, a search or budgets that a cell ends with are drawn."""

from typing import Any

from ..runs.run import Run
from ..schedules import Curve, Horizon, Schedule, ScheduleError
from .run import draw_run
from .schedules import draw_schedules
from .style import DPI, to_bytes

#: A schedule alone has no run. It is drawn over one of this length.
EXAMPLE = Horizon(1000, updates_per_epoch=100)


def register_displays(shell: Any) -> None:
    """Let IPython draw schedules, curves, runs and searches; without matplotlib, it shows their texts.

    Args:
        shell (`IPython.core.interactiveshell.InteractiveShell`): The shell of the notebook.
    """
    png = shell.display_formatter.formatters["image/png"]
    for kind in (Schedule, Curve, Run):
        png.for_type(kind, _show)
    text = shell.display_formatter.formatters["text/plain"]
    text.for_type(Curve, lambda curve, printer, cycle: printer.text(curve.explain()))
    # By name, since their rooms are above this one.
    for name in (("hf_lrsched.search.result", "LRSearch"), ("hf_lrsched.budgets.result", "Budgets")):
        png.for_type_by_name(*name, _show)
        text.for_type_by_name(*name, lambda found, printer, cycle: printer.text(str(found)))
    text.for_type(Run, lambda run, printer, cycle: printer.text(f"run {run.name}: {run.updates_done:,} updates done"))


def draw_png(shown: Any) -> bytes | None:
    """Draw a [`Schedule`] over 1,000 updates, a [`Curve`] over its run, a [`Run`], an [`LRSearch`] or [`Budgets`], as the content of a PNG file.

    Returns:
        `bytes`: The content; `None` where there is nothing to draw, or no matplotlib.
    """
    try:
        return to_bytes(_draw(shown))
    except (ImportError, ScheduleError):
        return None


def _show(shown: Any) -> tuple[bytes, dict[str, int]] | None:
    """Draw with a width on the screen at which the plot's letters are as large as those of the page."""
    content = draw_png(shown)
    pixels = int.from_bytes(content[16:20], "big") if content else 0  # where PNG has its width
    return (content, {"width": pixels * 96 // DPI}) if content else None


def _draw(shown: Any) -> Any:
    if isinstance(shown, Schedule):
        shown = shown.resolve(EXAMPLE)
    if isinstance(shown, Curve):
        return draw_schedules([shown])
    return draw_run(shown) if isinstance(shown, Run) else shown.plot()
