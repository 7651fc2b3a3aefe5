"""Print text on any standard output, also on one whose encoding lacks some of its characters; tables of texts."""

import sys
from collections.abc import Container, Sequence
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


def format_table(rows: Sequence[Sequence[str]], left: Container[int] = ()) -> list[str]:
    """Align the columns of a table: to the right, but for those whose indices are in `left`. Returns a line for each row.

    Example:
    ```python
    >>> format_table([["phase", "updates"], ["linear()", "900"]], left={0})
    ['phase     updates', 'linear()      900']

    ```
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = [str.ljust if index in left else str.rjust for index in range(len(widths))]
    cells = ((align(cell, width) for align, cell, width in zip(aligns, row, widths, strict=True)) for row in rows)
    return ["  ".join(row).rstrip() for row in cells]


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
