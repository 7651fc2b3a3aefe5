"""The rows of a record, kept by column: a million training records fit into some hundred megabytes."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, overload

import numpy as np

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

    def __init__(self, rows: Iterable[Row] = ()):
        self._count = 0
        self._blocks: dict[str, list[tuple[int, Array]]] = {}  # by column: the first row of each block, and its numbers
        self._columns: dict[str, Array] = {}
        self._is_whole: dict[str, bool] = {}
        #: By column and row: what is not a finite number, such as a text, a list, `None` or NaN.
        self.others: dict[str, dict[int, Any]] = {}
        #: Lines of the file that were no rows.
        self.num_lost = 0
        rows = iter(rows)
        while block := list(islice(rows, _BLOCK)):
            self._extend(block)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Rows":
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
        if key not in self._columns:
            values = np.full(self._count, np.nan)
            for first, block in self._blocks.pop(key, []):
                values[first : first + len(block)] = block
            self._columns[key], self._blocks[key] = values, [(0, values)]
        return self._columns[key]

    def select(self, indices: Any) -> "Rows":
        """Return some of the rows, by their indices or by a mask."""
        selected = Rows()
        places = np.arange(self._count)[indices]
        selected._count, selected.num_lost, selected._is_whole = len(places), self.num_lost, dict(self._is_whole)
        new_places = {int(place): index for index, place in enumerate(places)} if self.others else {}
        for key in self.names:
            selected._blocks[key] = [(0, self.column(key)[places])]
            others = {
                new_places[place]: value for place, value in self.others.get(key, {}).items() if place in new_places
            }
            if others:
                selected.others[key] = others
        return selected

    def _extend(self, rows: list[Row]) -> None:
        for key, values in _transpose(rows).items():
            types = set(map(type, values))
            numbers = np.array(values, dtype=np.float64) if types <= {int, float} else None
            if numbers is None or not np.isfinite(numbers).all():  # rare: texts, NaN, or rows without this column
                others = {index: value for index, value in enumerate(values) if not is_finite_number(value)}
                types = {type(value) for index, value in enumerate(values) if index not in others}
                numbers = np.array([math.nan if index in others else value for index, value in enumerate(values)])
                for index, value in others.items():
                    if value is not _ABSENT:
                        self.others.setdefault(key, {})[self._count + index] = value
            self._blocks.setdefault(key, []).append((self._count, numbers.astype(np.float64)))
            self._columns.pop(key, None)
            self._is_whole[key] = types <= {int} and self._is_whole.get(key, True)
        self._count += len(rows)

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
                row[key] = int(number) if self._is_whole[key] else number
        return row

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(self._count))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self._count:,} rows of {', '.join(self.names) or 'nothing'}>"


def parse_row(line: bytes) -> Row | None:
    """Parse a line of JSON; `None` for a damaged one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # also of bytes that are no text
        return None
    return row if isinstance(row, dict) else None


def _transpose(rows: list[Row]) -> dict[str, Sequence[Any]]:
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
