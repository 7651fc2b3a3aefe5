"""The plot of a metric over seeds: a box for each schedule."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.metrics import get_display_name
from ..schedules import ScheduleError
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of a box, of the height of its row.
_HALF = 0.28
_EDGE: dict[str, Any] = {"color": "#333333", "linewidth": 1.1}
_MEDIAN: dict[str, Any] = {"color": "#D55E00", "linewidth": 2.2, "zorder": 3}
_SEED: dict[str, Any] = {"color": "#0072B2", "markeredgecolor": "#FFFFFF", "markersize": 6, "zorder": 4}


@style.house_style
def draw_boxes(
    metrics: Mapping[str, Sequence[float]],
    path: str | Path | None = None,
    *,
    metric: str = "metric",
    baseline: float | None = None,
    baseline_name: str = "majority class",
    title: str | None = None,
) -> "Figure":
    """Draw a box for each schedule: the quartiles of a metric over seeds, the median, lines to both ends, every seed.

    Args:
        metrics (`Mapping[str, Sequence[float]]`): For each schedule the metric of each seed. What is no finite number, as
            of a run that diverged, is counted beside the name.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.
        metric (`str`, defaults to `metric`): Its name.
        baseline (`float`, *optional*): A line, such as the accuracy of the majority class.
        baseline_name (`str`, defaults to `majority class`): What the line is.
        title (`str`, *optional*): Above the plot.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: No schedule has a value.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    draw_boxes(
        {"warmup(10%) >> linear()": [0.86, 0.87, 0.85], "warmup(10%) >> cosine()": [0.87, 0.88, 0.86]},
        "boxes.png",
        metric="accuracy",
        baseline=0.52,
    )
    ```
    """
    values = {name: [float(value) for value in seeds if np.isfinite(value)] for name, seeds in metrics.items()}
    if not any(values.values()):
        raise ScheduleError("nothing to draw: no schedule has a finite value.")
    figure, (axes,) = style.make_panels(9, 1.9 + 0.62 * len(values))
    labels = []
    for row, (name, seeds) in enumerate(values.items()):
        lines = textwrap.wrap(name, 44, break_on_hyphens=False, max_lines=3, placeholder=" …")
        total = len(metrics[name])
        count = f"{len(seeds)} of {total} seeds" if len(seeds) < total else f"n = {total}"
        labels.append("\n".join([*map(style.plain, lines), f"({count})"]))
        spread = np.zeros(len(seeds))
        if len(seeds) > 1:  # not matplotlib's boxplot, whose word for "horizontal" changed from 3.9 to 3.11
            first, median, third = np.percentile(seeds, [25, 50, 75])
            for ends in ([min(seeds), first], [third, max(seeds)]):
                axes.plot(ends, [row, row], label="_", **_EDGE, zorder=2)
            axes.barh(row, third - first, 2 * _HALF, left=first, facecolor="#BBD5E8", edgecolor="#333333", zorder=2)
            axes.plot([median] * 2, [row - _HALF, row + _HALF], label="median", **_MEDIAN)
            spread = np.linspace(-0.5 * _HALF, 0.5 * _HALF, len(seeds))
        axes.plot(seeds, row + spread, "o", label="one seed", **_SEED)
    if baseline is not None:
        label = f"{style.plain(baseline_name, 60)}: {baseline:.4g}"
        axes.axvline(baseline, color="#000000", linewidth=1.2, linestyle=(0, (4, 2)), label=label, zorder=1)
    axes.set_yticks(range(len(values)), labels, fontsize=9)
    axes.set_ylim(len(values) - 0.5, -0.5)
    # Beside long names the axes are narrow, and a longer line would leave the plot.
    axes.set_xlabel("\n".join(textwrap.wrap(style.plain(get_display_name(metric), 80), 40)))
    style.draw_grid(axes, "x")
    title = f"{get_display_name(metric)} over seeds, by schedule" if title is None else title
    return style.finish(figure, [axes], title, path)
