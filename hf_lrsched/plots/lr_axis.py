"""The lines of learning rates."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.downsample import downsample
from ..runs.timeline import LRs
from .style import plain, set_lr_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLANNED: Any = (0, (1, 2))
_LAST_GROUP: Any = (0, (6, 1.5))
#: A label that legends leave out.
_HIDDEN = "_"


def draw_lrs(axes: "Axes", lrs: LRs, colour: str, label: str | None, width: float = 1.8, dashes: Any = "-") -> None:
    """Draw the LRs of the first and the last group, the span of all, and what is planned, from 0 on.

    Args:
        axes (`Axes`): Where.
        lrs ([`LRs`]): The LRs.
        colour (`str`): Of all lines.
        label (`str`, *optional*): In the legend, to which a group's name is added where there are several; `None` for none.
        width (`float`, defaults to 1.8): Of the lines.
        dashes (`Any`, defaults to solid): Of the first group's line.
    """
    # Exact LRs hold for one update each. Those of the records are joined: what lies between is not known.
    style: dict[str, Any] = {"color": colour, "drawstyle": "steps-post"}
    if not lrs.is_exact:
        has_markers = all(len(line.updates) <= 200 for line in lrs.lines)
        style = {"color": colour, "marker": "." if has_markers else ""}
    ends = lrs.lines if len(lrs.lines) < 2 else [lrs.lines[0], lrs.lines[-1]]
    for line, own_dashes in zip(ends, (dashes, _LAST_GROUP), strict=False):
        used, planned = lrs.used(line), lrs.planned(line)
        if len(used[0]):
            of = f" of {plain(line.groups[0], 40).strip()}" if len(lrs.lines) > 1 else ""
            named = _HIDDEN if label is None else f"{label}{of}"
            axes.plot(*downsample(*used), label=named, linewidth=width, linestyle=own_dashes, **style)
        if len(planned[0]):
            named = _HIDDEN if label is None or line is not ends[0] else f"{label}, planned"
            axes.plot(*downsample(*planned), label=named, linewidth=0.6 * width, linestyle=_PLANNED, **style)
    if lrs.is_exact and len(lrs.lines) > 2:
        named = _HIDDEN if label is None else f"{label}s of all groups"
        values = np.array([line.lrs for line in lrs.lines])
        xs, low, high = downsample(lrs.lines[0].updates, values.min(axis=0), values.max(axis=0))
        xs, low, high = np.append(xs, lrs.end), np.append(low, low[-1]), np.append(high, high[-1])
        axes.fill_between(xs, low, high, step="post", color=colour, alpha=0.15, linewidth=0, label=named)
    set_lr_axis(axes)
