"""The statistics beside SciPy's, and by hand."""

import math
import random

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hf_lrsched.monitor.robust import noise, spread, trend

SERIES = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=4, max_size=30)


@given(SERIES)
def test_spread_equals_scipys_normal_mad(values):
    expected = scipy.stats.median_abs_deviation(values, scale=1 / 1.4826)
    assert spread(values) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=25, unique=True))
def test_trend_equals_kendalls_tau(values):
    """Without ties S = tau * n (n - 1) / 2."""
    n = len(values)
    tau = scipy.stats.kendalltau(range(n), values).statistic
    total = round(tau * n * (n - 1) / 2)
    z = max(abs(total) - 1, 0) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    expected = math.copysign(2 * scipy.stats.norm.cdf(z) - 1, total) if total else 0
    assert trend(values) == pytest.approx(expected, abs=1e-12)


def test_noise_of_normal_numbers_on_a_slow_trend():
    draw = random.Random(0)
    values = [draw.gauss(0, 2.0) - 0.001 * i for i in range(5000)]
    assert noise(values) == pytest.approx(2.0, rel=0.05)
    values[::50] = [1e6] * 100  # and outliers do not move it much
    assert noise(values) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0]])
def test_short_series(values):
    assert spread(values) == noise(values) == trend(values) == 0
