"""What counts as a number."""

import math

import pytest

from hf_lrsched.schedules.numbers import is_finite_number, is_number, is_number_as_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, (True, True)),
        (0.5, (True, True)),
        (10**400, (True, True)),
        (math.inf, (True, False)),
        (math.nan, (True, False)),
    ]
    + [(value, (False, False)) for value in (True, "1", None, 1j, [1])],
)
def test_numbers(value, expected):
    assert (is_number(value), is_finite_number(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("2e-5", True), ("1", True), ("nan", False), ("auto", False), (1, False)]
)
def test_numbers_as_text(value, expected):
    assert is_number_as_text(value) is expected
