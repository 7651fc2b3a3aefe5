"""Fine-tune BERT or a relative to classify or score texts; the table of metrics shows the learning rate that was used.

    python recipes/text_classification.py recipes/configs/demo.yaml
    python recipes/text_classification.py --task_name stsb --output_dir runs/stsb
    python recipes/text_classification.py recipes/configs/warmup_cosine.yaml --learning_rate 3e-5 --output_dir runs/b
    accelerate launch --config_file recipes/accelerate/two_cpu.yaml recipes/text_classification.py CONFIG.yaml

Each text, or pair of texts, has one label, several labels, or a number: `--problem_type`, guessed from the labels.

The first argument may be a YAML or JSON file; flags override it. Flags are those below and all of transformers'
TrainingArguments. A relative path of a data file or a model in the file counts from the working directory, else from the
folder of the file; `output_dir` always counts from the working directory. See docs/recipes.md.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from common.arguments import RecipeArguments
from common.class_weights import compute_class_weights, make_weighted_loss
from common.data import (
    DataArguments,
    Split,
    check_column,
    check_texts,
    describe_sizes,
    describe_type,
    find_empty_texts,
    limited_rows,
    list_text_columns,
    read_splits,
    split_names,
)
from common.errors import RecipeError
from common.glue import TASKS, glue_settings
from common.labels import guess_label_column, guess_problem_type, set_labels
from common.model import count_cut_texts, load_config_and_tokenizer, load_model, max_length
from common.problem_types import PROBLEM_TYPES, SingleLabel
from common.run import Task, run_recipe
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

#: Pairs of text columns that are known to belong together, as in GLUE.
_TEXT_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("text1", "text2"),
)


@dataclass
class TextClassificationArguments(DataArguments):
    """What to train and evaluate on: texts, or pairs of texts, with one label, several labels, or a number each."""

    lists: ClassVar[tuple[str, ...]] = ("text_column_names", "label_column_name", "class_weights")

    task_name: str | None = field(
        default=None, metadata={"help": f"A task of GLUE, which sets dataset, columns and metric: {', '.join(TASKS)}."}
    )
    text_column_names: str | None = field(
        default=None, metadata={"help": "The text column, or two separated by a comma. Guessed if it is unambiguous."}
    )
    label_column_name: str | None = field(
        default=None,
        metadata={"help": "The label column, or several columns of 0 and 1 separated by commas. Default: label."},
    )
    problem_type: str | None = field(
        default=None, metadata={"help": f"{', '.join(PROBLEM_TYPES)}. Guessed from the labels by default."}
    )
    label_threshold: float = field(
        default=0.5, metadata={"help": "Of several labels, those above this probability apply."}
    )
    class_weights: str | None = field(
        default=None,
        metadata={
            "help": "The loss's weight of each label: balanced, or e.g. bug=2,question=1. The others have weight 1."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("task_name", TASKS), ("problem_type", PROBLEM_TYPES)):
            if getattr(self, name) not in (None, *allowed):
                raise RecipeError(f"--{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if not 0 < self.label_threshold < 1:
            raise RecipeError(f"--label_threshold is a probability between 0 and 1, got {self.label_threshold}.")

    @classmethod
    def defaults(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        task = given.get("task_name")
        return glue_settings(task, "train_file" in given) if task in TASKS else {}


@dataclass(frozen=True)
class LabelledTexts:
    """Splits of texts and what each of their rows is labelled with.

    Args:
        splits (`dict[str, Dataset]`): `train`, and `validation` and `test` where they are given.
        text_columns (`tuple[str, ...]`): The text column, or the two of a pair.
        problem (`SingleLabel`, `MultiLabel` or `Regression`): The labels of all rows.
        labels (`dict[str, list]`): The label, labels or number of each row of each split.
        warnings (`list[str]`): What is doubtful about the data.
    """

    splits: dict[str, Dataset]
    text_columns: tuple[str, ...]
    problem: SingleLabel
    labels: dict[str, list[Any]]
    warnings: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe. Returns 0, or 2 if a setting or the data is invalid."""
    return run_recipe(prepare, TextClassificationArguments, "text-classification", argv)


def prepare(arguments: RecipeArguments) -> Task:
    """Read the data, load the model, and tokenize: what the Trainer needs from this recipe."""
    args, settings = arguments.training, arguments.data
    with args.main_process_first(desc="reading the data"):
        data = load_data(settings, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer = load_config_and_tokenizer(arguments.model)
    names: list[str] = []
    if data.problem.names:
        names = set_labels(config, data.problem.names, new_head=arguments.model.ignore_mismatched_sizes)
    else:
        config.num_labels = 1
    config.problem_type = data.problem.name
    weights = compute_class_weights(settings.class_weights, data.problem.name, data.labels["train"], names)
    model = load_model(AutoModelForSequenceClassification, arguments.model, config)
    max_seq_length = max_length(settings.max_seq_length, config, tokenizer)
    with args.main_process_first(desc="tokenizing"):
        splits = tokenize(data, tokenizer, names, max_seq_length)
    begin, *lines = data.problem.describe()
    sizes = f"rows: {describe_sizes(splits)}; text: {', '.join(data.text_columns)}; {begin}"
    return Task(
        model=model,
        tokenizer=tokenizer,
        splits=splits,
        collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=make_compute_metrics(data.problem, settings.label_threshold, weights),
        metrics=data.problem.metrics,
        description=[sizes, *lines, *data.warnings, *count_cut_texts(splits, max_seq_length)],
        baselines=data.problem.get_baselines(data.labels.get("validation", [])),
        compute_loss=None if weights is None else make_weighted_loss(data.problem.name, weights),
    )


def load_data(
    args: TextClassificationArguments, cache_dir: str | None = None, token: str | None = None
) -> LabelledTexts:
    """Read the splits, find their columns, and check texts and labels.

    Raises:
        RecipeError: A file, split or column is missing, a split is empty, a text or a label is missing, or the labels of
            the splits do not match.
    """
    splits = read_splits(args, cache_dir, token)
    text_columns, label_columns = find_columns(splits["train"], args)
    for split in splits.values():
        for column in (*text_columns, *label_columns):
            check_column(split, column)
        check_texts(split, text_columns)
    problem = PROBLEM_TYPES[args.problem_type or guess_problem_type(splits["train"], label_columns)](
        splits, label_columns
    )
    rows = {name: limited_rows(args, name, len(split.rows)) for name, split in splits.items()}
    labels = {name: [problem.labels[name][row] for row in rows[name]] for name in splits}
    if len({str(label) for label in labels["train"]}) < 2:
        raise RecipeError(
            f"the first {args.max_train_samples} rows of the training split have only one label. Add "
            "--shuffle_train_dataset true, or increase --max_train_samples."
        )
    warnings = [each for split in splits.values() for each in find_empty_texts(split, text_columns)]
    selected = {name: split.rows.select_columns([*text_columns]).select(rows[name]) for name, split in splits.items()}
    return LabelledTexts(selected, text_columns, problem, labels, warnings)


def find_columns(train: Split, args: TextClassificationArguments) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the text columns and the label columns, which are given or can be guessed."""
    columns = (f"{name} ({describe_type(kind)})" for name, kind in train.rows.features.items())
    present = f"The columns of the training split ({train.source}): {', '.join(columns)}."
    guessed = args.label_column_name or guess_label_column(train.rows)
    if guessed is None:
        raise RecipeError(f"the label column is not clear. Set --label_column_name. {present}")
    labels = (guessed,) if guessed in train.rows.column_names else split_names(guessed)
    for column in labels:
        check_column(train, column)
    if args.text_column_names is None:
        candidates = list_text_columns(train, but=labels)
        pairs = [pair for pair in _TEXT_PAIRS if set(pair) == set(candidates)]
        text = tuple(candidates) if len(candidates) == 1 else pairs[0] if pairs else None
        if text is None:
            fault = "the text column is not clear. Set --text_column_names" if candidates else "no column holds texts"
            raise RecipeError(f"{fault}. {present}")
    else:
        text = split_names(args.text_column_names)
    for column in text:
        check_column(train, column)
    if not 1 <= len(text) <= 2 or len(set(text)) < len(text) or set(labels) & set(text):
        raise RecipeError(
            f"--text_column_names takes one or two text columns other than the label column {guessed!r}, got "
            f"{', '.join(text) or 'none'}."
        )
    return text, labels


def tokenize(data: LabelledTexts, tokenizer: Any, names: Sequence[str], max_seq_length: int) -> dict[str, Dataset]:
    """Turn the splits into token ids and labels as numbers, without the raw columns."""

    def encode(rows: dict[str, list[Any]], indices: list[int], labels: list[Any]) -> dict[str, Any]:
        encoded = tokenizer(*(rows[column] for column in data.text_columns), truncation=True, max_length=max_seq_length)
        return {**encoded, "labels": [data.problem.get_target(labels[index], names) for index in indices]}

    return {
        name: split.map(
            encode,
            batched=True,
            with_indices=True,
            fn_kwargs={"labels": data.labels[name]},
            remove_columns=split.column_names,
            desc=f"Tokenizing {name}",
        )
        for name, split in data.splits.items()
    }


def make_compute_metrics(
    problem: SingleLabel, threshold: float = 0.5, weights: np.ndarray | None = None
) -> Callable[[Any, str], dict[str, float]]:
    """Make the task's `compute_metrics`: the metrics of the problem type, and the loss."""
    metrics = problem.make_metrics()

    def compute_metrics(prediction: Any, split: str) -> dict[str, float]:
        logits, targets = prediction.predictions, prediction.label_ids
        decisions = problem.decide(logits, threshold)
        found = metrics.compute(predictions=decisions, references=targets.astype(decisions.dtype))
        return {"loss": problem.mean_loss(logits, targets, weights), **found}

    return compute_metrics


if __name__ == "__main__":
    sys.exit(main())
