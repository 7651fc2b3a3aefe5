"""The plot of schedules before training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schedules import Curve
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.house_style
def draw_schedules(
    curves: Sequence[Curve], lr: float = 1.0, updates: Any = None, path: str | Path | None = None
) -> "Figure":
    """Draw schedules before training on one axis: updates below, epochs above, thin lines where phases begin.

    Args:
        curves (`Sequence[Curve]`): Over the same run.
        lr (`float`, defaults to 1): The peak LR; 1 draws factors.
        updates (`np.ndarray`, *optional*): The updates to draw, from 0. Defaults to all.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_schedules([bert().resolve(345, 115), wsd().resolve(345, 115)], lr=2e-5, path="schedules.png")
    ```
    """
    figure, (axes,) = style.make_panels(8, 4.2 + 0.22 * len(curves))
    horizon = curves[0].horizon
    end = horizon.num_updates
    updates = np.arange(end) if updates is None else np.asarray(updates)
    for index, curve in enumerate(curves):
        colour, dashes = style.get_look(index)
        lrs = lr * curve(updates)
        # Update t + 1 uses the LR from t to t + 1; the last one stands there twice, so that its step has a width.
        points = np.append(updates, end), np.append(lrs, lrs[-1])
        look: dict[str, Any] = {"color": colour, "linestyle": dashes, "drawstyle": "steps-post", "linewidth": 1.8}
        axes.plot(*points, label=style.plain(str(curve.schedule), 110), **look)
        for part in curve.parts[1:]:
            axes.axvline(part.start, color=colour, linewidth=0.6, alpha=0.35)
    axes.set_ylabel("factor of the peak learning rate" if lr == 1 else "learning rate")
    axes.set_xlim(0, end)
    style.set_lr_axis(axes)
    style.draw_grid(axes, "both")
    style.set_update_axis(axes, horizon.updates_per_epoch, unit=horizon.unit)
    return style.finish(figure, [axes], "Learning rate before training", path)
