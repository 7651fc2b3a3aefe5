"""Texts and labels: from the Hub or from CSV and JSON files to tokenised splits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from datasets import ClassLabel, Dataset
from errors import RecipeError, told_as

from hf_lrsched.schedules.errors import nearest

#: Two text columns that are known to belong together, as in GLUE.
_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("text1", "text2"),
)
_READERS = {".csv": ("csv", {}), ".tsv": ("csv", {"sep": "\t"}), ".json": ("json", {}), ".jsonl": ("json", {})}


@dataclass
class DataArguments:
    """What to train and evaluate on."""

    dataset_name: str | None = field(default=None, metadata={"help": "A dataset on the Hub, or a folder with one."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Its configuration, e.g. sst2 of glue."})
    train_split_name: str = field(default="train", metadata={"help": "The Hub dataset's split to train on."})
    validation_split_name: str = field(default="validation", metadata={"help": "Its split to evaluate on."})
    test_split_name: str | None = field(
        default=None, metadata={"help": "Its split to test on at the end; needs labels."}
    )
    train_file: str | None = field(default=None, metadata={"help": "A .csv, .tsv, .json or .jsonl file to train on."})
    validation_file: str | None = field(default=None, metadata={"help": "A file to evaluate on."})
    test_file: str | None = field(default=None, metadata={"help": "A file to test on at the end; needs labels."})
    text_column_names: str | None = field(
        default=None,
        metadata={"help": "The text column, or two separated by a comma. Guessed where it is unambiguous."},
    )
    label_column_name: str | None = field(default=None, metadata={"help": "The label column, 'label' by default."})
    max_seq_length: int | None = field(
        default=None,
        metadata={
            "help": "Texts are cut after this many tokens. Defaults to 128, or what the model takes if that is less."
        },
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first N rows only."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate on the first N rows only."})
    shuffle_train_dataset: bool = field(
        default=False, metadata={"help": "Shuffle the rows before --max_train_samples takes the first N."}
    )
    shuffle_seed: int = field(default=42, metadata={"help": "The seed of that shuffle."})

    def __post_init__(self) -> None:
        if (self.dataset_name is None) == (self.train_file is None):
            found = "neither is given" if self.dataset_name is None else "both are given"
            raise RecipeError(f"training data comes from --train_file or from --dataset_name; {found}.")
        if self.dataset_name is not None and (self.validation_file or self.test_file):
            raise RecipeError("--validation_file and --test_file go with --train_file, not with --dataset_name.")
        if self.dataset_name is None and self.test_split_name is not None:
            raise RecipeError("--test_split_name goes with --dataset_name; a file to test on is --test_file.")
        for name in ("max_seq_length", "max_train_samples", "max_eval_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"--{name} must be at least 1, got {value}.")

    @property
    def has_validation(self) -> bool:
        """Is there something to evaluate on?"""
        return self.dataset_name is not None or self.validation_file is not None


@dataclass(frozen=True)
class Columns:
    """Where the texts and the labels are.

    Args:
        text (`tuple[str, ...]`): One column, or the two of a pair.
        label (`str`): The labels' column.
    """

    text: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class LabelledSplits:
    """The raw splits, their columns, and each row's label by name.

    Args:
        splits (`dict[str, Dataset]`): `train`, and `validation` and `test` where they are given.
        columns ([`Columns`]): Where texts and labels are.
        labels (`dict[str, list[str]]`): Each split's labels, row by row.
        names (`tuple[str, ...]`): All labels, in the order of their numbers.
    """

    splits: dict[str, Dataset]
    columns: Columns
    labels: dict[str, list[str]]
    names: tuple[str, ...]


def load(args: DataArguments, cache_dir: str | None = None, token: str | None = None) -> LabelledSplits:
    """Reads and checks the splits.

    Raises:
        RecipeError: A missing file, split or column, an empty split, a text or a label that is missing, one label only,
            or a label that the training split lacks.
    """
    splits = _from_files(args, cache_dir) if args.dataset_name is None else _from_hub(args, cache_dir, token)
    for name, split in splits.items():
        if not len(split):
            raise RecipeError(f"the {name} split ({_source(args, name)}) is empty.")
    columns = _find_columns(splits["train"], args)
    for name, split in splits.items():
        for column in (*columns.text, columns.label):
            _check_column(split, column, f"the {name} split ({_source(args, name)})")
        _check_texts(split, columns.text, _source(args, name))
    labels = {name: _read_labels(split, columns.label, _source(args, name)) for name, split in splits.items()}
    names = _order(splits["train"].features[columns.label], labels["train"])
    _check_labels(labels)
    loaded = LabelledSplits(splits, columns, labels, names)
    first = _take_first(loaded, args)
    _check_labels(first.labels)
    if len(set(first.labels["train"])) < 2:
        raise RecipeError(
            f"the first {args.max_train_samples} rows of the training split have one label only; add --shuffle_train_dataset "
            "true, or take more."
        )
    return first


def tokenise(data: LabelledSplits, tokenizer: Any, names: Sequence[str], max_seq_length: int) -> dict[str, Dataset]:
    """The splits as the model takes them: token ids and a label number, without the raw columns.

    No column holds the lengths: Trainer groups by them as fast, or faster, from the token ids (a `datasets.Column` is
    read anew at every comparison).
    """
    number = {name: index for index, name in enumerate(names)}
    text = data.columns.text

    def encode(rows: dict[str, list[Any]], indices: list[int], labels: list[str]) -> dict[str, Any]:
        encoded = tokenizer(*(rows[column] for column in text), truncation=True, max_length=max_seq_length)
        return {**encoded, "labels": [number[labels[index]] for index in indices]}

    return {
        name: split.map(
            encode,
            batched=True,
            with_indices=True,
            fn_kwargs={"labels": data.labels[name]},
            remove_columns=split.column_names,
            desc=f"Tokenising {name}",
        )
        for name, split in data.splits.items()
    }


def _from_files(args: DataArguments, cache_dir: str | None) -> dict[str, Dataset]:
    files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
    return {name: _read_file(Path(path).expanduser(), cache_dir) for name, path in files.items() if path is not None}


def _read_file(path: Path, cache_dir: str | None) -> Dataset:
    if path.suffix not in _READERS:
        raise RecipeError(f"{path}: a data file ends with {', '.join(_READERS)}.")
    if not path.is_file():
        siblings = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RecipeError(f"no such file: {path}.{nearest(str(path), siblings)}")
    if not path.read_bytes().strip():
        raise RecipeError(f"{path} is empty.")
    reader, options = _READERS[path.suffix]
    if reader == "csv":
        options = options | {"keep_default_na": False}  # a text or label "None" or "NA" is that word
    with told_as(f"{path} can't be read", Exception):
        # One file at a time: splits may differ in columns that are not used, and in how labels are written.
        return datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=cache_dir, **options)


def _from_hub(args: DataArguments, cache_dir: str | None, token: str | None) -> dict[str, Dataset]:
    with told_as(f"the dataset {args.dataset_name!r} can't be loaded", Exception):
        found = datasets.load_dataset(args.dataset_name, args.dataset_config_name, cache_dir=cache_dir, token=token)
    wanted = {"train": args.train_split_name, "validation": args.validation_split_name, "test": args.test_split_name}
    for role, split in wanted.items():
        if split is not None and split not in found:
            raise RecipeError(
                f"{args.dataset_name} has no split {split!r}; it has {', '.join(found)}. Set --{role}_split_name."
                f"{nearest(split, found)}"
            )
    return {role: found[split] for role, split in wanted.items() if split is not None}


def _source(args: DataArguments, split: str) -> str:
    if args.dataset_name is None:
        return str(getattr(args, f"{split}_file"))
    return f"{getattr(args, f'{split}_split_name')} of {args.dataset_name}"


def _find_columns(train: Dataset, args: DataArguments) -> Columns:
    source = f"the training split ({_source(args, 'train')})"
    there = f"The columns of {source}: {', '.join(train.column_names)}."
    label = args.label_column_name or _guess_label(train)
    if label is None:
        raise RecipeError(f"which column holds the labels? Set --label_column_name. {there}")
    _check_column(train, label, source)
    text = _split_names(args.text_column_names) if args.text_column_names else _guess_text(train, label)
    if text is None:
        raise RecipeError(f"which column holds the text? Set --text_column_names. {there}")
    for column in text:
        _check_column(train, column, source)
    if not 1 <= len(text) <= 2 or len(set(text)) < len(text) or label in text:
        raise RecipeError(
            f"one or two text columns, apart from the labels' {label!r}, got {', '.join(text) or 'none'}."
        )
    return Columns(text, label)


def _split_names(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _guess_label(train: Dataset) -> str | None:
    classes = [name for name, feature in train.features.items() if isinstance(feature, ClassLabel)]
    candidates = [name for name in ("label", "labels") if name in train.features] or classes
    return candidates[0] if len(candidates) == 1 else None


def _guess_text(train: Dataset, label: str) -> tuple[str, ...] | None:
    texts = [name for name, feature in train.features.items() if _is_text(feature) and name != label]
    if len(texts) == 1:
        return (texts[0],)
    return next((pair for pair in _PAIRS if set(pair) == set(texts)), None)


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string") and not isinstance(feature, ClassLabel)


def _check_column(split: Dataset, column: str, source: str) -> None:
    if column not in split.column_names:
        hint = nearest(column, split.column_names)
        raise RecipeError(f"no column {column!r} in {source}; it has {', '.join(split.column_names)}.{hint}")


def _check_texts(split: Dataset, columns: Iterable[str], source: str) -> None:
    for column in columns:
        feature = split.features[column]
        if not _is_text(feature):
            raise RecipeError(f"{source}: column {column!r} holds {getattr(feature, 'dtype', feature)}, not text.")
        missing = [row for row, text in enumerate(split[column][:], start=1) if text is None]
        if missing:
            raise RecipeError(f"{source}: no text in column {column!r} of row {missing[0]} ({len(missing)} such rows).")


def _read_labels(split: Dataset, column: str, source: str) -> list[str]:
    """Each row's label by its name; numbers are their own names."""
    feature = split.features[column]
    labels = []
    for row, value in enumerate(split[column][:], start=1):
        if isinstance(value, list | dict):
            raise RecipeError(f"{source}: column {column!r} holds several labels a row; this recipe takes one.")
        if value is None or value == "" or (isinstance(feature, ClassLabel) and value < 0) or value != value:
            raise RecipeError(f"{source}: no label in column {column!r} of row {row}.")
        if isinstance(value, float) and not value.is_integer():
            raise RecipeError(f"{source}: the label of row {row} is {value}; a label is a name or a whole number.")
        if isinstance(feature, ClassLabel):
            value = feature.int2str(value)
        labels.append(str(int(value)) if isinstance(value, float) else str(value).strip())
    return labels


def _order(feature: Any, train_labels: list[str]) -> tuple[str, ...]:
    """The labels in the order of their numbers: the dataset's own, else by number, else by alphabet."""
    found = set(train_labels)
    if len(found) < 2:
        raise RecipeError(
            f"the training split has one label only, {train_labels[0]!r}: there is nothing to tell apart."
        )
    if isinstance(feature, ClassLabel):
        return tuple(feature.names)
    numeric = all(label.lstrip("-").isdecimal() for label in found)
    return tuple(sorted(found, key=int) if numeric else sorted(found))


def _check_labels(labels: dict[str, list[str]]) -> None:
    known = sorted(set(labels["train"]))
    for split in sorted(set(labels) - {"train"}):
        for label in sorted(set(labels[split]) - set(known)):
            count = labels[split].count(label)
            shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
            raise RecipeError(
                f"the {split} split has the label {label!r} ({count} rows), which the training split lacks; that one has "
                f"{shown}.{nearest(label, known)}"
            )


def _take_first(data: LabelledSplits, args: DataArguments) -> LabelledSplits:
    splits, labels = dict(data.splits), dict(data.labels)
    if args.shuffle_train_dataset:
        order = splits["train"].add_column("__row", list(range(len(splits["train"]))))
        order = order.shuffle(seed=args.shuffle_seed)
        labels["train"] = [labels["train"][row] for row in order["__row"][:]]
        splits["train"] = order.remove_columns("__row")
    for split, limit in (("train", args.max_train_samples), ("validation", args.max_eval_samples)):
        if split in splits and limit is not None and limit < len(splits[split]):
            splits[split], labels[split] = splits[split].select(range(limit)), labels[split][:limit]
    return LabelledSplits(splits, data.columns, labels, data.names)
