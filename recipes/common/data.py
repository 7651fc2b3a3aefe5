"""Read the splits of a dataset from CSV and JSON files or from the Hub, and find and check their columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
from datasets import ClassLabel, Dataset

from hf_lrsched.runs.files import check_is_file
from hf_lrsched.schedules.errors import nearest

from .errors import RecipeError, errors_as

_READERS = {".csv": ("csv", {}), ".tsv": ("csv", {"sep": "\t"}), ".json": ("json", {}), ".jsonl": ("json", {})}


@dataclass
class DataArguments:
    """What to train and evaluate on. A recipe extends this class by its columns."""

    #: Settings that are paths, and settings that take several values.
    paths: ClassVar[tuple[str, ...]] = ("dataset_name", "train_file", "validation_file", "test_file")
    lists: ClassVar[tuple[str, ...]] = ()

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
    max_seq_length: int | None = field(
        default=None,
        metadata={"help": "Texts are cut after this many tokens. Defaults to 128, or to the model's limit if lower."},
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
            raise RecipeError("--test_split_name goes with --dataset_name; to test on a file, give --test_file.")
        for name in ("max_seq_length", "max_train_samples", "max_eval_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"--{name} must be at least 1, got {value}.")

    @property
    def has_validation(self) -> bool:
        """Whether there is a split to evaluate on."""
        return self.dataset_name is not None or self.validation_file is not None

    def source(self, split: str) -> str:
        """Return what an error calls a split: its file, or the Hub dataset's split."""
        if self.dataset_name is None:
            return str(getattr(self, f"{split}_file"))
        return f"{getattr(self, f'{split}_split_name')} of {self.dataset_name}"


def read_splits(args: DataArguments, cache_dir: str | None = None, token: str | None = None) -> dict[str, Dataset]:
    """Read the splits `train` and, where they are given, `validation` and `test`.

    Raises:
        RecipeError: A file or a split is missing, empty or invalid.
    """
    splits = _read_files(args, cache_dir) if args.dataset_name is None else _read_hub(args, cache_dir, token)
    for name, split in splits.items():
        if not len(split):
            raise RecipeError(f"the {name} split ({args.source(name)}) is empty.")
    return splits


def limited_rows(args: DataArguments, split: str, num_rows: int) -> Sequence[int]:
    """Return the numbers of the rows that --max_train_samples, --max_eval_samples and --shuffle_train_dataset leave."""
    rows: Sequence[int] = range(num_rows)
    if split == "train" and args.shuffle_train_dataset:
        rows = np.random.default_rng(args.shuffle_seed).permutation(num_rows).tolist()
    limit = {"train": args.max_train_samples, "validation": args.max_eval_samples}.get(split)
    return rows[:limit]


def check_column(split: Dataset, column: str, source: str) -> None:
    """Raise a RecipeError if a split has no such column."""
    if column not in split.column_names:
        hint = nearest(column, split.column_names)
        raise RecipeError(f"no column {column!r} in {source}; it has {', '.join(split.column_names)}.{hint}")


def check_texts(split: Dataset, columns: Iterable[str], source: str) -> None:
    """Raise a RecipeError if a column does not hold a text in each row."""
    for column in columns:
        feature = split.features[column]
        if not is_text(feature):
            raise RecipeError(f"{source}: column {column!r} holds {getattr(feature, 'dtype', feature)}, not text.")
        missing = [row for row, text in enumerate(split[column][:], start=1) if text is None]
        if missing:
            raise RecipeError(f"{source}: no text in column {column!r} of row {missing[0]} ({len(missing)} such rows).")


def is_text(feature: Any) -> bool:
    """Whether a column of this type holds texts."""
    return getattr(feature, "dtype", None) in ("string", "large_string") and not isinstance(feature, ClassLabel)


def _read_files(args: DataArguments, cache_dir: str | None) -> dict[str, Dataset]:
    files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
    return {name: _read_file(Path(path).expanduser(), cache_dir) for name, path in files.items() if path is not None}


def _read_file(path: Path, cache_dir: str | None) -> Dataset:
    if path.suffix not in _READERS:
        raise RecipeError(f"{path}: a data file ends with {', '.join(_READERS)}.")
    check_is_file(path)
    if not path.read_bytes().strip():
        raise RecipeError(f"{path} is empty.")
    reader, options = _READERS[path.suffix]
    if reader == "csv":
        options = options | {"keep_default_na": False}  # a text or label "None" or "NA" is that word
    with errors_as(f"{path} can't be read", Exception):
        # One file at a time: splits may differ in unused columns and in the type of their labels.
        return datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=cache_dir, **options)


def _read_hub(args: DataArguments, cache_dir: str | None, token: str | None) -> dict[str, Dataset]:
    with errors_as(f"the dataset {args.dataset_name!r} can't be loaded", Exception):
        found = datasets.load_dataset(args.dataset_name, args.dataset_config_name, cache_dir=cache_dir, token=token)
    wanted = {"train": args.train_split_name, "validation": args.validation_split_name, "test": args.test_split_name}
    for role, split in wanted.items():
        if split is not None and split not in found:
            raise RecipeError(
                f"{args.dataset_name} has no split {split!r}; it has {', '.join(found)}. Set --{role}_split_name."
                f"{nearest(split, found)}"
            )
    return {role: found[split] for role, split in wanted.items() if split is not None}
