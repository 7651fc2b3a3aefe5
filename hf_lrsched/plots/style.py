"""What all pictures share: colours, words, axes, and how they are saved.

The ground is white and solid, so that a picture can be read on a dark page, too; dashes and markers keep lines apart in
grey print.
"""

import functools
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from ..runs.downsample import thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = tuple[Sequence[float], Sequence[float]]

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Okabe and Ito's colours, which stay apart for colour-blind readers.
LR_COLOUR = "#D55E00"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
#: Of the best evaluation.
STAR: dict[str, Any] = {
    "markeredgecolor": "#000000",
    "markersize": 14,
    "linestyle": "none",
    "zorder": 6,
    "clip_on": False,
}

UPDATE = "update (optimizer step)"

#: Matplotlib's settings of how things look.
_LOOKS = (
    *("axes.", "figure.", "grid.", "hatch.", "image.", "legend.", "lines.", "patch.", "path.", "savefig.", "text."),
    *("xaxis.", "xtick.", "yaxis.", "ytick."),
)

#: So many records of a loss are drawn with their mean: a line of that many is a band.
_MANY = 400


def import_figure() -> "type[Figure]":
    """Matplotlib's `Figure`, which needs no display.

    Raises:
        ImportError: Matplotlib is missing; with what to install.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "hf-lrsched[plot]"') from error
    return Figure


def house_style(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Draws in matplotlib's own style, whatever the user's settings: a dark ground would swallow dark lines.

    The user's fonts stay: names may need them.
    """

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        import_figure()
        import matplotlib

        ours = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.startswith(_LOOKS)}
        with matplotlib.rc_context(ours):
            return draw(*args, **kwargs)

    return styled


def finish(figure: "Figure", path: str | Path | None) -> "Figure":
    """Saves a picture where a file is asked for."""
    if path is not None:
        figure.savefig(path)
    return figure


def plain(text: str, most: int = 0) -> str:
    """A text as it is: matplotlib would read `$…$` as mathematics, and leave what begins with `_` out of a legend.

    Args:
        text (`str`): Any.
        most (`int`, *optional*): Longer ones are cut in the middle, for names differ at their ends.

    Example:
    ```python
    >>> print(plain("cost_in_$"), plain("_private"), plain("a\\tb"), plain("abcdefghij", 7))
    cost_in_\\$  _private a b abc…hij

    ```
    """
    text = "".join(letter if letter.isprintable() else (" " if letter.isspace() else "\ufffd") for letter in text)
    if most and len(text) > most:
        half = (most - 1) // 2
        text = f"{text[: most - 1 - half]}…{text[-half:]}"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def set_title(figure: "Figure", title: str) -> None:
    """A title of at most two lines."""
    lines = textwrap.wrap(" ".join(title.split()), 88, break_on_hyphens=False)
    if len(lines) > 2:
        lines = [lines[0], " ".join(lines[1:])]
    figure.suptitle("\n".join(plain(line, 88) for line in lines), fontsize=11)


def short(lr: float, digits: int = 3) -> str:
    """`2e-5` for 2e-05."""
    mantissa, _, exponent = f"{lr:.3g}".partition("e") if lr == 0 else f"{lr:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}" if exponent and int(exponent) else mantissa


def digits_of(lrs: Sequence[float]) -> int:
    """As many digits as tell LRs apart, from 3 to 8."""
    different = len(set(lrs))
    return next((digits for digits in range(3, 8) if len({short(lr, digits) for lr in lrs}) == different), 8)


def draw_losses(axes: "Axes", points: Points, label: str, colour: str = "#555555", dashes: Any = "-") -> None:
    """A training loss; where it has many records, pale, with a running mean on it."""
    steps, losses = points
    if len(steps) <= _MANY:
        marker = "." if len(steps) < 20 else ""  # one record is no line
        axes.plot(steps, losses, label=label, color=colour, linestyle=dashes, linewidth=1.1, marker=marker)
        return
    window = len(steps) // 100
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    first = np.clip(np.arange(len(steps)) - window // 2, 0, None)
    last = np.clip(first + window, None, len(steps))
    mean = (sums[last] - sums[first]) / (last - first)
    axes.plot(*thin(steps, losses), color=colour, linewidth=0.5, alpha=0.3, label="_records")
    label = f"{label}, mean of {window} records"
    axes.plot(*thin(steps, mean), label=label, color=colour, linestyle=dashes, linewidth=1.5)


def scale_losses(axes: "Axes", losses: Sequence[Sequence[float]]) -> None:
    """Losses over three decades and more, as of a run that broke down, on a logarithmic axis."""
    values = [value for each in losses for value in each]
    if min(values) > 0 and max(values) > 1000 * min(values):
        axes.set_yscale("log")


def set_updates(panels: "Sequence[Axes]", updates_per_epoch: float | None, twin: "Axes | None" = None) -> None:
    """The axes of the updates, from 0 to the last that is drawn: updates below, epochs on top, thin lines across."""
    lines = [line for axes in [*panels, *([] if twin is None else [twin])] for line in axes.lines]
    last = max((float(np.max(line.get_xdata())) for line in lines if len(line.get_xdata())), default=0.0) or 1.0  # type: ignore[arg-type]
    for axes in panels:
        axes.set_xlim(-0.01 * last, 1.01 * last)  # a marker at the last update is drawn whole
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel(UPDATE)
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value == int(value) else f"{value:g}")
    draw_epochs(panels[0], updates_per_epoch)


def set_from_zero(axes: "Axes") -> None:
    """The axis of LRs, from 0 to the highest that is drawn by now; a line at 0 is drawn whole."""
    axes.autoscale(axis="y")  # which limits that were set before have switched off
    high = axes.get_ylim()[1]
    axes.set_ylim(-0.015 * high, high)


def draw_epochs(axes: "Axes", updates_per_epoch: float | None) -> None:
    """Epochs on top, where they are known."""
    if updates_per_epoch is None:
        return
    there, back = (lambda x: np.asarray(x) / updates_per_epoch), (lambda x: np.asarray(x) * updates_per_epoch)
    top = axes.secondary_xaxis("top", functions=(there, back))
    top.set_xlabel("epoch")


def draw_legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    """One legend below the picture, where it can hide nothing; what the panels have in common is there once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = min(3, max(1, 120 // (8 + max(map(len, found), default=0))))
    handles, labels = [*found.values()], [*found]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def set_note(figure: "Figure", notes: Sequence[str]) -> None:
    """Says above the legend what is not in the picture."""
    if notes:
        lines = textwrap.wrap("; ".join(notes), 110)
        figure.legends[0].set_title("\n".join(map(plain, lines)), prop={"size": 8.5})  # type: ignore[arg-type]
