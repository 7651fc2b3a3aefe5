"""cooldown()."""

import math

import numpy as np
import pytest

from hf_lrsched.schedules import cooldown, hold, linear, warmup
from hf_lrsched.schedules.families.cooldown import cool_down, find_cooldown

from ..tables import COSINE_1_4, COSINE_3_4, SQRT_3_QUARTERS, SQRT_HALF, check_factors, for_each_row

TABLE = [
    # -- cooldown, in its time
    ("hold() >> cooldown(4)", 6, [1, 1, 1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("hold() >> cooldown(4, shape=linear, to=0.2)", 6, [1, 1, 1, 0.8, 0.6, 0.4, 0.2]),
    ("hold() >> cooldown(4, shape=cosine)", 6, [1, 1, 1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


@pytest.mark.parametrize("at, level", [(20, 1.0), (33.25, 0.5), (0, 0.25)])
@pytest.mark.parametrize("shape, left", [("linear", lambda p: 1 - p), ("one_minus_sqrt", lambda p: 1 - math.sqrt(p))])
def test_a_cooldown_that_begins_early(at, level, shape, left):
    curve = (warmup(10) >> hold() >> cooldown(8, shape=shape, to=0.125)).resolve(100)
    found = cool_down(curve, at, level, peak=1e-4)
    for step in range(9):
        assert found(at + step) == pytest.approx(0.125 + (level - 0.125) * left(step / 8), rel=1e-12)
    assert found(at + 50) == pytest.approx(0.125)  # and stays there


def test_a_cooldown_below_its_end_stays_where_it_is():
    curve = (warmup(10) >> hold() >> cooldown(8, to=0.5)).resolve(100)
    assert cool_down(curve, 2, 0.2, peak=1.0)(np.arange(2.0, 12.0)).tolist() == [0.2] * 10


def test_an_absolute_end_holds_for_each_group():
    curve = (hold() >> cooldown(8, to_lr=1e-6)).resolve(100, peak=1e-4)
    assert cool_down(curve, 20, 1.0, peak=1e-4)(28) == pytest.approx(0.01)


def test_without_a_cooldown():
    curve = linear().resolve(10)
    assert find_cooldown(curve) is None
    assert cool_down(curve, 3, 0.5, 1.0) is curve
