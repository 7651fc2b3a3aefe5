"""Read and write files that a user names: bounded in size and depth, and complete or not at all."""

import contextlib
import glob
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from .schedules import ScheduleError
from .schedules.errors import nearest

#: A configuration has some thousand bytes; PyYAML reads this many in at most two seconds.
MAX_CONFIG_BYTES = 100_000
#: Brackets within brackets. PyYAML needs time that grows with the square of the depth.
MAX_DEPTH = 100
#: A file that was begun this long ago and is not finished was left by a process that died.
_MAX_SECONDS = 3600


def read_text(path: Path, max_bytes: int | None = None) -> str:
    """Read a UTF-8 text from a regular file, never from a device or a pipe that may have no end.

    Args:
        path (`Path`): The file.
        max_bytes (`int`, *optional*): The largest file that is read.

    Raises:
        ScheduleError: The path is missing or no regular file, or the file is empty, too large or not UTF-8.

    Example:
    ```python
    >>> read_text(Path("no-such-run/config.yaml"))
    Traceback (most recent call last):
        ...
    hf_lrsched.schedules.errors.ScheduleError: no-such-run/config.yaml does not exist.

    ```
    """
    check_is_file(path)
    size = path.stat().st_size
    if max_bytes is not None and size > max_bytes:
        raise ScheduleError(f"{path} has {size} bytes, more than the {max_bytes} that such a file may have.")
    with explain_errors(path, "a text"):
        text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ScheduleError(f"{path} is empty.")
    return text


def check_is_file(path: Path) -> None:
    """Raise a [`ScheduleError`] unless the path is a regular file with content; name the nearest file where it is missing."""
    if path.is_dir():
        raise ScheduleError(f"{path} is a folder, not a file.")
    if path.exists() and not path.is_file():
        raise ScheduleError(f"{path} is not a regular file but a device, a pipe or a socket, which is not read.")
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ScheduleError(f"{path} does not exist.{nearest(path.name, siblings)}")
    if path.stat().st_size == 0:
        raise ScheduleError(f"{path} is empty.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ScheduleError: As [`read_text`], or the text is not a JSON object.
    """
    text = read_text(path)
    with explain_errors(path, "JSON"):
        return check_mapping(json.loads(text), path)


@contextlib.contextmanager
def explain_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of whoever reads a file of some kind into a [`ScheduleError`]."""
    try:
        yield
    except ScheduleError:
        raise
    except UnicodeDecodeError as error:
        raise ScheduleError(f"{path} is not a text file in UTF-8: {error.reason} at byte {error.start}.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        cut = " The file may have been cut off while it was written." if kind == "JSON" else ""
        raise ScheduleError(f"{path} is not {kind}: {' '.join(str(error).split())}.{cut}") from error


class _StrictLoader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """Refuses a name that is set twice; YAML would use the last value."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise ScheduleError(f"{name} is set twice; the second time {node.start_mark}.".replace("\n", " "))
        return dict(super().construct_mapping(node, deep))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the settings of a YAML file.

    Raises:
        ScheduleError: As [`read_text`], or the text is not YAML, is nested too deeply, is not a mapping, or sets a name
            twice.
    """
    text = read_text(path, MAX_CONFIG_BYTES)
    if _bracket_depth(text) > MAX_DEPTH:
        raise ScheduleError(f"{path} has more than {MAX_DEPTH} brackets within one another.")
    with explain_errors(path, "YAML"):
        return check_mapping(yaml.load(text, _StrictLoader), path)


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a `.yaml`, `.yml` or `.json` file."""
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {".yaml": read_yaml, ".yml": read_yaml, ".json": read_json}
    if path.suffix not in readers:
        raise ScheduleError(f"{path}: a file of settings ends in {', '.join(readers)}.")
    return readers[path.suffix](path)


def check_output(path: Path, endings: Sequence[str], force: bool = False) -> None:
    """Refuse an output file that cannot or must not be written.

    Args:
        path (`Path`): The file.
        endings (`Sequence[str]`): Allowed endings, such as `.png`.
        force (`bool`, defaults to `False`): Whether an existing file may be replaced.

    Raises:
        ScheduleError: The ending is unknown, the folder does not exist, or the path exists.

    Example:
    ```python
    >>> check_output(Path("run.txt"), [".png", ".svg"])
    Traceback (most recent call last):
        ...
    hf_lrsched.schedules.errors.ScheduleError: run.txt: the ending must be .png or .svg.

    ```
    """
    if path.suffix.lower() not in endings:
        raise ScheduleError(f"{path}: the ending must be {' or '.join(endings)}.")
    if not path.parent.is_dir():
        raise ScheduleError(f"the folder {path.parent} does not exist.")
    if path.is_dir():
        raise ScheduleError(f"{path} is a folder.")
    if path.exists() and not force:
        raise ScheduleError(f"{path} exists and is kept; choose another name, or pass --force to replace it.")


def check_mapping(content: Any, path: Path) -> dict[str, Any]:
    """Return the values of a file by their names; refuse anything else than a mapping."""
    if not isinstance(content, dict):
        kind = "nothing" if content is None else f"a {type(content).__name__}"
        raise ScheduleError(f"{path} must be a mapping of names to values, got {kind}.")
    return {str(name): value for name, value in content.items()}


def replace_file(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, in place of an earlier one. Several processes may do so at once. A link is followed.

    What a process left that was killed while it wrote is removed by a later call. It is judged by its age: the process may run on
    another machine, where its number means nothing here.
    """
    path = path.resolve()
    for left in path.parent.glob(f".*-{glob.escape(path.name)}"):
        with contextlib.suppress(OSError):  # another process has removed it
            if left.name[1:].partition("-")[0].isdecimal() and time.time() - left.stat().st_mtime > _MAX_SECONDS:
                left.unlink()
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _bracket_depth(text: str) -> int:
    """Brackets that are open at once; those in quotes count, which no configuration has by the hundred."""
    steps = [(letter in "[{") - (letter in "]}") for letter in text]
    depths = accumulate(steps, lambda depth, step: max(0, depth + step))
    return max(depths, default=0)
