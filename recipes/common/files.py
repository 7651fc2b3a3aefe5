"""Read one data file, as people have them: its format, encoding, delimiter; errors name the file, the row and the fix."""

import codecs
import csv
import glob
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
from datasets import Dataset, Features, Value

from hf_lrsched.files import check_is_file

from .errors import RecipeError, errors_as

#: The beginning of a file in one of these encodings. The first one is not needed to read UTF-8, only to drop the mark.
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DELIMITERS = {",": ",", ";": ";", "\t": "\t", "|": "|", "comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t"}
_BLOCK = 1 << 22
csv.field_size_limit(2**31 - 1)  # csv's own is 131,072 characters, and a text may be longer
#: How packed files begin.
_PACKED = {b"PK\x03\x04": "a ZIP archive or an Excel workbook", b"\x1f\x8b": "a gzip archive"}
_BINARY = (".parquet", ".arrow")


@dataclass(frozen=True)
class FileOptions:
    """How files are read.

    Args:
        encoding (`str`, *optional*): Their encoding. Defaults to UTF-8, or to the one that a byte-order mark names.
        delimiter (`str`, *optional*): What separates the cells of a CSV file. Guessed from its first rows by default.
        cache_dir (`str`, *optional*): The folder for what `datasets` prepares.
        quotes (`bool`, defaults to `True`): Whether quotes enclose cells of a CSV file, which then may have newlines.
    """

    encoding: str | None = None
    delimiter: str | None = None
    cache_dir: str | None = None
    quotes: bool = True


@dataclass(frozen=True)
class Part:
    """The rows of one file.

    Args:
        path (`str`): The file, or what an error calls the place of the rows.
        rows (`Dataset`): The rows.
        places (`Sequence[str]`, *optional*): What an error calls each row, such as `line 3`. Defaults to `row 1`, `row 2`, ….
        is_typed (`bool`, defaults to `True`): Whether the columns have types. In a CSV file all cells are texts, and which columns
            hold numbers follows from all files of a run.
    """

    path: str
    rows: Dataset
    places: Sequence[str] | None = None
    is_typed: bool = True

    def at(self, index: int) -> str:
        """Return what an error calls a row: `train.csv, row 3`."""
        return f"{self.path}, {f'row {index + 1}' if self.places is None else self.places[index]}"


#: Reads a file.
Reader = Callable[[Path, FileOptions], Part]


def find_paths(pattern: str) -> list[Path]:
    """Return the files of a pattern such as `data/part-*.csv` in natural order, or the one path that it is.

    Raises:
        RecipeError: No file matches the pattern.
    """
    path = Path(pattern).expanduser()
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(map(Path, glob.glob(str(path), recursive=True)), key=natural_order)  # noqa: PTH207
    if not found:
        raise RecipeError(f"no file matches {pattern}.")
    return found


def natural_order(name: object) -> list[Any]:
    """Return a key that sorts part-2 before part-10."""
    return [(int(text), "") if text.isdecimal() else (-1, text) for text in re.split(r"(\d+)", str(name))]


def read_part(path: Path, options: FileOptions, readers: Mapping[str, Reader]) -> Part:
    """Read a file by its ending, or a folder that `Dataset.save_to_disk` wrote.

    Raises:
        RecipeError: The file is missing, empty or invalid, or its ending is unknown.
    """
    if path.is_dir():
        return _read_saved_folder(path)
    if path.suffix.lower() not in readers:
        raise RecipeError(f"{path}: a data file ends with {', '.join(readers)}.")
    check_is_file(path)
    if not path.stat().st_size or (path.stat().st_size < _BLOCK and not path.read_bytes().strip()):
        raise RecipeError(f"{path} is empty.")
    with path.open("rb") as file:
        start = file.read(4)
    for mark, kind in _PACKED.items():
        if path.suffix.lower() not in _BINARY and start.startswith(mark):
            raise RecipeError(f"{path} is {kind}. Unpack it, or export it as CSV.")
    return readers[path.suffix.lower()](path, options)


def read_text(path: Path, encoding: str | None) -> str:
    """Read a text file with its lines separated by `\\n`.

    Raises:
        RecipeError: The text is not in that encoding.
    """
    return path.read_text(encoding=find_encoding(path, encoding))


def find_encoding(path: Path, encoding: str | None) -> str:
    """Return the encoding of a text file, after reading all of it: the given one, that of its byte-order mark, or UTF-8.

    Raises:
        RecipeError: The encoding is unknown, or the text is not in it.
    """
    with path.open("rb") as file:
        start = file.read(4)
    found = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if encoding is None and found is None and b"\0" in start:
        order = "be" if start.startswith(b"\0") else "le"
        raise RecipeError(f"{path} holds zero bytes, as UTF-16 does. Set --encoding utf-16-{order}.")
    try:
        chosen = codecs.lookup(encoding or "utf-8").name
        if encoding and found and chosen[:5] != found[:5]:
            raise RecipeError(
                f"{path} begins with the mark of {found.upper()}, but --encoding is {encoding}. Leave it out."
            )
        chosen = found or chosen
        decoder = codecs.getincrementaldecoder(chosen)()
    except LookupError:
        raise RecipeError(
            f"--encoding {encoding!r} is unknown. Known are utf-8, gb18030, latin-1, cp1252, utf-16, …"
        ) from None
    line = 1
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                line += block[: max(error.start, 0)].count(b"\n")
                raise RecipeError(
                    f"{path}, line {line}: not {chosen.removesuffix('-sig').upper()} (byte 0x{error.object[error.start]:02x}). "
                    f"{_suggest_encoding(error.object[error.start - 2000 if error.start > 2000 else 0 : error.start + 2000])}"
                ) from None
    return chosen


def _suggest_encoding(sample: bytes) -> str:
    """Name the encoding that a text is probably in. GB18030 writes Chinese in pairs of bytes above 0x7f."""
    if sample.decode("utf-8", errors="replace").count("\ufffd") <= 2:  # at the ends of the sample
        return "It may be in UTF-8: leave out --encoding."
    text = sample.decode("gb18030", errors="replace")
    chinese = sum("\u4e00" <= character <= "\u9fff" for character in text)
    other = sum(ord(character) > 0x7F for character in text) - chinese
    name = "gb18030" if chinese > other else "latin-1"
    return f"If the file is in another encoding, set it, e.g. --encoding {name}."


def read_csv(path: Path, options: FileOptions) -> Part:
    """Read a CSV file with a header line, each cell as the text that it is: `None`, `NA` and an empty cell, too."""
    encoding = find_encoding(path, options.encoding)
    quoting = csv.QUOTE_MINIMAL if options.quotes else csv.QUOTE_NONE
    delimiter = find_delimiter(path, encoding, options.delimiter, quoting)
    with path.open(encoding=encoding, newline="") as file:
        _check_rows(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
    how = {"sep": delimiter, "encoding": encoding, "quoting": quoting, "index_col": False}
    with errors_as(f"{path} can't be read", Exception), warnings.catch_warnings():
        # Rows with more cells than the header would lose the last, or shift the columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        columns = Features(dict.fromkeys(pd.read_csv(path, nrows=0, **how), Value("string")))
        rows = _load("csv", path, options, features=columns, keep_default_na=False, **how)
    return Part(str(path), rows, is_typed=False)


def _check_rows(path: Path, reader: Any) -> None:
    """Refuse two columns of one name, no rows, rows with more cells than the header, and cells whose quotes do not match."""
    rows, line, number = filter(None, reader), 1, 0
    try:
        header = next(rows)
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice:
            raise RecipeError(f"{path}, line {reader.line_num}: two columns are called {twice!r}. Rename one of them.")
        line = reader.line_num + 1
        for number, row in enumerate(rows, start=1):
            if len(row) > len(header):
                raise RecipeError(
                    f"{path}, row {number} (line {reader.line_num}) has {len(row)} cells, and the header has {len(header)}. Put quotes "
                    "around cells with a delimiter in them, or set --delimiter."
                )
            line = reader.line_num + 1
    except csv.Error:
        raise RecipeError(
            f"{path}, line {line}: a quoted cell goes on after its closing quote, or has none. Write a quote within a quoted cell twice, or, "
            "if quotes are parts of the texts, set --quotes false."
        ) from None
    if not number:
        raise RecipeError(f"{path} has no rows below its header line {','.join(header)!r}.")


def find_delimiter(path: Path, encoding: str, given: str | None, quoting: int = csv.QUOTE_MINIMAL) -> str:
    """Return the delimiter: the given one, a tab for `.tsv`, else the one that splits the first rows most evenly."""
    if given is not None:
        if given not in _DELIMITERS:
            raise RecipeError(f"--delimiter is comma, semicolon, tab or |, got {given!r}.")
        return _DELIMITERS[given]
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding=encoding, newline="") as file:
        sample = list(islice(file, 50))
    best, most = ",", 1
    for delimiter in (",", ";", "\t", "|"):
        counts = [len(row) for row in csv.reader(sample, delimiter=delimiter, quoting=quoting) if row]
        even = sum(count == counts[0] for count in counts[:-1]) if counts else 0  # the last row may be cut off
        if counts and counts[0] > most and even >= 0.9 * (len(counts) - 1):
            best, most = delimiter, counts[0]
    return best


def read_json(path: Path, options: FileOptions) -> Part:
    """Read a JSON file with a list of rows, or with one row on each line."""
    encoding = find_encoding(path, options.encoding)
    if encoding.startswith("utf-8"):
        with suppress(Exception):  # a row is invalid, or `datasets` took the type of a column from its first rows
            return Part(str(path), _load("json", path, options))
    with refuse_deep_json(path):
        places, rows = _parse_json(path, encoding)
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(rows))}
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and kinds <= {bool, int, float, str} and kinds != {int, float}:
            columns[name] = [None if value is None else str(value) for value in values]
    return Part(str(path), _make_dataset(path, columns, places), places)


def _parse_json(path: Path, encoding: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the rows of a JSON file, and what an error calls each of them. Name the first row that is none."""
    text = path.read_text(encoding=encoding)
    try:
        content = json.loads(text)
        rows = content if isinstance(content, list) else [content]
        places = [f"row {number}" for number in range(1, len(rows) + 1)]
    except ValueError as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        places, rows = [f"line {number}" for number, _ in lines], []
        for number, line in lines:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as invalid:
                # Where already the first line is no row, the file is not one row on each line.
                raise (invalid_json(path, invalid, number) if rows else invalid_json(path, error)) from None
    if all(row == {} for row in rows):
        raise RecipeError(f"{path} has no rows.")
    for place, row in zip(places, rows, strict=True):
        if not isinstance(row, dict):
            raise RecipeError(f'{path}, {place}: {row!r} is not a row. A row is an object such as {{"text": …}}.')
    return places, rows


def _make_dataset(path: Path, columns: dict[str, list[Any]], places: Sequence[str]) -> Dataset:
    """Make a dataset of columns. Name the first value that does not have the type of those above it."""
    try:
        return Dataset.from_dict(columns)
    except Exception as error:
        for name, values in columns.items():
            last = None
            for place, value in zip(places, values, strict=True):
                try:
                    pa.array([last, value])
                except Exception:
                    raise RecipeError(
                        f"{path}, {place}: {name!r} holds {value!r:.60}, which is no valid text or has another type than {last!r:.60} "
                        "above. Correct the row or remove it."
                    ) from None
                last = last if value is None else value
        raise RecipeError(f"{path} can't be read: {error}") from error


@contextmanager
def refuse_deep_json(path: Path) -> Iterator[None]:
    """Refuse what is nested deeper than Python reads."""
    try:
        yield
    except RecursionError:
        raise RecipeError(f"{path} has too many brackets within one another.") from None


def invalid_json(path: Path, error: json.JSONDecodeError, line: int = 1) -> RecipeError:
    """Return the error for a file that is not JSON; `line` is that on which the text begins."""
    return RecipeError(f"{path}, line {line + error.lineno - 1}, character {error.colno}: not JSON ({error.msg}).")


def read_arrow(path: Path, options: FileOptions) -> Part:
    """Read an Arrow or a Parquet file."""
    kind = "parquet" if path.suffix.lower() == ".parquet" else "arrow"
    with errors_as(f"{path} can't be read as {kind.title()}", Exception):
        return Part(str(path), _load(kind, path, options))


def is_blank(text: str) -> bool:
    """Return whether a text has nothing but spaces and characters that tokenizers drop: control, zero-width, private, invalid."""
    dropped = ("Cc", "Cf", "Co", "Cs")
    return all(letter.isspace() or letter == "\ufffd" or unicodedata.category(letter) in dropped for letter in text)


def read_lines(path: Path, options: FileOptions) -> Part:
    """Read a text file whose lines are the rows of a column `text`. Empty lines are no rows."""
    lines = read_text(path, options.encoding).split("\n")
    kept = [number for number, line in enumerate(lines, start=1) if not is_blank(line)]
    return Part(
        str(path),
        Dataset.from_dict({"text": [lines[number - 1].strip() for number in kept]}),
        [f"line {each}" for each in kept],
    )


def _load(kind: str, path: Path, options: FileOptions, **more: Any) -> Dataset:
    # One file at a time: splits may differ in unused columns and in the type of their labels.
    files = glob.escape(str(path))
    return datasets.load_dataset(kind, data_files=files, split="train", cache_dir=options.cache_dir, **more)


def _read_saved_folder(path: Path) -> Part:
    if (path / "dataset_dict.json").is_file():
        raise RecipeError(f"{path} holds several splits. Give it as --dataset_name.")
    if not (path / "state.json").is_file():
        raise RecipeError(
            f"{path} is a folder, but not one that Dataset.save_to_disk wrote. For all files in it give a pattern: {path}/*.csv"
        )
    with errors_as(f"{path} can't be read", Exception):
        found = datasets.load_from_disk(str(path))
    return Part(str(path), found)


#: Readers by the ending of a file, which every recipe has.
TABLES: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".json": read_json,
    ".jsonl": read_json,
    ".parquet": read_arrow,
    ".arrow": read_arrow,
}
