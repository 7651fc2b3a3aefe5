"""The picture of a resume with other settings: the learning rate that was to be, and the one that is."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schedules import ScheduleError
from ..trajectory.trajectory import Trajectory, lrs_at
from .style import Points, draw_epochs, house_style, import_figure, plain, set_from_zero, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Okabe and Ito's blue and vermilion, which stay apart for colour-blind readers; dashes and widths do in grey print.
_OLD, _NEW = "#0072B2", "#D55E00"
_TO_BE: dict[str, Any] = {"color": _OLD, "linestyle": (0, (5, 2.5)), "linewidth": 1.5, "zorder": 3}
_USED: dict[str, Any] = {"color": _OLD, "linestyle": "-", "linewidth": 2.2}
_IS: dict[str, Any] = {"color": _NEW, "linestyle": "-", "linewidth": 2.2}
_DOTS: dict[str, Any] = {"markersize": 7, "linestyle": "none", "clip_on": False, "zorder": 5}

#: Parameter groups that are drawn at most: those whose curves differ.
_GROUPS = 3
#: Longer runs are drawn by so many of their updates.
_POINTS = 10_000


@house_style
def draw_resume(
    before: Trajectory | Sequence[float],
    after: Trajectory,
    t: float,
    path: str | Path | None = None,
    *,
    on_resume: str | None = None,
    end: float | None = None,
    since: float = 0,
    names: Sequence[str] | None = None,
    drops: Sequence[tuple[float, float]] = (),
    scales: Sequence[float] | None = None,
) -> "Figure":
    """Draws a resume: the LR that was to be (dashed), the one that was used, and the one from here on.

    The first parameter group is drawn, and of the others those whose curves have another shape, up to three in all. No
    display is needed.

    Args:
        before ([`Trajectory`] or `Sequence[float]`): The trajectory of the checkpoint's run; where it is not known, as in a
            checkpoint of the stock Trainer, the LR of each group that it holds.
        after ([`Trajectory`]): The trajectory that the run goes on with.
        t (`float`): The updates that are over, or what else the schedule counts.
        path (`str` or `Path`, *optional*): Where to save the picture; the ending gives its format, e.g. `.png`.
        on_resume (`str`, *optional*): The choice, for the title.
        end (`float`, *optional*): All updates of the run that goes on. Defaults to where `after` ends.
        since (`float`, defaults to 0): The update from which on `before` is what was used, where an earlier resume had
            replaced the curve.
        names (`Sequence[str]`, *optional*): The names of the parameter groups. Defaults to `group_0`, `group_1`, ….
        drops (`Sequence[tuple[float, float]]`, *optional*): What a plateau had made of `before`: updates with the factor
            by which the LRs were multiplied from there on.
        scales (`Sequence[float]`, *optional*): By what the LRs of `after` are multiplied, for each group. Defaults to all
            drops.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        ScheduleError: The two have another number of parameter groups.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    old = Trajectory(RunSettings("linear()", Horizon(8), (2e-5,)))
    new = Trajectory(RunSettings("linear()", Horizon(12), (2e-5,)))
    draw_resume(old, new, t=5, path="resume.png", on_resume="switch")
    ```
    """
    figure_class = import_figure()
    groups = range(len(after.settings.peaks))
    dropped = [_drops_of(before, group, drops) for group in groups]
    totals = [math.prod(factor for _, factor in each) for each in dropped]
    was = [*map(float, before)] if not isinstance(before, Trajectory) else _times(lrs_at(before, t), totals)
    scales = totals if scales is None else scales
    now = _times(lrs_at(after, t), scales)
    if len(was) != len(now):
        raise ScheduleError(f"can't draw a resume from {len(was)} parameter groups to {len(now)}.")
    end = after.end() if end is None else end
    last = max(end, t + 1, before.end() if isinstance(before, Trajectory) else 0)
    drawn = _groups_that_differ(before, after, last)
    figure = figure_class(figsize=(9, 3.4 + 1.9 * len(drawn)), dpi=150, layout="constrained")
    panels: list[Axes] = [*figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]]
    words = _Words(after.settings.horizon.unit, t)

    for axes, group in zip(panels, drawn, strict=True):
        lines: list[tuple[Points, str, dict[str, Any]]] = []
        if isinstance(before, Trajectory):
            to_be, used = (_points(before, group, since, until, dropped[group]) for until in (before.end(), t))
            lines += [(to_be, f"was to be: {words.trajectory(before, group)}", _TO_BE), (used, words.used, _USED)]
        is_now = _points(after, group, t, end, [(0.0, scales[group])])
        lines.append((is_now, f"{words.from_here}: {words.trajectory(after, group, end)}", _IS))
        for points, label, style in lines:
            # Update u's LR holds from u - 1 to u, as in the other pictures.
            axes.plot(*points, label=label, drawstyle="steps-post", **style)
        known = "_" if isinstance(before, Trajectory) else "the checkpoint's LR; the curve that it is of is not known"
        axes.plot([t], [was[group]], "o", markerfacecolor="none", markeredgewidth=1.6, color=_OLD, label=known, **_DOTS)
        axes.plot([t], [now[group]], "o", color=_NEW, **_DOTS)
        axes.axvline(t, color="#888888", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        name = "" if len(now) == 1 else f"{plain(names[group]) if names else f'group_{group}'}: "
        axes.set_title(f"{name}{words.told(was[group], now[group])}", loc="left", fontsize=9.5)
        axes.set_ylabel("learning rate")
        axes.yaxis.set_major_formatter(lambda value, _: short(value))
        set_from_zero(axes)
        axes.grid(axis="y", color="#BBBBBB", alpha=0.5, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[-1].set_xlim(-0.01 * last, 1.01 * last)
    panels[-1].set_xlabel(words.unit_in_full)
    draw_epochs(panels[0], after.settings.horizon.updates_per_epoch)
    _legend(figure, panels)
    figure.suptitle(words.title + ("" if on_resume is None else f" with on_resume={on_resume!r}"))
    if path is not None:
        figure.savefig(path)
    return figure


def _times(lrs: Sequence[float], scales: Sequence[float]) -> list[float]:
    return [lr * scale for lr, scale in zip(lrs, scales, strict=False)]


def _drops_of(trajectory: Trajectory | Sequence[float], group: int, drops: Sequence[tuple[float, float]]) -> Any:
    """A plateau's drops are those of the groups that follow its schedule."""
    if not isinstance(trajectory, Trajectory):
        return []
    follows = ["plateau(" in schedule for schedule in trajectory.settings.schedules]
    return drops if not any(follows) or follows[group : group + 1] == [True] else []


def _points(
    trajectory: Trajectory, group: int, start: float, end: float, drops: Sequence[tuple[float, float]]
) -> Points:
    """The LRs of a group from one position to another; the last one once more, so that its step is drawn whole."""
    if end <= start:
        return [], []
    updates = _positions(start, end)
    lrs = trajectory.lrs(updates)[group]
    for at, factor in drops:
        lrs = np.where(updates < at, lrs, lrs * factor)
    return [*updates.tolist(), float(end)], [*lrs.tolist(), float(lrs[-1])]


def _positions(start: float, end: float) -> Any:
    if end - start <= _POINTS:
        return np.arange(start, end)
    return np.unique(np.linspace(start, end - 1, _POINTS).round())


def _groups_that_differ(before: Trajectory | Sequence[float], after: Trajectory, end: float) -> list[int]:
    """The first group, and of the others those whose share of their peak is another one somewhere."""
    updates = _positions(0, end)
    trajectories = [trajectory for trajectory in (before, after) if isinstance(trajectory, Trajectory)]
    shares = [
        [lrs / (peak or 1.0) for lrs, peak in zip(trajectory.lrs(updates), trajectory.settings.peaks, strict=True)]
        for trajectory in trajectories
    ]
    drawn: list[int] = []
    for group in range(len(after.settings.peaks)):
        still = drawn and not any(share[group].any() for share in shares)  # its LR is 0 all the time
        same = (all(np.allclose(share[group], share[other]) for share in shares) for other in drawn)
        if len(drawn) < _GROUPS and not still and not any(same):
            drawn.append(group)
    return drawn


def _legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    """What the panels have in common is there once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend([*found.values()], [*found], loc="outside lower center", frameon=False, fontsize=9, ncols=1)


class _Words:
    """The picture's words: of updates, or of what else the schedule counts."""

    def __init__(self, unit: str, t: float):
        if unit == "updates":
            self.unit_in_full = "update (optimizer step)"
            self.title, self.used = f"Resumed after update {t:g}", f"used up to update {t:g}"
            self.next, self.from_here = f"LR of update {t + 1:g}", f"from update {t + 1:g} on"
        else:
            self.unit_in_full = unit
            self.title, self.used = f"Resumed after {t:g} {unit}", f"used up to {t:g} {unit}"
            self.next, self.from_here = "the next LR", "from there on"

    def told(self, was: float, now: float) -> str:
        return f"{self.next}: was to be {short(was)}, is {short(now)}"

    def trajectory(self, trajectory: Trajectory, group: int, end: float = 0) -> str:
        """A trajectory in words; in a run that lasts longer than it, too."""
        text = f"{trajectory.settings.schedules[group]} over {trajectory.settings.horizon.num_updates} {trajectory.settings.horizon.unit}"
        if trajectory.stretches:
            text += ", stretched to " + " and then to ".join(
                f"{stretch.new_end}" for stretch in trajectory.stretches[::-1]
            )
        if trajectory.rewarm is not None:
            text += f", reached over {trajectory.rewarm.over}"
        if trajectory.cooldown_at is not None:
            text += f", cooled down from {trajectory.cooldown_at:g} on"
        if end > trajectory.end():
            text += ", then its last LR"
        return "\n".join(textwrap.wrap(text, 95, break_on_hyphens=False))
