"""The rows of a record, kept by column: a million training records fit into some hundred megabytes."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..schedules.numbers import is_finite_number
from ..schedules.shapes import Array

Row = dict[str, Any]

#: Lines that are parsed at once.
_BLOCK = 5_000
_ABSENT = object()


class Rows(Sequence[Row]):
    """Rows that are read like a list of dicts, and by column as arrays.

    Args:
        rows (`Iterable[dict]`, *optional*): The rows.

    Example:
    ```python
    >>> rows = Rows([{"step": 1, "loss": 0.5}, {"step": 2, "note": "a"}])
    >>> rows[1], rows.column("loss")
    ({'step': 2, 'note': 'a'}, array([0.5, nan]))

    ```
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()):
        self._count = 0
        self._blocks: dict[str, list[Array]] = {}  # the numbers of each column
        self._fractional: set[str] = set()
        #: By column and row: what is not a finite number, such as a text, a list, `None` or NaN.
        self.others: dict[str, dict[int, Any]] = {}
        #: Lines of the file, or items of its list, that were no rows.
        self.num_lost = 0
        rows = iter(rows)
        while block := list(islice(rows, _BLOCK)):
            found = [row for row in block if isinstance(row, Mapping)]
            self.num_lost += len(block) - len(found)
            self._extend(found)

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "Rows":
        """Make rows of a list of dicts; return rows as they are."""
        return rows if isinstance(rows, cls) else cls(rows)

    @classmethod
    def read(cls, path: Path) -> "Rows":
        """Read a file of JSON lines, without lines that a crash has damaged."""
        rows = cls()
        if not path.is_file():  # also a device, which may have no end
            return rows
        with path.open("rb") as file:
            while lines := list(islice(file, _BLOCK)):
                found = _parse(lines)
                if len(found) < len(lines):
                    rows.num_lost += sum(1 for line in lines if line.strip()) - len(found)
                rows._extend(found)
        return rows

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self._blocks)

    def column(self, key: str) -> Array:
        """Return the numbers of a column; NaN where a row has none."""
        blocks = self._blocks.get(key) or [np.full(self._count, np.nan)]
        if len(blocks) > 1:
            blocks[:] = [np.concatenate(blocks)]
        return blocks[0]

    def has(self, key: str) -> NDArray[np.bool_]:
        """Return for each row whether it has a value in a column."""
        found: NDArray[np.bool_] = np.isfinite(self.column(key))
        found[list(self.others.get(key, ()))] = True
        return found

    def rename(self, old: str, new: str) -> None:
        """Rename a column; nothing happens if it is not there, or if there is one of the new name."""
        if old in self._blocks and new not in self._blocks:
            self._blocks[new] = self._blocks.pop(old)
            self.others[new] = self.others.pop(old, {})
            self._fractional |= {new} if old in self._fractional else set()

    def select(self, indices: Any) -> "Rows":
        """Return some of the rows, by their indices or by a mask, without the columns in which they have no value."""
        selected, places = Rows(), np.arange(self._count)[indices]
        selected._count, selected.num_lost, selected._fractional = len(places), self.num_lost, self._fractional
        for key in self.names:
            if self.has(key)[places].any():
                selected._blocks[key] = [self.column(key)[places]]
        new = {place: index for index, place in enumerate(places.tolist())} if self.others else {}
        for key, others in self.others.items():
            selected.others[key] = {new[place]: value for place, value in others.items() if place in new}
        return selected

    def _extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = _transpose(rows)
        for key in columns:
            self._blocks.setdefault(key, [np.full(self._count, np.nan)])
        for key, blocks in self._blocks.items():
            absent = np.full(len(rows), np.nan)
            blocks.append(self._read_numbers(key, columns[key]) if key in columns else absent)
        self._count += len(rows)

    def _read_numbers(self, key: str, values: Sequence[Any]) -> Array:
        types = set(map(type, values))
        if float in types:
            self._fractional.add(key)
        with suppress(OverflowError):  # of a whole number beyond all floats
            if types <= {int, float} and np.isfinite(numbers := np.array(values, dtype=np.float64)).all():
                return numbers
        # Rare: texts, NaN, or rows without this column.
        numbers = np.array([value if _is_finite_float(value) else math.nan for value in values], dtype=np.float64)
        for index in np.flatnonzero(np.isnan(numbers)).tolist():
            if values[index] is not _ABSENT:
                self.others.setdefault(key, {})[self._count + index] = values[index]
        return numbers

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "Row | Rows":
        if isinstance(index, slice):
            return self.select(index)
        place = range(self._count)[index]
        row: Row = {}
        for key in self.names:
            number, others = float(self.column(key)[place]), self.others.get(key, {})
            if place in others:
                row[key] = others[place]
            elif not math.isnan(number):
                row[key] = number if key in self._fractional else int(number)
        return row

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(self._count))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self._count:,} rows of {', '.join(self.names)}>" if self.names else "Rows()"


def parse_row(line: bytes) -> Row | None:
    """Parse a line of JSON; `None` for a damaged one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # also of bytes that are no text
        return None
    return row if isinstance(row, dict) else None


def _is_finite_float(value: object) -> bool:
    return is_finite_number(value) and abs(value) <= sys.float_info.max


def _transpose(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    names = list(rows[0]) if rows else []
    if len(names) > 1 and set(map(len, rows)) == {len(names)}:
        try:
            return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
        except KeyError:  # as many columns, but others
            pass
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name, _ABSENT) for row in rows] for name in names}


def _parse(lines: list[bytes]) -> list[Row]:
    try:
        rows: list[Row] = json.loads(b"[" + b",".join(lines) + b"]")  # in half the time
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return rows
    except (ValueError, RecursionError):
        pass
    return [row for line in lines if (row := parse_row(line)) is not None]
