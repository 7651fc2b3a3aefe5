"""Where facts come from: a file of settings, accelerate's or DeepSpeed's, saved arguments, a run folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..schedules import ScheduleError
from ..schedules.errors import nearest
from .expected_curve import updates_per_epoch
from .facts import Facts, LaunchFacts
from .from_run_folder import facts_of_folder, facts_of_state, is_run_folder
from .from_settings import Settings, facts_of_settings
from .safe_pickle import Inert, read_pickle

#: By which settings of a training are told from any other file.
_SETTINGS = (
    *("learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("schedule", "output_dir", "warmup_steps", "warmup_ratio"),
)
_SUPPORTED = "a recipe's YAML, accelerate's YAML, DeepSpeed's JSON, training_args.bin, saved TrainingArguments as JSON, or a run's folder"


def facts_of_path(path: str | Path, num_updates: int | None = None) -> Facts:
    """The facts that a file or a folder tells.

    Args:
        path (`str` or `Path`): One of those.
        num_updates (`int`, *optional*): All updates of the run, where the source can't tell.

    Raises:
        ScheduleError: It is none of those, is damaged, or says another number of updates.
    """
    path = Path(path)
    if path.is_dir():
        facts = facts_of_folder(path)
    elif path.is_file():
        facts = _facts_of_file(path)
    else:
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ScheduleError(f"{path} does not exist.{nearest(path.name, siblings)}")
    return with_updates(facts, num_updates)


def with_updates(facts: Facts, num_updates: int | None) -> Facts:
    """The facts with the length of the run, and what follows from it.

    Raises:
        ScheduleError: It is no whole number of at least 1, or the source says another one.
    """
    if num_updates is None:
        return facts
    if isinstance(num_updates, bool) or not isinstance(num_updates, int) or num_updates < 1:
        raise ScheduleError(f"the number of updates must be a whole number of at least 1, got {num_updates!r}.")
    if facts.num_updates not in (None, num_updates):
        raise ScheduleError(
            f"{num_updates} updates are given, but {facts.source} says {facts.num_updates}. Leave out the number."
        )
    per_epoch = facts.updates_per_epoch or updates_per_epoch(num_updates, facts.num_train_epochs)
    return replace(facts, num_updates=num_updates, updates_per_epoch=per_epoch)


def _facts_of_file(path: Path) -> Facts:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" or start[:1] == b"\x80" or path.suffix in (".bin", ".pt", ".pkl"):
        return facts_of_arguments(path)
    if not start:
        raise ScheduleError(f"{path} is empty.")
    read = _READERS.get(path.suffix)
    if read is None:
        raise ScheduleError(f"{path} is not a file that the doctor knows. It looks at {_SUPPORTED}.")
    return _facts_of_mapping(read(path), path)


def facts_of_arguments(path: Path) -> Facts:
    """The facts of saved training arguments, nothing of which is executed.

    Raises:
        ScheduleError: It holds something else, or names what it may not.
    """
    found = read_pickle(path)
    values = found.__dict__ if isinstance(found, Inert) else None
    if values is None or "learning_rate" not in values or "output_dir" not in values:
        raise ScheduleError(f"{path} holds no training arguments but {_kind(found)}. The doctor looks at {_SUPPORTED}.")
    return facts_of_settings(values, str(path), path.parent)


def _facts_of_mapping(content: Mapping[str, Any], path: Path) -> Facts:
    if "log_history" in content:
        return facts_of_state(content, path)
    if "distributed_type" in content or "compute_environment" in content:
        return _facts_of_accelerate(content, path)
    if any(name in content for name in _DEEPSPEEDS) and "output_dir" not in content:
        return Facts(str(path), deepspeed=content)
    if not any(name in content for name in _SETTINGS):
        raise ScheduleError(
            f"{path} holds no settings of a training: none of {', '.join(_SETTINGS)}. The doctor looks at {_SUPPORTED}."
        )
    facts = facts_of_settings(content, str(path), path.parent, is_recipe=True)
    checkpoint = content.get("resume_from_checkpoint")
    if isinstance(checkpoint, str):
        for folder in (Path(checkpoint), path.parent / checkpoint):
            if folder.is_dir() and is_run_folder(folder):
                return replace(facts, earlier=(facts_of_folder(folder),))
    return facts


def _facts_of_accelerate(content: Mapping[str, Any], path: Path) -> Facts:
    settings = Settings(content, str(path))
    wanted = settings.whole("num_processes")
    mpi = settings.mapping("mpirun_config") or {}
    engine = settings.mapping("deepspeed_config") or {}
    named = engine.get("deepspeed_config_file")
    deepspeed = engine or None
    for file in (Path(str(named)), path.parent / str(named)):
        if named and file.is_file():
            deepspeed = _read_json(file)
            break
    launch = LaunchFacts(
        1 if wanted is None else wanted,
        str(settings.text("distributed_type") or "NO").upper(),
        uses_mpirun=bool(mpi.get("mpirun_hostfile") or settings.get("mpirun_hostfile")),
    )
    return Facts(str(path), launch=launch, deepspeed=deepspeed)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ScheduleError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    return _mapping(content, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # a text that is no UTF-8 is a ValueError, too
        raise ScheduleError(f"{path} is not JSON: {error}. Was its writing cut off?") from error
    return _mapping(content, path)


def _mapping(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ScheduleError(f"{path} must be a mapping of names to values, got {_kind(content)}.")
    return {str(name): value for name, value in content.items()}


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "nothing" if value is None else f"a {type(value).__name__}"


#: Names of DeepSpeed's configuration; the last one is also in what a Trainer sends to its reporters.
_DEEPSPEEDS = ("zero_optimization", "train_micro_batch_size_per_gpu", "train_batch_size")
_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {".yaml": _read_yaml, ".yml": _read_yaml, ".json": _read_json}
