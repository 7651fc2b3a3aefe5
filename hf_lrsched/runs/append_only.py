"""Append-only rows: how a record is written, so that neither a crash nor a full disk costs a row that was complete."""

import errno
import json
import logging
import os
from collections import deque
from pathlib import Path

from ..schedules.numbers import replace_nonfinite
from .rows import Row, parse_row

logger = logging.getLogger(__name__)

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":"))

# Rows that wait for room on the disk. A schedule has few events: it is training records that would be lost.
_MAX_WAITING = 1_000


class Appender:
    """Append rows to a file. A row that cannot be written causes one warning and never ends a training.

    No complete row is ever changed. A row that a crash has cut off is removed before the next one is written, so that any
    reader of JSON lines opens the file. Rows that could not be written, as on a full disk, are tried again with the next.

    Args:
        path (`Path`): The file; made with its folder at the first row.
    """

    def __init__(self, path: Path):
        self.path = path
        self._waiting: deque[bytes] = deque(maxlen=_MAX_WAITING)
        self._has_complete_end = False
        self._has_failed = False

    def append(self, row: Row) -> None:
        """Write a row, and those before it that wait. NaN and infinity, which JSON does not have, become null."""
        self._waiting.append(_as_line(row))
        try:
            if not self._has_complete_end:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                last_row(self.path, repair=True)
                self._has_complete_end = True
            self._write()
        except OSError as error:
            self._has_complete_end = False
            if not self._has_failed:
                self._has_failed = True
                logger.warning(f"the record cannot be written: {error}. Training goes on without it.")

    def _write(self) -> None:
        # Opened for each row: nobody has to close it, whatever ends the training.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            while self._waiting:
                line = self._waiting[0]
                written = os.write(file, line)
                if written < len(line):
                    os.ftruncate(file, os.fstat(file).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                self._waiting.popleft()
        finally:
            os.close(file)


def _as_line(row: Row) -> bytes:
    try:
        text = _ENCODER.encode(row)
    except ValueError:  # NaN and infinity are rare: only then is each value looked at
        text = _ENCODER.encode(replace_nonfinite(row))
    return text.encode("utf-8", "replace") + b"\n"  # the name of a file may hold bytes that are no text


def last_row(path: Path, repair: bool = False) -> Row | None:
    """Read the last complete row of a file.

    Args:
        path (`Path`): The file, which need not exist.
        repair (`bool`, defaults to `False`): Remove a row after it that a crash has cut off.
    """
    if not path.is_file():  # also of a device
        return None
    found = None
    with path.open("rb+" if repair else "rb") as file:
        line = b"\n"
        for line in file:
            found = line if line.endswith(b"\n") else found
        if line.endswith(b"\n"):
            return None if found is None else parse_row(found)
        row = parse_row(line)
        if repair and row is None:
            file.truncate(file.tell() - len(line))
        elif repair:  # the row is complete but for the end of its line
            file.write(b"\n")
        return row or (None if found is None else parse_row(found))
