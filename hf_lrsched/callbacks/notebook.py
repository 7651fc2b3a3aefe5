"""ScheduleNotebookCallback: the LR in Trainer's table and progress bar in a notebook. It needs IPython."""

from typing import Any

from transformers.trainer_utils import IntervalStrategy
from transformers.utils.notebook import NotebookProgressCallback, NotebookTrainingTracker

from .progress import describe_lr
from .run_context import ReadsUsedLRs, get_context

_COLUMN = "Learning Rate"


class ScheduleNotebookCallback(ReadsUsedLRs, NotebookProgressCallback):
    """Trainer's display in notebooks, with the LR that was used in each row of its table, and in its progress bar.

    [`ScheduledTrainer`] has it instead of the stock one. For a stock Trainer:

    ```python
    trainer.remove_callback(NotebookProgressCallback)
    trainer.add_callback(ScheduleNotebookCallback())
    ```
    """

    training_tracker: Any

    def __init__(self) -> None:
        super().__init__()

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        first, *others = self.training_tracker.inner_table[0]
        self.training_tracker = _TrackerWithLR(state.max_steps, [first, _COLUMN, *others])

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.training_tracker.lr = describe_lr(kwargs.get("lr_scheduler"))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if args.eval_strategy == IntervalStrategy.NO and self.training_tracker is not None and "loss" in (logs or {}):
            row = {"Step": state.global_step, _COLUMN: _used_lr(state), "Training Loss": logs["loss"]}
            self.training_tracker.write_line(row)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        # A copy, since the stock one removes entries. Its title of this entry is that of the column.
        shown = {"eval_learning_rate": _used_lr(state), **(metrics or {})}
        super().on_evaluate(args, state, control, metrics=shown, **kwargs)


class _TrackerWithLR(NotebookTrainingTracker):
    """Trainer's progress bar and table, with the LR of the latest update beside the bar."""

    lr = ""

    def update(self, value: int, force_update: bool = False, comment: str | None = None) -> None:
        super().update(value, force_update, ", ".join(filter(None, (comment, self.lr))))


def _used_lr(state: Any) -> str:
    """Return the LR of the latest update, as text: Trainer's table would show a small number as 0.000000."""
    lr = get_context(state).used_lrs.values().get("learning_rate")
    return "No log" if lr is None else f"{lr:.3g}"
