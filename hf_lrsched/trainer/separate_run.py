"""A run of its own, made from a Trainer with a schedule: another schedule, length, folder and seed, and callbacks of its own."""

import contextlib
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_callback import CallbackHandler
from transformers.trainer_utils import SaveStrategy

from ..callbacks import LossMonitor
from ..schedules.parser import as_schedule
from ..search.trial import copy_trainer
from .callback_stack import find_callback

#: A run that others branch off from is saved with its optimizer; which model is the best one is decided between runs.
_SETTINGS = dict.fromkeys(("load_best_model_at_end", "push_to_hub", "save_only_model", "ignore_data_skip"), False)


def make_run(
    trainer: Any, schedule: str, updates: int, folder: Path, seed: int, updates_per_epoch: int | None = None
) -> Any:
    """Copy a [`ScheduledTrainer`] for a run of its own, and leave the Trainer as it is.

    The copy trains and evaluates, logs, saves and reports as the Trainer would. Both share the model and the accelerator: see
    [`undisturbed`]. A resume goes on with the schedule given: `on_resume="switch"`.

    Args:
        trainer ([`ScheduledTrainer`]): The Trainer.
        schedule (`str`): The schedule of the run.
        updates (`int`): Its length.
        folder (`Path`): Its output folder.
        seed (`int`): Added to the Trainer's seeds.
        updates_per_epoch (`int`, *optional*): `num_train_epochs` follows from it. It has no effect, but the record shows it.
    """
    run = copy_trainer(trainer)
    args = run.args
    changed = {**_SETTINGS, "output_dir": str(folder), "max_steps": updates, "seed": args.seed + seed, "schedule": None}
    changed["num_train_epochs"] = updates / updates_per_epoch if updates_per_epoch else 1.0
    if args.data_seed is not None:
        changed["data_seed"] = args.data_seed + seed
    if getattr(args, "logging_dir", None):  # gone in transformers 5
        changed["logging_dir"] = str(folder / "runs")
    if args.run_name:
        changed["run_name"] = f"{args.run_name}-{folder.name}"
    for name, value in changed.items():
        if hasattr(args, name):
            setattr(args, name, value)
    run._given_schedule, run._on_resume = as_schedule(schedule), "switch"
    run._search, run._logged_findings = copy.copy(trainer._search), set()
    handler: Any = CallbackHandler
    callbacks = [*map(_copy_callback, trainer.callback_handler.callbacks)]
    run.callback_handler = handler(callbacks, trainer.model, trainer.processing_class, None, None)
    run.monitor = find_callback(run, LossMonitor)
    return run


def save_nothing(run: Any) -> None:
    """Let a run save only what its callbacks ask for, and keep all of it."""
    run.args.save_strategy, run.args.save_total_limit = SaveStrategy.NO, None


def find_peak(run: Any, checkpoint: Path | None) -> None:
    """Search the peak LR of a run with `find_lr`, or read it from a checkpoint of one that has; else do nothing."""
    run._search.run(run, checkpoint or False)


@contextlib.contextmanager
def separate_wandb_run() -> Iterator[None]:
    """End the W&B run that begins within, which Trainer leaves open: the next training would go on with it.

    One that is open before is the user's, and stays open.
    """
    before = _get_wandb_run()
    try:
        yield
    finally:
        if _get_wandb_run() is not before:
            sys.modules["wandb"].finish()


def _get_wandb_run() -> Any:
    return getattr(sys.modules.get("wandb"), "run", None)


def _copy_callback(callback: TrainerCallback) -> TrainerCallback:
    """A reporter begins a new run of its own; other callbacks keep their settings."""
    return type(callback)() if type(callback) in INTEGRATION_TO_CALLBACK.values() else copy.copy(callback)


def is_peak_searched(trainer: Any) -> bool:
    """Whether a Trainer with a schedule searches its peak LR."""
    return bool(trainer._search.is_wanted)
