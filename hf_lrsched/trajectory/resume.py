"""What on_resume means for the LRs of a run that goes on."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..schedules import ScheduleError, as_length
from ..schedules.errors import brief, nearest
from .clocks import Epochs, as_clock, moved
from .plateaus import restore, scales_of, times, track_plateaus
from .settings import RunSettings, listed
from .state import MOST_EVENTS, STATE_VERSION, Found
from .trajectory import Rewarm, Stretch, Trajectory, lrs_at

RESUME_CHOICES = {
    "strict": "refuse",
    "keep": "finish the old curve, then stay at its end",
    "stretch": "the rest of the old curve over the rest of the new run",
    "switch": "the new curve at the same position",
    "rewarm": "climb, or fall, from the checkpoint's LR to the new curve, over 5% of the run; 'rewarm(200)' over 200 updates",
}


def check_on_resume(on_resume: str) -> tuple[str, str | None]:
    """A choice and, for `rewarm(LENGTH)`, its length.

    Raises:
        ScheduleError: Not a choice.

    Example:
    ```python
    >>> check_on_resume("rewarm(2%)")
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
    if choice == "rewarm":
        over = str(as_length("5%" if over is None else over, "the length of rewarm()"))
    return choice, over


def same_data(was: RunSettings, new: RunSettings) -> bool:
    """Do both follow the passes over the data, with the same schedules, and differ in the batch's size alone?"""
    if not isinstance(as_clock(new.clock), Epochs) or replace(was, horizon=new.horizon) != new:
        return False
    run, per_epoch = was.horizon.num_updates, was.horizon.updates_per_epoch
    if not per_epoch or not new.horizon.updates_per_epoch:
        return False
    # The updates of a run are rounded up, for a part of an epoch and at each epoch's end.
    return abs(Fraction(run, per_epoch) * new.horizon.updates_per_epoch - new.horizon.num_updates) <= 1


def resume(old: Trajectory, was: RunSettings, new: RunSettings, t: float, on_resume: str) -> Trajectory:
    """The trajectory of a run that goes on at update t with settings that have changed.

    Args:
        old ([`Trajectory`]): The checkpoint's; what earlier resumes made of it included.
        was ([`RunSettings`]): Those of the run that wrote the checkpoint.
        new ([`RunSettings`]): Those of this run.
        t (`float`): The position: updates done, or what else the clock counts.
        on_resume (`str`): One of [`RESUME_CHOICES`].

    Raises:
        ScheduleError: `on_resume` is `strict`; or the choice is not possible here.
    """
    choice, over = check_on_resume(on_resume)
    if len(old.settings.peaks) != len(new.peaks):
        raise ScheduleError(
            f"can't resume: the checkpoint's optimizer has {len(old.settings.peaks)} parameter groups, this one "
            f"{len(new.peaks)}."
        )
    if was.horizon.unit != new.horizon.unit:
        raise ScheduleError(
            f"can't resume: the checkpoint's schedule counts {was.clock}, this one {new.clock}. A position in the one says "
            "nothing of the other; resume with the checkpoint's clock."
        )
    if old.cooldown_at is not None and choice in ("stretch", "rewarm"):
        raise ScheduleError(
            f"on_resume={choice!r} is not possible here: the checkpoint's run began its cooldown at {old.cooldown_at:g}. "
            "Finish it with 'keep', or go on with the new curve by 'switch'."
        )
    fresh = Trajectory(new)
    if choice == "strict":
        where = _where(t, new.horizon.unit)
        raise ScheduleError(refusal(was.differences(new), where, lrs_at(old, t), lrs_at(fresh, t), RESUME_CHOICES))
    if choice == "keep":
        return old
    if choice == "switch":
        return fresh
    if choice == "stretch":
        old_end = old.stretches[0].new_end if old.stretches else old.settings.horizon.num_updates
        if t >= min(old_end, new.horizon.num_updates):
            raise ScheduleError(
                f"on_resume='stretch': at {_where(t, new.horizon.unit)} nothing is left of the old curve's {old_end} "
                f"{new.horizon.unit} or of the new run's {new.horizon.num_updates}."
            )
        return replace(old, stretches=(Stretch(t, old_end, new.horizon.num_updates), *old.stretches))
    return rewarmed(new, t, lrs_at(old, t), over or "5%")


def rewarmed(new: RunSettings, t: float, lrs: list[float], over: str) -> Trajectory:
    """The new curve, reached from these LRs in a straight line."""
    updates = math.ceil(as_length(over).updates(new.horizon))
    if t + updates > new.horizon.num_updates:
        raise ScheduleError(
            f"rewarm({over}): {updates} {new.horizon.unit} from {_where(t, new.horizon.unit)} on, but the run has "
            f"{new.horizon.num_updates}."
        )
    return Trajectory(new, rewarm=Rewarm(t, updates, tuple(lrs)))


def refusal(
    differences: list[str], where: str, before: list[float], after: list[float], choices: dict[str, str]
) -> str:
    """Why a resume is refused, with the LRs and the choices."""
    lines = "\n".join(f"  {name!r}: {what}" for name, what in choices.items() if name != "strict")
    return (
        f"can't resume at {where}: {'; '.join(differences)}. The next update's LR is {listed(before)} by the checkpoint "
        f"and {listed(after)} by the new settings. Resume with the checkpoint's settings, or choose on_resume=\n{lines}"
    )


def _where(t: float, unit: str) -> str:
    return f"update {t:g}" if unit == "updates" else f"{t:.6g} {unit}"


def resumed(state: dict[str, Any], now: RunSettings, on_resume: str) -> Found:
    """Where a run with these settings goes on, by the state of a [`ScheduleLR`].

    Raises:
        ScheduleError: The state is damaged or of a newer version; or the settings differ in a way that `on_resume` does not
            allow.
    """
    version = state["version"]
    if not isinstance(version, int) or not 1 <= version <= STATE_VERSION:
        raise ScheduleError(
            f"the checkpoint's schedule state has version {version!r}; this hf-lrsched reads 1 to {STATE_VERSION}. Was "
            "it written by a newer version?"
        )
    try:
        t, events = int(state["t"]), [dict(event) for event in state["events"]]
        settings = RunSettings.from_data(state["settings"])
        old = Trajectory(settings) if state["trajectory"] is None else Trajectory.from_data(state["trajectory"])
        position = float(state.get("position", t))
        scale, seconds = float(state.get("scale", 1.0)), float(state.get("seconds", 0.0))
        guard = {str(name): float(value) for name, value in state.get("guard", {}).items()}
        remembered = [dict(each) for each in state.get("plateaus", ())]
        was = track_plateaus(old.curves(), old.settings.schedules)
        restore(was, remembered)
        if len(was) != len(remembered):
            raise ValueError(f"{len(remembered)} plateaus for a schedule with {len(was)}")
        if not (min(t, position, seconds) >= 0 and scale > 0 and math.isfinite(position * scale + seconds)):
            raise ValueError(f"t={t}, position={position}, scale={scale}, seconds={seconds}")
        if not all(map(math.isfinite, guard.values())):
            raise ValueError(f"guard={guard}")
        for event in events:
            _check_event(event)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScheduleError(f"the checkpoint's schedule state is damaged: {error!r}.") from error
    found = Found(t, position, old, was, scale, seconds, events, guard)
    if settings == now:
        return found
    plain = old == Trajectory(settings) or replace(old, cooldown_at=None) == Trajectory(settings)
    if same_data(settings, now) and plain:
        at = old.cooldown_at
        trajectory = Trajectory(now, cooldown_at=None if at is None else moved(at, settings.horizon, now.horizon))
        found.position = moved(position, settings.horizon, now.horizon)
    else:
        trajectory = resume(old, settings, now, position, on_resume)
        found.before = old
    # What each plateau() has seen stays with it, where the new schedules have the same one.
    found.plateaus = track_plateaus(trajectory.curves(), trajectory.settings.schedules)
    restore(found.plateaus, [each.to_data() for each in was])
    before = times(lrs_at(old, position), scales_of(old, was, scale))
    scales = scales_of(trajectory, found.plateaus, scale)
    if trajectory.rewarm is not None and trajectory.rewarm.at == position:
        # A climb from the LRs that were used: the scale that will hold is taken out of them.
        lrs = tuple(lr / scale for lr, scale in zip(before, scales, strict=True))
        trajectory = replace(trajectory, rewarm=replace(trajectory.rewarm, lrs=lrs))
    found.trajectory = trajectory
    after = times(lrs_at(trajectory, found.position), scales)
    how = on_resume if found.before is not None else "epochs"
    found.events = [*events, _resume_event(t, how, before, after)][-MOST_EVENTS:]
    return found


def taken_over(state: dict[str, Any], now: RunSettings, on_resume: str, updates_done: int | None = None) -> Found:
    """The same by the state of torch's own schedulers: what they have in common are a position and the last LRs.

    Args:
        state (`dict[str, Any]`): The scheduler's.
        now ([`RunSettings`]): Those of this run.
        on_resume (`str`): One of [`RESUME_CHOICES`].
        updates_done (`int`, *optional*): Updates behind the checkpoint, where they are known. The scheduler may have counted
            others: evaluations, as `ReduceLROnPlateau` does, or without those that were skipped.

    Raises:
        ScheduleError: It is no such state, or its LRs are not those of this curve and `on_resume` is not `switch` or `rewarm`.
    """
    try:
        t, before = int(state["last_epoch"]), [float(lr) for lr in state["_last_lr"]]
        t = t if updates_done is None else updates_done
    except (KeyError, TypeError, ValueError) as error:
        raise ScheduleError(
            f"the checkpoint's scheduler state is neither of hf-lrsched nor of a torch scheduler: {error!r}."
        ) from error
    if now.horizon.unit != "updates":
        raise ScheduleError(
            f"can't resume: the checkpoint is another scheduler's, which counted updates, and this one's clock is "
            f"{now.clock}."
        )
    trajectory = Trajectory(now)
    found = Found(t, float(t), trajectory, track_plateaus(trajectory.curves(), now.schedules), 1.0, 0.0, [])
    after = lrs_at(trajectory, t)
    if len(before) != len(after):
        raise ScheduleError(
            f"can't resume: the checkpoint's optimizer has {len(before)} parameter groups, this one {len(after)}."
        )
    if all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15) for x, y in zip(before, after, strict=True)):
        return found
    choice, over = check_on_resume(on_resume)
    possible = {name: what for name, what in RESUME_CHOICES.items() if name in ("switch", "rewarm")}
    if choice not in possible:
        differences = ["the checkpoint is another scheduler's, whose curve is not known"]
        raise ScheduleError(refusal(differences, f"update {t}", before, after, possible))
    found.trajectory = trajectory if choice == "switch" else rewarmed(now, t, before, over or "5%")
    found.before = before
    found.events = [_resume_event(t, on_resume, before, lrs_at(found.trajectory, t))]
    return found


def _check_event(event: dict[str, Any]) -> None:
    """Raises what a damaged one makes of the reading of it."""
    int(event["t"])
    if event["kind"] == "resume":
        str(event["how"]), [float(lr) for key in ("lr_before", "lr_after") for lr in event[key]]


def _resume_event(t: int, how: str, before: list[float], after: list[float]) -> dict[str, Any]:
    return {"kind": "resume", "t": t, "how": how, "lr_before": before, "lr_after": after}
