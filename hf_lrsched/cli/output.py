"""What the commands have in common: names of files, and what is printed."""

import os
import re
from pathlib import Path

from ..console import print_text


def to_file_name(name: str) -> str:
    """Turn the name of a run into a file name that every file system takes.

    Example:
    ```python
    >>> to_file_name("a/b: 1"), to_file_name("..")
    ('a_b_ 1', 'run')

    ```
    """
    return re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", name).strip(". ")[:100] or "run"


def print_written(path: Path) -> None:
    """Print the path of a file that was written."""
    print_text(f"wrote {os.fsencode(path).decode(errors='replace')}")
