"""Settings that contradict the schedule, and runs that would not use it."""

from typing import Any

from transformers import TrainingArguments

from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Schedule, ScheduleError
from ..schedules.parser import as_schedule


def choose_schedule(name: str, given: Schedule | None, in_args: Schedule | str | None) -> Schedule:
    """Return the one schedule of a Trainer.

    Args:
        name (`str`): The Trainer's class.
        given ([`Schedule`], *optional*): Its `schedule=`.
        in_args ([`Schedule`] or `str`, *optional*): `args.schedule`.

    Raises:
        ScheduleError: There is none, or there are two.
    """
    found = [as_schedule(schedule) for schedule in (given, in_args) if schedule is not None]
    if not found:
        raise ScheduleError(
            f"{name} needs a schedule, e.g. schedule='warmup(10%) >> linear()'. Without a schedule, use the stock Trainer."
        )
    if found[0] != found[-1]:
        raise ScheduleError(f"two schedules: schedule={str(given)!r} and args.schedule={str(in_args)!r}. Give one.")
    return found[0]


def refuse_second_schedule(schedule: Schedule, args: TrainingArguments, scheduler: Any) -> None:
    """Refuses a run with two schedules: it is a mistake, whichever would be used.

    Args:
        schedule ([`Schedule`]): The schedule.
        args (`TrainingArguments`): Arguments that may name another one.
        scheduler (`Any`): A scheduler in `optimizers=`, or `None`.

    Raises:
        ScheduleError: There is a second schedule.
    """
    settings = {
        "lr_scheduler_type": getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type) not in ("linear", None),
        "lr_scheduler_kwargs": bool(args.lr_scheduler_kwargs),
        "warmup_steps": bool(args.warmup_steps),
        "warmup_ratio": bool(getattr(args, "warmup_ratio", None)),  # gone in transformers 5
    }
    for name in (name for name, is_set in settings.items() if is_set):
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
    """Refuses a run whose scheduler is not the one of the schedule.

    Raises:
        ScheduleError: A subclass made another scheduler, or one was assigned to the Trainer.
    """
    if not isinstance(scheduler, ScheduleLR):
        raise ScheduleError(
            f"schedule={str(trainer.schedule)!r} is not used: the scheduler of this {type(trainer).__name__} is a "
            f"{type(scheduler).__name__}. Do not assign lr_scheduler, and leave create_scheduler and "
            "create_optimizer_and_scheduler as they are."
        )


def check_groups_are_used(groups: Any, are_used: bool) -> None:
    """Refuses a run whose optimizer was made without the rule for its groups.

    Raises:
        ScheduleError: There is a rule, and `are_used` is false.
    """
    if groups is not None and not are_used:
        raise ScheduleError(
            "groups= had no effect: the optimizer was not made by Trainer's create_optimizer. Take the optimizer out of "
            "DeepSpeed's configuration, or leave create_optimizer as it is."
        )


def check_search_space(args: TrainingArguments, trial: Any) -> None:
    """Refuses a search over settings that the training arguments do not have: every trial would be the same run.

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
