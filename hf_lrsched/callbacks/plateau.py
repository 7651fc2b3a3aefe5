"""PlateauCallback: tells the schedule's plateau() of each evaluation, once."""

import logging
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from ..integrations.distributed import on_main_process
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError

logger = logging.getLogger(__name__)


class PlateauCallback(TrainerCallback):
    """Tells a [`ScheduleLR`] with `plateau()` of the evaluations that the Trainer makes in training.

    Each counts once, with any number of evaluation sets; one at the start of the run (`eval_on_start`) and one that is
    called by hand do not count. The main process's values hold for all. An evaluation without the metric that is followed
    is an error: at `eval_on_start` before the first update, later after a checkpoint is saved.

    [`ScheduledTrainer`] has one. For a stock Trainer:

    ```python
    trainer = Trainer(..., optimizers=(optimizer, scheduler), callbacks=[LRCheck(), PlateauCallback()])
    ```
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None
        self._forget()

    def _forget(self) -> None:
        self._update = -1
        self._metrics: dict[str, Any] = {}
        self._is_due = self._is_told = False
        self._error: ScheduleError | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._forget()
        scheduler = kwargs.get("lr_scheduler")
        self._scheduler = scheduler if isinstance(scheduler, ScheduleLR) and scheduler.plateaus else None
        if self._scheduler is None:
            return
        if args.eval_strategy == IntervalStrategy.NO:
            raise ScheduleError(
                f"{self._scheduler.plateaus[0].reaction.phase} follows evaluations, and there are none: eval_strategy is "
                "'no'. Set eval_strategy='epoch', or 'steps' with eval_steps."
            )
        self._scheduler.attended.add("plateau")
        self._scheduler.follow(args.metric_for_best_model, args.greater_is_better)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._scheduler is None:
            return
        if self._update < 0 and self._metrics:  # an evaluation before the first update shows what there will be
            for tracker in self._scheduler.plateaus:
                tracker.rule.value(self._metrics)
        self._look_whether_it_was_told(self._scheduler)
        self._update = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._metrics, self._is_told = {}, False
        self._is_due = control.should_evaluate
        if self._error is not None:
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._is_due = self._is_due or control.should_evaluate

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._scheduler is None:
            return
        self._metrics |= metrics or {}
        wanted = self._scheduler.metrics_wanted()
        if not self._is_due or self._is_told or not all(name in self._metrics for name in wanted):
            return  # with several evaluation sets, the metric may be the next one's
        self._is_told = True
        values = {name: self._metrics[name] for name in wanted}
        try:
            events = self._scheduler.observe(on_main_process(lambda: values))
        except ScheduleError as error:
            self._fail(error)
            control.should_save = True
            return
        for event in events if state.is_world_process_zero else ():
            print(
                f"update {event['t']}: plateau, {event['cause']}: the LR goes from {event['lr_before']:.4g} to "
                f"{event['lr_after']:.4g} (scale {event['scale_before']:.4g} to {event['scale_after']:.4g})",
                flush=True,
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._error is not None:
            raise self._error

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._scheduler is not None:
            self._look_whether_it_was_told(self._scheduler)
        if self._error is not None:  # the training is done, and whoever called it still wants to save the model
            logger.error(str(self._error))
        self._scheduler = None

    def _look_whether_it_was_told(self, scheduler: ScheduleLR) -> None:
        if self._is_due and not self._is_told:
            try:
                scheduler.observe(self._metrics)
            except ScheduleError as error:
                self._fail(error)
        self._is_due = False

    def _fail(self, error: ScheduleError) -> None:
        self._error = self._error or ScheduleError(f"{error} A checkpoint was saved before this error.")
