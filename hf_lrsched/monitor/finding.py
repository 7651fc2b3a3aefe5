"""LossFinding: one thing that a run's losses tell, and what to change."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A setting to change, as text that can be pasted.

    Args:
        setting (`str`): `schedule`, or the name of a training argument.
        before (`str`): What it is.
        after (`str`): What to try.

    Example:
    ```python
    >>> print(Change("schedule", "warmup(4%) >> linear()", "warmup(10%) >> linear()"))
    schedule: warmup(4%) >> linear()  →  warmup(10%) >> linear()

    ```
    """

    setting: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.before}  →  {self.after}"


@dataclass(frozen=True)
class LossFinding:
    """One thing that a run's losses tell.

    Args:
        kind (`str`): What it is: `not_finite`, `spike` or the name of a function in `signs.py`.
        update (`int`): The update after which it was found.
        since (`int`): The update since which it holds.
        confidence (`float`): How sure it is, from 0 to 1: 1 - the chance that noise alone looks so, by the statistic that found
            it; where none did, a rough figure.
        seen (`str`): What was seen, with its numbers.
        advice (`str`): What to change, in words.
        changes (`tuple[Change, ...]`): The same as settings.
    """

    kind: str
    update: int
    since: int
    confidence: float
    seen: str
    advice: str
    changes: tuple[Change, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "changes": [asdict(change) for change in self.changes]}

    def __str__(self) -> str:
        changes = "".join(f"\n    {change}" for change in self.changes)
        return f"update {self.update}: {self.seen} (since update {self.since}, {self.confidence:.0%} sure). {self.advice}{changes}"
