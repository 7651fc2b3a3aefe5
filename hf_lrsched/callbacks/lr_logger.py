"""LRLogger: the learning rate that was used, beside every metric."""

import functools
from collections.abc import Callable
from typing import Any

from transformers import TrainerControl, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from .shared import ReadsUsedLRs, shared
from .used_lrs import UsedLRs


class LRLogger(ReadsUsedLRs):
    """Adds the LR of the update before each evaluation to the record of that evaluation.

    A record gets `eval_learning_rate`, the LR of the first group as in Trainer's own `learning_rate`. Where the groups'
    LRs differ, it also gets `eval_lr/<name>` for each; the name is the group's `"name"`, else `group_0`, `group_1`, ….
    LRs are read from the optimizer that steps, at its step. Every evaluation, and the end of the run, is preceded by a
    training record, so that a run shorter than `logging_steps` also shows its loss and LR (`logging_strategy="no"` is
    respected).

    A callback reaches `state.log_history`, and with it `trainer_state.json` and the model card, but not the reporters
    (TensorBoard, W&B, …), which Trainer calls before it. For those, wrap the metrics:

    ```python
    logger = LRLogger()
    trainer = Trainer(..., callbacks=[logger], compute_metrics=logger.wrap(compute_metrics))
    ```

    [`ScheduledTrainer`] needs neither: it has a logger and reaches everything.
    """

    def __init__(self) -> None:
        self._used_lrs = UsedLRs()

    def on_train_begin(self, args, state, control, **kwargs):
        self._used_lrs = shared(state).used_lrs

    def on_step_end(self, args, state, control, **kwargs):
        self._log_before(args, control, control.should_evaluate)

    def on_epoch_end(self, args, state, control, **kwargs):
        self._log_before(args, control, control.should_evaluate or control.should_training_stop)

    def _log_before(self, args: TrainingArguments, control: TrainerControl, is_needed: bool) -> None:
        if is_needed and args.logging_strategy != IntervalStrategy.NO:
            control.should_log = True

    def on_evaluate(self, args, state, control, **kwargs):
        record = state.log_history[-1] if state.log_history else {}
        for key, value in shared(state).used_lrs.evaluation_entries(record).items():
            record.setdefault(key, value)

    def wrap(self, compute_metrics: Callable[[Any], dict[str, float]]) -> Callable[[Any], dict[str, float]]:
        """Returns `compute_metrics` with the LR added: the only way in which a callback's value reaches every reporter.

        In a hyperparameter search, pass `compute_objective` too: Trainer's default objective is the sum of all metrics.
        """

        @functools.wraps(compute_metrics)
        def with_learning_rate(*args: Any, **kwargs: Any) -> dict[str, float]:
            return dict(compute_metrics(*args, **kwargs)) | self._used_lrs.values()

        return with_learning_rate
