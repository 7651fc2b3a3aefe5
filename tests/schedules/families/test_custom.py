"""piecewise() and custom()."""

import numpy as np
import pytest

import hf_lrsched.schedules as schedules
from hf_lrsched.schedules import (
    custom,
    parse,
)

from ..helpers import INF, NAN, refused
from ..tables import check_factors, for_each_row

TABLE = [
    # -- piecewise
    ("piecewise(points=[[0, 0], [4, 1], [8, 0.5]])", 10, [0, 0.25, 0.5, 0.75, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5]),
    ("piecewise(points=[[2, 1], [6, 0.2]])", 8, [1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]),
    (
        "piecewise(points=[[2, 1], [6, 0.2]], shape=cosine)",
        8,
        [1, 1, 1, 0.882842712474619, 0.6, 0.317157287525381, 0.2, 0.2, 0.2],
    ),
    ("piecewise(points=[[2, 1], [6, 0.2]], shape=constant)", 8, [1, 1, 1, 1, 1, 1, 0.2, 0.2, 0.2]),
    ("piecewise(points=[[0, 2], [50%, 1], [100%, 0]])", 4, [2, 1.5, 1, 0.5, 0]),
    ("hold(2) >> piecewise(points=[[2, 0.5], [4, 0]])", 4, [1, 1, 0.5, 0.25, 0]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


def _cubic(p):
    return 1 - p**3


def test_custom():
    curve = custom(_cubic, to=0.5).resolve(4)
    assert curve([0, 1, 2, 4, 5]) == pytest.approx([1, 0.9921875, 0.9375, 0.5, 0.5], abs=1e-15)
    curve = (schedules.warmup(2) >> custom(_cubic, over=2) >> schedules.hold()).resolve(6)
    assert curve(range(6)) == pytest.approx([0, 0.5, 1, 0.875, 0, 0], abs=1e-15)


def test_points_in_mixed_units():
    curve = parse("piecewise(points=[[0, 0], [10%, 1], [1ep, 0.5], [100%, 0]])").resolve(20, 10)
    assert curve([0, 1, 2, 6, 10, 15, 20]) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25, 0], abs=1e-15)


def test_custom_functions_need_a_name(own_names):
    refused(lambda: custom(lambda p: 1 - p), "must be a function with a name of its own (def)")
    refused(lambda: custom(5), "function of custom() must be a function")
    refused(lambda: custom("nowhere"), "got 'nowhere'")
    refused(lambda: custom(None), "cannot be None")


def test_custom_functions_of_one_name(own_names):
    def make(power):
        def falls(p):
            return 1 - p**power

        return falls

    first = make(1)
    assert custom(first) == custom(first) == parse("custom(falls)")
    refused(lambda: custom(make(2)), "another function has the name 'falls' already")


@pytest.mark.parametrize(
    "value",
    [
        lambda p: p * NAN,
        lambda p: np.where(p > 0.9, NAN, 1.0),
        lambda p: np.where(p > 0.9, INF, 1.0),
        lambda p: 0.5 - p,
        lambda p: 1.0,
        lambda p: p[:1],
        lambda p: np.stack([p, p]),
    ],
)
def test_custom_functions_that_return_no_factor(own_names, value):
    def falls(p):
        return value(p)

    schedule = custom(falls)
    refused(lambda: schedule.resolve(10), "the function falls must return an array like its argument")


def test_a_function_that_is_invalid_only_between_its_ends(own_names):
    def falls(p):
        return np.where((p > 0.2) & (p < 0.3), NAN, 1 - p)

    curve = custom(falls).resolve(100)
    assert curve(10) == pytest.approx(0.9)
    refused(lambda: curve(25), "finite factors of at least 0")
