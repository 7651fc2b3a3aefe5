"""Facts from settings, by the names of TrainingArguments and of this package's recipe."""

import ast
import difflib
import functools
import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runs.files import read_json
from ..schedules import ScheduleError
from ..schedules.errors import brief
from ..schedules.numbers import is_number_as_text
from .facts import Facts, ModelFacts
from .loss_scaling import classifier_averages_per_batch
from .safe_pickle import Inert, to_plain

#: The recipe's schedule where none is set.
DEFAULT_SCHEDULE = "warmup(10%) >> linear()"

#: Settings that only this package's recipe has.
_OURS = (
    *("schedule", "schedule_module", "on_resume", "clock", "layer_decay", "head_learning_rate", "lora_plus_ratio"),
    *("layer_pattern", "unfreeze_every", "early_stopping_patience"),
)
#: Settings of scripts for question answering, whose models get no `labels`.
_QUESTION_ANSWERING = ("doc_stride", "version_2_with_negative", "n_best_size", "max_answer_length", "question_column")
#: Settings of scripts for the classification of texts or tokens.
_CLASSIFICATION = ("task_name", "label_column_name")
#: Settings of scripts that train an adapter.
_ADAPTERS = ("use_peft", "use_lora", "lora_r", "lora_rank", "lora_alpha", "peft_config", "adapter_name_or_path")

#: Settings that are facts as they are, by the type that they are read as.
_FIELDS = {
    "text": ("schedule_module", "clock", "optim"),
    "mapping": ("lr_scheduler_kwargs",),
    "length": ("warmup_steps", "warmup_ratio", "logging_steps", "eval_steps"),
    "flag": ("auto_find_batch_size", "fp16", "logging_first_step"),
    "strategy": ("logging_strategy",),
}
#: Settings that must be numbers.
_NUMBERS = (
    *("learning_rate", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "logging_steps", "eval_steps", "save_steps", "weight_decay", "max_grad_norm"),
)


class GivenSettings:
    """Settings by name, each read as the type that it must have; YAML reads a bare `no` as false."""

    def __init__(self, values: Mapping[str, Any], source: str):
        self.values, self.source = values, source

    def get(self, name: str) -> Any:
        value = to_plain(self.values.get(name))
        return None if value == "" or isinstance(value, Inert) else value

    def number(self, name: str, is_finite: bool = True) -> float | None:
        value = self.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError
            number = float(value)
            if is_finite and not math.isfinite(number):
                raise ValueError
        except (ValueError, OverflowError):
            raise self._error(name, f"a {'finite ' if is_finite else ''}number") from None
        return number

    def length(self, name: str) -> float | None:
        """Read a count or a share, which is not below 0."""
        number = self.number(name)
        if number is not None and number < 0:
            raise self._error(name, "at least 0")
        return number

    def whole(self, name: str) -> int | None:
        number = self.number(name)
        if number is not None and not number.is_integer():
            raise self._error(name, "a whole number")
        return None if number is None else int(number)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        if value is not None and not isinstance(value, str | int | float):
            raise self._error(name, "a text")
        return None if value is None else str(value)

    def strategy(self, name: str) -> str | None:
        return "no" if self.get(name) is False else self.text(name)

    def flag(self, name: str) -> bool | None:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in known:
            raise self._error(name, "true or false")
        return known[str(value).lower()]

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Read a mapping, also one that is written as JSON, as on a command line."""
        value = self.get(name)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ScheduleError(f"{self.source}: {name} is not JSON: {error}.") from error
        if value is None or isinstance(value, str):
            return None
        if not isinstance(value, dict):
            raise self._error(name, "a mapping")
        return {str(key): to_plain(each) for key, each in value.items()}

    def _error(self, name: str, allowed: str) -> ScheduleError:
        value = self.get(name)
        # A container by its type alone, for it may be endless.
        shown = brief(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"
        return ScheduleError(f"{self.source}: {name} must be {allowed}, got {shown}.")


def facts_from_settings(
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
    >>> facts = facts_from_settings({"learning_rate": 2e-5, "max_steps": 100, "warmup_steps": 500}, "a.yaml")
    >>> facts.learning_rate, facts.num_updates, facts.lr_scheduler_type
    (2e-05, 100, 'linear')

    ```
    """
    settings = GivenSettings(values, source)
    is_ours = any(settings.get(name) is not None for name in _OURS)
    schedule = settings.text("schedule") or (DEFAULT_SCHEDULE if is_ours and is_recipe else None)
    max_steps, epochs = settings.whole("max_steps"), settings.length("num_train_epochs")
    num_updates = max_steps if max_steps is not None and max_steps > 0 else None
    batch, accumulation = settings.whole("per_device_train_batch_size"), settings.whole("gradient_accumulation_steps")
    accumulation = max(1, 1 if accumulation is None else accumulation)
    processes = _count_processes(settings)
    metric, name = settings.text("metric_for_best_model"), settings.text("lr_scheduler_type") or "linear"
    if metric is None and (name == "reduce_lr_on_plateau" or settings.flag("load_best_model_at_end")):
        metric = "loss"  # as TrainingArguments does
    greater_is_better = settings.flag("greater_is_better")
    if greater_is_better is None and metric is not None and not is_ours:
        greater_is_better = not metric.endswith("loss")
    eval_strategy = settings.strategy("eval_strategy") or settings.strategy("evaluation_strategy")
    lr, head = settings.number("learning_rate", is_finite=False), settings.number("head_learning_rate")
    lr = 5e-5 if values.get("learning_rate") is None else lr  # a value that cannot be read is None, too
    read = {name: getattr(settings, kind)(name) for kind, names in _FIELDS.items() for name in names}
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
        has_length=not settings.flag("streaming"),
        gradient_accumulation_steps=accumulation,
        num_processes=processes,
        averages_over_processes=settings.flag("average_tokens_across_devices") is not False,
        eval_strategy=eval_strategy or (None if is_ours else "no"),
        metric_for_best_model=metric,
        greater_is_better=greater_is_better,
        model=_model(settings, is_ours and is_recipe),
        deepspeed=settings.mapping("deepspeed") or _read_named_json(settings.get("deepspeed"), folder),
        flattens_groups=_flattens_groups(settings, folder),
        # The recipe reads its settings as flags, which are text.
        numbers_as_text=() if is_ours else tuple((n, v) for n in _NUMBERS if is_number_as_text(v := values.get(n))),
        misspelled=tuple(_find_misspelled(values)),
        **{name: value for name, value in read.items() if value is not None},
    )


def _count_processes(settings: GivenSettings) -> int:
    """Read the processes from saved arguments; a file that is written by hand does not have them."""
    state = settings.values.get("distributed_state")
    found = state.__dict__.get("num_processes") if isinstance(state, Inert) else None
    return found if isinstance(found, int) and found > 0 else 1


def _model(settings: GivenSettings, is_recipe: bool) -> ModelFacts:
    name = settings.text("model_name_or_path") or settings.text("model_name")
    has_adapter = any(settings.get(each) not in (None, False) for each in _ADAPTERS)
    averages = False if is_recipe else _averages_per_batch(settings, name)  # the recipe sets accepts_loss_kwargs
    return ModelFacts(name, None if name is None else True, averages, has_adapter)


def _averages_per_batch(settings: GivenSettings, name: str | None) -> bool | None:
    """Whether Trainer multiplies the loss; None where the settings do not say which class the model has."""
    answers = any(settings.get(each) is not None for each in _QUESTION_ANSWERING)
    if answers or settings.length("label_smoothing_factor"):
        return False
    accumulates = (settings.whole("gradient_accumulation_steps") or 1) > 1 or _count_processes(settings) > 1
    classifies = any(settings.get(each) is not None for each in _CLASSIFICATION)
    return classifier_averages_per_batch(name) if name is not None and accumulates and classifies else None


def _flattens_groups(settings: GivenSettings, folder: Path | None) -> bool:
    """FSDP's first version makes one parameter of many, unless `use_orig_params` is set."""
    if settings.get("fsdp") in (None, False, "", []):
        return False
    config = settings.mapping("fsdp_config") or _read_named_json(settings.get("fsdp_config"), folder) or {}
    keeps = config.get("use_orig_params", config.get("fsdp_use_orig_params"))
    version = config.get("version", config.get("fsdp_version", 1))
    return str(keeps).lower() == "false" and str(version) == "1"


def _read_named_json(name: Any, folder: Path | None) -> dict[str, Any] | None:
    """Read a JSON file that a setting names, where it exists."""
    if not isinstance(name, str) or len(name) > 1000 or "\0" in name:
        return None
    for path in (Path(name), *([folder / name] if folder is not None else [])):
        try:
            return read_json(path)
        except (OSError, ScheduleError):
            continue
    return None


def _find_misspelled(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = training_argument_names() | {*_OURS}
    unknown = [name for name in map(str, values) if name not in known]
    near = [difflib.get_close_matches(name[:100].lower().replace("-", "_"), known, n=1, cutoff=0.9) for name in unknown]
    return [(name, match[0]) for name, match in zip(unknown, near, strict=True) if match]


@functools.cache
def training_argument_names() -> frozenset[str]:
    """Read the fields of the installed TrainingArguments from its source, since importing it would start torch."""
    package = importlib.util.find_spec("transformers")
    assert package is not None and package.submodule_search_locations
    tree = ast.parse(Path(package.submodule_search_locations[0], "training_args.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments"]
    fields = [node.target for cls in classes for node in cls.body if isinstance(node, ast.AnnAssign)]
    return frozenset(target.id for target in fields if isinstance(target, ast.Name))
