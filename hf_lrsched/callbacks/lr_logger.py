"""LRLogger: the learning rate that was used, beside every metric."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from ..integrations.deepspeed import steps_within_backward


class LRLogger(TrainerCallback):
    """Shows the LR of the update before each evaluation in that evaluation's record.

    A record gets `eval_learning_rate`, the LR of the first group as in Trainer's own `learning_rate`. Where the groups'
    LRs differ, it also gets `eval_lr/<name>` for each; the name is the group's `"name"`, else `group_0`, `group_1`, ….
    LRs are read from the optimizer that steps, at its step. Every evaluation, and the end of the run, is preceded by a
    training record, so that a run shorter than `logging_steps` shows its loss and LR all the same
    (`logging_strategy="no"` is respected).

    A callback reaches `state.log_history`, and with it `trainer_state.json` and the model card, but not the reporters
    (TensorBoard, W&B, …), which Trainer calls before it. For those, wrap the metrics:

    ```python
    logger = LRLogger()
    trainer = Trainer(..., callbacks=[logger], compute_metrics=logger.beside(compute_metrics))
    ```

    [`ScheduledTrainer`] needs neither: it has a logger of its own and reaches everything.
    """

    def __init__(self) -> None:
        self._used: list[Any] = []
        self._names: list[str] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._used, self._names = [], []

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if steps_within_backward(kwargs.get("lr_scheduler")):
            self._remember(kwargs["optimizer"].param_groups)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not steps_within_backward(kwargs.get("lr_scheduler")):
            self._remember(kwargs["optimizer"].param_groups)

    def _remember(self, groups: list[dict[str, Any]]) -> None:
        # Tensor LRs are written in place, so a reference to one would show the next update's LR.
        self._used = [lr.clone() if isinstance(lr := group["lr"], torch.Tensor) else lr for group in groups]
        if len(self._names) != len(groups):
            self._names = group_names(groups)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._log_before(args, control, control.should_evaluate)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._log_before(args, control, control.should_evaluate or control.should_training_stop)

    def _log_before(self, args: TrainingArguments, control: TrainerControl, what_follows: bool) -> None:
        if what_follows and args.logging_strategy != IntervalStrategy.NO:
            control.should_log = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        record = state.log_history[-1] if state.log_history else {}
        for key, value in self.entries(record).items():
            record.setdefault(key, value)

    def entries(self, record: dict[str, Any]) -> dict[str, float]:
        """What to add to a record of Trainer's: the LRs used, if it is an evaluation after an update, else nothing.

        Args:
            record (`dict[str, Any]`): What Trainer is about to log, or has logged.
        """
        prefix = _evaluation_prefix(record)
        if prefix is None or not self._used:
            return {}
        lrs = [float(lr) for lr in self._used]
        entries = {f"{prefix}_learning_rate": lrs[0]}
        if len(set(lrs)) > 1:
            entries |= {f"{prefix}_lr/{name}": lr for name, lr in zip(self._names, lrs, strict=True)}
        return entries

    def training_entries(self, record: dict[str, Any]) -> dict[str, float]:
        """What to add to a training record for the reporters: `lr/<name>` for each group, where their LRs differ."""
        lrs = [float(lr) for lr in self._used] if "learning_rate" in record and "loss" in record else []
        return {f"lr/{name}": lr for name, lr in zip(self._names, lrs, strict=False)} if len(set(lrs)) > 1 else {}

    def beside(self, compute_metrics: Callable[[Any], dict[str, float]]) -> Callable[[Any], dict[str, float]]:
        """`compute_metrics` with the LR added: the one way on which a callback's value reaches every reporter.

        In a hyperparameter search give `compute_objective` too: Trainer's default objective adds up all metrics.
        """

        @functools.wraps(compute_metrics)
        def with_learning_rate(*args: Any, **kwargs: Any) -> dict[str, float]:
            metrics = dict(compute_metrics(*args, **kwargs))
            added = self.entries({"eval_runtime": 0.0})
            return metrics | {key.removeprefix("eval_"): value for key, value in added.items()}

        return with_learning_rate


def group_names(groups: list[dict[str, Any]]) -> list[str]:
    """The names of parameter groups: their `"name"`, else `group_<index>`; one that is taken gets the index behind it.

    Example:
    ```python
    >>> group_names([{"name": "body"}, {"name": "body"}, {}])
    ['body', 'body/1', 'group_2']

    ```
    """
    names: list[str] = []
    for index, group in enumerate(groups):
        name = str(group.get("name", f"group_{index}"))
        while name in names:
            name = f"{name}/{index}"
        names.append(name)
    return names


def _evaluation_prefix(record: dict[str, Any]) -> str | None:
    """`eval` for a record of `evaluate()`, or the caller's `metric_key_prefix`; `None` for any other record.

    The summary at the end of a run has a `train_runtime`, too; it alone has `total_flos`.

    With several evaluation sets the prefix is `eval_<set>`; the LR is the same for all, so it goes under one name.
    """
    for key in record:
        if key.endswith("_runtime") and not (key == "train_runtime" and "total_flos" in record):
            return "eval" if key.startswith("eval_") else key.removesuffix("_runtime")
    return None
