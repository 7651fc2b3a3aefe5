"""Facts from settings, by the names of TrainingArguments and of this package's recipe."""

import ast
import difflib
import functools
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files import read_json
from ..schedules import ScheduleError
from ..schedules.metric_names import guess_greater_is_better
from ..schedules.numbers import is_number_as_text
from .facts import Facts, ModelFacts
from .given_settings import GivenSettings
from .safe_pickle import Inert

#: The recipe's schedule where none is set.
DEFAULT_SCHEDULE = "warmup(10%) >> linear()"

#: Settings that only this package's recipe has.
_OURS = (
    *("schedule", "schedule_module", "on_resume", "clock", "layer_decay", "head_learning_rate", "lora_plus_ratio"),
    *("layer_pattern", "unfreeze_every", "early_stopping_patience"),
)
#: Settings of scripts that train an adapter.
_ADAPTERS = ("use_peft", "use_lora", "lora_r", "lora_rank", "lora_alpha", "peft_config", "adapter_name_or_path")
#: Settings that are facts as they are, by the kind that they are read as.
_FIELDS = {
    "text": ("schedule_module", "clock", "optim", "logging_strategy"),
    "mapping": ("lr_scheduler_kwargs",),
    "length": ("warmup_steps", "warmup_ratio", "logging_steps", "eval_steps"),
    "flag": ("auto_find_batch_size", "fp16", "logging_first_step"),
}
#: Settings that must be numbers.
_NUMBERS = (
    *("learning_rate", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "logging_steps", "eval_steps", "save_steps", "weight_decay", "max_grad_norm"),
)


def read_facts_from_settings(
    values: Mapping[str, Any], source: str, folder: Path | None = None, is_recipe: bool = False
) -> Facts:
    """Collect the facts of a run's settings.

    Args:
        values (`Mapping[str, Any]`): By the names of TrainingArguments, of the recipe or of transformers' examples.
        source (`str`): Where they come from, for errors and the report.
        folder (`Path`, *optional*): Where files that they name are looked for, after the working directory.
        is_recipe (`bool`, defaults to `False`): Whether they may be this package's recipe's, which has a default schedule.

    Raises:
        ScheduleError: A value has the wrong type.

    Example:
    ```python
    >>> facts = read_facts_from_settings({"learning_rate": 2e-5, "max_steps": 100, "warmup_steps": 500}, "a.yaml")
    >>> facts.learning_rate, facts.num_updates, facts.lr_scheduler_type
    (2e-05, 100, 'linear')

    ```
    """
    settings = GivenSettings(values, source)
    get, is_ours = settings.get, any(values.get(name) is not None for name in _OURS)
    schedule = get("schedule", "text") or (DEFAULT_SCHEDULE if is_ours and is_recipe else None)
    name = get("lr_scheduler_type", "text") or "linear"
    max_steps, epochs = get("max_steps", "whole"), get("num_train_epochs", "length")
    num_updates = max_steps if max_steps is not None and max_steps > 0 else None
    batch = get("per_device_train_batch_size", "whole")
    accumulation, processes = max(1, get("gradient_accumulation_steps", "whole") or 1), _count_processes(values)
    metric, greater_is_better = get("metric_for_best_model", "text"), get("greater_is_better", "flag")
    if metric is None and (name == "reduce_lr_on_plateau" or get("load_best_model_at_end", "flag")):
        metric = "loss"  # as TrainingArguments does
    if greater_is_better is None and metric is not None and not is_ours:
        greater_is_better = guess_greater_is_better(metric)
    lr = get("learning_rate", "number") if values.get("learning_rate") is not None else 5e-5
    head, model = get("head_learning_rate", "number"), get("model_name_or_path", "text") or get("model_name", "text")
    # Whether its loss is multiplied depends on the model's class; the recipe sets accepts_loss_kwargs.
    averages = False if (is_ours and is_recipe) or get("label_smoothing_factor", "length") else None
    read = {name: get(name, kind) for kind, names in _FIELDS.items() for name in names}
    return Facts(
        source,
        uses_our_trainer=is_ours,
        schedule=schedule,
        lr_scheduler_type=None if is_ours and schedule is None else name,  # the Trainer then got its schedule in Python
        learning_rate=lr,
        group_lrs=() if lr is None or head is None else (lr, head),
        num_updates=num_updates,
        num_train_epochs=(3.0 if epochs is None else epochs) if num_updates is None else None,
        samples_per_update=(8 if batch is None else batch) * accumulation * processes or None,
        has_length=not get("streaming", "flag"),
        gradient_accumulation_steps=accumulation,
        num_processes=processes,
        averages_over_processes=get("average_tokens_across_devices", "flag") is not False,
        eval_strategy=get("eval_strategy", "text") or get("evaluation_strategy", "text") or (None if is_ours else "no"),
        metric_for_best_model=metric,
        greater_is_better=greater_is_better,
        model=ModelFacts(model, None if model is None else True, averages, settings.is_set(*_ADAPTERS)),
        deepspeed=get("deepspeed", "mapping") or _read_named_json(values.get("deepspeed"), folder),
        # The recipe reads its settings as flags, which are text.
        numbers_as_text=() if is_ours else tuple((n, v) for n in _NUMBERS if is_number_as_text(v := values.get(n))),
        misspelled=tuple(sorted(_find_misspelled(values))),
        **{name: value for name, value in read.items() if value is not None},
    )


def _count_processes(values: Mapping[str, Any]) -> int:
    """Read the processes from saved arguments; a file that is written by hand does not have them."""
    state = values.get("distributed_state")
    found = state.__dict__.get("num_processes") if isinstance(state, Inert) else None
    return found if isinstance(found, int) and found > 0 else 1


def find_named(name: Any, folder: Path | None) -> Path | None:
    """Find the file or the folder that a setting names, in the working directory or in the folder of the settings."""
    if not isinstance(name, str) or not name or len(name) > 1000 or "\0" in name:
        return None
    # Unlike Path.exists, os.path.exists takes a name that is too long for a file.
    return next((path for path in (Path(name), *([folder / name] if folder else [])) if os.path.exists(path)), None)  # noqa: PTH110


def _read_named_json(name: Any, folder: Path | None) -> dict[str, Any] | None:
    """Read a JSON file that a setting names, where it exists."""
    path = find_named(name, folder)
    try:
        return read_json(path) if path is not None else None
    except (OSError, ScheduleError):
        return None


def _find_misspelled(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    known = list_training_argument_names() | {*_OURS}
    for name in set(map(str, values)) - known:
        for near in difflib.get_close_matches(name[:100].lower().replace("-", "_"), known, n=1, cutoff=0.9):
            yield name, near


@functools.cache
def list_training_argument_names() -> frozenset[str]:
    """Read the fields of the installed TrainingArguments from its source, since importing it would start torch."""
    package = importlib.util.find_spec("transformers")
    assert package is not None and package.submodule_search_locations
    tree = ast.parse(Path(package.submodule_search_locations[0], "training_args.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments"]
    fields = [node.target for cls in classes for node in cls.body if isinstance(node, ast.AnnAssign)]
    return frozenset(target.id for target in fields if isinstance(target, ast.Name))
