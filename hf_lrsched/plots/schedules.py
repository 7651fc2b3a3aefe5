"""The picture of schedules before training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schedules import Curve
from .style import (
    COLOURS,
    DASHES,
    UPDATE,
    draw_epochs,
    draw_legend,
    finish,
    house_style,
    import_figure,
    plain,
    set_from_zero,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
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
    figure = import_figure()(figsize=(8, 4.2 + 0.22 * len(curves)), dpi=150, layout="constrained")
    axes = figure.subplots()
    horizon = curves[0].horizon
    updates = np.arange(horizon.num_updates) if updates is None else updates
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        dashes = DASHES[index % len(DASHES)]
        lrs = lr * curve(updates)
        axes.plot(
            updates + 1, lrs, color=colour, linestyle=dashes, linewidth=1.8, label=plain(str(curve.schedule), 110)
        )
        for part in curve.parts[1:]:
            axes.axvline(part.start + 1, color=colour, linewidth=0.6, alpha=0.35)
    axes.set_xlabel(UPDATE)
    axes.set_ylabel("factor of the peak learning rate" if lr == 1 else "learning rate")
    axes.set_xlim(1, max(horizon.num_updates, 2))
    set_from_zero(axes)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    draw_epochs(axes, horizon.updates_per_epoch)
    draw_legend(figure, [axes])
    figure.suptitle("Learning rate before training", fontsize=11)
    return finish(figure, path)
