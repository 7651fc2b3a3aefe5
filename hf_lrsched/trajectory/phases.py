"""The phases of a schedule where a run follows them: with what resumes and an early cooldown made of them."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ..schedules import Curve, Horizon
from ..schedules.curve import Part, Piece
from ..schedules.families.cooldown import find_cooldown
from ..schedules.shapes import Array
from .settings import format_lrs
from .state import RunState
from .trajectory import Trajectory


def find_phases(trajectory: Trajectory, curve: Curve, offset: float = 0.0) -> list[Part]:
    """Return the phases of a group's curve where the run follows them.

    Args:
        trajectory ([`Trajectory`]): The LRs of the run.
        curve ([`Curve`]): The group's, one of `trajectory.curves()`.
        offset (`float`, defaults to 0): From the updates done to the position on the trajectory.
    """
    placed = []
    for part in curve.parts:
        start, end = _update_at(trajectory, part.start), _update_at(trajectory, part.end)
        placed.append(part._replace(start=start, end=end))
    rewarm, planned = trajectory.rewarm, find_cooldown(curve)
    if rewarm is not None:
        placed = _insert(placed, Part("rewarm", rewarm.at, rewarm.at + rewarm.over))
    if trajectory.cooldown_at is not None and planned is not None:
        cooldown = Part(str(planned.phase), trajectory.cooldown_at, trajectory.end())
        placed = [each for each in _insert(placed, cooldown) if each.start < cooldown.end]
    return [each._replace(start=each.start - offset, end=each.end - offset) for each in placed]


def _insert(placed: Sequence[Part], new: Part) -> list[Part]:
    before = [each._replace(end=min(each.end, new.start)) for each in placed]
    after = [each._replace(start=max(each.start, new.end)) for each in placed]
    return [each for each in (*before, new, *after) if each.end > each.start]


def _update_at(trajectory: Trajectory, position: float) -> float:
    """The update at which a trajectory is at a position of its curve: what `Trajectory.to_curve_position` does, backwards."""
    for stretch in reversed(trajectory.stretches):
        if position > stretch.at:
            longer = (stretch.new_end - stretch.at) / (stretch.old_end - stretch.at)
            position = stretch.at + (position - stretch.at) * longer
    return position


def get_followed_curve(state: RunState, group: int = 0) -> Curve:
    """Return the curve of a group as the run follows it, resumes included: its parts are those of the run.

    Example:
    ```python
    >>> from hf_lrsched import Horizon
    >>> from hf_lrsched.trajectory.resume_state import resume_state
    >>> from hf_lrsched.trajectory.settings import RunSettings
    >>> old, new = (RunState.start(RunSettings("warmup(2) >> linear()", Horizon(n), peaks=(1.0,))) for n in (4, 10))
    >>> old.advance_to(2)
    >>> [get_followed_curve(resume_state(new, old.to_data(), how).state)(7) for how in ("keep", "stretch")]
    [0.0, 0.375]

    ```
    """
    trajectory, curve, peak = state.trajectory, state.curves[group], state.peaks[group] or 1.0
    if trajectory == Trajectory(state.settings):
        return curve
    end = state.settings.horizon.num_updates
    if trajectory.cooldown_at is not None:
        end = min(math.ceil(trajectory.end(state.curves) - state.offset), end)
    parts = [
        phase._replace(start=math.ceil(phase.start), end=min(math.ceil(phase.end), end))
        for phase in find_phases(trajectory, curve, state.offset)
        if math.ceil(phase.start) < end
    ]
    if parts[-1].end < end:
        parts.append(Part("the last LR", parts[-1].end, end))

    def values(t: Array) -> Array:
        return trajectory.lrs(t + state.offset, state.curves)[group] / peak

    horizon = Horizon(end, state.settings.horizon.updates_per_epoch, unit=trajectory.settings.horizon.unit)
    return replace(curve, horizon=horizon, piece=Piece(0, end, values, tuple(parts)))


def explain_followed_schedule(state: RunState) -> str:
    """Return the schedule that a run follows in one line, with what resumes and an early cooldown made of it.

    Example:
    ```python
    >>> from hf_lrsched import Horizon
    >>> from hf_lrsched.trajectory.resume_state import resume_state
    >>> from hf_lrsched.trajectory.settings import RunSettings
    >>> old, new = (RunState.start(RunSettings(text, Horizon(n), peaks=(1.0,))) for text, n in (("linear()", 4), ("hold()", 8)))
    >>> old.advance_to(2)
    >>> for how in ("keep", "stretch", "switch", "rewarm(3)"):
    ...     print(explain_followed_schedule(resume_state(new, old.to_data(), how).state))
    linear() over 4 updates, then its last LR to update 8
    linear() over 4 updates, its rest from update 2 on stretched to update 8
    hold()
    hold(), from update 2 on reached in a straight line of 3 updates

    ```
    """
    trajectory, end = state.trajectory, state.settings.horizon.num_updates
    if trajectory.settings == state.settings:
        return trajectory.settings.schedule + explain_changes(trajectory, 0, state.curves)
    changes = explain_changes(trajectory, end, state.curves)
    return f"{trajectory.settings.schedule} over {trajectory.settings.horizon}{changes}"


def explain_changes(trajectory: Trajectory, end: float, curves: list[Curve] | None = None) -> str:
    """Explain what resumes and an early cooldown made of a schedule, in a run that lasts until `end`."""
    unit, text = trajectory.settings.horizon.unit, ""
    at = "update" if unit == "updates" else unit
    for stretch in reversed(trajectory.stretches):
        text += f", its rest from {at} {stretch.at:,.6g} on stretched to {at} {stretch.new_end:,}"
    if trajectory.rewarm is not None:
        text += f", from {at} {trajectory.rewarm.at:,.6g} on reached in a straight line of {trajectory.rewarm.over:,} {unit}"
    if trajectory.cooldown_at is not None:
        text += f", its cooldown from {at} {trajectory.cooldown_at:,.6g} on"
    elif trajectory.end(curves) < end:
        text += f", then its last LR to {at} {end:,}"
    return text


def list_unused_settings(state: RunState) -> list[str]:
    """Return the settings of this run that have no effect, since it follows the curve of the checkpoint."""
    given, used = state.settings, state.trajectory.settings
    unused = [f"schedule={given.schedule!r}"] if given.schedule != used.schedule else []
    if given.peaks != used.peaks:
        unused.append(f"peak LR {format_lrs(given.peaks)}")
    if given.own_schedules != used.own_schedules:
        unused.append("the groups' own schedules")
    return unused
