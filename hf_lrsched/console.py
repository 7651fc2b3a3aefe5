"""Print text on any standard output, also on one whose encoding lacks some of its characters."""

import sys
from typing import Any, TextIO


def print_text(text: str = "", file: TextIO | None = None) -> None:
    """Print a text; characters that the encoding of the output lacks are escaped.

    A run must not end because the name of a group or a label is Chinese and the output is a pipe in ASCII.

    Args:
        text (`str`): One or several lines.
        file (`TextIO`, *optional*): Defaults to standard output.

    Example:
    ```python
    >>> print_text("10% of 345 updates = 35")
    10% of 345 updates = 35

    ```
    """
    output: Any = sys.stdout if file is None else file
    print(to_printable(text, getattr(output, "encoding", None)), file=output, flush=True)


def to_printable(text: str, encoding: str | None) -> str:
    """Escape the characters that an encoding lacks.

    Example:
    ```python
    >>> to_printable("学习率 2e-5", "ascii")
    '\\\\u5b66\\\\u4e60\\\\u7387 2e-5'

    ```
    """
    try:
        return text.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")
    except LookupError:  # an output with an encoding of its own
        return text.encode("ascii", "backslashreplace").decode("ascii")
