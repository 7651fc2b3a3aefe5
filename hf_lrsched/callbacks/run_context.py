"""RunContext: what the callbacks of one run share. It hangs on Trainer's state, which every hook is given, so their order never matters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback, TrainerState

from ..integrations.deepspeed import steps_within_backward
from .used_lrs import UsedLRs

# Not a field of TrainerState: it is in no checkpoint, and every train() begins with a new one.
_ATTRIBUTE = "_hf_lrsched"


@dataclass
class RunContext:
    """What the callbacks of one run share.

    Args:
        used_lrs ([`UsedLRs`]): The LRs of the latest update.
        step_sizes (`dict[str, float]`): What `StepSizes` measured at the latest update, until the next one begins.
        driver (`object`, *optional*): The `ScheduleCallback` that drives the schedule.
        note (`Callable`, *optional*): Adds an event to the record of this run, where it has a `RunRecorder`.
    """

    used_lrs: UsedLRs = field(default_factory=UsedLRs)
    step_sizes: dict[str, float] = field(default_factory=dict)
    driver: object | None = None
    note: Callable[[TrainerState, dict[str, Any]], None] | None = None


def get_context(state: TrainerState) -> RunContext:
    """Return what the callbacks of the run of this state share."""
    found: RunContext | None = getattr(state, _ATTRIBUTE, None)
    if found is None:
        found = RunContext()
        setattr(state, _ATTRIBUTE, found)
    return found


def note_event(state: TrainerState, event: dict[str, Any]) -> None:
    """Add an event that changed no LR to the record of the run, if the run has a [`RunRecorder`].

    Args:
        state (`TrainerState`): The Trainer's.
        event (`dict[str, Any]`): Its `kind`, its `cause` and whatever else belongs to it: plain data.
    """
    note = get_context(state).note
    if note is not None:
        note(state, event)


class ReadsUsedLRs(TrainerCallback):
    """Base of the callbacks that need the LRs of the latest update. The first one in the list reads them for all."""

    def on_step_begin(self, args, state, control, **kwargs):
        if steps_within_backward(kwargs.get("lr_scheduler")):
            get_context(state).used_lrs.read(state.global_step + 1, kwargs["optimizer"].param_groups)

    def on_optimizer_step(self, args, state, control, **kwargs):
        if not steps_within_backward(kwargs.get("lr_scheduler")):
            get_context(state).used_lrs.read(state.global_step + 1, kwargs["optimizer"].param_groups)
