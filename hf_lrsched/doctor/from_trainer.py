"""Facts from a built Trainer. Nothing of it is changed."""

import functools
import math
import os
from dataclasses import replace
from typing import Any

from transformers import Trainer

from ..optim.wrappers import unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Schedule
from .facts import Facts, LaunchFacts, ModelFacts, SchedulerFacts
from .from_settings import read_facts_from_settings
from .loss_scaling import class_averages_per_batch

#: A model with fewer parameters is no pretrained transformer.
_MIN_PRETRAINED = 1_000_000


def read_facts_from_trainer(
    trainer: Any, num_updates: int | None = None, updates_per_epoch: int | None = None
) -> Facts:
    """Collect the facts of a Trainer before it trains.

    A Trainer that has a schedule and makes its scheduler from it is recognised by these, not by its class.

    Args:
        trainer (`transformers.Trainer`): Of this package or any other.
        num_updates (`int`, *optional*): All updates of the run. Defaults to what its arguments and its data give.
        updates_per_epoch (`int`, *optional*): Likewise.

    Raises:
        ScheduleError: This package's Trainer has no schedule, or two.
    """
    args = trainer.args
    values = {name: getattr(value, "value", value) for name, value in vars(args).items()}
    facts, world = read_facts_from_settings(values, type(trainer).__name__), os.environ.get("WORLD_SIZE", "")
    total, per_epoch, has_length = _count_updates(trainer, args)
    accumulation, processes = max(1, args.gradient_accumulation_steps), max(1, args.world_size)
    facts = replace(
        facts,
        num_updates=num_updates or facts.num_updates or total,
        updates_per_epoch=updates_per_epoch or per_epoch,
        has_length=has_length,
        gradient_accumulation_steps=accumulation,
        num_processes=processes,
        samples_per_update=int(args.train_batch_size) * accumulation * processes,
        model=_model(trainer),
        launch=LaunchFacts(int(world), trainer_processes=args.world_size) if world.isdigit() else None,
        deepspeed=_deepspeed(trainer),
        group_lrs=_group_lrs(trainer.optimizer),
    )
    schedule = getattr(trainer, "schedule", None)
    if isinstance(schedule, Schedule) and type(trainer).create_scheduler is not Trainer.create_scheduler:
        clock = str(getattr(trainer, "clock", "updates"))
        return replace(facts, uses_our_trainer=True, schedule=str(schedule), clock=clock, lr_scheduler_type=None)
    kind, in_arguments = str(values["lr_scheduler_type"]), facts.schedule
    facts = replace(facts, uses_our_trainer=False, schedule=None, clock="updates", lr_scheduler_type=kind)
    facts = _with_passed(facts, trainer)
    return facts if facts.schedule == in_arguments else replace(facts, unused_schedule=in_arguments)


def _count_updates(trainer: Any, args: Any) -> tuple[int | None, int | None, bool]:
    """Count all updates and those of an epoch as Trainer does; the third value is whether the data has a length."""
    data = trainer.train_dataset
    if data is None:
        return None, None, True
    try:
        samples = len(data)
    except (TypeError, NotImplementedError, AttributeError):
        return None, None, False
    size = max(1, int(args.train_batch_size) * max(1, args.world_size))
    batches = samples // size if args.dataloader_drop_last else math.ceil(samples / size)
    per_epoch = max(1, math.ceil(batches / max(1, args.gradient_accumulation_steps)))
    total = math.ceil(args.num_train_epochs * per_epoch) if samples else None
    return total, per_epoch, True


def _model(trainer: Any) -> ModelFacts:
    model = trainer.model
    adapters = getattr(model, "peft_config", None)
    if adapters is not None and hasattr(model, "get_base_model"):
        model = model.get_base_model()
    config = getattr(model, "config", None)
    # The LRs of soft prompts are a thousand times those of weights.
    kinds = [str(getattr(each, "peft_type", "")).upper() for each in getattr(adapters, "values", tuple)()]
    trains_prompts = any("PROMPT" in kind or "TUNING" in kind for kind in kinds)
    is_small = sum(parameter.numel() for parameter in model.parameters()) < _MIN_PRETRAINED
    is_pretrained: bool | None = True if getattr(config, "_name_or_path", "") else None  # None: perhaps from scratch
    if is_small or trains_prompts or not getattr(config, "model_type", ""):
        is_pretrained = False
    averages = _averages_per_batch(trainer, model)
    return ModelFacts(type(model).__name__, is_pretrained, averages, has_adapter=adapters is not None)


def _averages_per_batch(trainer: Any, model: Any) -> bool | None:
    if not trainer.model_accepts_loss_kwargs or trainer.label_smoother is not None:
        return False
    is_custom = type(trainer).compute_loss is not Trainer.compute_loss or trainer.compute_loss_func is not None
    if is_custom or getattr(trainer, "loss_is_scaled_for_ga", None) is False:
        return None  # what a loss function of the user's does is unknown
    return class_averages_per_batch(type(model))


def _deepspeed(trainer: Any) -> dict[str, Any] | None:
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None) if trainer.is_deepspeed_enabled else None
    return dict(plugin.deepspeed_config) if plugin is not None else None


def _group_lrs(optimizer: Any) -> tuple[float, ...]:
    if optimizer is None:
        return ()
    lrs = [group.get("initial_lr", group["lr"]) for group in unwrap_optimizer(optimizer).param_groups]
    return tuple(map(float, lrs)) if None not in lrs else ()  # Adafactor may choose its own


def _with_passed(facts: Facts, trainer: Any) -> Facts:
    """Let what was passed in `optimizers=` replace what the arguments say."""
    optimizer = unwrap_optimizer(trainer.optimizer)
    scheduler = None if trainer._created_lr_scheduler else trainer.lr_scheduler
    if optimizer is not None:
        lr = facts.group_lrs[0] if facts.group_lrs else facts.learning_rate
        facts = replace(facts, optim=type(optimizer).__name__.lower(), learning_rate=lr)
    if facts.deepspeed is not None and trainer.is_in_train is False:
        facts = replace(facts, drops_optimizers=scheduler is not None or optimizer is not None)
    if scheduler is None:
        return facts
    driven = unwrap_optimizer(getattr(scheduler, "optimizer", None))
    update, follows_a_metric = getattr(scheduler, "last_epoch", None), hasattr(scheduler, "patience")
    found = SchedulerFacts(
        type(scheduler).__name__,
        update if isinstance(update, int) and not follows_a_metric else None,
        _count_scheduler_updates(scheduler),
        is_passed=True,
        drives_other_optimizer=driven is not None and driven is not optimizer,
    )
    facts = replace(facts, scheduler=found, lr_scheduler_type=None)
    if isinstance(scheduler, ScheduleLR):
        facts = replace(facts, schedule=str(scheduler.schedule), clock=str(scheduler.clock))
    return facts


def _count_scheduler_updates(scheduler: Any) -> int | None:
    """Return the updates that a scheduler was made for, where it says."""
    if isinstance(scheduler, ScheduleLR):
        return scheduler.run_state.horizon.num_updates if scheduler.run_state.horizon.unit == "updates" else None
    for function in getattr(scheduler, "lr_lambdas", None) or ():
        if isinstance(function, functools.partial) and isinstance(function.keywords.get("num_training_steps"), int):
            return int(function.keywords["num_training_steps"])
    total = getattr(scheduler, "total_steps", getattr(scheduler, "T_max", None))
    return total if isinstance(total, int) else None
