"""end_run: ends a training run with all that its end should have."""

from transformers import TrainerControl, TrainingArguments
from transformers.trainer_utils import IntervalStrategy


def end_run(args: TrainingArguments, control: TrainerControl) -> None:
    """After this update: the last record, the last evaluation where there are any, a checkpoint, and no further update."""
    control.should_training_stop = True
    control.should_save = True
    control.should_log = control.should_log or args.logging_strategy != IntervalStrategy.NO
    control.should_evaluate = control.should_evaluate or args.eval_strategy != IntervalStrategy.NO
