"""The settings of a training, by the names of TrainingArguments and of this package's recipe, as Facts."""

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from ..schedules import ScheduleError
from ..schedules.errors import brief
from .facts import Facts, ModelFacts
from .loss_scaling import named_model_ignores_item_count
from .safe_pickle import Inert, plain

#: This package's recipe trains with this one where none is set.
DEFAULT_SCHEDULE = "warmup(10%) >> linear()"

#: Settings that only this package's recipe has.
_OURS = (
    *("schedule", "schedule_module", "on_resume", "clock", "layer_decay", "head_learning_rate", "lora_plus_ratio"),
    *("layer_pattern", "unfreeze_every", "early_stopping_patience"),
)
#: Settings by which a script for question answering is told: its models get no `labels`.
_QUESTION_ANSWERING = ("doc_stride", "version_2_with_negative", "n_best_size", "max_answer_length", "question_column")
#: By which an adapter is told.
_ADAPTERS = ("use_peft", "use_lora", "lora_r", "lora_rank", "lora_alpha", "peft_config", "adapter_name_or_path")

#: The settings that a schedule depends on.
_KNOWN = (
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio", "max_steps"),
    *("num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "optim", "logging_strategy"),
    *("logging_steps", "eval_strategy", "evaluation_strategy", "eval_steps", "metric_for_best_model"),
    *("greater_is_better", "output_dir", *_OURS),
)
#: Settings of TrainingArguments and of examples whose names are near to those, and mean something else.
_OTHERS = (
    *("eval_delay", "eval_on_start", "optim_args", "save_steps", "save_strategy", "logging_dir", "logging_first_step"),
    *("per_device_eval_batch_size", "eval_accumulation_steps", "hub_strategy", "per_gpu_train_batch_size"),
)


class Settings:
    """Settings by name, each read as what it should be; YAML reads `2e-5` as a text and a bare `no` as false."""

    def __init__(self, values: Mapping[str, Any], source: str):
        self.values, self.source = values, source

    def get(self, name: str) -> Any:
        value = plain(self.values.get(name))
        return None if value == "" or isinstance(value, Inert) else value

    def length(self, name: str) -> float | None:
        """A count or a share, which is not below 0."""
        number = self.number(name)
        if number is not None and number < 0:
            raise ScheduleError(f"{self.source}: {name} must be at least 0, got {number:g}.")
        return number

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
            return number
        except (ValueError, OverflowError):
            kind = "finite number" if is_finite else "number"
            raise ScheduleError(f"{self.source}: {name} must be a {kind}, got {_told(value)}.") from None

    def whole(self, name: str) -> int | None:
        number = self.number(name)
        if number is not None and not number.is_integer():
            raise ScheduleError(f"{self.source}: {name} must be a whole number, got {number}.")
        return None if number is None else int(number)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        if value is not None and not isinstance(value, str | int | float):
            raise ScheduleError(f"{self.source}: {name} must be a text, got {_told(value)}.")
        return None if value is None else str(value)

    def strategy(self, name: str) -> str | None:
        value = self.get(name)
        return "no" if value is False else self.text(name)

    def flag(self, name: str) -> bool:
        return self.flag_or_none(name) or False

    def flag_or_none(self, name: str) -> bool | None:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in known:
            raise ScheduleError(f"{self.source}: {name} must be true or false, got {_told(value)}.")
        return known[str(value).lower()]

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A mapping, also one that is written as JSON, as on a command line."""
        value = self.get(name)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ScheduleError(f"{self.source}: {name} is no JSON: {error}.") from error
        if value is None or isinstance(value, str):
            return None
        if not isinstance(value, dict):
            raise ScheduleError(f"{self.source}: {name} must be a mapping, got {_told(value)}.")
        return {str(key): plain(each) for key, each in value.items()}


def facts_of_settings(
    values: Mapping[str, Any], source: str, folder: Path | None = None, is_recipe: bool = False
) -> Facts:
    """The facts that settings tell.

    Args:
        values (`Mapping[str, Any]`): By the names of TrainingArguments, of the recipe or of transformers' examples.
        source (`str`): Where they come from, for errors and the report.
        folder (`Path`, *optional*): Where files that they name are looked for, after the working directory.
        is_recipe (`bool`): May they be this package's recipe's, which has a schedule where none is set?

    Raises:
        ScheduleError: A value is not what it should be.

    Example:
    ```python
    >>> facts = facts_of_settings({"learning_rate": "2e-5", "max_steps": 100, "warmup_steps": 500}, "a.yaml")
    >>> facts.learning_rate, facts.num_updates, facts.lr_scheduler_type
    (2e-05, 100, 'linear')

    ```
    """
    settings = Settings(values, source)
    is_ours = any(settings.get(name) is not None for name in _OURS)
    schedule = settings.text("schedule") or (DEFAULT_SCHEDULE if is_ours and is_recipe else None)
    max_steps, epochs = settings.whole("max_steps"), settings.length("num_train_epochs")
    num_updates = max_steps if max_steps is not None and max_steps > 0 else None
    batch, accumulation = settings.whole("per_device_train_batch_size"), settings.whole("gradient_accumulation_steps")
    accumulation = max(1, 1 if accumulation is None else accumulation)
    processes = _processes(settings)
    metric = settings.text("metric_for_best_model")
    kind = settings.text("lr_scheduler_type") or "linear"
    if metric is None and (kind == "reduce_lr_on_plateau" or settings.flag("load_best_model_at_end")):
        metric = "loss"  # as TrainingArguments does
    greater_is_better = settings.flag_or_none("greater_is_better")
    if greater_is_better is None and metric is not None and not is_ours:
        greater_is_better = not metric.endswith("loss")
    eval_strategy = settings.strategy("eval_strategy") or settings.strategy("evaluation_strategy")
    lr, head = settings.number("learning_rate", is_finite=False), settings.number("head_learning_rate")
    lr = 5e-5 if values.get("learning_rate") is None else lr  # None is also what can't be read
    return Facts(
        source,
        is_ours=is_ours,
        schedule=schedule,
        schedule_module=settings.text("schedule_module"),
        clock=settings.text("clock") or "updates",
        on_resume=settings.text("on_resume") or "strict",
        lr_scheduler_type=None if is_ours and schedule is None else kind,  # it then was given to the Trainer
        lr_scheduler_kwargs=settings.mapping("lr_scheduler_kwargs") or {},
        warmup_steps=settings.length("warmup_steps") or 0,
        warmup_ratio=settings.length("warmup_ratio") or 0,
        learning_rate=lr,
        group_lrs=() if lr is None or head is None else (lr, head),
        optim=settings.text("optim") or "adamw_torch",
        num_updates=num_updates,
        num_train_epochs=(3.0 if epochs is None else epochs) if num_updates is None else None,
        samples_per_update=(8 if batch is None else batch) * accumulation * processes or None,
        has_length=not settings.flag("streaming"),
        finds_batch_size=settings.flag("auto_find_batch_size"),
        accumulation=accumulation,
        processes=processes,
        averages_over_processes=settings.flag_or_none("average_tokens_across_devices") is not False,
        fp16=settings.flag("fp16"),
        logging_strategy=settings.strategy("logging_strategy") or "steps",
        logging_steps=settings.length("logging_steps"),
        logging_first_step=settings.flag("logging_first_step"),
        eval_strategy=eval_strategy or (None if is_ours else "no"),
        eval_steps=settings.length("eval_steps"),
        metric_for_best_model=metric,
        greater_is_better=greater_is_better,
        model=_model(settings, is_ours),
        deepspeed=_deepspeed(settings, folder),
        flattens=_flattens(settings, folder),
        misspelt=tuple(_misspelt(values)),
    )


def _processes(settings: Settings) -> int:
    """As saved arguments tell it; a file that is written by hand does not."""
    state = settings.values.get("distributed_state")
    found = state.__dict__.get("num_processes") if isinstance(state, Inert) else None
    return found if isinstance(found, int) and found > 0 else 1


def _model(settings: Settings, is_ours: bool) -> ModelFacts:
    name = settings.text("model_name_or_path") or settings.text("model_name")
    has_adapter = any(settings.get(each) not in (None, False) for each in _ADAPTERS)
    if name is None:
        return ModelFacts(has_adapter=has_adapter)
    accumulates = (settings.whole("gradient_accumulation_steps") or 1) > 1 or _processes(settings) > 1
    # The recipe tells Trainer the truth about its model; question answering has no labels, by which Trainer would count.
    is_known = is_ours or any(settings.get(each) is not None for each in _QUESTION_ANSWERING)
    smooths = bool(settings.length("label_smoothing_factor"))
    ignores = accumulates and not is_known and not smooths and named_model_ignores_item_count(name)
    return ModelFacts(name, is_pretrained=True, ignores_item_count=ignores, has_adapter=has_adapter)


def _deepspeed(settings: Settings, folder: Path | None) -> dict[str, Any] | None:
    found = settings.mapping("deepspeed")
    if found is None:
        found = _named_json(settings.get("deepspeed"), folder)
    return found


def _flattens(settings: Settings, folder: Path | None) -> bool:
    """FSDP's first version makes one parameter of many, unless it is told to keep the originals."""
    if settings.get("fsdp") in (None, False, "", []):
        return False
    config = settings.mapping("fsdp_config") or _named_json(settings.get("fsdp_config"), folder) or {}
    keeps = config.get("use_orig_params", config.get("fsdp_use_orig_params"))
    version = config.get("version", config.get("fsdp_version", 1))
    return str(keeps).lower() == "false" and str(version) == "1"


def _named_json(name: Any, folder: Path | None) -> dict[str, Any] | None:
    """A JSON file that a setting names, where it is there."""
    if not isinstance(name, str) or len(name) > 1000:
        return None
    for path in (Path(name), *([folder / name] if folder is not None else [])):
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    return None


def _misspelt(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name in map(str, values):
        if name in _KNOWN or name in _OTHERS:
            continue
        near = difflib.get_close_matches(name[:100].lower().replace("-", "_"), _KNOWN, n=1, cutoff=0.9)
        if near:
            found.append((name, near[0]))
    return found


def _told(value: object) -> str:
    """A value for an error; a container by its kind alone, for it may be endless."""
    return brief(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"


def is_number(value: object) -> TypeGuard[float]:
    """A number, NaN and infinities included, but no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """A finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
