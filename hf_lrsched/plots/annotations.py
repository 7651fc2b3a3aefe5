"""Phases and events of a run in its plot: shades and thin lines behind the data, names in rows above it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..runs.timeline import RunEvent
from ..schedules import Part
from .style import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_SHADES = ("#ECECEC", "#FFFFFF")
_EVENT: dict[str, Any] = {"color": "#333333", "linewidth": 0.9, "linestyle": (0, (3, 2)), "zorder": 2}

#: Rows of names, at most, for phases and for events.
_MAX_ROWS = 3
#: More phases are neither shaded nor named: nobody could distinguish them.
_MAX_PHASES = 60


class LabelRows:
    """Names above the data, in as many rows as they need so that none overlap.

    Args:
        axes (`Axes`): The axes, with all their data.
    """

    def __init__(self, axes: "Axes"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure: Figure = axes.figure  # type: ignore[assignment]
        figure.draw_without_rendering()  # places the axes: only then has a text a width
        self.axes = axes
        self._renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        self._box = axes.get_window_extent()
        self._row_height = 18 * figure.dpi / 72 / self._box.height  # of a text of 9 points
        self._placed: list[tuple[Text, float, int]] = []
        self._rows: list[float] = []  # how far each row is filled, in shares of the axes' width
        self._first = 0

    @property
    def height(self) -> float:
        """As a share of the axes."""
        return self._row_height * len(self._rows)

    def begin_group(self) -> None:
        """Give the names that are added from now on rows of their own, below."""
        self._first = len(self._rows)

    def add(self, name: str, start: float, end: float, size: float = 9) -> int | None:
        """Name what lies between two updates, or beside a point; return the row, or `None` where there is no room."""
        text = self.axes.text(0, 0, plain(name, 60), fontsize=size, va="center", color="#333333")
        text.set(transform=self.axes.transAxes, bbox={"color": "#FFFFFF", "pad": 0.5, "linewidth": 0})
        width = text.get_window_extent(self._renderer).width / self._box.width
        begin, stop = (self._share(x) for x in (start, end))
        left = (begin + stop - width) / 2 if end > start else begin + 0.004
        if end == start and left + width > 0.994:
            left = begin - 0.004 - width
        left = max(min(left, 0.994 - width), 0.006)
        rows = range(self._first, len(self._rows))
        row = next((index for index in rows if self._rows[index] + 0.015 <= left), len(self._rows))
        if row - self._first == _MAX_ROWS:
            text.remove()
            return None
        self._rows[row : row + 1] = [left + width]
        self._placed.append((text, left, row))
        return row

    def get_line_end(self, row: int | None) -> float:
        """Where the line of an event ends, as a share of the axes: at its name, or below all names."""
        return 1 - (self.height if row is None else self._row_height * row)

    def finish(self, panels: "Sequence[Axes]") -> None:
        """Put the names in their places, and make room for them above the data of all that share the axes."""
        for text, left, row in self._placed:
            text.set_position((left, 1 - self._row_height * (row + 0.5)))
        for panel in panels:
            low, high = (panel.transScale.transform((1, value))[1] for value in panel.get_ylim())
            ticks = [tick for tick in panel.get_yticks() if panel.get_ylim()[0] <= tick <= panel.get_ylim()[1]]
            panel.set_ylim(top=panel.transScale.inverted().transform((0, low + (high - low) / (1 - self.height)))[1])
            panel.set_yticks(ticks)  # none beside the names: there is no accuracy of 1.2

    def _share(self, update: float) -> float:
        pixel = self.axes.transData.transform((update, self.axes.get_ylim()[0]))
        return float(self.axes.transAxes.inverted().transform(pixel)[0])


def draw_phases_and_events(
    main: "Axes",
    twin: "Axes | None",
    others: "Sequence[Axes]",
    phases: Sequence[Part],
    events: Sequence[RunEvent],
) -> str:
    """Shade and name the phases, and mark the events.

    Args:
        main (`Axes`): Those with the names above their data.
        twin (`Axes`, *optional*): The second axes in the same place; they are drawn first.
        others (`Sequence[Axes]`): Panels below.
        phases (`Sequence[Part]`): In order.
        events (`Sequence[RunEvent]`): In order.

    Returns:
        `str`: The events that have no name in the plot, for want of room; empty where all have one.
    """
    phases = phases if len(phases) <= _MAX_PHASES else []
    labels = LabelRows(main)
    for phase in phases:
        labels.add(phase.text, phase.start, phase.end)
    labels.begin_group()
    rows = [labels.add(event.label, event.update, event.update, size=8) for event in events]
    labels.finish([main] if twin is None else [main, twin])
    back = main if twin is None else twin
    for axes, top in ((back, 1 - labels.height), *((axes, 1.0) for axes in others)) if len(phases) > 1 else ():
        for index, phase in enumerate(phases):
            axes.axvspan(phase.start, phase.end, ymax=top, color=_SHADES[index % 2], zorder=-5, linewidth=0)
            if phase.start:
                axes.axvline(phase.start, ymax=top, color="#999999", linewidth=0.7, zorder=-4)
    alpha = 0.9 if len(events) < 30 else 0.35
    for event, row in zip(events, rows, strict=True):
        for axes in (main, *others):
            axes.axvline(event.update, ymax=labels.get_line_end(row) if axes is main else 1.0, alpha=alpha, **_EVENT)
    unnamed = Counter(event.label for event, row in zip(events, rows, strict=True) if row is None)
    return ", ".join(f"{label} ({count} times)" if count > 1 else label for label, count in unnamed.items())
