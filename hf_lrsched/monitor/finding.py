"""LossFinding: one thing that a run's losses show, and what to change."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Change:
    """A setting to change, as text that can be pasted.

    Args:
        setting (`str`): `schedule`, or the name of a training argument.
        before (`str`): Its value in this run.
        after (`str`): The value to try.

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


class Sign(NamedTuple):
    """What a symptom has seen in the losses; a [`LossFinding`] also has the kind and the latest update.

    Args:
        since (`int`): The update from which the evidence is.
        evidence (`str`): What was observed, with numbers.
        advice (`str`): What to do, in words.
        changes (`tuple[Change | None, ...]`, defaults to `()`): The settings to change; `None` is left out.
    """

    since: int
    evidence: str
    advice: str
    changes: tuple[Change | None, ...] = ()


@dataclass(frozen=True)
class LossFinding:
    """One thing that a run's losses show.

    Args:
        kind (`str`): What it is: `not_finite`, `spike` or the name of a function in `monitor/symptoms/`.
        update (`int`): The update after which it was found.
        since (`int`): The update since which it holds.
        evidence (`str`): What was observed, with its numbers.
        advice (`str`): What to change, in words.
        changes (`tuple[Change, ...]`): The same as settings.
        withdrawn (`int`, *optional*): The update after which later evidence contradicted it.

    Example:
    ```python
    >>> print(LossFinding("not_finite", 60, 60, "the training loss is nan", "Look at the batch."))
    [hf_lrsched] update 60: not_finite: the training loss is nan. Look at the batch. (docs/monitor.md#not_finite)

    ```
    """

    kind: str
    update: int
    since: int
    evidence: str
    advice: str
    changes: tuple[Change, ...] = ()
    withdrawn: int | None = None

    @property
    def page(self) -> str:
        """Where its kind is explained."""
        return f"docs/monitor.md#{self.kind}"

    def __str__(self) -> str:
        if self.withdrawn is not None:
            return (
                f"[hf_lrsched] update {self.withdrawn}: {self.kind} of update {self.update} is withdrawn: what came since contradicts "
                "it. Its advice no longer holds."
            )
        since = f" since update {self.since}" if self.since < self.update else ""
        changes = "".join(f"\n    {change}" for change in self.changes)
        return f"[hf_lrsched] update {self.update}: {self.kind}{since}: {self.evidence}. {self.advice} ({self.page}){changes}"


def format_distinct(*values: float) -> list[str]:
    """Format numbers with three significant digits, or with as many as make different numbers look different.

    Example:
    ```python
    >>> format_distinct(0.692, 0.69), format_distinct(1.0991, 1.0987)
    (['0.692', '0.69'], ['1.0991', '1.0987'])

    ```
    """
    for digits in range(3, 18):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts


def format_lost(share: float) -> str:
    """Say which share of its gain a loss has lost.

    Example:
    ```python
    >>> format_lost(0.62), format_lost(10.5)
    ('62% of its gain is lost', 'all of its gain is lost')

    ```
    """
    return f"{share:.0%} of its gain is lost" if share < 1 else "all of its gain is lost"
