"""A JSON object with one long list, read record by record: a trainer_state.json of hundreds of megabytes fits into memory."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..files import check_is_file, check_mapping, explain_errors, read_json
from .rows import Rows

#: Bytes of a file that is read at once, however its lines are laid out; an error then names its line.
_MAX_AT_ONCE = 1_000_000
#: Lines of the list that are parsed at once.
_BLOCK = 20_000
_KEY = "log_history"


def read_json_with_rows(path: Path) -> dict[str, Any]:
    """Read a JSON object. Its list `log_history` is returned as [`Rows`], and the rest as it is.

    What is no record in the list is left out, and counted in `num_lost`. A long list needs little memory if its file is
    indented by two, as Trainer writes it.

    Raises:
        ScheduleError: The path is no regular file, or it holds no JSON object.
    """
    check_is_file(path)
    content, rows = _read_by_line(path) if path.stat().st_size > _MAX_AT_ONCE else (read_json(path), None)
    if isinstance(content.get(_KEY), list):
        content[_KEY] = Rows(content[_KEY]) if rows is None else rows
    return content


def _read_by_line(path: Path) -> tuple[dict[str, Any], Rows | None]:
    """Read a file without the records of its list, and these; `None` if the list's lines are not as Trainer writes them."""
    rest: list[str] = []
    rows = None
    with explain_errors(path, "JSON"), path.open(encoding="utf-8-sig") as lines:
        try:
            for line in lines:
                rest.append(line)
                if line == f'  "{_KEY}": [\n':
                    rows = Rows(_read_records(lines, rest))
            return check_mapping(json.loads("".join(rest)), path), rows
        except json.JSONDecodeError:
            if not _is_complete(path):
                raise
    return read_json(path), None  # its brackets are on other lines than Trainer's


def _is_complete(path: Path) -> bool:
    """Return whether a file ends with the bracket that closes it: then nothing was cut off, and it may be read as a whole."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1000), os.SEEK_END)
        return file.read().rstrip().endswith(b"}")


def _read_records(lines: Iterable[str], rest: list[str]) -> Iterator[Any]:
    """Read the lines of a list up to its end, which is added to the rest of the file."""
    block: list[str] = []
    for line in lines:
        is_end = line.startswith("  ]")
        (rest if is_end else block).append(line)
        if is_end or (line == "    },\n" and len(block) >= _BLOCK):
            yield from json.loads(f"[{''.join(block).rstrip().removesuffix(',')}]")
            block = []
        if is_end:
            return
