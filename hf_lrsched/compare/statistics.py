"""Paired differences between schedules over seeds: intervals, p-values, ties, and the seeds that a difference needs."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extras import import_extra

#: Two-sided, for all comparisons together.
ALPHA = 0.05
POWER = 0.8
#: Nobody trains more.
MAX_SEEDS = 10_000


@dataclass(frozen=True)
class Difference:
    """How a schedule differs from the first one, over the seeds that both have.

    Args:
        num_seeds (`int`): The pairs.
        mean (`float`): The mean of (this one's metric − the first one's).
        low (`float`), high (`float`): Its interval: those of all comparisons hold together with 95 % confidence. They are
            NaN for fewer than two pairs, and where all pairs differ by the same.
        p_value (`float`): Of the paired t-test, adjusted for the number of comparisons by Holm's method.
        seeds_needed (`int`, *optional*): The pairs with which a difference of this size would be found in 80 % of
            comparisons like this one. `None` where it would take more than 10,000, or where nothing is known of the spread.
    """

    num_seeds: int
    mean: float
    low: float
    high: float
    p_value: float
    seeds_needed: int | None

    @property
    def is_tie(self) -> bool:
        """Whether the seeds do not show a difference. That does not show that there is none."""
        return not self.p_value < ALPHA


def compare_paired(first: Sequence[float], others: Sequence[Sequence[float]]) -> list[Difference]:
    """Compare schedules with the first one, by metrics that are paired by seed.

    Intervals are Student's, with Bonferroni's correction: each has the confidence 1 − 0.05 / k of k comparisons. The
    p-values are those of the paired t-test, with Holm's correction, which rejects whatever Bonferroni's does, and may reject
    more. Dunnett's test would fit many groups against one control, but it assumes independent groups, and a seed's runs are
    not. If all differences are equal, there is no spread that a t-test could use: the p-value is the sign test's, and there
    is no interval.

    Args:
        first (`Sequence[float]`): The first schedule's metric for each seed.
        others (`Sequence[Sequence[float]]`): The other schedules' metrics for the same seeds. NaN where a run is missing.

    Returns:
        `list[Difference]`: One for each of the others.

    Raises:
        ImportError: SciPy is missing.

    Source:
        S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979);
        O. J. Dunn, Multiple comparisons among means, Journal of the American Statistical Association 56 (1961).

    Example:
    ```python
    >>> (difference,) = compare_paired([0.80, 0.82, 0.81, 0.79], [[0.82, 0.83, 0.84, 0.81]])
    >>> print(f"{difference.mean:.3f} ({difference.low:.4f} to {difference.high:.4f}), p = {difference.p_value:.4f}")
    0.020 (0.0070 to 0.0330), p = 0.0163
    >>> difference.is_tie, difference.seeds_needed
    (False, 4)

    ```
    """
    pairs = [np.asarray(other, dtype=float) - np.asarray(first, dtype=float) for other in others]
    pairs = [pair[np.isfinite(pair)] for pair in pairs]
    alpha = ALPHA / max(len(pairs), 1)
    tests = [_test(pair, alpha) for pair in pairs]
    adjusted = adjust_holm([p_value for p_value, _, _ in tests])
    return [
        Difference(
            len(pair), float(pair.mean()) if len(pair) else math.nan, low, high, p_value, count_seeds(pair, alpha)
        )
        for pair, (_, low, high), p_value in zip(pairs, tests, adjusted, strict=True)
    ]


def _test(pair: Any, alpha: float) -> tuple[float, float, float]:
    """The p-value and the interval of the mean of differences."""
    stats = _scipy_stats()
    if len(pair) < 2:
        return math.nan, math.nan, math.nan
    if np.ptp(pair) == 0:
        p_value = stats.binomtest(len(pair), len(pair)).pvalue if pair[0] else 1.0
        return float(p_value), math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # differences that are equal but for rounding
        found = stats.ttest_1samp(pair, 0.0)
        interval = found.confidence_interval(1 - alpha)
    return float(found.pvalue), float(interval.low), float(interval.high)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's method; NaN stands for no test, and stays.

    The smallest of k p-values is multiplied by k, the next one by k − 1, and so on; none may fall below a smaller one's.

    Example:
    ```python
    >>> adjust_holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    ```
    """
    order = sorted((p_value, index) for index, p_value in enumerate(p_values) if not math.isnan(p_value))
    adjusted, highest = list(p_values), 0.0
    for rank, (p_value, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_value))
        adjusted[index] = highest
    return adjusted


def get_power(effect: float, num_seeds: int, alpha: float = ALPHA) -> float:
    """Return the probability that a two-sided paired t-test finds an effect.

    Args:
        effect (`float`): The mean of the differences, in their standard deviations.
        num_seeds (`int`): The pairs; at least 2.
        alpha (`float`, defaults to 0.05): The significance level.

    Example:
    ```python
    >>> round(get_power(0.5, 34), 3)
    0.808

    ```
    """
    stats = _scipy_stats()
    degrees, shift = num_seeds - 1, abs(effect) * math.sqrt(num_seeds)
    limit = stats.t.isf(alpha / 2, degrees)
    # Of the wrong sign: SciPy returns NaN where this is practically 0.
    wrong = np.nan_to_num(stats.nct.cdf(-limit, degrees, shift))
    return float(stats.nct.sf(limit, degrees, shift) + wrong)


def count_seeds(differences: Sequence[float], alpha: float = ALPHA) -> int | None:
    """Count the seeds with which the t-test finds the observed mean difference in 80 % of comparisons.

    Returns:
        `int`, or `None`: At least 2; `None` for more than 10,000, or where there is no difference or no spread.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2 or np.ptp(values) == 0 or not values.mean():
        return None
    effect = abs(values.mean() / values.std(ddof=1))
    normal = _scipy_stats().norm
    # With a known spread it would take so many, and Student's t takes a few more.
    num_seeds = max(2, math.ceil(((normal.isf(alpha / 2) + normal.ppf(POWER)) / effect) ** 2))
    while num_seeds <= MAX_SEEDS and get_power(effect, num_seeds, alpha) < POWER:
        num_seeds += 1
    return num_seeds if num_seeds <= MAX_SEEDS else None


def _scipy_stats() -> Any:
    return import_extra("scipy.stats", "compare", "comparisons need SciPy")
