"""Read the splits of a dataset from files or from the Hub, and find and check their columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Features, Value

from hf_lrsched.schedules.errors import nearest
from hf_lrsched.schedules.numbers import format_count

from .errors import RecipeError, errors_as
from .files import TABLES, FileOptions, Part, Reader, find_paths, is_blank, read_part

#: The cells of CSV files that are numbers, by the type that holds them. `007` is none, nor is a number of 20 digits.
_NUMBERS = {
    r"^-?(0|[1-9]\d{0,17})$": "int64",
    r"^[-+]?((0|[1-9]\d{0,17})(\.\d*)?|\.\d+)([eE][-+]?\d+)?$": "float64",
}


@dataclass
class DataArguments:
    """What to train and evaluate on. A recipe extends this class by its columns."""

    _argument_group_name: ClassVar[str] = "data and task"
    #: Settings that are paths, and settings that take several values.
    paths: ClassVar[tuple[str, ...]] = ("dataset_name", "train_file", "validation_file", "test_file")
    lists: ClassVar[tuple[str, ...]] = ()
    #: The formats of files by their endings.
    readers: ClassVar[Mapping[str, Reader]] = TABLES
    #: Whether the model predicts each token by itself, see [`TokenDataArguments`].
    predicts_tokens: ClassVar[bool] = False

    dataset_name: str | None = field(default=None, metadata={"help": "A dataset on the Hub, or a folder with one."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Its configuration, e.g. sst2 of glue."})
    dataset_revision: str | None = field(
        default=None,
        metadata={
            "help": "Its branch, tag or commit. refs/convert/parquet is the copy of a dataset that has a script."
        },
    )
    train_split_name: str = field(default="train", metadata={"help": "The Hub dataset's split to train on."})
    validation_split_name: str = field(default="validation", metadata={"help": "Its split to evaluate on."})
    test_split_name: str | None = field(
        default=None, metadata={"help": "Its split to test on at the end; needs labels."}
    )
    train_file: str | None = field(
        default=None,
        metadata={"help": "A file to train on, a pattern such as 'data/*.csv', or a folder of Dataset.save_to_disk."},
    )
    validation_file: str | None = field(default=None, metadata={"help": "The same to evaluate on."})
    test_file: str | None = field(default=None, metadata={"help": "The same to test on at the end; needs labels."})
    encoding: str | None = field(
        default=None, metadata={"help": "The encoding of text files, e.g. gb18030 or latin-1. Defaults to UTF-8."}
    )
    delimiter: str | None = field(
        default=None, metadata={"help": "comma, semicolon, tab or |. Guessed from the first rows by default."}
    )
    quotes: bool = field(
        default=True, metadata={"help": "Quotes enclose cells of CSV files. false if they are parts of the texts."}
    )
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
        if self.shuffle_seed < 0:
            raise RecipeError(f"--shuffle_seed must be at least 0, got {self.shuffle_seed}.")

    @classmethod
    def defaults(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return defaults of any settings that follow from the given ones."""
        return {}

    @property
    def has_validation(self) -> bool:
        """Whether there is a split to evaluate on."""
        return self.dataset_name is not None or self.validation_file is not None


@dataclass
class TokenDataArguments(DataArguments):
    """What to train and evaluate on, for a model that predicts each token by itself.

    Its loss is a mean over tokens: with texts of similar length, a token of a short text would count for more. Batches are random
    instead, and their texts are packed.
    """

    predicts_tokens: ClassVar[bool] = True

    pack_texts: bool = field(
        default=True,
        metadata={"help": "Put the texts of a training batch into rows without padding. false pads them."},
    )


@dataclass(frozen=True)
class Split:
    """The rows of a split, and the files that they are from.

    Args:
        name (`str`): `train`, `validation` or `test`.
        parts (`tuple[Part, ...]`): The rows of each file.
    """

    name: str
    parts: tuple[Part, ...]

    @cached_property
    def rows(self) -> Dataset:
        """All rows."""
        return datasets.concatenate_datasets([part.rows for part in self.parts])

    @property
    def source(self) -> str:
        """What an error calls the split: its file or files, or the Hub dataset's split."""
        first, *others = self.parts
        return f"{first.path} and {len(others)} other files" if others else first.path

    def at(self, index: int) -> str:
        """Return what an error calls a row: `train.csv, row 3`."""
        for part in self.parts:
            if index < len(part.rows):
                return part.at(index)
            index -= len(part.rows)
        raise IndexError(index)

    def values(self, column: str) -> list[Any]:
        """Return a column's values."""
        return self.rows[column][:]


def read_splits(args: DataArguments, cache_dir: str | None = None, token: str | None = None) -> dict[str, Split]:
    """Read the splits `train` and, where they are given, `validation` and `test`.

    Raises:
        RecipeError: A file or a split is missing, empty or invalid.
    """
    splits = _read_files(args, cache_dir) if args.dataset_name is None else _read_hub(args, cache_dir, token)
    for split in splits.values():
        if not len(split.rows):
            raise RecipeError(f"the {split.name} split ({split.source}) is empty.")
    return splits


def limited_rows(args: DataArguments, split: str, num_rows: int) -> Sequence[int]:
    """Return the numbers of the rows that --max_train_samples, --max_eval_samples and --shuffle_train_dataset leave."""
    rows: Sequence[int] = range(num_rows)
    if split == "train" and args.shuffle_train_dataset:
        rows = np.random.default_rng(args.shuffle_seed).permutation(num_rows).tolist()
    limit = {"train": args.max_train_samples, "validation": args.max_eval_samples}.get(split)
    return rows[:limit]


def select_rows(args: DataArguments, split: str, rows: Dataset) -> Dataset:
    """Return the rows that [`limited_rows`] leaves."""
    return rows.select(limited_rows(args, split, len(rows)))


def check_column(split: Split, column: str) -> None:
    """Raise a RecipeError if a split has no such column."""
    columns = split.rows.column_names
    if column not in columns:
        raise RecipeError(
            f"no column {column!r} in the {split.name} split ({split.source}); it has {', '.join(columns)}."
            f"{nearest(column, columns)}"
        )


def check_texts(split: Split, columns: Iterable[str]) -> None:
    """Raise a RecipeError if a column does not hold a text in each row."""
    for column in columns:
        check_column(split, column)
        feature = split.rows.features[column]
        if not is_text(feature):
            raise RecipeError(f"{split.source}: column {column!r} holds {describe_type(feature)}, not text.")
        missing = [row for row, text in enumerate(split.values(column)) if text is None]
        if missing:
            raise RecipeError(
                f"{split.at(missing[0])}: no text in column {column!r} ({format_count(len(missing), 'such row')})."
            )


def is_text(feature: Any) -> bool:
    """Return whether a column of this type holds texts."""
    return getattr(feature, "dtype", None) in ("string", "large_string") and not isinstance(feature, ClassLabel)


def list_text_columns(split: Split, but: Sequence[str]) -> list[str]:
    """Return the columns of texts that have a name, without the given ones. Rows that end with a delimiter have one without."""
    columns = [name for name, kind in split.rows.features.items() if is_text(kind) and name not in but]
    return [name for name in columns if not name.startswith("Unnamed: ")]  # so does pandas call it


def split_names(text: str) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def find_empty_texts(split: Split, columns: Sequence[str]) -> list[str]:
    """Return a warning for each column with empty texts."""
    warnings = []
    for column in columns:
        empty = [row for row, text in enumerate(split.values(column)) if is_blank(text)]
        if empty:
            warnings.append(
                f"warning: {split.at(empty[0])}: the text in column {column!r} is empty ({format_count(len(empty), 'such row')} in the {split.name} "
                "split). They are used as they are; remove them if they have no meaning."
            )
    return warnings


def find_column(split: Split, given: str | None, candidates: Iterable[str], setting: str) -> str:
    """Return the given column, or the first of the candidates that a split has.

    Raises:
        RecipeError: The split does not have it.
    """
    columns = split.rows.column_names
    column = given or next((name for name in candidates if name in columns), None)
    if column is None:
        raise RecipeError(f"{split.source}: set --{setting}; the columns are {', '.join(columns)}.")
    check_column(split, column)
    return column


def describe_sizes(splits: Mapping[str, Dataset]) -> str:
    """Return the number of rows of each split as a text."""
    return ", ".join(f"{name} {len(split)}" for name, split in splits.items())


def _read_files(args: DataArguments, cache_dir: str | None) -> dict[str, Split]:
    patterns = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
    options = FileOptions(args.encoding, args.delimiter, cache_dir, args.quotes)
    files = {
        name: [read_part(path, options, args.readers) for path in find_paths(pattern)]
        for name, pattern in patterns.items()
        if pattern is not None
    }
    kinds = _find_numbers([part.rows for parts in files.values() for part in parts if not part.is_typed])
    return {
        name: Split(name, _unify([part if part.is_typed else _cast(part, kinds) for part in parts]))
        for name, parts in files.items()
    }


def _find_numbers(tables: Sequence[Dataset]) -> dict[str, Value]:
    """Return the types of the columns that hold numbers: those whose cells are all numbers, in all tables that have the column.

    So a label has one name in all files, and it is the one that is written: `01` stays a text, and so does `1` beside `2` and `x`.
    """
    kinds = {}
    for column in dict.fromkeys(name for table in tables for name in table.column_names):
        chunks = [chunk for table in tables if column in table.column_names for chunk in table.data[column].chunks]
        cells = pa.chunked_array(chunks, pa.string())
        for pattern, kind in _NUMBERS.items():
            if pc.all(pc.match_substring_regex(cells, pattern), skip_nulls=False).as_py():
                kinds[column] = Value(kind)
                break
    return kinds


def _cast(part: Part, kinds: Mapping[str, Any]) -> Part:
    features = Features({name: kinds.get(name, kind) for name, kind in part.rows.features.items()})
    return part if features == part.rows.features else replace(part, rows=part.rows.cast(features))


def _unify(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Give the columns of the files of one split the same types.

    Raises:
        RecipeError: Their columns have different names, or types such as text and number.
    """
    first, *others = parts
    kinds = dict(first.rows.features)
    for part in others:
        mine = part.rows.features
        for column in [*kinds, *mine]:
            if column not in mine or column not in kinds:
                lacking = part.path if column not in mine else first.path
                raise RecipeError(f"{part.path} and {first.path} have different columns: {lacking} has no {column!r}.")
            if mine[column] != kinds[column]:
                kinds[column] = _find_common_type(column, part, mine[column], first, kinds[column])
    return tuple(_cast(part, kinds) for part in parts)


def _find_common_type(column: str, part: Part, mine: Any, first: Part, other: Any) -> Any:
    """Return the type that holds both, such as fractions for fractions and whole numbers."""
    schemas = [Features({column: kind}).arrow_schema.remove_metadata() for kind in (other, mine)]
    try:
        if schemas[0] == schemas[1]:
            raise pa.ArrowTypeError("the numbers of classes have different names")
        return Features.from_arrow_schema(pa.unify_schemas(schemas, promote_options="permissive"))[column]
    except pa.ArrowTypeError:
        raise RecipeError(
            f"{part.path} and {first.path} differ in column {column!r}: it holds {describe_type(mine)} and {describe_type(other)}."
        ) from None


def describe_type(feature: Any) -> str:
    """Return what a column holds, such as `string` or `int64`."""
    return str(getattr(feature, "dtype", feature))


def _read_hub(args: DataArguments, cache_dir: str | None, token: str | None) -> dict[str, Split]:
    folder = Path(args.dataset_name).expanduser()
    with errors_as(f"the dataset {args.dataset_name!r} can't be loaded", Exception):
        if (folder / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(folder))
        elif (folder / "state.json").is_file():
            raise RecipeError(f"{folder} holds one split. Give it as --train_file.")
        else:
            more = {"revision": args.dataset_revision, "cache_dir": cache_dir, "token": token}
            try:
                found = datasets.load_dataset(args.dataset_name, args.dataset_config_name, **more)
            except RuntimeError as error:  # the dataset is a script
                raise RecipeError(
                    f"the dataset {args.dataset_name!r} can't be loaded: {error}. The Hub may have a copy without a script: --dataset_revision "
                    "refs/convert/parquet."
                ) from error
    wanted = {"train": args.train_split_name, "validation": args.validation_split_name, "test": args.test_split_name}
    for role, split in wanted.items():
        if split is not None and split not in found:
            raise RecipeError(
                f"{args.dataset_name} has no split {split!r}; it has {', '.join(found)}. Set --{role}_split_name."
                f"{nearest(split, found)}"
            )
    return {
        role: Split(role, (Part(f"{split} of {args.dataset_name}", found[split]),))
        for role, split in wanted.items()
        if split is not None
    }
