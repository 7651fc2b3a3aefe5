"""Shapes: what is left of a decay."""

import numpy as np
import pytest

from hf_lrsched.schedules import shapes


@pytest.mark.parametrize("name", shapes.BY_NAME)
def test_a_shape_falls_from_1_to_0_and_climbs_backwards(name):
    shape, p = shapes.BY_NAME[name], np.linspace(0, 1, 101)
    assert shape(np.array([0.0, 1.0])) == pytest.approx([1, 0], abs=1e-15)
    assert (np.diff(shape(p)) < 0).all()
    assert shapes.climb(shape, p) == pytest.approx(shape(1 - p))


def test_powers_of_what_is_left_and_of_the_progress():
    p = np.array([0.0, 0.5, 1.0])
    assert shapes.polynomial(p, 2).tolist() == [1, 0.25, 0]
    assert shapes.one_minus_power(p, 2).tolist() == [1, 0.75, 0]
