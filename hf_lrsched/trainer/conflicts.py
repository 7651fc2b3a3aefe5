"""Settings that contradict the schedule, and runs that would not use it."""

from typing import Any

from transformers import TrainingArguments

from ..integrations.deepspeed import refuse_lost_optimizer, refuse_scheduler_of_config
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Schedule, ScheduleError
from ..schedules.parser import as_schedule


def choose_schedule(
    name: str, given: Schedule | None, args: TrainingArguments, passed_scheduler: Any = None
) -> Schedule | None:
    """Return the one schedule of a Trainer, or `None` if Trainer's own scheduler was asked for instead.

    Args:
        name (`str`): The Trainer's class.
        given ([`Schedule`], *optional*): Its `schedule=`.
        args (`TrainingArguments`): Its arguments, which may have a `schedule`.
        passed_scheduler (`Any`, *optional*): The scheduler in its `optimizers=`.

    Raises:
        ScheduleError: There is none, or there are two.
    """
    in_args = getattr(args, "schedule", None)
    found = [as_schedule(schedule) for schedule in (given, in_args) if schedule is not None]
    if not found and passed_scheduler is None and not _stock_settings(args):
        raise ScheduleError(
            f"{name} needs a schedule, e.g. schedule='warmup(10%) >> linear()'. To train with a scheduler of Trainer, set "
            "lr_scheduler_type or a warmup."
        )
    if found and found[0] != found[-1]:
        raise ScheduleError(f"two schedules: schedule={str(given)!r} and args.schedule={str(in_args)!r}. Give one.")
    return found[0] if found else None


def _stock_settings(args: TrainingArguments) -> list[str]:
    """Return the arguments that describe a schedule to the stock Trainer and are not at their defaults."""
    settings = {
        "lr_scheduler_type": getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type) not in ("linear", None),
        "lr_scheduler_kwargs": bool(args.lr_scheduler_kwargs),
        "warmup_steps": bool(args.warmup_steps),
        "warmup_ratio": bool(getattr(args, "warmup_ratio", None)),  # gone in transformers 5
    }
    return [name for name, is_set in settings.items() if is_set]


def check_settings(trainer: Any, **options: Any) -> None:
    """Refuse settings of a Trainer that contradict each other, before it makes its optimizer.

    Args:
        trainer ([`ScheduledTrainer`]): The trainer.
        options (`Any`): Options that only a schedule of this package follows; `None` or `False` if they are not given.

    Raises:
        ScheduleError: There are two schedules; or there is none, and one of the options or a rule for groups is given.
    """
    schedule = trainer.schedule
    if schedule is not None:
        refuse_second_schedule(schedule, trainer.args, trainer.lr_scheduler)
        if trainer.is_deepspeed_enabled:
            refuse_scheduler_of_config(trainer.accelerator, schedule, trainer.args.deepspeed)
            refuse_lost_optimizer(trainer.optimizer, schedule)
        return
    options["groups"] = trainer.groups
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise ScheduleError(
            f"{', '.join(given)} needs a schedule: a scheduler of Trainer does not follow it. Give one, e.g. "
            f"schedule='warmup(10%) >> linear()', or leave {given[0]} out."
        )


def refuse_second_schedule(schedule: Schedule, args: TrainingArguments, scheduler: Any) -> None:
    """Refuse a run with two schedules: it is a mistake, whichever would be used.

    Args:
        schedule ([`Schedule`]): The schedule.
        args (`TrainingArguments`): Arguments that may name another one.
        scheduler (`Any`): A scheduler in `optimizers=`, or `None`.

    Raises:
        ScheduleError: There is a second schedule.
    """
    for name in _stock_settings(args):
        raise ScheduleError(
            f"two schedules: schedule={str(schedule)!r} and {name}={str(getattr(args, name))!r} in the training arguments. "
            f"Delete {name}; a warmup is part of the schedule, e.g. 'warmup(10%) >> linear()'."
        )
    if scheduler is not None:
        raise ScheduleError(
            f"two schedules: schedule={str(schedule)!r} and a {type(scheduler).__name__} in optimizers=. Give one; "
            "optimizers=(optimizer, None) passes an optimizer alone."
        )


def check_schedule_is_used(trainer: Any, scheduler: Any) -> None:
    """Refuse a run whose scheduler is not the one of the schedule.

    Raises:
        ScheduleError: A subclass made another scheduler, or one was assigned to the Trainer.
    """
    if not isinstance(scheduler, ScheduleLR) and trainer.schedule is not None:
        raise ScheduleError(
            f"schedule={str(trainer.schedule)!r} is not used: the scheduler of this {type(trainer).__name__} is a "
            f"{type(scheduler).__name__}. Do not assign lr_scheduler, and leave create_scheduler and "
            "create_optimizer_and_scheduler as they are."
        )


def check_groups_are_used(groups: Any, are_used: bool) -> None:
    """Refuse a run whose optimizer was made without the rule for its groups.

    Raises:
        ScheduleError: There is a rule, and `are_used` is false.
    """
    if groups is not None and not are_used:
        raise ScheduleError(
            "groups= had no effect: the optimizer was not made by Trainer's create_optimizer. Take the optimizer out of "
            "DeepSpeed's configuration, or leave create_optimizer as it is."
        )


def check_search_space(args: TrainingArguments, trial: Any) -> None:
    """Refuse a search over settings that the training arguments do not have: every trial would be the same run.

    Raises:
        ScheduleError: A trial sets the schedule, and the arguments have no such field.
    """
    settings = trial if isinstance(trial, dict) else getattr(trial, "params", {})
    for name in ("schedule", "on_resume", "clock"):
        if name in settings and not hasattr(args, name):
            raise ScheduleError(
                f"hp_space sets {name}, but the training arguments have no such field, so every trial would run the same "
                "schedule. Use a dataclass Arguments(ScheduleArguments, TrainingArguments)."
            )
