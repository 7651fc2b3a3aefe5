"""Robust statistics of short series. None of them depends on the scale of the numbers."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

#: Standard deviation / median absolute deviation, of a normal distribution.
MAD_TO_SIGMA = 1.4826


def spread(values: Sequence[float]) -> float:
    """Estimate the standard deviation from the median absolute deviation: `1.4826 * median(|x - median(x)|)`.

    Source: Hampel, 1974, The influence curve and its role in robust estimation, JASA 69.

    Example:
    ```python
    >>> round(spread([1.0, 1.2, 0.9, 1.1, 50.0]), 4)
    0.1483

    ```
    """
    if not values:
        return 0.0
    center = statistics.median(values)
    return MAD_TO_SIGMA * statistics.median(abs(value - center) for value in values)


def noise(values: Sequence[float]) -> float:
    """Estimate the standard deviation around a trend from successive differences: `1.4826 * median(|x[i+1] - x[i]|) / sqrt(2)`.

    Source: Rice, 1984, Bandwidth choice for nonparametric regression, Annals of Statistics 12, here with a median.

    Example:
    ```python
    >>> round(noise([1.0, 2.1, 2.9, 4.0, 5.1]), 3)  # includes the trend of 1 per step
    1.153
    >>> round(noise([1.0, 1.2, 1.0, 1.2, 1.0]), 3)
    0.21

    ```
    """
    steps = [abs(after - before) for before, after in pairwise(values)]
    return MAD_TO_SIGMA * statistics.median(steps) / math.sqrt(2) if steps else 0.0


def trend(values: Sequence[float]) -> float:
    """Test whether a series rises (towards 1) or falls (towards -1): `sign(S) * (1 - p)` of Mann-Kendall's test.

    `S = sum over i < j of sign(x[j] - x[i])`, with variance `n (n - 1) (2 n + 5) / 18` and continuity correction; p is
    two-sided and normal. Source: Mann, 1945, Nonparametric tests against trend, Econometrica 13; Kendall, 1975.

    Example:
    ```python
    >>> round(trend([5.0, 4.0, 3.5, 3.0, 2.5, 2.0]), 3), trend([1.0, 2.0]), round(trend([1.0, 3.0, 2.0, 2.5]), 3)
    (-0.991, 0.0, 0.266)

    ```
    """
    n = len(values)
    if n < 3:
        return 0.0
    total = sum((values[j] > values[i]) - (values[j] < values[i]) for i in range(n) for j in range(i + 1, n))
    if not total:
        return 0.0
    z = (abs(total) - 1) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return math.copysign(math.erf(z / math.sqrt(2)), total)
