"""What a run must have for LossGuard."""

import math

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

# A first checkpoint after this share of a run is told to be late.
_LATE = 0.5


def _late_first_save(args: TrainingArguments, state: TrainerState) -> str | None:
    """What is to be said of a run whose first checkpoint comes late; a run that is resumed has one."""
    run = f"in a run of {state.max_steps} updates"
    if state.global_step > 0:
        return None
    if args.save_strategy == SaveStrategy.BEST:
        return f"save_strategy='best' {run} saves only where the metric has improved"
    if args.save_strategy == SaveStrategy.EPOCH:
        setting, first = "save_strategy='epoch'", math.ceil(state.max_steps / max(1, state.num_train_epochs))
    else:
        setting, first = f"save_steps={state.save_steps}", state.save_steps
    if first < _LATE * state.max_steps:
        return None
    when = f"after update {first} at the earliest" if first < state.max_steps else "at its end at the earliest"
    return f"{setting} {run} writes the first checkpoint {when}"
