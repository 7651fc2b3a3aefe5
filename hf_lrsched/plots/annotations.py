"""Phases and events of a run in its picture: grounds and thin lines behind the data, names in a strip above it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..runs.timeline import Event, Phase
from .style import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_SHADES = ("#ECECEC", "#FFFFFF")
_EVENT: dict[str, Any] = {"color": "#333333", "linewidth": 0.9, "linestyle": (0, (3, 2)), "zorder": 2}

#: Rows of the strip, for phases and for events.
_ROWS = 3
#: More phases are neither shaded nor named: nobody would see which is which.
_MOST_PHASES = 60


class Strip:
    """Names above the data, in as many rows as they need to stay apart.

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
        """What comes now has rows of its own, below."""
        self._first = len(self._rows)

    def add(self, name: str, start: float, end: float, size: float = 9) -> bool:
        """Names what lies between two updates; a point's name stands beside it. False where there is no room."""
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
        if row - self._first == _ROWS:
            text.remove()
            return False
        self._rows[row : row + 1] = [left + width]
        self._placed.append((text, left, row))
        return True

    def finish(self, panels: "Sequence[Axes]") -> None:
        """Puts the names in their places, and makes room for them above the data of all that share the axes."""
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
    main: "Axes", twin: "Axes | None", others: "Sequence[Axes]", phases: Sequence[Phase], events: Sequence[Event]
) -> str:
    """Shades and names the phases, and marks the events.

    Args:
        main (`Axes`): Those with the names above their data.
        twin (`Axes`, *optional*): The second axes in the same place; they are drawn first.
        others (`Sequence[Axes]`): Panels below.
        phases (`Sequence[Phase]`): In order.
        events (`Sequence[Event]`): In order.

    Returns:
        `str`: The events that have no name in the picture, for want of room; empty where all have one.
    """
    phases = phases if len(phases) <= _MOST_PHASES else []
    strip = Strip(main)
    for phase in phases:
        strip.add(phase.text, phase.start, phase.end)
    strip.begin_group()
    below = 1 - strip.height
    unnamed: Counter[str] = Counter()
    for event in events:
        if not strip.add(event.text, event.t, event.t, size=8):
            unnamed[event.text] += 1
    strip.finish([main] if twin is None else [main, twin])
    back = main if twin is None else twin
    for axes, top in ((back, 1 - strip.height), *((axes, 1.0) for axes in others)) if len(phases) > 1 else ():
        for index, phase in enumerate(phases):
            axes.axvspan(phase.start, phase.end, ymax=top, color=_SHADES[index % 2], zorder=-5, linewidth=0)
            if phase.start:
                axes.axvline(phase.start, ymax=top, color="#999999", linewidth=0.7, zorder=-4)
    for event in events:
        for axes in (main, *others):
            axes.axvline(
                event.t, ymax=below if axes is main else 1.0, alpha=0.9 if len(events) < 30 else 0.35, **_EVENT
            )
    return ", ".join(f"{text} ({count} times)" if count > 1 else text for text, count in unnamed.items())
