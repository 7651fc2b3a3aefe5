"""Ending a training run, and overruling what another callback asks for: its end, or a checkpoint."""

from collections.abc import Callable
from typing import Any

import transformers
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy


def end_run(args: TrainingArguments, control: transformers.TrainerControl) -> None:
    """Ends the run after this update: with a last record, an evaluation where the run has any, and a checkpoint."""
    control.should_training_stop = True
    control.should_save = True
    control.should_log = control.should_log or args.logging_strategy != IntervalStrategy.NO
    control.should_evaluate = control.should_evaluate or args.eval_strategy != IntervalStrategy.NO


class TrainerControl(transformers.TrainerControl):
    """Trainer's control, with a say in whether a request to stop or to save is obeyed.

    A callback that comes later in the list asks to stop after the hooks of the earlier ones, and Trainer leaves its loop before
    it calls them again. So an earlier one that has another use for the request must get it when it is made.

    The class has the name of Trainer's, under which checkpoints keep its state.
    """

    #: Takes a request to stop; returns whether it has dealt with it, so that training goes on.
    defer_stop: Callable[[], bool] | None = None
    #: Whether each request to save is ignored.
    forbids_save = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "should_training_stop" and value and self.defer_stop is not None and self.defer_stop():
            return
        super().__setattr__(name, False if name == "should_save" and self.forbids_save else value)


def to_own_control(control: transformers.TrainerControl) -> TrainerControl:
    """Return the control as one of this class; a hook that returns it puts it in the other one's place."""
    return control if isinstance(control, TrainerControl) else TrainerControl(**control.state()["args"])


def forbid_saving(control: transformers.TrainerControl) -> TrainerControl:
    """Return the control of a run that saves no more, whoever asks for it: see [`to_own_control`]."""
    control.should_save = False
    own = to_own_control(control)
    own.forbids_save = True
    return own
