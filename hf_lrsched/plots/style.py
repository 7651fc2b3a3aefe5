"""What all plots share: colours, texts, axes, and how they are saved.

The background is white and solid, so that a plot can be read on a dark page, too; dashes and markers distinguish lines in
grey print.
"""

import functools
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from ..extras import import_extra
from ..runs.downsample import downsample
from ..schedules.shapes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = tuple[Array, Array]

_P = ParamSpec("_P")

# Okabe and Ito's colours, which colour-blind readers can distinguish.
LR_COLOUR = "#D55E00"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
#: Of the best evaluation.
STAR: dict[str, Any] = {
    "markeredgecolor": "black",
    "markersize": 14,
    "linestyle": "none",
    "zorder": 6,
    "clip_on": False,
}

UPDATE = "update (optimizer step)"
#: What the ending of a plot's file may be.
FIGURE_ENDINGS = (".png", ".svg", ".pdf")
#: Pixels of an inch.
DPI = 150

#: Matplotlib's settings of how things look.
_LOOKS = (
    *("axes.", "figure.", "grid.", "hatch.", "image.", "legend.", "lines.", "patch.", "path.", "savefig.", "text."),
    *("xaxis.", "xtick.", "yaxis.", "ytick."),
)
#: Names of fonts with Chinese, Japanese and Korean letters, which matplotlib's own font does not have.
_CJK_FONTS = re.compile(
    r"CJK|Source Han|Noto Sans (SC|TC|JP|KR)|WenQuanYi|Droid Sans Fallback|IPA\w*Gothic|VL Gothic|Nanum|AR PL|Unifont|"
    r"PingFang|Hiragino|Apple SD Gothic|Microsoft (YaHei|JhengHei)|SimHei|SimSun|Yu Gothic|Meiryo|Malgun|Arial Unicode"
)
_MAX_CJK_FONTS = 6
#: So many records of a loss are drawn with their mean: a line of that many is a band.
_MANY = 400


def get_look(index: int) -> tuple[str, Any]:
    """Return the colour and the dashes of one of several lines: dashes, too, for grey print."""
    cycle, place = divmod(index, len(COLOURS))
    return COLOURS[place], DASHES[(place + cycle) % len(DASHES)]


def house_style(draw: "Callable[_P, Figure]") -> "Callable[_P, Figure]":
    """Draw in matplotlib's own style, whatever the user's settings: dark lines cannot be seen on a dark background.

    The user's fonts stay. Behind them come fonts for Chinese, Japanese and Korean names, where there are any. A warning
    names the letters that no font has.
    """

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> "Figure":
        matplotlib = import_extra("matplotlib", "plot", "plots need matplotlib")
        ours = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.startswith(_LOOKS)}
        fonts = [*matplotlib.rcParams["font.family"], *_find_cjk_fonts()]
        with matplotlib.rc_context({**ours, "font.family": fonts}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph ")  # one for each letter
            figure = draw(*args, **kwargs)
        if missing := _find_missing_letters(figure, fonts):
            warnings.warn(
                f"no font of this machine has the letters {missing}, which are drawn as boxes. Install a font that has "
                "them, e.g. Noto Sans CJK for Chinese, Japanese and Korean (on Debian: apt install fonts-noto-cjk).",
                stacklevel=2,
            )
        return figure

    return styled


def _find_cjk_fonts() -> list[str]:
    """Find the names of fonts for Chinese, Japanese and Korean; also of fonts that are newer than matplotlib's list."""
    from matplotlib import font_manager

    listed = font_manager.fontManager.ttflist
    if not any(_CJK_FONTS.search(font.name) for font in listed):
        for path in set(font_manager.findSystemFonts()).difference(font.fname for font in listed):
            with suppress(Exception):  # a file that is no font
                font_manager.fontManager.addfont(path)
    names = {font.name for font in font_manager.fontManager.ttflist if _CJK_FONTS.search(font.name)}
    return sorted(names)[:_MAX_CJK_FONTS]


def _find_missing_letters(figure: "Figure", fonts: Sequence[str]) -> str:
    """Find the letters of a plot that none of the fonts has."""
    from matplotlib import font_manager, rcParams
    from matplotlib.text import Text

    families: Any = rcParams
    letters = {letter for text in figure.findobj(Text) for letter in text.get_text() if ord(letter) > 0x2FF}
    for name in fonts if letters else ():
        for member in families.get(f"font.{name}", [name]):  # a family such as sans-serif has several
            with suppress(ValueError):  # there is no such font
                path = font_manager.findfont(font_manager.FontProperties(family=[member]), fallback_to_default=False)
                letters -= {letter for letter in letters if font_manager.get_font(path).get_char_index(ord(letter))}
    return "".join(sorted(letters))


def make_panels(width: float, height: float, ratios: Sequence[float] = (1,)) -> "tuple[Figure, list[Axes]]":
    """Make a figure with panels above one another on one axis of updates. It needs no display.

    Args:
        width (`float`): Of the figure, in inches.
        height (`float`): Of the figure, in inches.
        ratios (`Sequence[float]`): The height of each panel, relative to the others.

    Raises:
        ImportError: Matplotlib is missing; with what to install.
    """
    new_figure = import_extra("matplotlib.figure", "plot", "plots need matplotlib").Figure
    figure = new_figure(figsize=(width, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    return figure, [*grid[:, 0]]


def finish(
    figure: "Figure",
    panels: "Sequence[Axes]",
    title: str,
    path: str | Path | None,
    notes: Sequence[str] = (),
    max_columns: int = 3,
) -> "Figure":
    """Set title, legend and notes, and save the plot where a file is given."""
    set_title(figure, title)
    draw_legend(figure, panels, max_columns)
    set_note(figure, notes)
    return save(figure, path)


def save(figure: "Figure", path: str | Path | None) -> "Figure":
    """Save a plot where a file is given."""
    if path is not None:
        figure.savefig(path)
    return figure


def to_bytes(figure: "Figure", ending: str = ".png") -> bytes:
    """Return the content of a file of a plot."""
    file = io.BytesIO()
    figure.savefig(file, format=ending.lower().removeprefix("."))
    return file.getvalue()


def plain(text: str, max_length: int = 0) -> str:
    """Show a text as it is: matplotlib would read `$…$` as mathematics, and leave what begins with `_` out of a legend.

    Args:
        text (`str`): Any.
        max_length (`int`, *optional*): Longer texts are cut in the middle, for names differ at their ends.

    Example:
    ```python
    >>> print(plain("cost_in_$"), plain("_private"), plain("a\\tb"), plain("abcdefghij", 7))
    cost_in_\\$  _private a b abc…hij

    ```
    """
    text = "".join(letter if letter.isprintable() else (" " if letter.isspace() else "\ufffd") for letter in text)
    if max_length and len(text) > max_length:
        half = (max_length - 1) // 2
        text = f"{text[: max_length - 1 - half]}…{text[-half:]}"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def set_title(figure: "Figure", title: str) -> None:
    """Set a title of at most two lines."""
    lines = textwrap.wrap(" ".join(title.split()), 88, break_on_hyphens=False)
    if len(lines) > 2:
        lines = [lines[0], " ".join(lines[1:])]
    figure.suptitle("\n".join(plain(line, 88) for line in lines), fontsize=11)


def format_lr(lr: float, digits: int = 3) -> str:
    """Write `2e-5` for 2e-05.

    Example:
    ```python
    >>> format_lr(2e-05), format_lr(0.00012345), format_lr(1.0), format_lr(0)
    ('2e-5', '1.23e-4', '1', '0')

    ```
    """
    mantissa, _, exponent = f"{lr:.3g}".partition("e") if lr == 0 else f"{lr:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}" if exponent and int(exponent) else mantissa


def count_digits(lrs: Iterable[float]) -> int:
    """Count the digits, from 3 to 8, by which LRs can be distinguished."""
    unique = set(lrs)
    return next((digits for digits in range(3, 8) if len({format_lr(lr, digits) for lr in unique}) == len(unique)), 8)


def draw_losses(axes: "Axes", points: Points, label: str, colour: str = "#555555", dashes: Any = "-") -> None:
    """Draw a training loss; where it has many records, pale, with a running mean on it."""
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
    axes.plot(*downsample(steps, losses), color=colour, linewidth=0.5, alpha=0.3, label="_records")
    label = f"{label}, mean of {window} records"
    axes.plot(*downsample(steps, mean), label=label, color=colour, linestyle=dashes, linewidth=1.5)


def set_loss_scale(axes: "Axes", losses: Sequence[Array]) -> None:
    """Make the axis logarithmic for losses over three decades and more, as of a run that diverged."""
    values = np.concatenate(losses)
    if len(values) and values.min() > 0 and values.max() > 1000 * values.min():
        axes.set_yscale("log")


def draw_grid(axes: "Axes", axis: Any = "y") -> None:
    """Draw pale lines behind the data."""
    axes.grid(axis=axis, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def set_update_axis(
    axes: "Axes", updates_per_epoch: float | None = None, top: "Axes | None" = None, unit: str = "updates"
) -> None:
    """Label the axis of the updates: whole numbers below, epochs on top where they are known.

    Args:
        axes (`Axes`): The lowest panel.
        updates_per_epoch (`float`, *optional*): Updates in an epoch.
        top (`Axes`, *optional*): The highest panel. Defaults to `axes`.
        unit (`str`, defaults to `updates`): What the schedule counts.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(UPDATE if unit == "updates" else unit)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if updates_per_epoch is not None:
        scale = float(updates_per_epoch)
        functions = (lambda x: np.asarray(x) / scale), (lambda x: np.asarray(x) * scale)
        (top or axes).secondary_xaxis("top", functions=functions).set_xlabel("epoch")


def set_update_limits(panels: "Sequence[Axes]", twin: "Axes | None" = None) -> None:
    """Show the updates from 0 to the last one that is drawn, with a grid."""
    lines = [line for axes in [*panels, *([] if twin is None else [twin])] for line in axes.lines]
    last = max((float(np.max(line.get_xdata(), initial=0.0)) for line in lines), default=0.0) or 1.0
    for axes in panels:
        axes.set_xlim(-0.01 * last, 1.01 * last)  # a marker at the last update is drawn completely
        draw_grid(axes)


def set_lr_axis(axes: "Axes") -> None:
    """Show LRs from 0 to the highest that is drawn by now; a line at 0 is drawn completely."""
    axes.autoscale(axis="y")  # which limits that were set before have switched off
    high = axes.get_ylim()[1]
    axes.set_ylim(-0.015 * high, high)
    # Factors of a peak read best as 0.6, learning rates as 6e-5.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if high > 0.1 else format_lr(value))


def draw_legend(figure: "Figure", panels: "Sequence[Axes]", max_columns: int = 3) -> None:
    """Draw one legend below the plot, where it can hide nothing; what the panels have in common is there once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        columns = min(max_columns, max(1, 120 // (8 + max(map(len, found)))))
        look: Any = {"loc": "outside lower center", "frameon": False, "fontsize": 9}
        figure.legend([*found.values()], [*found], ncols=columns, **look)


def set_note(figure: "Figure", notes: Sequence[str]) -> None:
    """Say above the legend what is not in the plot."""
    if notes:
        lines = textwrap.wrap("; ".join(notes), 110)
        figure.legends[0].set_title("\n".join(map(plain, lines)), prop={"size": 8.5})  # type: ignore[arg-type]
