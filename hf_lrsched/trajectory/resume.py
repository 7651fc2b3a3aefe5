"""on_resume: the LRs of a run that goes on with other settings than its checkpoint's."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from ..schedules import Length, ScheduleError, as_length
from ..schedules.errors import brief, nearest
from ..schedules.numbers import format_count
from .clocks import Epochs, as_clock
from .settings import RunSettings, format_lrs
from .trajectory import Rewarm, Stretch, Trajectory

RESUME_CHOICES = {
    "strict": "refuse",
    "keep": "finish the old curve, then stay at its end",
    "stretch": "the rest of the old curve over the rest of the new run",
    "switch": "the new curve at the same position",
    "rewarm": "climb, or fall, from the checkpoint's LR to the new curve, over 5% of the run; 'rewarm(200)' over 200 updates",
}


def check_on_resume(on_resume: str) -> tuple[str, Length]:
    """Return the choice and the length of `rewarm(LENGTH)`, 5 % where none is given.

    Raises:
        ScheduleError: Not a choice.

    Example:
    ```python
    >>> choice, over = check_on_resume("rewarm(2%)")
    >>> choice, str(over)
    ('rewarm', '2%')

    ```
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", on_resume) if isinstance(on_resume, str) else None
    choice = match[1] if match else ""
    if choice not in RESUME_CHOICES or (match and match[2] is not None and choice != "rewarm"):
        raise ScheduleError(
            f"on_resume must be one of {', '.join(RESUME_CHOICES)} or rewarm(LENGTH), got {brief(on_resume)}."
            f"{nearest(str(on_resume), RESUME_CHOICES)}"
        )
    over = match[2] if match else None
    return choice, as_length("5%" if over is None else over, "the length of rewarm()")


def is_same_data(was: RunSettings, new: RunSettings) -> bool:
    """Return whether both follow the passes over the data with the same schedules, and differ in the batch size only."""
    if not isinstance(as_clock(new.clock), Epochs) or replace(was, horizon=new.horizon) != new:
        return False
    run, per_epoch = was.horizon.num_updates, was.horizon.updates_per_epoch
    if not per_epoch or not new.horizon.updates_per_epoch:
        return False
    # The updates of a run are rounded up, for a part of an epoch and at each epoch's end.
    return abs(Fraction(run, per_epoch) * new.horizon.updates_per_epoch - new.horizon.num_updates) <= 1


def resume_trajectory(old: Trajectory, was: RunSettings, new: RunSettings, t: float, on_resume: str) -> Trajectory:
    """Return the trajectory of a run that goes on at position t with other settings.

    Args:
        old ([`Trajectory`]): The checkpoint's, with what earlier resumes made of it.
        was ([`RunSettings`]): The settings of the run that wrote the checkpoint.
        new ([`RunSettings`]): The settings of this run.
        t (`float`): The position: updates done, or what else the clock counts.
        on_resume (`str`): One of [`RESUME_CHOICES`].

    Raises:
        ScheduleError: `on_resume` is `strict`, or the choice is not possible here.
    """
    choice, over = check_on_resume(on_resume)
    check_group_count(len(old.settings.peaks), len(new.peaks))
    if was.horizon.unit != new.horizon.unit:
        raise ScheduleError(
            f"cannot resume: the checkpoint's schedule counts {was.clock}, this one {new.clock}. The position in one "
            "is not known in the other: resume with the checkpoint's clock."
        )
    if old.cooldown_at is not None and choice in ("stretch", "rewarm"):
        raise ScheduleError(
            f"on_resume={choice!r} is not possible here: the checkpoint's run began its cooldown at {old.cooldown_at:g}. "
            "Choose 'keep' to finish the cooldown, or 'switch' for the new curve."
        )
    fresh = Trajectory(new)
    if choice == "strict":
        where = _format_position(t, new.horizon.unit)
        raise ScheduleError(explain_refusal(was.differences(new), where, old.lrs_at(t), fresh.lrs_at(t)))
    if t >= new.horizon.num_updates:
        raise ScheduleError(
            f"on_resume={on_resume!r}: nothing is left to train, since the checkpoint is at {_format_position(t, new.horizon.unit)} "
            f"and the new run has {new.horizon.num_updates} {new.horizon.unit}. Is the data smaller than before? Train for "
            "longer, or resume with the checkpoint's settings."
        )
    if choice == "keep":
        return old
    if choice == "switch":
        return fresh
    if choice == "stretch":
        old_end = old.stretches[0].new_end if old.stretches else old.settings.horizon.num_updates
        if t >= old_end:
            raise ScheduleError(
                f"on_resume='stretch': at {_format_position(t, new.horizon.unit)} nothing is left of the old curve's {old_end} "
                f"{new.horizon.unit}. Choose 'keep' or 'switch'."
            )
        return replace(old, stretches=(Stretch(t, old_end, new.horizon.num_updates), *old.stretches))
    return rewarm(new, t, old.lrs_at(t), over)


def check_group_count(was: int, now: int) -> None:
    """Refuse an optimizer with another number of parameter groups."""
    if was != now:
        raise ScheduleError(
            f"cannot resume: the checkpoint's optimizer has {format_count(was, 'parameter group')}, this one {now}."
        )


def rewarm(new: RunSettings, t: float, lrs: list[float], over: Length) -> Trajectory:
    """Return the new curve, reached in a straight line from these LRs."""
    updates = math.ceil(over.updates(new.horizon))
    if t + updates > new.horizon.num_updates:
        raise ScheduleError(
            f"rewarm({over}): {updates} {new.horizon.unit} from {_format_position(t, new.horizon.unit)} on, but the run has "
            f"{new.horizon.num_updates}."
        )
    return Trajectory(new, rewarm=Rewarm(t, updates, tuple(lrs)))


def explain_refusal(
    differences: list[str], where: str, before: list[float], after: list[float], choices: Iterable[str] = RESUME_CHOICES
) -> str:
    """Explain why a resume is refused, with both LRs and the choices."""
    lines = "\n".join(f"  {name!r}: {RESUME_CHOICES[name]}" for name in choices if name != "strict")
    return (
        f"cannot resume at {where}: {'; '.join(differences)}. The next update's LR is {format_lrs(before)} by the checkpoint "
        f"and {format_lrs(after)} by the new settings. Resume with the checkpoint's settings, or choose on_resume=\n{lines}"
    )


def _format_position(t: float, unit: str) -> str:
    return f"update {t:g}" if unit == "updates" else f"{t:.6g} {unit}"
