"""LRLogger: the learning rate that was used, beside every metric."""

import functools
from collections.abc import Callable
from typing import Any

from transformers import TrainerControl, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from .run_context import ReadsUsedLRs, get_context
from .used_lrs import UsedLRs, get_evaluation_prefix


class LRLogger(ReadsUsedLRs):
    """Add the LR of the update before each evaluation to the record of that evaluation.

    A record gets `eval_learning_rate`, the LR of the group with the most trained parameters. Where the groups' LRs differ, it
    also gets `eval_lr/<name>` for each curve; the name is the group's `"name"`, else `group_0`, `group_1`, …. After
    `load_best_model_at_end` it is the LR of the update that made the best weights. LRs are read from the optimizer that steps,
    at its step. A training record precedes every evaluation and the end of the run, unless `logging_strategy="no"`: so a run
    shorter than `logging_steps` also shows its loss and LR.

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
        self._is_training = False

    def on_train_begin(self, args, state, control, **kwargs):
        self._used_lrs = get_context(state).used_lrs
        self._is_training = True

    def on_step_end(self, args, state, control, **kwargs):
        self._log_before(args, control, control.should_evaluate)

    def on_epoch_end(self, args, state, control, **kwargs):
        self._log_before(args, control, control.should_evaluate or control.should_training_stop)

    def _log_before(self, args: TrainingArguments, control: TrainerControl, is_needed: bool) -> None:
        if is_needed and args.logging_strategy != IntervalStrategy.NO:
            control.should_log = True

    def on_evaluate(self, args, state, control, **kwargs):
        record = state.log_history[-1] if state.log_history else {}
        entries: dict[str, float | None] = {**get_context(state).used_lrs.make_evaluation_entries(record)}
        if self._is_training and not entries and get_evaluation_prefix(record) == "eval":
            entries = {"eval_learning_rate": None}  # `eval_on_start`: no update has used an LR
        for key, value in entries.items():
            record.setdefault(key, _to_readable(value))
        if self._is_training:
            _align(state.log_history)

    def on_train_end(self, args, state, control, **kwargs):
        self._is_training = False
        if args.load_best_model_at_end and state.best_model_checkpoint:  # whose weights are loaded by now
            best = state.best_model_checkpoint.rpartition("-")[2]
            for record in state.log_history:
                if str(record.get("step")) == best and record.get("eval_learning_rate") is not None:
                    get_context(state).used_lrs.show_evaluation(record)
            _align(state.log_history)

    def wrap(self, compute_metrics: Callable[[Any], dict[str, float]]) -> Callable[[Any], dict[str, float]]:
        """Return `compute_metrics` with the LR added: the only way in which a callback's value reaches every reporter.

        In a hyperparameter search, pass `compute_objective` too: Trainer's default objective is the sum of all metrics.
        """

        @functools.wraps(compute_metrics)
        def with_learning_rate(*args: Any, **kwargs: Any) -> dict[str, float]:
            return dict(compute_metrics(*args, **kwargs)) | self._used_lrs.values()

        return with_learning_rate


class _ReadableLR(float):
    """An LR that Trainer's model card does not round to 0: the card formats each number with `.4f`."""

    def __format__(self, spec: str) -> str:
        return super().__format__(".4g" if spec == ".4f" else spec)


def _to_readable(lr: float | None) -> float | None:
    return None if lr is None else _ReadableLR(lr)


def _align(history: list[dict[str, Any]]) -> None:
    """Give the evaluations of a run the same keys in the same order: transformers' model card takes its columns from the first.

    Those of before a resume are read from a file with sorted keys. Where a record lacks the LR of a group, the LRs of all groups
    were equal.
    """
    evaluations = [record for record in history if "eval_learning_rate" in record]
    names = dict.fromkeys(name for record in evaluations for name in record)
    lr_names = [name for name in names if name == "eval_learning_rate" or name.startswith("eval_lr/")]
    for record in evaluations:
        main = record["eval_learning_rate"]
        values = record | {name: _to_readable(record.get(name, main)) for name in lr_names}
        record.clear()
        record.update((name, values[name]) for name in names if name in values)
