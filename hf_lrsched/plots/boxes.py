"""The plot of a metric over seeds: a box for each schedule."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..runs.metrics import display_name
from ..schedules import ScheduleError
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of a box, of the height of its row.
_HALF = 0.28


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
        metric (`str`, *optional*): Its name.
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
    figure = style.new_figure(9, 1.9 + 0.62 * len(values))
    axes = figure.subplots()
    labels = []
    for row, (name, seeds) in enumerate(values.items()):
        lines = textwrap.wrap(name, 44, break_on_hyphens=False, max_lines=3, placeholder=" …")
        count = (
            f"{len(seeds)} of {len(metrics[name])} seeds" if len(seeds) < len(metrics[name]) else f"n = {len(seeds)}"
        )
        labels.append("\n".join([*map(style.plain, lines), f"({count})"]))
        if len(seeds) > 1:
            first, median, third = np.percentile(seeds, [25, 50, 75])
            for low, high in ((min(seeds), first), (third, max(seeds))):
                axes.plot([low, high], [row, row], color="#333333", linewidth=1.1, label="_", zorder=2)
            axes.barh(
                row, third - first, 2 * _HALF, left=first, color="#BBD5E8", edgecolor="#333333", linewidth=1.1, zorder=2
            )
            axes.plot(
                [median] * 2, [row - _HALF, row + _HALF], color="#D55E00", linewidth=2.2, label="median", zorder=3
            )
        offsets = np.linspace(-0.5 * _HALF, 0.5 * _HALF, len(seeds)) if len(seeds) > 1 else [0.0]
        look = {"color": "#0072B2", "markeredgecolor": "#FFFFFF", "markersize": 6, "linestyle": "none", "zorder": 4}
        axes.plot(seeds, [row + offset for offset in offsets], "o", label="one seed", **look)  # type: ignore[arg-type]
    if baseline is not None:
        label = f"{style.plain(baseline_name, 60)}: {baseline:.4g}"
        axes.axvline(baseline, color="#000000", linewidth=1.2, linestyle=(0, (4, 2)), label=label, zorder=1)
    axes.set_yticks(range(len(values)), labels, fontsize=9)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(style.plain(display_name(metric), 80))
    style.draw_grid(axes, "x")
    style.draw_legend(figure, [axes])
    style.set_title(figure, f"{display_name(metric)} over seeds, by schedule" if title is None else title)
    return style.save(figure, path)
