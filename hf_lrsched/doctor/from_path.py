"""Facts from a path: a file of settings, accelerate's or DeepSpeed's, saved arguments, or a run folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files import check_is_file, read_json, read_settings
from ..runs.json_stream import read_json_with_rows
from ..schedules import ScheduleError
from ..schedules.arguments import as_count
from .expected_curve import count_updates_per_epoch
from .facts import Facts, LaunchFacts
from .from_run_folder import (
    is_run_folder,
    read_facts_from_arguments,
    read_facts_from_run_folder,
    read_facts_from_trainer_state,
)
from .from_settings import find_named, list_training_argument_names, read_facts_from_settings
from .given_settings import GivenSettings

#: Settings by which a configuration of a training is recognised.
_SETTINGS = (
    *("learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("schedule", "warmup_steps", "warmup_ratio"),
)
#: Names of other programs for settings of TrainingArguments.
_OTHER_NAMES = {
    **dict.fromkeys(("lr_scheduler", "scheduler"), "lr_scheduler_type"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epochs", "epochs"), "num_train_epochs"),
    **dict.fromkeys(("micro_batch_size", "batch_size", "train_batch_size"), "per_device_train_batch_size"),
    **dict.fromkeys(("max_train_steps", "num_training_steps", "total_steps"), "max_steps"),
    "optimizer": "optim",
    "lr": "learning_rate",
    "num_warmup_steps": "warmup_steps",
}
#: Names of DeepSpeed's configuration; the last one is also in what a Trainer sends to its reporters.
_DEEPSPEED_SETTINGS = ("zero_optimization", "train_micro_batch_size_per_gpu", "train_batch_size")
_SUPPORTED = "a recipe's YAML, accelerate's YAML, DeepSpeed's JSON, training_args.bin, saved TrainingArguments as JSON, or a run folder"


def read_facts_from_path(path: Path) -> Facts:
    """Collect the facts of a file or a folder.

    Raises:
        ScheduleError: It is missing, corrupted or of an unknown kind.
    """
    if path.is_dir():
        return read_facts_from_run_folder(path)
    check_is_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" or start[:1] == b"\x80" or path.suffix in (".bin", ".pt", ".pkl"):
        return read_facts_from_arguments(path)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ScheduleError(f"{path} is not a file that the doctor knows. It checks {_SUPPORTED}.")
    is_json = path.suffix == ".json"
    return _facts_from_mapping(read_json_with_rows(path) if is_json else read_settings(path), path)


def with_updates(facts: Facts, num_updates: int | None) -> Facts:
    """Add the length of the run, and what follows from it.

    Raises:
        ScheduleError: The length is not a whole number of at least 1, or the source says another one.
    """
    if num_updates is None:
        return facts
    num_updates = as_count(num_updates, "the number of updates")
    if facts.num_updates not in (None, num_updates):
        raise ScheduleError(
            f"{num_updates} updates are given, but {facts.source} says {facts.num_updates}. Leave out the number."
        )
    per_epoch = facts.updates_per_epoch or count_updates_per_epoch(num_updates, facts.num_train_epochs)
    return replace(facts, num_updates=num_updates, updates_per_epoch=per_epoch)


def _facts_from_mapping(content: Mapping[str, Any], path: Path) -> Facts:
    if "log_history" in content:
        return read_facts_from_trainer_state(Facts(str(path)), content)
    if "distributed_type" in content or "compute_environment" in content:
        return _facts_from_accelerate(content, path)
    if any(name in content for name in _DEEPSPEED_SETTINGS) and "output_dir" not in content:
        return Facts(str(path), deepspeed=content)
    if foreign := [name for name, ours in _OTHER_NAMES.items() if name in content and ours not in content]:
        raise ScheduleError(
            f"{path} cannot be checked: {', '.join(foreign)} are settings of another program, whose meaning is unknown here. "
            f"TrainingArguments has {', '.join(dict.fromkeys(_OTHER_NAMES[name] for name in foreign))}. Check the "
            "training_args.bin that the run saves, or pass the built Trainer to diagnose()."
        )
    known = list_training_argument_names().intersection(content)
    if len(known) < 2 and not any(name in content for name in _SETTINGS):
        raise ScheduleError(
            f"{path} holds no settings of a training: none of {', '.join(_SETTINGS)}. The doctor checks {_SUPPORTED}."
        )
    facts = read_facts_from_settings(content, str(path), path.parent, is_recipe=True)
    checkpoint = find_named(content.get("resume_from_checkpoint"), path.parent)
    if checkpoint is not None and checkpoint.is_dir() and is_run_folder(checkpoint):
        return replace(facts, earlier_stages=(read_facts_from_run_folder(checkpoint),))
    return facts


def _facts_from_accelerate(content: Mapping[str, Any], path: Path) -> Facts:
    settings = GivenSettings(content, str(path))
    processes, kind = settings.get("num_processes", "whole"), settings.get("distributed_type", "text")
    deepspeed, mpi = (settings.get(name, "mapping") or {} for name in ("deepspeed_config", "mpirun_config"))
    file = find_named(deepspeed.get("deepspeed_config_file"), path.parent)
    if file is not None and file.is_file():
        deepspeed = read_json(file)
    launch = LaunchFacts(
        1 if processes is None else processes,
        (kind or "no").upper(),
        uses_mpirun=bool(mpi.get("mpirun_hostfile") or content.get("mpirun_hostfile")),
    )
    return Facts(str(path), launch=launch, deepspeed=deepspeed)
