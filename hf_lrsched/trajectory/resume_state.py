"""Resuming a run: the state of a checkpoint under the settings of the run that goes on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..schedules import ScheduleError
from .clocks import convert_position
from .plateaus import restore_plateaus
from .resume import check_group_count, check_on_resume, explain_refusal, is_same_data, resume_trajectory, rewarm
from .settings import RunSettings, format_lrs
from .state import MAX_EVENTS, STATE_VERSION, RunState
from .trajectory import Trajectory


@dataclass(frozen=True)
class Resume:
    """The outcome of a resume.

    Args:
        state ([`RunState`]): The state to go on with.
        before ([`Trajectory`] or `list[float]`, *optional*): What was to be: the checkpoint's trajectory, or the last LRs of
            another scheduler. `None` if the settings are the same, or differ in the batch size only.
        how (`str`, defaults to `same`): `same` settings; the same place in the data with another batch size (`epochs`); or the
            `on_resume` that was applied.
    """

    state: RunState
    before: Trajectory | list[float] | None = None
    how: str = "same"


def resume_state(state: RunState, saved: dict[str, Any], on_resume: str, order: Sequence[int] | None = None) -> Resume:
    """Continue under the settings of this run where a checkpoint stopped.

    Args:
        state ([`RunState`]): The state of this run before the resume. It is not changed.
        saved (`dict[str, Any]`): The checkpoint's: [`RunState.to_data`], or the state of a scheduler of torch.
        on_resume (`str`): One of [`RESUME_CHOICES`], for a checkpoint with other settings.
        order (`Sequence[int]`, *optional*): The position of each group in the checkpoint. Defaults to the same order.

    Raises:
        ScheduleError: The saved state is corrupted, or `on_resume` does not allow what differs.

    Example:
    ```python
    >>> from hf_lrsched import Horizon
    >>> old, new = (RunState.start(RunSettings("linear()", Horizon(n), peaks=(1.0,))) for n in (4, 8))
    >>> old.advance_to(2)
    >>> resume_state(new, old.to_data(), "keep").state.lrs(), resume_state(new, old.to_data(), "switch").state.lrs()
    ([0.5], [0.75])

    ```
    """
    if "version" not in saved:
        return _take_over(state, saved, on_resume)
    old = read_state(saved)
    if order is not None:
        old = _reorder_groups(old, order)
    if old.settings == state.settings:
        return Resume(_copy(state, old, old.trajectory, old.position))
    is_plain = replace(old.trajectory, cooldown_at=None) == Trajectory(old.settings)
    if is_plain and is_same_data(old.settings, state.settings):
        was, now, at = old.settings.horizon, state.settings.horizon, old.trajectory.cooldown_at
        trajectory = Trajectory(state.settings, cooldown_at=None if at is None else convert_position(at, was, now))
        resume = Resume(_copy(state, old, trajectory, convert_position(old.position, was, now)), None, "epochs")
    else:
        trajectory = resume_trajectory(old.trajectory, old.settings, state.settings, old.position, on_resume)
        resume = Resume(_copy(state, old, trajectory, old.position), old.trajectory, on_resume)
    new = resume.state
    if trajectory.rewarm is not None and trajectory.rewarm.at == old.position:
        # The climb begins at the LRs that were used, so the scale that holds from now on is taken out of them.
        lrs = tuple(lr / scale for lr, scale in zip(old.lrs(), new.scales, strict=True))
        new.trajectory = replace(trajectory, rewarm=replace(trajectory.rewarm, lrs=lrs))
    _record(new, resume.how, old.lrs())
    return resume


def read_state(data: dict[str, Any]) -> RunState:
    """Read the state of a checkpoint, with the settings of the run that wrote it.

    Raises:
        ScheduleError: The data is corrupted, or of another version.
    """
    if data["version"] != STATE_VERSION:
        raise ScheduleError(
            f"the checkpoint's schedule state has version {data['version']!r}; this version of hf-lrsched reads version "
            f"{STATE_VERSION}. Resume with the version that wrote it."
        )
    try:
        settings = RunSettings.from_data(data["settings"])
        trajectory = Trajectory(settings) if data["trajectory"] is None else Trajectory.from_data(data["trajectory"])
        owners = {name: {key: float(value) for key, value in each.items()} for name, each in data["owners"].items()}
        state = RunState(
            settings,
            trajectory,
            update=int(data["update"]),
            scale=float(data["scale"]),
            seconds=float(data["seconds"]),
            events=[dict(event) for event in data["events"]],
            owners=owners,
        )
        state.position = float(data["position"])
        if not len(data["plateaus"]) == restore_plateaus(state.plateaus, data["plateaus"]) == len(state.plateaus):
            raise ValueError(f"{len(data['plateaus'])} plateaus for a schedule with {len(state.plateaus)}")
        numbers = [state.update, state.position, state.seconds, state.scale]
        kept = [value for each in owners.values() for value in each.values()]
        if not (all(map(math.isfinite, numbers + kept)) and min(numbers) >= 0 and state.scale > 0):
            raise ValueError(f"update, position, seconds and scale are {numbers}, and the callbacks' values {kept}")
        for event in state.events:
            int(event["t"])
            if event["kind"] == "resume":
                str(event["how"]), [float(lr) for key in ("lr_before", "lr_after") for lr in event[key]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScheduleError(f"the checkpoint's schedule state is corrupted: {error!r}.") from error
    return state


def explain_resume(state: RunState) -> str:
    """Explain in one line the LR before and after the update at which a run goes on."""
    now = format_lrs(state.lrs())
    latest = state.events[-1] if state.events else {}
    if latest.get("kind") != "resume" or latest["t"] != state.update:
        return f"resumed after update {state.update}: the next LR is {now}, as planned"
    before = format_lrs(latest["lr_before"])
    how = "at the same place in the data" if latest["how"] == "epochs" else f"with on_resume={latest['how']!r}"
    change = ", as before" if now == before else f" instead of {before}"
    return f"resumed after update {state.update} {how}: the next LR is {now}{change}"


def _reorder_groups(state: RunState, order: Sequence[int]) -> RunState:
    """Return the state with its groups in another order."""
    new = replace(state, settings=state.settings.reorder(order), trajectory=state.trajectory.reorder(order))
    schedules = new.trajectory.settings.schedules
    in_order = sorted(state.plateaus, key=lambda plateau: schedules.index(plateau.schedule))
    for plateau, same in zip(new.plateaus, in_order, strict=True):
        plateau.state = same.state
    return new


def _copy(state: RunState, old: RunState, trajectory: Trajectory, position: float) -> RunState:
    """Return the old state under the settings of this run. A plateau goes on where the new schedules have the same one."""
    copied = {name: getattr(old, name) for name in ("update", "scale", "seconds", "events", "owners")}
    new = replace(state, trajectory=trajectory, offset=0.0, clock_position=0.0, **copied)
    new.position = position
    restore_plateaus(new.plateaus, [plateau.to_data() for plateau in old.plateaus])
    return new


def _take_over(state: RunState, saved: dict[str, Any], on_resume: str) -> Resume:
    """Continue from the state of a scheduler of torch, of which a position and the last LRs are known.

    The position is that of this run, if it is not at its start: another scheduler may have counted evaluations, or left out
    skipped updates.
    """
    try:
        update, before = int(saved["last_epoch"]), [float(lr) for lr in saved["_last_lr"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ScheduleError(
            f"the checkpoint's scheduler state was written neither by hf-lrsched nor by a torch scheduler: {error!r}."
        ) from error
    if not state.counts_updates:
        raise ScheduleError(
            f"cannot resume: the checkpoint is another scheduler's, which counted updates, and clock={state.settings.clock} "
            "does not. Resume with clock='updates'."
        )
    new = replace(state, trajectory=Trajectory(state.settings), update=state.update or update)
    check_group_count(len(before), len(new.peaks))
    if all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15) for x, y in zip(before, new.lrs(), strict=True)):
        return Resume(new)
    choice, over = check_on_resume(on_resume)
    if choice not in ("switch", "rewarm"):
        differences = ["the checkpoint is another scheduler's, whose curve is not known"]
        where = f"update {new.update}"
        raise ScheduleError(explain_refusal(differences, where, before, new.lrs(), ("switch", "rewarm")))
    if choice == "rewarm":
        new = replace(new, trajectory=rewarm(state.settings, new.update, before, over))
    _record(new, on_resume, before)
    return Resume(new, before, on_resume)


def _record(state: RunState, how: str, before: list[float]) -> None:
    event = {"kind": "resume", "t": state.update, "how": how, "lr_before": before, "lr_after": state.lrs()}
    state.events = [*state.events, event][-MAX_EVENTS:]
