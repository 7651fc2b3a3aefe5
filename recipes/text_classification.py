"""Fine-tune BERT or a relative to classify texts; the table of metrics shows the learning rate that was used.

    python recipes/text_classification.py recipes/configs/demo.yaml
    python recipes/text_classification.py recipes/configs/warmup_cosine.yaml --learning_rate 3e-5 --output_dir runs/b
    accelerate launch --config_file recipes/accelerate/two_cpu.yaml recipes/text_classification.py CONFIG.yaml

The first argument may be a YAML or JSON file; flags override it. Flags are those below and all of transformers'
TrainingArguments. A relative path of a data file or a model in the file counts from the working directory, else from the
folder of the file; `output_dir` always counts from the working directory.

Afterwards the output folder holds the model and its card (README.md), `metrics.csv` and `metrics.json` (the table),
`learning_rate_and_metrics.png`, and Trainer's own `*_results.json`, `trainer_state.json` and checkpoints.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from common.arguments import RecipeArguments
from common.data import DataArguments, check_column, check_texts, is_text, limited_rows, read_splits
from common.errors import RecipeError
from common.labels import (
    check_known_labels,
    guess_label_column,
    list_labels,
    order_labels,
    read_labels,
    set_labels,
)
from common.metrics import F1, Accuracy, Matthews, combine
from common.model import load_config_and_tokenizer, load_model, max_length
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
    """What to train and evaluate on: texts, or pairs of texts, with one label each."""

    lists: ClassVar[tuple[str, ...]] = ("text_column_names",)

    text_column_names: str | None = field(
        default=None,
        metadata={
            "help": "The text column, or two separated by a comma. Guessed if it is unambiguous.",
        },
    )
    label_column_name: str | None = field(default=None, metadata={"help": "The label column. Default: label."})


@dataclass(frozen=True)
class LabelledTexts:
    """Splits of texts and the label of each of their rows.

    Args:
        splits (`dict[str, Dataset]`): `train`, and `validation` and `test` where they are given.
        text_columns (`tuple[str, ...]`): The text column, or the two of a pair.
        label_column (`str`): The label column.
        labels (`dict[str, list[str]]`): Each split's labels by name, row by row.
        names (`tuple[str, ...]`): All labels in the order of their numbers.
    """

    splits: dict[str, Dataset]
    text_columns: tuple[str, ...]
    label_column: str
    labels: dict[str, list[str]]
    names: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe. Returns 0, or 2 if a setting or the data is invalid."""
    return run_recipe(prepare, TextClassificationArguments, "text-classification", argv)


def prepare(arguments: RecipeArguments) -> Task:
    """Read the data, load the model, and tokenize: what the Trainer needs from this recipe."""
    args = arguments.training
    with args.main_process_first(desc="reading the data"):
        data = load_data(arguments.data, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer = load_config_and_tokenizer(arguments.model)
    names = set_labels(config, data.names)
    config.problem_type = "single_label_classification"
    model = load_model(AutoModelForSequenceClassification, arguments.model, config)
    max_seq_length = max_length(arguments.data.max_seq_length, config, tokenizer)
    with args.main_process_first(desc="tokenizing"):
        splits = tokenize(data, tokenizer, names, max_seq_length)
    return Task(
        model=model,
        tokenizer=tokenizer,
        splits=splits,
        collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=make_compute_metrics(len(names)),
        description=describe(data, splits, names, max_seq_length),
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
    text_columns, label_column = find_columns(splits["train"], args)
    for name, split in splits.items():
        for column in (*text_columns, label_column):
            check_column(split, column, f"the {name} split ({args.source(name)})")
        check_texts(split, text_columns, args.source(name))
    labels = {name: read_labels(split, label_column, args.source(name)) for name, split in splits.items()}
    names = order_labels(splits["train"].features[label_column], labels["train"])
    check_known_labels(labels)

    rows = {name: limited_rows(args, name, len(split)) for name, split in splits.items()}
    splits = {name: split.select(rows[name]) for name, split in splits.items()}
    labels = {name: [labels[name][row] for row in rows[name]] for name in splits}
    check_known_labels(labels)
    if len(set(labels["train"])) < 2:
        raise RecipeError(
            f"the first {args.max_train_samples} rows of the training split have only one label. Add "
            "--shuffle_train_dataset true, or increase --max_train_samples."
        )
    return LabelledTexts(splits, text_columns, label_column, labels, names)


def find_columns(train: Dataset, args: TextClassificationArguments) -> tuple[tuple[str, ...], str]:
    """Return the text columns and the label column, which are given or can be guessed."""
    source = f"the training split ({args.source('train')})"
    present = f"The columns of {source}: {', '.join(train.column_names)}."
    label = args.label_column_name or guess_label_column(train)
    if label is None:
        raise RecipeError(f"the label column is not clear. Set --label_column_name. {present}")
    check_column(train, label, source)
    if args.text_column_names is None:
        candidates = [name for name, feature in train.features.items() if is_text(feature) and name != label]
        pairs = [pair for pair in _TEXT_PAIRS if set(pair) == set(candidates)]
        text = tuple(candidates) if len(candidates) == 1 else pairs[0] if pairs else None
        if text is None:
            raise RecipeError(f"the text column is not clear. Set --text_column_names. {present}")
    else:
        text = tuple(name.strip() for name in args.text_column_names.split(",") if name.strip())
    for column in text:
        check_column(train, column, source)
    if not 1 <= len(text) <= 2 or len(set(text)) < len(text) or label in text:
        raise RecipeError(
            f"--text_column_names takes one or two text columns other than the label column {label!r}, got "
            f"{', '.join(text) or 'none'}."
        )
    return text, label


def tokenize(data: LabelledTexts, tokenizer: Any, names: Sequence[str], max_seq_length: int) -> dict[str, Dataset]:
    """Turn the splits into token ids and label numbers, without the raw columns.

    No column holds the lengths: Trainer groups by the token ids as fast, or faster (a `datasets.Column` is read anew at
    every comparison).
    """
    number = {name: index for index, name in enumerate(names)}

    def encode(rows: dict[str, list[Any]], indices: list[int], labels: list[str]) -> dict[str, Any]:
        encoded = tokenizer(*(rows[column] for column in data.text_columns), truncation=True, max_length=max_seq_length)
        return {**encoded, "labels": [number[labels[index]] for index in indices]}

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


def describe(data: LabelledTexts, splits: dict[str, Dataset], names: Sequence[str], max_seq_length: int) -> list[str]:
    """Describe the data in lines that are printed before the first update."""
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    f1 = f"the F1 of the label {names[1]!r}" if len(names) == 2 else f"the mean F1 of {len(names)} labels"
    lines = [
        f"rows: {sizes}; text: {', '.join(data.text_columns)}; {len(names)} labels in {data.label_column}: "
        f"{list_labels(names)}",
        f"F1 is {f1}",
    ]
    for name, split in splits.items():
        cut = sum(len(ids) >= max_seq_length for ids in split["input_ids"][:])
        if cut:
            lines.append(
                f"{name}: {cut} of {len(split)} texts reach the limit of {max_seq_length} tokens; longer ones are cut"
            )
    return lines


def make_compute_metrics(num_labels: int) -> Callable[[Any], dict[str, float]]:
    """Make Trainer's `compute_metrics`: accuracy, F1 and Matthews' correlation."""
    combined = combine(Accuracy(), F1("binary" if num_labels == 2 else "macro"), Matthews())

    def compute_metrics(prediction: Any) -> dict[str, float]:
        logits = prediction.predictions
        logits = logits[0] if isinstance(logits, tuple) else logits
        return combined.compute(predictions=np.argmax(logits, axis=-1), references=prediction.label_ids)

    return compute_metrics


if __name__ == "__main__":
    sys.exit(main())
