"""Curves as a drawing in the terminal."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from ..extras import import_extra
from ..schedules import Curve

_MARKERS = ("hd", "•", "x", "o", "+", "*")


def draw_in_terminal(
    curves: Sequence[Curve], lr: float, updates: Any, width: int = 100, height: int = 20, colour: bool = False
) -> str:
    """Draw schedules on one axis, in characters; vertical lines are the boundaries of the first one's phases.

    Args:
        curves (`Sequence[Curve]`): Over the same run.
        lr (`float`): The peak LR.
        updates (`np.ndarray`): The updates to draw, counted from 0.
        width (`int`, defaults to 100): Columns.
        height (`int`, defaults to 20): Lines, without the key above.
        colour (`bool`, defaults to `False`): Whether to use the terminal's colours.

    Raises:
        ImportError: The package plotext is missing.
    """
    plotext = import_extra("plotext", "plot", "the drawing needs plotext")
    horizon = curves[0].horizon
    plotext.clear_figure()
    plotext.theme("pro" if colour else "clear")
    plotext.plotsize(width, height)
    key, highest = [], 0.0
    for curve, marker in zip(curves, cycle(_MARKERS), strict=False):
        lrs = lr * curve(updates)
        highest = max(highest, float(np.max(lrs)))
        plotext.plot((updates + 1).tolist(), lrs.tolist(), marker=marker)
        key.append(f"  {'▞' if marker == 'hd' else marker}  {curve.schedule}")
    for part in curves[0].parts[1:]:
        plotext.vline(part.start + 1, "gray+" if colour else None)
    ticks = sorted({1, *(round(horizon.num_updates * share / 4) for share in range(1, 5))} - {0})
    plotext.xticks(ticks, [f"{tick:,}" for tick in ticks])
    levels = [(highest or 1.0) * share / 4 for share in range(5)]
    plotext.yticks(levels, [f"{level:.2e}" if level else "0" for level in levels])
    plotext.ylim(levels[0], levels[-1])
    plotext.xlabel("update" if horizon.unit == "updates" else horizon.unit)
    text: str = plotext.build() if colour else plotext.uncolorize(plotext.build())
    # A key of its own above, for plotext lays it over the curves.
    return "\n".join([*key, *(line.rstrip() for line in text.splitlines())])
