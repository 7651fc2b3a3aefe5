"""Words and numbers of findings."""

from ..expected_curve import Plan
from ..facts import Facts
from ..finding import Finding


def error(what: str, why: str, mend: str) -> Finding:
    """The run is not what it says, or dies."""
    return Finding("error", what, why, mend)


def warning(what: str, why: str, mend: str) -> Finding:
    """Most likely not what was meant."""
    return Finding("warning", what, why, mend)


def note(what: str, why: str, mend: str) -> Finding:
    """Worth knowing."""
    return Finding("note", what, why, mend)


def lr_at(factor: float, facts: Facts) -> str:
    """A factor as the LR that it is, where the peak is known.

    Example:
    ```python
    >>> lr_at(0.5, Facts("run", learning_rate=2e-5)), lr_at(0.5, Facts("run"))
    ('1e-05 (50% of the peak)', '50% of the peak')

    ```
    """
    share = f"{100 * factor:.3g}% of the peak"
    return share if facts.learning_rate is None else f"{facts.learning_rate * factor:.3g} ({share})"


def updates(count: float, plan: Plan) -> str:
    """So many updates of the run; a share of it, where its length is not known."""
    if plan.is_nominal:
        return f"{100 * count / plan.total:.3g}% of the run"
    return f"{count:g} of {plan.total} {plan.unit}"
