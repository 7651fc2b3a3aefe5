"""Settings that contradict the schedule."""

from typing import Any

from transformers import TrainingArguments

from ..schedules import Schedule, ScheduleError


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
