"""A JSON object with one long list, read piece by piece: a trainer_state.json of hundreds of megabytes fits into memory."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..schedules import ScheduleError
from .files import check_is_file, read_json
from .rows import Rows

#: Characters that are read at once. Every value but the long list is expected to be shorter.
_CHUNK = 4_000_000
#: A value that ends so far before the end of what was read is not cut off but damaged.
_MAX_CUT = 1_000_000
#: Characters of a number.
_MAX_NUMBER = 400
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_with_rows(path: Path, key: str) -> dict[str, Any]:
    """Read a JSON object whose `key` is a list of records. These are returned as [`Rows`], and the rest as it is.

    Args:
        path (`Path`): The file.
        key (`str`): The name of the list. What is no record in it is left out, and counted in `num_lost`.

    Raises:
        ScheduleError: The path is no regular file, or it holds no JSON object.
    """
    check_is_file(path)
    if path.stat().st_size <= _CHUNK:
        content = read_json(path)
        return {
            name: _make_rows(value) if name == key and isinstance(value, list) else value
            for name, value in content.items()
        }
    try:
        with path.open(encoding="utf-8-sig") as file:
            return dict(_read_object(_Reader(file), key))
    except UnicodeDecodeError as error:
        raise ScheduleError(f"{path} is not a text file in UTF-8: {error.reason} at byte {error.start}.") from error
    except (ValueError, RecursionError) as error:
        raise ScheduleError(
            f"{path} is not JSON: {error}. The file may have been cut off while it was written."
        ) from error


def _make_rows(values: Iterable[Any]) -> Rows:
    num_lost = 0

    def keep_records() -> Iterator[Any]:
        nonlocal num_lost
        for value in values:
            if isinstance(value, dict):
                yield value
            else:
                num_lost += 1

    rows = Rows(keep_records())
    rows.num_lost = num_lost
    return rows


def _read_object(reader: "_Reader", key: str) -> Iterator[tuple[str, Any]]:
    reader.take("{")
    separator = "}" if reader.peek() == "}" else ","
    while separator == ",":
        name = reader.read_value()
        reader.take(":")
        is_list = name == key and reader.peek() == "["
        yield name, _make_rows(reader.read_records()) if is_list else reader.read_value()
        separator = reader.take(",}")
    if reader.peek():
        raise ValueError("there is more after its end")


class _Reader:
    """What is left of a file, with its next characters in memory."""

    def __init__(self, file: TextIO):
        self._file, self._text, self._at, self._is_new = file, "", 0, True

    def _read_more(self) -> bool:
        # At least as much as is left, so that a long value is not parsed again and again.
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._text, self._at, self._is_new = self._text[self._at :] + chunk, 0, True
        return bool(chunk)

    def peek(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # it matches everywhere
            if self._at < len(self._text) or not self._read_more():
                return self._text[self._at : self._at + 1]

    def take(self, allowed: str) -> str:
        """Return the next character, which must be one of those allowed, and go on behind it."""
        found = self.peek()
        if not found or found not in allowed:
            raise ValueError(f"expected {' or '.join(allowed)}, got {found or 'its end'}")
        self._at += 1
        return found

    def read_value(self) -> Any:
        """Read a value of any kind."""
        self.peek()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._at)
                length = end - self._at
                if end > len(self._text) - _MAX_NUMBER and self._read_more():
                    continue  # it may be the beginning of a number
                self._at += length
                return value
            except json.JSONDecodeError as error:
                if error.pos < len(self._text) - _MAX_CUT or not self._read_more():
                    raise

    def read_records(self) -> Iterator[Any]:
        """Read the items of a list of records, as many at once as possible."""
        self.take("[")
        separator = "]" if self.peek() == "]" else ","
        if separator == "]":
            self.take("]")
        while separator == ",":
            self.peek()
            cut = self._text.rfind("},", self._at) if self._is_new else -1
            self._is_new = False
            records = self._parse_until(cut)
            if records is None:
                records = [self.read_value()]
                separator = self.take(",]")
            yield from records

    def _parse_until(self, cut: int) -> list[Any] | None:
        """Parse what comes before a comma; `None` if the comma is within a record or behind the list."""
        if cut < 0:
            return None
        try:
            records: list[Any] = json.loads(f"[{self._text[self._at : cut + 1]}]")
        except ValueError:
            return None
        self._at = cut + 2
        return records
