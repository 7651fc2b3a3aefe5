"""A JSON object with one long list, read record by record: a trainer_state.json of hundreds of megabytes fits into memory."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .files import check_is_file, check_mapping, explain_errors, read_json
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
    if path.stat().st_size <= _MAX_AT_ONCE:
        content, rows = read_json(path), None
    else:
        content, rows = _read_by_line(path)
    if isinstance(content.get(_KEY), list):
        content[_KEY] = Rows(content[_KEY]) if rows is None else rows
    return content


def _read_by_line(path: Path) -> tuple[dict[str, Any], Rows | None]:
    """Read a file without the records of its list, and these; `None` if the list's lines are not as Trainer writes them."""
    rest: list[str] = []
    rows = None
    with explain_errors(path, "JSON"), path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            rest.append(line)
            if line == f'  "{_KEY}": [\n':
                rows = Rows(_read_records(lines, rest))
        return check_mapping(json.loads("".join(rest)), path), rows


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
