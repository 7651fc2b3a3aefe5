"""Where a run goes on, by the scheduler's state in a checkpoint. Pure: states in, positions and courses out."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from ..schedules import ScheduleError
from .clocks import moved
from .plateaus import Watcher, restore, scales_of, times, watchers_of
from .trajectory import (
    RESUME_CHOICES,
    Course,
    Settings,
    check_on_resume,
    lrs_at,
    refusal,
    resume,
    rewarmed,
    same_data,
)

STATE_VERSION = 2

# The state must not grow with the run: of its events, the latest.
MOST_EVENTS = 16


@dataclass
class Found:
    """What a checkpoint says of where a run goes on."""

    t: int
    position: float
    course: Course
    watchers: list[Watcher]
    scale: float
    seconds: float
    events: list[dict[str, Any]]
    guard: dict[str, float] = field(default_factory=dict)
    before: Course | list[float] | None = None


def resumed(state: dict[str, Any], now: Settings, on_resume: str) -> Found:
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
        settings = Settings.from_data(state["settings"])
        old = Course(settings) if state["course"] is None else Course.from_data(state["course"])
        position = float(state.get("position", t))
        scale, seconds = float(state.get("scale", 1.0)), float(state.get("seconds", 0.0))
        guard = {str(name): float(value) for name, value in state.get("guard", {}).items()}
        remembered = [dict(each) for each in state.get("plateaus", ())]
        was = watchers_of(old.curves(), old.settings.schedules)
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
    plain = old == Course(settings) or replace(old, cooldown_at=None) == Course(settings)
    if same_data(settings, now) and plain:
        at = old.cooldown_at
        course = Course(now, cooldown_at=None if at is None else moved(at, settings.horizon, now.horizon))
        found.position = moved(position, settings.horizon, now.horizon)
    else:
        course = resume(old, settings, now, position, on_resume)
        found.before = old
    # What each plateau() has seen stays with it, where the new schedules have the same one.
    found.watchers = watchers_of(course.curves(), course.settings.schedules)
    restore(found.watchers, [each.to_data() for each in was])
    before = times(lrs_at(old, position), scales_of(old, was, scale))
    scales = scales_of(course, found.watchers, scale)
    if course.rewarm is not None and course.rewarm.at == position:
        # A climb from the LRs that were used: the scale that will hold is taken out of them.
        lrs = tuple(lr / scale for lr, scale in zip(before, scales, strict=True))
        course = replace(course, rewarm=replace(course.rewarm, lrs=lrs))
    found.course = course
    after = times(lrs_at(course, found.position), scales)
    how = on_resume if found.before is not None else "epochs"
    found.events = [*events, _resume_event(t, how, before, after)][-MOST_EVENTS:]
    return found


def taken_over(state: dict[str, Any], now: Settings, on_resume: str, updates_done: int | None = None) -> Found:
    """The same by the state of torch's own schedulers: what they have in common are a position and the last LRs.

    Args:
        state (`dict[str, Any]`): The scheduler's.
        now ([`Settings`]): Those of this run.
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
    course = Course(now)
    found = Found(t, float(t), course, watchers_of(course.curves(), now.schedules), 1.0, 0.0, [])
    after = lrs_at(course, t)
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
    found.course = course if choice == "switch" else rewarmed(now, t, before, over or "5%")
    found.before = before
    found.events = [_resume_event(t, on_resume, before, lrs_at(found.course, t))]
    return found


def _check_event(event: dict[str, Any]) -> None:
    """Raises what a damaged one makes of the reading of it."""
    int(event["t"])
    if event["kind"] == "resume":
        str(event["how"]), [float(lr) for key in ("lr_before", "lr_after") for lr in event[key]]


def _resume_event(t: int, how: str, before: list[float], after: list[float]) -> dict[str, Any]:
    return {"kind": "resume", "t": t, "how": how, "lr_before": before, "lr_after": after}
