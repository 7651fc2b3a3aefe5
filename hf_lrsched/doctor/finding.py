"""Finding: one error, warning or note about a run."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

#: `error`: the run stops, or trains differently from its settings. `warning`: most likely unintended. `note`: worth
#: knowing; it does not count against the run.
Severity: TypeAlias = Literal["error", "warning", "note"]

#: The worst first.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One error, warning or note about a run.

    Args:
        severity (`str`): `error`, `warning` or `note`.
        what (`str`): What was found.
        why (`str`): What it means in this run, with its numbers.
        fix (`str`): What to do.
        check (`str`, *optional*): The name of the check that found it.
    """

    severity: Severity
    what: str
    why: str
    fix: str
    check: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it counts against the run. Notes do not."""
        return self.severity != "note"

    def __str__(self) -> str:
        sentences = [text if text.endswith("?") else f"{text}." for text in (self.what, self.why, self.fix)]
        return f"{self.check}: {' '.join(sentences)}"
