"""The doctor's report, as text and as data."""

import textwrap
from collections.abc import Sequence

from .checks import CHECKS
from .finding import SEVERITIES, Finding


def as_text(source: str, findings: Sequence[Finding], width: int = 100) -> str:
    """The findings for a terminal, the worst first.

    Args:
        source (`str`): What was looked at. What a terminal would take for a command, in names from a file, is written out.
        findings (`Sequence[Finding]`): What was found.
        width (`int`, defaults to 100): Where lines are broken.

    Example:
    ```python
    >>> print(as_text("runs/a", []))
    runs/a: nothing wrong was found (26 checks)

    ```
    """
    worst_first = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    lines = [f"{source}: {_counts(findings)} ({len(CHECKS)} checks)"]
    for finding in worst_first:
        lines.append("")
        for start, text in (
            (f"{finding.severity} [{finding.check}] ", finding.what),
            ("  why:  ", finding.why),
            ("  mend: ", finding.mend),
        ):
            indent = "        "
            lines += textwrap.wrap(printable(text), max(40, width), initial_indent=start, subsequent_indent=indent)
    return "\n".join([printable(lines[0]), *lines[1:]])


def _counts(findings: Sequence[Finding]) -> str:
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    told = [f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items() if count]
    if not any(finding.is_wrong for finding in findings):
        told.insert(0, "nothing wrong was found")
    return ", ".join(told)


def printable(text: str) -> str:
    """A text without what a terminal would take for a command.

    Example:
    ```python
    >>> print(printable("\\x1b[31mred"))
    \\x1b[31mred

    ```
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
