"""Trainers whose `log(logs)` is older than transformers 4.47, which passes `start_time`, too."""

import inspect
from types import MethodType
from typing import Any


def accept_old_log(trainer: Any) -> None:
    """Let a Trainer that overrides `log(self, logs)` be called as `log(logs, start_time)`; without it, no speed is logged.

    Such a class trains with the stock Trainer as long as no training record is due. This package makes one before each
    evaluation.

    Args:
        trainer ([`ScheduledTrainer`]): The trainer. Any class among its bases may have the old signature.
    """
    if not all(map(_takes_start_time, (vars(base)["log"] for base in type(trainer).__mro__ if "log" in vars(base)))):
        trainer.log = MethodType(_log_without_start_time, trainer)


def _log_without_start_time(trainer: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
    type(trainer).log(trainer, logs)


def _takes_start_time(log: Any) -> bool:
    try:
        inspect.signature(log).bind("trainer", {}, 0.0)
    except TypeError:
        return False
    return True
