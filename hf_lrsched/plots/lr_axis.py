"""The lines of learning rates."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.downsample import thin
from ..runs.timeline import LRs, Trace
from .style import plain, set_from_zero, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of the first group, and of the last one.
_DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)))
_PLANNED: Any = (0, (1, 2))
#: A label that legends leave out.
_HIDDEN = "_"


def draw_lrs(axes: "Axes", lrs: LRs, colour: str, label: str | None, width: float = 1.8, dashes: Any = "-") -> None:
    """Draws the LRs of the first and the last group, the span of all, and what is planned, from 0 on.

    Args:
        axes (`Axes`): Where.
        lrs ([`LRs`]): What.
        colour (`str`): Of all of it.
        label (`str`, *optional*): In the legend, to which a group's name is added where there are several; `None` for none.
        width (`float`, defaults to 1.8): Of the lines.
        dashes (`Any`, defaults to solid): Of the first group's line.
    """
    # Exact LRs hold for one update each; those of the records are joined, what lies between is not known.
    steps: dict[str, Any] = {"drawstyle": "steps-post"}
    if not lrs.is_exact:
        steps = {"marker": "." if all(len(xs) <= 200 for xs, _ in lrs.used.values()) else ""}
    for name, own in zip(lrs.ends, (dashes, _DASHES[1]), strict=False):
        style = {"color": colour, **steps}
        if name in lrs.used:
            of = f" of {plain(name, 40).strip()}" if len(lrs.groups) > 1 else ""
            named = _HIDDEN if label is None else f"{label}{of}"
            axes.plot(*thin(*lrs.used[name]), label=named, linewidth=width, linestyle=own, **style)
        if name in lrs.planned:
            named = _HIDDEN if label is None or name != lrs.groups[0] else f"{label}, planned"
            axes.plot(*thin(*lrs.planned[name]), label=named, linewidth=0.6 * width, linestyle=_PLANNED, **style)
    if lrs.is_exact and len(lrs.groups) > 2:
        step: Any = "post"
        for traces in (lrs.used, lrs.planned):
            if traces:
                named = _HIDDEN if label is None or traces is lrs.planned else f"{label}s of all groups"
                xs, low, high = thin(*_span(list(traces.values())))
                axes.fill_between(xs, low, high, step=step, color=colour, alpha=0.15, linewidth=0, label=named)
    set_from_zero(axes)
    axes.yaxis.set_major_formatter(lambda value, _: short(value))


def _span(traces: list[Trace]) -> tuple[Any, Any, Any]:
    values = np.array([lrs for _, lrs in traces])
    return traces[0][0], values.min(axis=0), values.max(axis=0)
