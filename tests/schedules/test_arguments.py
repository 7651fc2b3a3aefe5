"""How the arguments of phases are read, and what is refused."""

import decimal
import enum

import numpy as np
import pytest

import hf_lrsched.schedules as ls
from hf_lrsched.schedules import (
    cosine,
    floor,
    hold,
    linear,
    multistep,
    parse,
    piecewise,
    repeat,
    step,
    warmup,
)
from hf_lrsched.schedules.arguments import one_of

from .helpers import INF, NAN, refused


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-300,
        NAN,
        INF,
        -INF,
        "nan",
        "inf",
        "1e999",
        "x",
        "",
        "%",
        "1%%",
        True,
        None,
        [1],
        1j,
        "1ep",
        10**400,
        decimal.Decimal(1),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda v: linear(to=v),
        lambda v: cosine(to=v),
        lambda v: floor(linear(), to=v),
        lambda v: warmup(5, to=v),
        lambda v: piecewise(points=[[0, 1], [5, v]]),
    ],
)
def test_invalid_factors(make, value):
    refused(lambda: make(value), " of ", "()")


@pytest.mark.parametrize("value", [1.5, 1.0000001, 0, -0.5, NAN, INF, "150%", True, None])
@pytest.mark.parametrize(
    "make",
    [
        lambda v: step(every=1, factor=v).resolve(4),
        lambda v: multistep(at=[1], factor=v).resolve(4),
        lambda v: repeat(linear(), cycles=2, decay=v),
        lambda v: ls.triangular(up=1, gamma=v),
    ],
)
def test_invalid_decay_factors(make, value):
    refused(lambda: make(value))


def test_decay_factors_name_the_argument():
    refused(
        lambda: step(every=1, factor=1.5).resolve(4),
        "factor of step(every=1, factor=1.5) must be above 0 and at most 1, got 1.5",
        "write rising(step(every=1, factor=1.5))",
    )
    refused(lambda: repeat(linear(), cycles=2, decay=2), "decay of repeat() must be above 0 and at most 1, got 2")


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, True, "2", None, NAN, 10_001, 10**30])
def test_invalid_cycles(value):
    if value is None:
        refused(lambda: repeat(linear(), cycles=None).resolve(10), "the length of a cycle of")
    else:
        refused(lambda: repeat(linear(), cycles=value), "cycles of repeat() must be")


@pytest.mark.parametrize("value", [0, -1, NAN, INF, "x", True])
def test_invalid_growth(value):
    refused(
        lambda: repeat(linear(), cycles=2, growth=value), "growth of repeat() must be a finite number above 0, got "
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: linear(to=0.1, to_lr=1e-6), "linear() has both to=0.1 and to_lr=1e-06; give one"),
        (lambda: cosine(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.polynomial(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.exponential(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: step(every=1, to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: multistep(at=[1], to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.inverse_sqrt(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.power(timescale=1, to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.one_minus_sqrt(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.rex(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.tanh(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: hold(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: floor(linear(), to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: linear(to_lr="1%"), "to_lr of linear() must be a finite learning rate"),
        (lambda: linear(to_lr=-1e-6), "at least 0"),
        (lambda: linear(to_lr=NAN), "finite"),
        (lambda: ls.exponential(), "needs a rate, or an end above 0"),
        (lambda: ls.exponential(rate=0), "rate of exponential() must be a finite number above 0"),
        (lambda: ls.exponential(rate=-1), "above 0"),
        (lambda: cosine(cycles=0), "cycles of cosine()"),
        (lambda: cosine(k=-1), "k of cosine()"),
        (lambda: ls.polynomial(power=0), "power of polynomial()"),
        (lambda: ls.rex(d=1), "d of rex() must be at least 0 and below 1, got 1"),
        (lambda: ls.rex(d=-0.1), "d of rex()"),
        (lambda: ls.rex(d=NAN), "d of rex() must be a finite number"),
        (lambda: ls.tanh(lb=3, ub=3), "lb of tanh() must be below ub"),
        (lambda: ls.one_cycle(peak_at=0), "peak_at of one_cycle() must be above 0 and below 1"),
        (lambda: ls.one_cycle(peak_at=1), "peak_at"),
        (lambda: ls.one_cycle(start=2), "at most 1"),
        (lambda: ls.slanted_triangular(ratio=0.5), "ratio of slanted_triangular() must be at least 1"),
        (lambda: warmup(5, shape="cosin"), "Did you mean 'cosine'?"),
        (lambda: warmup(5, shape=5), "shape of warmup() must be one of linear"),
        (lambda: piecewise(points=[[0, 1]]), "2 points or more"),
        (lambda: piecewise(points=[[5, 1], [4, 0]]), "must rise from each milestone to the next, got 5 before 4"),
        (lambda: piecewise(points=[[0, 1], [0, 0]]), "the time of points of piecewise(), point 2 must be above 0"),
        (lambda: piecewise(points=[[0, 1], [5, 0, 3]]), "point 2 must be [time, factor]"),
        (lambda: piecewise(points=[[-1, 1], [5, 0]]), "the time of points of piecewise(), point 1 must be above 0"),
        (lambda: piecewise(points="0 1"), "points of piecewise() must be a list"),
        (lambda: multistep(at=[]), "at of multistep() must be a list"),
        (lambda: multistep(at="5"), "at of multistep() must be a list"),
        (lambda: multistep(at=[0]), "at of multistep(), item 1 must be above 0"),
        (lambda: multistep(at=[5, 3]), "5 before 3"),
        (lambda: multistep(at=["2ep", "1ep"]), "2ep before 1ep"),
        (lambda: repeat("linear()", cycles=2), "schedule of repeat() must be a schedule like cosine(), got 'linear()'"),
        (lambda: repeat(linear, cycles=2), "schedule of repeat() must be a schedule"),
        (lambda: floor(0.1), "schedule of floor() must be a schedule"),
    ],
)
def test_invalid_arguments(make, said):
    refused(make, said)


def test_digits_of_other_alphabets_and_underscores():
    refused(lambda: parse("warmup(\u0665)"), "no meaning")
    refused(lambda: ls.linear(to="1_0"), "factor")
    assert str(warmup(np.float32(0.1))) == "warmup(10%)"


def test_word_that_is_missing_is_near_no_other():
    with pytest.raises(ls.ScheduleError, match=r"shape must be one of linear, cosine, got None\.$"):
        one_of("linear", "cosine")(None, "shape")


def test_word_of_an_enum_is_read_as_its_text():
    class Action(str, enum.Enum):  # whose str() is Action.LOWER
        LOWER = "lower"

    word = one_of("stop", "lower")(Action.LOWER, "action")
    assert (word, type(word)) == ("lower", str)
