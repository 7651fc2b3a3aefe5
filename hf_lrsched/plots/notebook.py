"""Rich displays in notebooks: a schedule, a curve or a run that a cell ends with is drawn."""

import io
from typing import Any

from ..runs.run import Run
from ..schedules import Curve, Horizon, Schedule, ScheduleError
from .run import draw_run
from .schedules import draw_schedules

#: A schedule alone has no run. It is drawn over one of this length.
EXAMPLE = Horizon(1000, updates_per_epoch=100)


def register_displays(shell: Any) -> None:
    """Let IPython draw schedules, curves and runs; without matplotlib, it shows their texts.

    Args:
        shell (`IPython.core.interactiveshell.InteractiveShell`): The shell of the notebook.
    """
    png = shell.display_formatter.formatters["image/png"]
    for kind in (Schedule, Curve, Run):
        png.for_type(kind, draw_png)
    text = shell.display_formatter.formatters["text/plain"]
    text.for_type(Curve, lambda curve, printer, cycle: printer.text(curve.explain()))
    text.for_type(Run, lambda run, printer, cycle: printer.text(f"run {run.name}: {run.updates_done:,} updates done"))


def draw_png(shown: Any) -> bytes | None:
    """Draw a [`Schedule`] over 1,000 updates, a [`Curve`] over its run, or a [`Run`], as the content of a PNG file.

    Returns:
        `bytes`: The content; `None` where there is nothing to draw, or no matplotlib.
    """
    try:
        curve = shown.resolve(EXAMPLE) if isinstance(shown, Schedule) else shown
        figure = draw_schedules([curve]) if isinstance(curve, Curve) else draw_run(curve)
    except (ImportError, ScheduleError):
        return None
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
