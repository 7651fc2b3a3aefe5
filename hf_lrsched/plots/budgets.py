"""The plot of several budgets: metric against budget."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.metrics import get_display_name
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.house_style
def draw_budgets(budgets: Mapping[str, Any], path: str | Path | None = None) -> "Figure":
    """Draw the metric of each budget against its length: a line through the means, a dot for each seed, a star at the
    recommended budget. The dotted line is the model before its first update.

    Args:
        budgets (`Mapping`): [`Budgets.to_data`].
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ImportError: Matplotlib is missing.
    """
    figure, (axes,) = style.make_panels(8, 4.2)
    metric, branches = budgets["metric"], sorted(budgets["branches"], key=lambda branch: branch["updates"])
    values: dict[int, list[float]] = {}
    names = {branch["updates"]: branch["budget"] for branch in branches}
    for branch in branches:
        value = branch["metrics"].get(metric)
        values.setdefault(branch["updates"], []).append(np.nan if value is None else value)
    means = {updates: float(np.mean(each)) for updates, each in values.items()}
    seeds = max(map(len, values.values()), default=1)
    label = get_display_name(metric) + (f", mean of {seeds} seeds" if seeds > 1 else "")
    axes.plot([*means], [*means.values()], color=style.COLOURS[0], marker="o", label=label)
    if seeds > 1:
        dots = [(updates, value) for updates, each in values.items() for value in each]
        axes.plot(
            *zip(*dots, strict=True), "o", color=style.COLOURS[0], alpha=0.35, markersize=4, label="one seed", zorder=9
        )
    best = next((updates for updates, name in names.items() if name == budgets["recommended"]), None)
    if best is not None:
        star: dict[str, Any] = {**style.STAR, "marker": "*", "color": style.LR_COLOUR}
        axes.plot(best, means[best], label=f"recommended: {names[best]}", **star)
    start = budgets["start"].get(metric)
    if start is not None:
        axes.axhline(start, color="#777777", linestyle=":", linewidth=1, label="before the first update")
    style.set_update_limits([axes])
    axes.set_xticks([*means], [f"{name}\n{updates:,}" for updates, name in sorted(names.items())])
    axes.set_xlabel("budget, and its updates")
    axes.set_ylabel(get_display_name(metric))
    gain, *certainty = budgets["recommendation"].split(". ")  # two sentences have room
    title = ". ".join([gain, *certainty[:1]])
    return style.finish(figure, [axes], title, path, max_columns=2)
