"""Lengths and horizons."""

import decimal
import fractions

import numpy as np
import pytest

import hf_lrsched.schedules as ls
from hf_lrsched.schedules import (
    Horizon,
    as_length,
    hold,
    linear,
    multistep,
    parse,
    piecewise,
    repeat,
    step,
    warmup,
)

from .helpers import INF, NAN, refused

RUN = Horizon(1000, updates_per_epoch=115, samples_per_update=32, tokens_per_update=4096)


@pytest.mark.parametrize(
    ("length", "updates"),
    [
        ("100", 100),
        ("1", 1),
        ("999", 999),
        ("10%", 100),
        ("0.1", 100),
        (".25", 250),
        ("1e-1", 100),
        ("0.05%", 1),  # 0.5
        ("99.9%", 999),
        ("1ep", 115),
        ("0.5ep", 58),  # 57.5
        ("8.5ep", 978),  # 977.5
        ("1e0ep", 115),
        ("3200sa", 100),
        ("1000sa", 32),  # 31.25
        ("1sa", 1),
        ("409600tok", 100),
        ("100000tok", 25),  # 24.4
        ("1e6tok", 245),  # 244.14
    ],
)
def test_lengths(length, updates):
    curve = parse(f"warmup({length}) >> hold()").resolve(RUN)
    assert [(part.start, part.end) for part in curve.parts] == [(0, updates), (updates, 1000)]
    assert curve(updates) == 1
    assert curve(updates - 1) == pytest.approx((updates - 1) / updates, abs=1e-15)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0, "over of warmup() must be above 0, got 0"),
        (-1, "must be above 0, got -1"),
        (0.0, "must be above 0, got 0.0"),
        (-0.1, "must be above 0, got -0.1"),
        ("0", "must be above 0, got '0'"),
        ("0%", "must be above 0, got '0%'"),
        ("-3ep", "must be above 0, got '-3ep'"),
        ("0sa", "must be above 0"),
        (1.0, "ambiguous: 1.0"),
        (1.5, "ambiguous: 1.5"),
        (500.0, "write 500 (a whole number)"),
        ("2.0", "ambiguous"),
        ("101%", "at most 100%"),
        (NAN, "must be finite, got nan"),
        (INF, "must be finite, got inf"),
        (-INF, "must be finite, got -inf"),
        ("nan", "must be a length like 500, 10%, 0.1 or 2ep, got 'nan'"),
        ("inf", "must be a length"),
        ("1e999", "out of range"),
        ("1e999ep", "out of range"),
        ("1e-999", "1e-999"),
        ("1e-999999999", "1e-999999999"),
        ("0e999999999", "0e999999999"),
        (1e-300, "out of range"),
        (10**40, "out of range"),
        ("9" * 61, "must be a length"),
        ("1" * 10**6, "must be a length"),
        (True, "got True of type bool"),
        (False, "got False of type bool"),
        (np.bool_(True), "type bool"),
        (None, "over of warmup() cannot be None"),
        ([5], "got [5] of type list"),
        ((5,), "type tuple"),
        ({}, "type dict"),
        (b"5", "type bytes"),
        (1j, "type complex"),
        (np.array([5]), "type ndarray"),
        (decimal.Decimal(5), "type Decimal"),
        (linear(), "type Phase"),
        ("", "must be a length"),
        ("ep", "must be a length"),
        ("5 6", "must be a length"),
        ("1/2", "must be a length"),
        ("10%%", "must be a length"),
        ("10% of it", "must be a length"),
        ("2epochs", "Did you mean '2ep'?"),
        ("2EP", "Did you mean 'ep'?"),
        ("2Epochs", "Did you mean '2ep'?"),
        ("500steps", "Did you mean '500'?"),
        ("10percent", "Did you mean '10%'?"),
        ("5 samples", "Did you mean '5sa'?"),
        ("5tk", "unknown unit 'tk'"),
        ("5zzz", "unknown unit 'zzz'"),
    ],
)
def test_invalid_lengths(length, said):
    refused(lambda: warmup(length), said)


@pytest.mark.parametrize(
    ("length", "same"),
    [
        (np.int64(5), 5),
        (np.uint8(5), 5),
        (np.float64(0.25), "25%"),
        (np.float32(0.25), "25%"),
        (fractions.Fraction(1, 4), "25%"),
        ("  5  ", 5),
        ("5 ep", "5ep"),
        ("10 %", "10%"),
        ("1e3ep", "1000ep"),
        ("100%", "100%"),
        (as_length("2ep"), "2ep"),
    ],
)
def test_valid_lengths(length, same):
    assert warmup(length) == warmup(same)
    assert hash(warmup(length)) == hash(warmup(same))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: warmup("2ep").resolve(100), "2ep has no meaning here: updates_per_epoch is not known"),
        (lambda: (hold() >> linear(over="1ep")).resolve(100), "1ep has no meaning"),
        (lambda: step(every="1ep").resolve(100), "1ep has no meaning"),
        (lambda: multistep(at=["1ep"]).resolve(100), "1ep has no meaning"),
        (lambda: piecewise(points=[[0, 1], ["1ep", 0]]).resolve(100), "1ep has no meaning"),
        (lambda: ls.exponential(rate=0.1).resolve(100), "1ep has no meaning"),
        (lambda: repeat(linear(), first="1ep").resolve(100), "1ep has no meaning"),
        (lambda: hold("5sa").resolve(100, 10), "samples_per_update is not known"),
        (lambda: hold("5tok").resolve(100, 10), "tokens_per_update is not known"),
    ],
)
def test_lengths_without_a_meaning(make, said):
    refused(make, said)


@pytest.mark.parametrize("name", ["num_updates", "updates_per_epoch", "samples_per_update", "tokens_per_update"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 10.0, True, "10", NAN, [10]])
def test_invalid_horizons(name, value):
    refused(lambda: Horizon(**{"num_updates": 10, name: value}), f"{name} must be a whole number of at least 1, got ")


def test_valid_horizons_and_one_given_twice():
    assert Horizon(np.int64(10), np.int32(5)) == Horizon(10, 5)
    assert type(Horizon(np.int64(10)).num_updates) is int
    refused(lambda: Horizon(None), "num_updates must be a whole number")
    refused(lambda: linear().resolve(Horizon(10), 5), "given twice")
