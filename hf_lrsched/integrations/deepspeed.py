"""DeepSpeed beside a schedule: what its configuration must not hold, and the scheduler back from its engine's hands."""

import json
import os
import re
from pathlib import Path
from typing import Any

from transformers.trainer import SCHEDULER_NAME

from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Schedule, ScheduleError
from ..schedules.errors import brief


def refuse_scheduler_of_config(accelerator: Any, schedule: Schedule | str, source: Any = None) -> None:
    """A DeepSpeed configuration with a section "scheduler" would make and step that one, and no other.

    Args:
        accelerator (`accelerate.Accelerator`): Its DeepSpeed plugin holds the configuration.
        schedule ([`Schedule`] or `str`): The schedule that would be ignored.
        source (`str` or `dict`, *optional*): Where the configuration comes from, as in `TrainingArguments.deepspeed`.
            Defaults to what accelerate reads.

    Raises:
        ScheduleError: There is such a section; with its place.
    """
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    section = getattr(plugin, "deepspeed_config", {}).get("scheduler")
    if section is None:
        return
    name = section.get("type") if isinstance(section, dict) else None
    raise ScheduleError(
        f"two schedules: schedule={str(schedule)!r} and the section "
        f'"scheduler": {{"type": {json.dumps(name)}, …}} in {_name_source(source)}. '
        "DeepSpeed would use its own schedule and ignore yours. Delete that section; a warmup is part of the schedule, "
        "e.g. 'warmup(10%) >> linear()'."
    )


def refuse_lost_optimizer(optimizer: Any, schedule: Schedule | str) -> None:
    """Under DeepSpeed Trainer drops an optimizer in `optimizers=` without a word, and makes another one.

    Raises:
        ScheduleError: There is one.
    """
    if optimizer is not None:
        raise ScheduleError(
            f"under DeepSpeed, Trainer drops the {type(optimizer).__name__} in optimizers= and makes an optimizer of its own, so "
            f"schedule={str(schedule)!r} would have other peak LRs than you set. Leave optimizers= out; give learning_rate and optim "
            'in the training arguments, groups= for several LRs, or a section "optimizer" in the DeepSpeed configuration.'
        )


def refuse_checkpoint_of_engine(checkpoint: str | Path) -> None:
    """A checkpoint whose scheduler DeepSpeed's engine stepped holds that one's state among its own, and none for Trainer.

    Raises:
        ScheduleError: It is such a checkpoint.
    """
    if not Path(checkpoint, SCHEDULER_NAME).is_file():
        raise ScheduleError(
            f"can't resume {checkpoint}: it has no {SCHEDULER_NAME}, so DeepSpeed's engine stepped the scheduler of that run and "
            "its position is not known. Resume with the Trainer that wrote it, or start a new run from its weights."
        )


def take_from_engine(scheduler: Any, accelerator: Any) -> Any:
    """Return the scheduler that Trainer is to step.

    Where DeepSpeed makes the optimizer (a section "optimizer" in its configuration), its engine steps the scheduler, too,
    within the backward pass: everything that Trainer, its log and its callbacks then read is the next update's LR, and what
    they get is a wrapper. A [`ScheduleLR`] is taken out of that wrapper and off the engine, so that Trainer steps it after
    each update as it does everywhere else.

    Args:
        scheduler: What `accelerator.prepare` returned.
        accelerator (`accelerate.Accelerator`): It knows the engine.

    Returns:
        The [`ScheduleLR`], or what was given.
    """
    inner = getattr(scheduler, "scheduler", None)
    if not steps_within_backward(scheduler) or not isinstance(inner, ScheduleLR):
        return scheduler
    accelerator.deepspeed_engine_wrapped.engine.lr_scheduler = None
    return inner


def steps_within_backward(scheduler: Any) -> bool:
    """Whether DeepSpeed's engine steps the scheduler and the optimizer, so that after it the next update's LR is there."""
    return type(scheduler).__name__ == "DeepSpeedSchedulerWrapper"


def _name_source(source: Any) -> str:
    """Where the section is: a file, if possible with the line, or a dict."""
    if isinstance(source, dict):
        return "the dict deepspeed= of the training arguments"
    path = source or os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")
    if not path:
        return "the DeepSpeed configuration of accelerate's plugin"
    if not Path(path).is_file():  # a text in base64 may be given, too
        return f"the DeepSpeed configuration {brief(str(path))}"
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if re.search(r'"scheduler"\s*:', line)]
    return f"{path}, line {found[0]}" if found else str(path)
