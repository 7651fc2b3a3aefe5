"""Findings as text for a terminal."""

import textwrap
from collections.abc import Sequence

from ..schedules.numbers import format_count
from .checks import CHECKS
from .finding import SEVERITIES, Finding


def format_findings(source: str, findings: Sequence[Finding], width: int = 100) -> str:
    """Format findings for a terminal, the worst first.

    Args:
        source (`str`): What was checked.
        findings (`Sequence[Finding]`): What was found. Control characters in names from a file are escaped.
        width (`int`, defaults to 100): Characters in a line.

    Example:
    ```python
    >>> print(format_findings("runs/a", []))  # doctest: +ELLIPSIS
    runs/a: no problems found (... checks)

    ```
    """
    worst_first = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    lines = [printable(f"{source}: {_count(findings)} ({len(CHECKS)} checks)")]
    for finding in worst_first:
        lines.append("")
        starts = f"{finding.severity} [{finding.check}] ", "  why: ", "  fix: "
        for start, text in zip(starts, (finding.what, finding.why, finding.fix), strict=True):
            lines += textwrap.wrap(printable(text), max(40, width), initial_indent=start, subsequent_indent=" " * 7)
    return "\n".join(lines)


def _count(findings: Sequence[Finding]) -> str:
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    parts = [format_count(count, severity) for severity, count in counts.items() if count]
    if not any(finding.is_wrong for finding in findings):
        parts.insert(0, "no problems found")
    return ", ".join(parts)


def printable(text: str) -> str:
    """Escape the control characters of a text, which a terminal would obey.

    Example:
    ```python
    >>> print(printable("\\x1b[31mred"))
    \\x1b[31mred

    ```
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
