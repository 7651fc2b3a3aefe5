"""ScheduleCallback: drives whatever in a schedule does not follow from the number of updates, and checks the LR that is used."""

import logging
from typing import Any

from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from ..schedules.metric_names import keeps_the_worst
from .clock import ClockDriver
from .cooldown import CooldownDriver
from .lr_check import LRCheck
from .plateau import PlateauDriver
from .reported_settings import SettingsReporter
from .run_context import get_context
from .skipped_updates import SkippedUpdates

logger = logging.getLogger(__name__)


def _call_parts(event: str) -> Any:
    """Make the hook of that name, which calls those of all parts."""

    def hook(self: "ScheduleCallback", args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        return self._call(event, args, state, control, **kwargs)

    return hook


class ScheduleCallback(TrainerCallback):
    """Drive the schedule of a stock Trainer, and check that its LR is the one that trains.

    It may stand anywhere in `callbacks=`.

    - A `plateau()` gets the metrics of each evaluation that the Trainer makes in training. Each counts once, with any number of
      evaluation sets; `eval_on_start` and an `evaluate()` that a callback calls do not count.
    - A `cooldown()` begins when another callback asks at an evaluation that training stops (early stopping), at SIGTERM, when
      the time limit is near, or when a file called `start_cooldown` appears in the output folder. After it, the run ends
      with an evaluation and a checkpoint. A second SIGTERM saves and ends the run at once.
    - A clock of tokens, time or epochs moves the schedule, and ends the run when it is at its end.
    - A scheduler of another optimizer than the one that trains is an error before the first update. An LR that something else
      writes into the optimizer, or a scheduler that an earlier `train()` has used up, is a warning. Updates that are skipped
      after an fp16 overflow do not shift the end of the schedule.

    [`ScheduledTrainer`] has one. A scheduler of another library is checked as far as that is possible.

    Raises:
        ScheduleError: At the start of the training: the run cannot do what the schedule needs, such as a `plateau()` in a run
            without evaluations.

    Example:
    ```python
    scheduler = get_scheduler("(warmup(10%) >> linear()) * plateau()", optimizer, num_training_steps=345)
    trainer = Trainer(..., optimizers=(optimizer, scheduler), callbacks=[ScheduleCallback()])
    ```
    """

    def __init__(self) -> None:
        self._clock, self._cooldown = ClockDriver(), CooldownDriver()
        # In this order: the position is corrected first, and a plateau sees an evaluation before it starts the cooldown.
        self._parts = (SettingsReporter(), LRCheck(), SkippedUpdates(), self._clock, PlateauDriver(), self._cooldown)
        self._is_first = True

    def on_train_begin(self, args, state, control, **kwargs):
        run = get_context(state)
        # Of two in one list, one drives the schedule: an evaluation must not count twice.
        run.driver = run.driver or self
        self._is_first = run.driver is self
        if self._is_first and state.is_world_process_zero:
            _warn_of_best_metric(args)
        return self._call("on_train_begin", args, state, control, **kwargs)

    on_init_end = _call_parts("on_init_end")
    on_epoch_begin = _call_parts("on_epoch_begin")
    on_step_begin = _call_parts("on_step_begin")
    on_pre_optimizer_step = _call_parts("on_pre_optimizer_step")
    on_step_end = _call_parts("on_step_end")
    on_epoch_end = _call_parts("on_epoch_end")
    on_prediction_step = _call_parts("on_prediction_step")
    on_evaluate = _call_parts("on_evaluate")
    on_save = _call_parts("on_save")
    on_train_end = _call_parts("on_train_end")

    def release(self) -> None:
        """Give SIGTERM back its earlier handler, where a run ends without its `on_train_end`."""
        self._cooldown.release()

    def _call(self, event: str, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        for part in self._parts if self._is_first else ():
            if event == "on_evaluate" and part is self._cooldown and self._clock.is_over:
                continue  # the clock's request to stop is not early stopping
            control = getattr(part, event)(args, state, control, **kwargs) or control
        return control


def _warn_of_best_metric(args: TrainingArguments) -> None:
    metric, greater_is_better = args.metric_for_best_model, args.greater_is_better
    if args.eval_strategy == IntervalStrategy.NO or not keeps_the_worst(metric, greater_is_better):
        return
    better = "less" if greater_is_better else "more"
    logger.warning(
        f"Trainer will keep the worst checkpoint as the best: metric_for_best_model is {metric}, of which {better} is better, "
        f"but greater_is_better is {greater_is_better}. Set greater_is_better={not greater_is_better} in the training arguments "
        "(Trainer sets True for each name that does not end with loss)."
    )
