"""Finding: one thing that is wrong, or doubtful, about a run."""

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, get_args

#: `error`: the run is not what it says, or dies. `warning`: most likely not what was meant. `note`: worth knowing; it does
#: not count against the run.
Severity: TypeAlias = Literal["error", "warning", "note"]

#: From the worst down.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or doubtful, about a run.

    Args:
        severity (`str`): `error`, `warning` or `note`.
        what (`str`): What was found.
        why (`str`): What it means in this run, with its numbers.
        mend (`str`): What to do.
        check (`str`): The name of the check that found it.
    """

    severity: Severity
    what: str
    why: str
    mend: str
    check: str = ""

    @property
    def is_wrong(self) -> bool:
        """Does it count against the run? Notes do not."""
        return self.severity != "note"

    def to_data(self) -> dict[str, str]:
        """Plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.check}: {self.what}. {self.why}. {self.mend}."
