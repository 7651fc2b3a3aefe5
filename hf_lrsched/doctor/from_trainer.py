"""A built Trainer as Facts. Nothing of it is changed."""

import functools
import math
import os
from dataclasses import replace
from typing import Any

from ..optim.wrappers import unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from .facts import Facts, LaunchFacts, ModelFacts, SchedulerFacts
from .from_settings import facts_of_settings
from .loss_scaling import class_ignores_item_count

#: A model with fewer parameters is no pretrained transformer.
_TOY = 1_000_000


def facts_of_trainer(trainer: Any, num_updates: int | None = None, updates_per_epoch: int | None = None) -> Facts:
    """The facts of a Trainer, before it trains.

    Args:
        trainer (`transformers.Trainer`): This package's or any other.
        num_updates (`int`, *optional*): All updates of the run. Defaults to what its arguments and its data give.
        updates_per_epoch (`int`, *optional*): Likewise.

    Raises:
        ScheduleError: This package's Trainer has no schedule, or two.
    """
    from ..trainer.mixin import ScheduleMixin  # which itself asks the doctor

    args = trainer.args
    values = {name: getattr(value, "value", value) for name, value in vars(args).items()}
    facts = facts_of_settings(values, type(trainer).__name__)
    total, per_epoch, has_length = _length(trainer, args)
    accumulation, processes = max(1, args.gradient_accumulation_steps), max(1, args.world_size)
    facts = replace(
        facts,
        num_updates=num_updates or facts.num_updates or total,
        updates_per_epoch=updates_per_epoch or per_epoch,
        has_length=has_length,
        accumulation=accumulation,
        processes=processes,
        samples_per_update=int(args.train_batch_size) * accumulation * processes,
        model=_model(trainer),
        launch=_launch(args),
        deepspeed=_deepspeed(trainer),
        flattens=_flattens(trainer),
        group_lrs=_group_lrs(trainer.optimizer),
    )
    if isinstance(trainer, ScheduleMixin):
        facts = replace(facts, is_ours=True, schedule=str(trainer.schedule), lr_scheduler_type=None)
        clock = getattr(trainer, "_clock", None)
        return facts if clock is None else replace(facts, clock=str(clock))
    return _with_passed(facts, trainer)


def _length(trainer: Any, args: Any) -> tuple[int | None, int | None, bool]:
    """All updates and those of an epoch, as Trainer counts them; whether the data has a length."""
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
    has_adapter = hasattr(model, "peft_config")
    if has_adapter and hasattr(model, "get_base_model"):
        model = model.get_base_model()
    config = getattr(model, "config", None)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    is_pretrained: bool | None = False
    trains_prompts = has_adapter and any("PROMPT" in kind or "TUNING" in kind for kind in _adapters(trainer.model))
    if trains_prompts:
        pass  # whose LRs are a thousand times those of weights
    elif getattr(config, "model_type", "") and parameters >= _TOY:
        is_pretrained = True if getattr(config, "_name_or_path", "") else None  # None: from scratch, as far as is known
    return ModelFacts(
        type(model).__name__,
        is_pretrained,
        ignores_item_count=_multiplies(trainer, model),
        has_adapter=has_adapter,
    )


def _adapters(model: Any) -> list[str]:
    configs = getattr(model, "peft_config", {})
    return (
        [str(getattr(config, "peft_type", "")).upper() for config in configs.values()]
        if isinstance(configs, dict)
        else []
    )


def _multiplies(trainer: Any, model: Any) -> bool:
    from transformers import Trainer

    is_normalized = trainer.compute_loss_func is not None or getattr(trainer, "loss_is_scaled_for_ga", None) is False
    is_own = type(trainer).compute_loss is not Trainer.compute_loss  # what that does can't be told
    if not trainer.model_accepts_loss_kwargs or is_normalized or is_own or trainer.label_smoother is not None:
        return False
    return class_ignores_item_count(type(model))


def _launch(args: Any) -> LaunchFacts | None:
    launched = os.environ.get("WORLD_SIZE", "")
    return LaunchFacts(int(launched), seen=args.world_size) if launched.isdigit() and int(launched) > 1 else None


def _deepspeed(trainer: Any) -> dict[str, Any] | None:
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None) if trainer.is_deepspeed_enabled else None
    return dict(plugin.deepspeed_config) if plugin is not None else None


def _flattens(trainer: Any) -> bool:
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    return plugin is not None and getattr(plugin, "fsdp_version", 1) == 1 and plugin.use_orig_params is False


def _group_lrs(optimizer: Any) -> tuple[float, ...]:
    if optimizer is None:
        return ()
    lrs = [group.get("initial_lr", group["lr"]) for group in unwrap_optimizer(optimizer).param_groups]
    return tuple(map(float, lrs)) if None not in lrs else ()  # Adafactor may choose its own


def _with_passed(facts: Facts, trainer: Any) -> Facts:
    """What was passed in `optimizers=` takes the place of what the arguments say."""
    optimizer = unwrap_optimizer(trainer.optimizer)
    scheduler = None if trainer._created_lr_scheduler else trainer.lr_scheduler
    if optimizer is not None:
        lr = facts.group_lrs[0] if facts.group_lrs else facts.learning_rate
        facts = replace(facts, optim=type(optimizer).__name__.lower(), learning_rate=lr)
    is_dropped = facts.deepspeed is not None and trainer.is_in_train is False
    if is_dropped and (scheduler is not None or optimizer is not None):
        facts = replace(facts, drops_optimizers=True)
    if scheduler is None:
        return facts
    driven = unwrap_optimizer(getattr(scheduler, "optimizer", None))
    total, follows_a_metric = _total(scheduler), hasattr(scheduler, "patience")
    position = getattr(scheduler, "last_epoch", None)
    made = SchedulerFacts(
        type(scheduler).__name__,
        int(position) if isinstance(position, int) and not follows_a_metric else None,
        total,
        is_users=True,
        drives_another=driven is not None and driven is not optimizer,
    )
    facts = replace(facts, scheduler=made, lr_scheduler_type=None)
    if isinstance(scheduler, ScheduleLR):
        facts = replace(facts, schedule=str(scheduler.schedule), clock=str(scheduler.clock))
    return facts


def _total(scheduler: Any) -> int | None:
    """The updates that a scheduler was made for, where it tells."""
    if isinstance(scheduler, ScheduleLR):
        return scheduler.horizon.num_updates if scheduler.horizon.unit == "updates" else None
    functions = getattr(scheduler, "lr_lambdas", None) or ()
    for function in functions:
        if isinstance(function, functools.partial) and isinstance(function.keywords.get("num_training_steps"), int):
            return int(function.keywords["num_training_steps"])
    total = getattr(scheduler, "total_steps", getattr(scheduler, "T_max", None))
    return total if isinstance(total, int) else None
