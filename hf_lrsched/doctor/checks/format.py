"""Findings by severity, and numbers in them."""

from functools import partial

from ..expected_curve import ExpectedCurve
from ..facts import Facts
from ..finding import SEVERITIES, Finding

#: Each makes a finding of what was found, what it means and what to do.
error, warning, note = (partial(Finding, severity) for severity in SEVERITIES)


def format_lr(factor: float, facts: Facts) -> str:
    """Format a factor as an LR, where the peak is known.

    Example:
    ```python
    >>> format_lr(0.5, Facts("run", learning_rate=2e-5)), format_lr(0.5, Facts("run"))
    ('1e-05 (50% of the peak)', '50% of the peak')

    ```
    """
    share = f"{100 * factor:.3g}% of the peak"
    if facts.learning_rate is None:
        return share
    lr = f"{facts.learning_rate * factor:.3g}"
    return lr if share.startswith("100%") else f"{lr} ({share})"


def format_updates(count: float, curve: ExpectedCurve) -> str:
    """Format a number of updates, or a share of the run where its length is unknown."""
    if curve.is_nominal:
        return f"{100 * count / curve.num_updates:.3g}% of the run"
    return f"{count:g} of {curve.num_updates} {curve.unit}"
