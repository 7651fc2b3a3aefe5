"""The plot of a search for the peak LR: loss against LR for each horizon, and what follows for the whole run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^"


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
    figure, (axes,) = style.new_panels(8, 4.6)
    axes.set_xscale("log")
    probes, total = search["probes"], search["total"]
    losses = [probe["loss"] for probe in probes if probe["loss"] is not None]
    for index, updates in enumerate(sorted({probe["updates"] for probe in probes})):
        colour, dashes = style.COLOURS[index], style.DASHES[index % len(style.DASHES)]
        here = [probe for probe in probes if probe["updates"] == updates]
        lrs = sorted({probe["lr"] for probe in here if probe["loss"] is not None})
        means = [
            np.mean([probe["loss"] for probe in here if probe["lr"] == lr and probe["loss"] is not None]) for lr in lrs
        ]
        label = f"probes of {updates:,} updates ({updates / total:.2g} of the run)"
        look: dict[str, Any] = {"color": colour, "marker": _MARKERS[index % len(_MARKERS)]}
        axes.plot(lrs, means, label=label, linestyle=dashes, **look)
        if any(probe["seed"] for probe in here):
            seeds = [probe for probe in here if probe["loss"] is not None]
            xs, ys = ([probe[key] for probe in seeds] for key in ("lr", "loss"))
            axes.plot(xs, ys, linestyle="none", alpha=0.4, markersize=4, **look)
        for probe in here:
            if probe["loss"] is None:
                style_of_cross: dict[str, Any] = {"color": colour, "marker": "x", "linestyle": "none"}
                axes.plot(probe["lr"], max(losses, default=1.0), **style_of_cross)
        for valley in (each for each in search["valleys"] if each["updates"] == updates):
            height = np.interp(np.log(valley["lr"]), np.log(lrs), means)
            axes.plot(valley["lr"], height, marker="*", color=colour, **{**style.STAR, "clip_on": True})
    if search["suggestion"] is not None:
        lr = search["suggestion"]
        where = f"{style.format_lr(search['low'])} to {style.format_lr(search['high'])}"
        label = f"for the run of {total:,} updates: {style.format_lr(lr)} ({where})"
        axes.axvspan(search["low"], search["high"], color=style.LR_COLOUR, alpha=0.12, linewidth=0)
        axes.axvline(lr, color=style.LR_COLOUR, linewidth=2, label=label)
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("held-out loss")
    style.draw_grid(axes, "both")
    cost = f"{len(probes)} probes, {sum(probe['updates'] for probe in probes) / total:.2g} of the run"
    return style.finish(figure, [axes], f"Search for the peak learning rate: {cost}", path, max_columns=1)
