"""The plot of a resume with other settings: the learning rate that was planned, and the one from here on."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schedules import ScheduleError
from ..schedules.shapes import Array
from ..trajectory.phases import explain_changes
from ..trajectory.trajectory import Trajectory
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OLD, _NEW = style.COLOURS[:2]
_PLANNED: dict[str, Any] = {"color": _OLD, "linestyle": (0, (5, 2.5)), "linewidth": 1.5, "zorder": 3}
_USED: dict[str, Any] = {"color": _OLD, "linestyle": "-", "linewidth": 2.2}
_NEXT: dict[str, Any] = {"color": _NEW, "linestyle": "-", "linewidth": 2.2}
_DOTS: dict[str, Any] = {"markersize": 7, "linestyle": "none", "clip_on": False, "zorder": 5}

#: Parameter groups that are drawn at most: those whose curves differ.
_MAX_GROUPS = 3
#: Longer runs are drawn by so many of their updates.
_MAX_POINTS = 10_000

#: Updates, with the factor by which the LRs were multiplied from there on.
Drops = Sequence[tuple[float, float]]


@style.house_style
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
    drops: Drops = (),
    scales: Sequence[float] | None = None,
) -> "Figure":
    """Draw a resume: the LR that was planned (dashed), the one that was used, and the one from here on.

    The first parameter group is drawn, and of the others those whose curves have another shape, up to three in all. No
    display is needed.

    Args:
        before ([`Trajectory`] or `Sequence[float]`): The trajectory of the checkpoint's run; where it is not known, as in a
            checkpoint of the stock Trainer, the LR of each group that it holds.
        after ([`Trajectory`]): The trajectory with which the run resumes.
        t (`float`): The updates done, or what else the schedule counts.
        path (`str` or `Path`, *optional*): Where to save the plot; the ending gives its format, e.g. `.png`.
        on_resume (`str`, *optional*): The choice, for the title.
        end (`float`, *optional*): All updates of the resumed run. Defaults to where `after` ends.
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
        ScheduleError: The two have different numbers of parameter groups.
        ImportError: Matplotlib is missing.

    Example:
    ```python
    old = Trajectory(RunSettings("linear()", Horizon(8), (2e-5,)))
    new = Trajectory(RunSettings("linear()", Horizon(12), (2e-5,)))
    draw_resume(old, new, t=5, path="resume.png", on_resume="switch")
    ```
    """
    horizon, count = after.settings.horizon, len(after.settings.peaks)
    count_before = len(before.settings.peaks if isinstance(before, Trajectory) else before)
    if count_before != count:
        raise ScheduleError(f"cannot draw a resume from {count_before} parameter groups to {count}.")
    dropped = [_get_drops(before, group, drops) for group in range(count)]
    totals = [math.prod(factor for _, factor in each) for each in dropped]
    scales = totals if scales is None else scales
    was = np.multiply(before.lrs_at(t), totals) if isinstance(before, Trajectory) else before
    now = np.multiply(after.lrs_at(t), scales)
    end = after.end() if end is None else end
    last = max(end, t + 1, before.end() if isinstance(before, Trajectory) else 0)
    groups = _groups_that_differ(before, after, last)
    figure, panels = style.make_panels(9, 3.4 + 1.9 * len(groups), [1] * len(groups))

    here = f"update {t:g}" if horizon.unit == "updates" else f"{t:g} {horizon.unit}"
    for axes, group in zip(panels, groups, strict=True):
        lines: list[tuple[tuple[Array, Array], str, dict[str, Any]]] = []
        if isinstance(before, Trajectory):
            planned = _points(before, group, since, before.end(), dropped[group])
            lines.append((planned, f"was planned: {_describe(before, group)}", _PLANNED))
            lines.append((_points(before, group, since, t, dropped[group]), f"used up to {here}", _USED))
        to_come = _points(after, group, t, end, [(0.0, scales[group])])
        lines.append((to_come, f"from there on: {_describe(after, group, end)}", _NEXT))
        for points, label, look in lines:
            # The LR of update u holds from u - 1 to u, as in the other plots.
            axes.plot(*points, label=label, drawstyle="steps-post", **look)
        label = "_" if isinstance(before, Trajectory) else "the checkpoint's LR, whose curve is not known"
        axes.plot([t], [was[group]], "o", markerfacecolor="none", markeredgewidth=1.6, color=_OLD, label=label, **_DOTS)
        axes.plot([t], [now[group]], "o", color=_NEW, **_DOTS)
        axes.axvline(t, color="#888888", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        name = "" if count == 1 else f"{style.plain(names[group]) if names else f'group_{group}'}: "
        changed = f"{style.format_lr(was[group])} was planned, {style.format_lr(now[group])} is used"
        axes.set_title(f"{name}next LR: {changed}", loc="left", fontsize=9.5)
        axes.set_ylabel("learning rate")
        style.set_lr_axis(axes)
        style.draw_grid(axes)
    panels[-1].set_xlim(-0.01 * last, 1.01 * last)
    style.set_update_axis(panels[-1], horizon.updates_per_epoch, panels[0], horizon.unit)
    title = f"Resumed after {here}" + ("" if on_resume is None else f" with on_resume={on_resume!r}")
    return style.finish(figure, panels, title, path, max_columns=1)


def _get_drops(trajectory: Trajectory | Sequence[float], group: int, drops: Drops) -> Drops:
    """A plateau's drops are those of the groups that have its schedule."""
    if not isinstance(trajectory, Trajectory):
        return []
    has_plateau = ["plateau(" in schedule for schedule in trajectory.settings.schedules]
    return drops if not any(has_plateau) or has_plateau[group : group + 1] == [True] else []


def _points(trajectory: Trajectory, group: int, start: float, end: float, drops: Drops) -> tuple[Array, Array]:
    """Return the LRs of a group from one position to another; the last one twice, so that its step has a width."""
    if end <= start:
        return np.array([]), np.array([])
    updates = _positions(start, end)
    lrs = trajectory.lrs(updates)[group]
    for at, factor in drops:
        lrs = np.where(updates < at, lrs, lrs * factor)
    return np.append(updates, float(end)), np.append(lrs, lrs[-1])


def _positions(start: float, end: float) -> Any:
    if end - start <= _MAX_POINTS:
        return np.arange(start, end)
    return np.unique(np.linspace(start, end - 1, _MAX_POINTS).round())


def _groups_that_differ(before: Trajectory | Sequence[float], after: Trajectory, end: float) -> list[int]:
    """Return the first group, and of the others those whose share of their peak differs somewhere."""
    updates = _positions(0, end)
    trajectories = [each for each in (before, after) if isinstance(each, Trajectory)]
    shares = [
        [lrs / (peak or 1.0) for lrs, peak in zip(each.lrs(updates), each.settings.peaks, strict=True)]
        for each in trajectories
    ]
    found: list[int] = []
    for group in range(len(after.settings.peaks)):
        is_frozen = found and not any(share[group].any() for share in shares)
        same = (all(np.allclose(share[group], share[other]) for share in shares) for other in found)
        if len(found) < _MAX_GROUPS and not is_frozen and not any(same):
            found.append(group)
    return found


def _describe(trajectory: Trajectory, group: int, end: float = 0) -> str:
    """Return a trajectory in words; in a run that lasts longer than it, too."""
    horizon = trajectory.settings.horizon
    text = f"{trajectory.settings.schedules[group]} over {horizon.num_updates} {horizon.unit}"
    text += explain_changes(trajectory, end)
    return "\n".join(textwrap.wrap(text, 95, break_on_hyphens=False))
