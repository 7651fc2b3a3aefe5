"""What a run needs for LossGuard, checked before the first update."""

import logging
import math
from typing import Any

from torch import nn
from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from ..integrations.distributed import get_sharding
from ..optim.wrappers import find_module, steps_in_backward, unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError

logger = logging.getLogger(__name__)

# A first checkpoint after this share of a run is late.
_LATE = 0.5


def check_preconditions(
    action: str, margin: int, args: TrainingArguments, state: TrainerState, model: Any, optimizer: Any, scheduler: Any
) -> nn.Module:
    """Check that a guard's action is possible in this run, and warn where it will not help much.

    Returns:
        `nn.Module`: What is trained.

    Raises:
        ScheduleError: The action is not possible; the message says what is.
    """
    if (sharding := get_sharding()) is not None:
        raise ScheduleError(
            f"LossGuard does not work under {sharding}: gradients are sharded over the processes, or the update is over before "
            "Trainer calls its callbacks. Remove it from callbacks=."
        )
    if steps_in_backward(optimizer):
        raise ScheduleError(
            f"LossGuard does not work with {type(unwrap_optimizer(optimizer)).__name__}: it steps within the backward pass, before "
            "the gradients can be checked. Use another optimizer, e.g. optim='adamw_torch', or remove LossGuard from callbacks=."
        )
    module = find_module(model)
    if module is None:
        raise ScheduleError(f"LossGuard needs a torch module, and this run trains a {type(model).__name__}.")
    if action == "stop":
        return module
    guard = f"LossGuard({action!r})"
    if not isinstance(scheduler, ScheduleLR):
        raise ScheduleError(
            f"{guard} needs a schedule of this package, but this run has a {type(scheduler).__name__}. Use "
            "ScheduledTrainer(schedule=...) or get_scheduler(...), or choose LossGuard('stop')."
        )
    if action == "rollback":
        _check_checkpoints(guard, margin, args, state)
    return module


def _check_checkpoints(guard: str, margin: int, args: TrainingArguments, state: TrainerState) -> None:
    if args.save_strategy == SaveStrategy.NO or args.save_only_model:
        setting = "save_only_model=True" if args.save_only_model else "save_strategy='no'"
        raise ScheduleError(
            f"{guard} goes back to checkpoints with the optimizer's state, and {setting} writes none. Set "
            "save_strategy='steps' with save_steps, or choose LossGuard('lower')."
        )
    if state.is_hyper_param_search:
        raise ScheduleError(f"{guard} does not work in a hyperparameter search. Choose LossGuard('lower').")
    if args.save_total_limit == 1:
        logger.warning(
            f"save_total_limit=1: when trouble begins within {margin} updates of a checkpoint, {guard} has no older one to go back "
            "to. Set it to 2 or more."
        )
    late = _describe_late_save(args, state)
    if late is not None:
        logger.warning(
            f"{late}: until then {guard} goes back to the start when the loss jumps up. Set save_strategy='steps' and "
            f"save_steps={max(1, state.max_steps // 10)} or less."
        )


def _describe_late_save(args: TrainingArguments, state: TrainerState) -> str | None:
    """Describe when the first checkpoint comes, if that is late; a resumed run has one."""
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
