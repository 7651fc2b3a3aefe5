"""PlateauDriver: reports each evaluation to the schedule's plateau(), once."""

import logging
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy

from ..console import print_text
from ..integrations.distributed import on_main_process
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..trajectory.state import explain_rescale

logger = logging.getLogger(__name__)


class PlateauDriver(TrainerCallback):
    """Reports the evaluations that the Trainer makes in training to a [`ScheduleLR`] with `plateau()`. A part of
    [`ScheduleCallback`].

    Each counts once, with any number of evaluation sets. One at the start of the run (`eval_on_start`) and one that a callback
    makes by calling `evaluate()` do not count. The main process's values hold for all. An evaluation without the metric of a
    `plateau()` is an error: at `eval_on_start` before the first update, later after a checkpoint is saved.
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None
        self._reset()

    def _reset(self) -> None:
        self._has_trained = False
        self._metrics: dict[str, Any] = {}
        self._is_due = self._is_reported = False
        self._error: ScheduleError | None = None

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        self._reset()
        self._scheduler = None
        if not isinstance(lr_scheduler, ScheduleLR) or not lr_scheduler.run_state.plateaus:
            return
        if args.eval_strategy == IntervalStrategy.NO:
            raise ScheduleError(
                f"{lr_scheduler.run_state.plateaus[0].reaction.phase} needs evaluations, but eval_strategy is 'no'. Set "
                "eval_strategy='epoch', or 'steps' with eval_steps."
            )
        self._scheduler = lr_scheduler
        lr_scheduler.declare_driven("plateau")
        lr_scheduler.run_state.set_best_metric(args.metric_for_best_model, args.greater_is_better)
        rules = [plateau.rule for plateau in lr_scheduler.run_state.plateaus if state.is_world_process_zero]
        for rule in {rule.metric: rule for rule in rules}.values():
            if hint := rule.suggest_name(args.metric_for_best_model):
                logger.warning(
                    f"plateau(metric={rule.metric}): no metric of this name is known.{hint} The first evaluation without it would end "
                    "the run; with eval_on_start=True this shows before the first update."
                )

    def on_step_begin(self, args, state, control, **kwargs):
        if self._scheduler is None:
            return
        if not self._has_trained and self._metrics:  # of an evaluation before the first update
            for tracker in self._scheduler.run_state.plateaus:
                tracker.rule.read(self._metrics)
        self._has_trained = True
        self._check_reported(self._scheduler)
        self._metrics, self._is_reported = {}, False

    def on_step_end(self, args, state, control, **kwargs):
        self._is_due = control.should_evaluate
        if self._error is not None:
            control.should_save = True

    def on_epoch_end(self, args, state, control, **kwargs):
        self._is_due = self._is_due or control.should_evaluate

    def on_prediction_step(self, args, state, control, **kwargs):
        # The flag is set until the evaluation is over, also where a callback after this one has set it.
        self._is_due = self._is_due or control.should_evaluate

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        scheduler = self._scheduler
        if scheduler is None or (self._has_trained and not self._is_due):
            return
        self._metrics |= metrics or {}
        names = scheduler.run_state.list_required_metrics()
        if not self._is_due or self._is_reported or not all(name in self._metrics for name in names):
            return  # with several evaluation sets, the metric may be one of the next set
        self._is_reported = True
        values = {name: self._metrics[name] for name in names}
        try:
            events = scheduler.observe(on_main_process(lambda: values))
        except ScheduleError as error:
            self._fail(error)
            control.should_save = True
            return
        for event in events if state.is_world_process_zero else ():
            print_text(f"update {event['t']}: plateau, {event['cause']}: {explain_rescale(scheduler.run_state, event)}")

    def on_save(self, args, state, control, **kwargs):
        if self._error is not None:
            raise self._error

    def on_train_end(self, args, state, control, **kwargs):
        if self._scheduler is not None:
            self._check_reported(self._scheduler)
        if self._error is not None:  # the training is over, and the caller still wants to save the model
            logger.error(str(self._error))
        self._scheduler = None

    def _check_reported(self, scheduler: ScheduleLR) -> None:
        if self._is_due and not self._is_reported:
            try:
                scheduler.observe(self._metrics)
            except ScheduleError as error:
                self._fail(error)
        self._is_due = False

    def _fail(self, error: ScheduleError) -> None:
        self._error = self._error or ScheduleError(f"{error} A checkpoint was saved before this error.")
