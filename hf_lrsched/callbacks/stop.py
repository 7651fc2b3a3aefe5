"""Ending a training run, and deferring a request of another callback to end it."""

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
    """Trainer's control, with a say in whether a request to stop is obeyed.

    A callback that comes later in the list asks to stop after the hooks of the earlier ones, and Trainer leaves its loop before
    it calls them again. So an earlier one that has another use for the request must get it when it is made.

    The class has the name of Trainer's, under which checkpoints keep its state.
    """

    #: Takes a request to stop; returns whether it has dealt with it, so that training goes on.
    defer_stop: Callable[[], bool] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "should_training_stop" and value and self.defer_stop is not None and self.defer_stop():
            return
        super().__setattr__(name, value)


def with_deferred_stop(control: transformers.TrainerControl) -> TrainerControl:
    """Return the control with a `defer_stop`; a hook that returns it puts it in the other one's place."""
    return TrainerControl(**control.state()["args"])
