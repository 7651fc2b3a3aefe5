"""Named schedules and register()."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hf_lrsched.schedules import (
    FactorArgument,
    Horizon,
    LengthArgument,
    cosine,
    from_data,
    hold,
    linear,
    named,
    parse,
    register,
    warmup,
)

from .helpers import refused
from .references import quick
from .tables import SQRT_3_QUARTERS, SQRT_HALF, check_factors, for_each_row

TABLE = [
    # -- named
    ("bert()", 10, [0, *(k / 9 for k in range(9, -1, -1))]),
    ("bert(warmup=none, to=0.5)", 2, [1, 0.75, 0.5]),
    ("wsd(warmup=10%, cooldown=40%)", 10, [0, 1, 1, 1, 1, 1, 1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("wsd()", 20, {0: 0, 1: 1, 15: 1, 16: 1, 17: 0.5, 18: 1 - SQRT_HALF, 20: 0}),
    ("cosine_restarts(cycles=2, warmup=2, decay=0.5)", 6, [0, 0.5, 1, 0.5, 0.5, 0.25, 0]),
    (
        "cosine_restarts(cycles=2, warmup=none, growth=2, to=0.2)",
        6,
        [1, 0.6, 1, 0.882842712474619, 0.6, 0.317157287525381, 0.2],
    ),
    ("step_decay(every=2, warmup=none)", 4, [1, 1, 0.1, 0.1, 0.01]),
    ("step_decay()", Horizon(10, 3), [0, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]),
    (
        "exponential_decay(rate=0.5)",
        Horizon(4, 1),
        [1, 0.6065306597126334, 0.36787944117144233, 0.22313016014842982, 0.1353352832366127],
    ),
    ("exponential_decay(rate=0.5, warmup=2)", Horizon(4, 2), [0, 0.5, 1, 0.7788007830714049, 0.6065306597126334]),
    ("slanted_triangular()", 10, {0: 0.03125, 1: 1, 2: 0.8923611111111112, 9: 0.1388888888888889, 10: 0.03125}),
    ("slanted_triangular(cut=50%, ratio=2)", 4, [0.5, 0.75, 1, 0.75, 0.5]),
    ("noam(warmup=4)", 17, {0: 0, 2: 0.5, 4: 1, 16: 0.5}),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


def test_registered_names(own_names):
    register("house", "warmup(6%) >> linear()")
    assert parse("house()") == warmup("6%") >> linear()
    assert parse("house() * hold(to=0.5)") == (warmup("6%") >> linear()) * hold(to=0.5)
    register("house2", warmup(5) >> cosine())
    assert from_data({"phase": "house2"}) == warmup(5) >> cosine()

    @named
    def house3(*, climb: LengthArgument = "6%", low: FactorArgument = 0.0):
        return warmup(climb) >> linear(to=low)

    assert parse("house3(climb=1ep, low=1%)") == warmup("1ep") >> linear(to=0.01)
    refused(
        lambda: parse("house3(clim=5)"),
        "house3() has no argument 'clim'; allowed are climb, low. Did you mean 'climb'?",
    )
    refused(lambda: parse("house3(low=-1)"), "low of house3() must be a finite factor")
    refused(lambda: parse("hose()"), "Did you mean 'house'?")


def test_a_name_must_stand_for_a_schedule(own_names):
    refused(lambda: register("house", "lineer()"), "Did you mean 'linear'?")
    refused(lambda: register("house", 5), "must stand for a text, a schedule or a function")
    refused(lambda: parse("house()"), "unknown schedule 'house'")


def test_a_registered_function_must_return_a_schedule(own_names):
    register("five", lambda: 5)
    refused(lambda: parse("five()"), "must return a schedule")
    register("house", lambda *, climb="6%": warmup(climb) >> parse("linear()"))
    assert parse("house(climb=3)") == parse("warmup(3) >> linear()")
    refused(lambda: parse("house(clim=3)"), "Did you mean 'climb'?")
    refused(lambda: register(5, "linear()"), "a schedule's name")


def test_the_same_definition_again_as_in_a_notebook(own_names):
    register("house", "warmup(6%) >> linear()")
    register("house", "warmup(6%) >> linear()")
    refused(lambda: register("house", "linear()"), "is taken")


def slanted_triangular(t, total, cut_frac, ratio):
    """The paper's formula."""
    cut = math.floor(total * cut_frac)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
    return (1 + p * (ratio - 1)) / ratio


@quick
@given(st.integers(1, 20), st.integers(2, 20), st.floats(1, 100))
def test_slanted_triangular_where_the_cut_is_whole(cut, parts, ratio):
    total = cut * parts
    expected = [slanted_triangular(t, total, 1 / parts, ratio) for t in range(total)]
    assume(math.floor(total * (1 / parts)) == cut)
    curve = parse(f"slanted_triangular(cut={cut}, ratio={ratio!r})").resolve(total)
    assert curve(range(total)) == pytest.approx(expected, rel=0, abs=1e-12)


def test_slanted_triangular_where_it_is_not():
    # 10 % of 19 is 1.9. The formula rounds the cut down and still divides by 9 times it: past update 10 it falls below
    # its lowest LR, 1/32, and then below 0. Ours rounds the cut up, as everywhere, and ends where it says.
    theirs = [slanted_triangular(t, 19, 0.1, 32) for t in range(19)]
    assert theirs[10] == pytest.approx(1 / 32)
    assert theirs[18] == pytest.approx(-0.8298611111111112)
    curve = parse("slanted_triangular()").resolve(19)
    assert curve([2, 19]) == pytest.approx([1, 1 / 32])
    assert curve(range(1, 20)).min() == pytest.approx(1 / 32)
