"""The plot of a search for the peak LR: loss against LR for each horizon, and what follows for the whole run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schedules.numbers import format_count
from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^"
#: Those of all plots, without the colour of the LR that was found.
_COLOURS = [colour for colour in style.COLOURS if colour != style.LR_COLOUR]


@style.house_style
def draw_lr_search(search: Mapping[str, Any], path: str | Path | None = None) -> "Figure":
    """Draw a search for the peak LR.

    For each horizon: the held-out loss of its probes against their LRs, and a star at the bottom of the parabola through the
    lowest three. A cross on top stands for a probe that diverged. The line and the band are the suggestion for the whole run
    and its plausible range.

    Args:
        search (`Mapping`): [`LRSearch.to_data`].
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ImportError: Matplotlib is missing.
    """
    figure, (axes,) = style.make_panels(8, 4.6)
    from matplotlib.ticker import LogLocator, NullFormatter  # make_panels says what to install

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda lr, _: style.format_lr(lr))
    axes.xaxis.set_minor_formatter(NullFormatter())
    probes, total = search["probes"], search["total"]
    top = max((probe["loss"] for probe in probes if probe["loss"] is not None), default=1.0)
    valleys = {valley["updates"]: valley for valley in search["valleys"]}
    for index, updates in enumerate(sorted({probe["updates"] for probe in probes})):
        here = [probe for probe in probes if probe["updates"] == updates]
        look: dict[str, Any] = {"color": _COLOURS[index % 4], "marker": _MARKERS[index % 4]}
        ended = [probe for probe in here if probe["loss"] is not None]
        lrs, losses = [probe["lr"] for probe in ended], [probe["loss"] for probe in ended]
        by_lr = {lr: [probe["loss"] for probe in ended if probe["lr"] == lr] for lr in sorted(set(lrs))}
        points = [(lr, float(np.mean(each))) for lr, each in by_lr.items()]
        label = f"probes of {updates:,} updates ({updates / total:.2g} of the run)"
        means = [mean for _, mean in points]
        axes.plot([lr for lr, _ in points], means, label=label, linestyle=style.DASHES[index % 4], linewidth=1, **look)
        if len(points) < len(ended):  # several seeds
            axes.plot(lrs, losses, linestyle="none", alpha=0.4, markersize=4, **look)
        diverged = [probe["lr"] for probe in here if probe["loss"] is None]
        axes.plot(diverged, [top] * len(diverged), linestyle="none", **{**look, "marker": "x"})
        if updates in valleys:
            _draw_valley(axes, points, valleys[updates], look["color"])
    if search["suggestion"] is not None:
        lr = search["suggestion"]
        where = f"{style.format_lr(search['low'])} to {style.format_lr(search['high'])}"
        label = f"for the run of {total:,} updates: {style.format_lr(lr)} ({where})"
        axes.axvspan(search["low"], search["high"], color=style.LR_COLOUR, alpha=0.12, linewidth=0)
        axes.axvline(lr, color=style.LR_COLOUR, linewidth=2, label=label)
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("held-out loss")
    style.draw_grid(axes, "both")
    cost = f"{format_count(len(probes), 'probe')}, {sum(probe['updates'] for probe in probes) / total:.2g} of the run"
    return style.finish(figure, [axes], f"Search for the peak learning rate: {cost}", path, max_columns=1)


def _draw_valley(axes: "Axes", points: list[tuple[float, float]], valley: Mapping[str, Any], colour: str) -> None:
    """Draw the parabola through the lowest loss and its neighbours, with a star at its bottom."""
    star: dict[str, Any] = {"marker": "*", "color": colour, **style.STAR, "clip_on": True}
    at = int(np.argmin([loss for _, loss in points]))
    octaves, losses = np.log2([lr for lr, _ in points]), np.array([loss for _, loss in points])
    if not 0 < at < len(points) - 1:
        axes.plot(points[at][0], points[at][1], **star)
        return
    around = slice(at - 1, at + 2)
    parabola = np.polyfit(octaves[around] - octaves[at], losses[around], 2)
    drawn = np.linspace(octaves[at - 1], octaves[at + 1], 60)
    axes.plot(2.0**drawn, np.polyval(parabola, drawn - octaves[at]), color=colour, linewidth=2.5, alpha=0.45)
    bottom = np.polyval(parabola, np.log2(valley["lr"]) - octaves[at])
    axes.plot(valley["lr"], bottom, **star)
