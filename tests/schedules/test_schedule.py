"""Large schedules: an answer or an error, soon."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

import hf_lrsched.schedules as ls
from hf_lrsched.schedules import (
    Horizon,
    ScheduleError,
    linear,
    parse,
    repeat,
    rex,
)

from .helpers import NAN, refused
from .references import assert_same, ours, peaks, quick, rates, runs, trace
from .tables import SQRT_HALF, check_factors, for_each_row


def test_many_factors():
    start = time.process_time()
    assert parse(" * ".join(["linear()"] * 900)).resolve(100)(50) == pytest.approx(0.5**900)
    product = linear()
    with pytest.raises(ScheduleError, match="a schedule's text has at most 10,000 characters"):
        for _ in range(1100):
            product = product * linear()
    assert time.process_time() - start < 5


def test_many_cycles():
    start = time.process_time()
    curve = repeat(rex(), cycles=10_000).resolve(100_000)
    assert curve([0, 10, 99_990]).tolist() == pytest.approx([1, 1, 1])
    assert curve(range(100_000)).min() > 0
    assert time.process_time() - start < 5


TABLE = [
    # -- products: of all factors; the level goes on through the first one
    ("linear() * step(every=2, factor=0.5)", 4, [1, 0.75, 0.25, 0.125, 0]),
    ("linear() * linear() * linear()", 4, [1, 0.421875, 0.125, 0.015625, 0]),
    ("(warmup(2) >> hold()) * linear()", 4, [0, 0.375, 0.5, 0.25, 0]),
    ("linear(over=2, to=0.5) * hold()", 4, [1, 0.75, 0.5, 0.5, 0.5]),
    ("hold(2) >> linear() * hold(to=0.5)", 4, [1, 1, 0.5, 0.25, 0]),
    ("hold(2, to=0.8) >> linear() * hold()", 4, [0.8, 0.8, 0.8, 0.4, 0]),
    ("hold(2, to=0.8) >> hold() * linear()", 4, [0.8, 0.8, 0.8, 0.4, 0]),
    # -- one update
    *[
        (text, 1, [1, end])
        for text, end in [
            ("linear()", 0),
            ("cosine(to=0.3)", 0.3),
            ("polynomial(power=3)", 0),
            ("exponential(to=0.5)", 0.5),
            ("one_minus_sqrt()", 0),
            ("rex()", 0),
            ("hold()", 1),
            ("step(every=1, factor=0.5)", 0.5),
            ("multistep(at=[1], factor=0.5)", 0.5),
            ("inverse_sqrt(timescale=1)", SQRT_HALF),
            ("power(timescale=1)", 1),
            ("piecewise(points=[[0, 1], [1, 0.5]])", 0.5),
            ("repeat(linear(), cycles=1)", 0),
            ("floor(linear(), to=0.1)", 0.1),
            ("linear() * cosine()", 0),
        ]
    ],
    ("one_cycle()", 1, [4e-6, 4e-6]),
    ("triangular(up=1)", 1, [0.1, 0.1]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


@pytest.mark.parametrize(
    ("text", "horizon", "ends"),
    [
        ("warmup(10%) >> linear()", 345, [35, 345]),  # 34.5
        ("warmup(7%) >> linear()", 100, [7, 100]),  # not 8, as 0.07 * 100 = 7.000000000000001 is rounded up
        ("warmup(29%) >> linear()", 100, [29, 100]),  # 0.29 * 100 = 28.999999999999996
        ("warmup(0.07) >> linear()", 100, [7, 100]),
        ("hold(30%) >> hold(30%) >> linear(over=40%)", 7, [3, 5, 7]),  # 2.1, 4.2, 7: the sums are rounded, not each
        ("hold(33.3%) >> hold(33.3%) >> linear(over=33.4%)", 10, [4, 7, 10]),  # 3.33, 6.66, 10
        ("hold(10%) >> hold(20%) >> hold(30%) >> linear(over=40%)", 3, [1, 1, 2, 3]),  # 0.3, 0.9, 1.8, 3
        ("warmup(10%) >> hold() >> linear(over=10%)", 345, [35, 310, 345]),  # 345 - 34.5 rounded up
        ("hold() >> linear(to=0.5, over=25%) >> linear(over=25%)", 10, [5, 7, 10]),  # 10 - 5, 10 - 3, 10
        ("linear() >> warmup(1) >> hold(1)", 10, [8, 9, 10]),
        ("warmup(1ep) >> hold(50%) >> linear(over=64sa)", Horizon(10, 3, 32), [3, 8, 10]),
        ("warmup(1ep) >> hold() >> linear(over=0.5ep)", Horizon(10, 3), [3, 8, 10]),
        ("repeat(linear(over=2), cycles=2) >> linear()", 10, [4, 10]),
        ("(warmup(2) >> hold(2)) >> linear()", 10, [2, 4, 10]),
        ("linear(over=3) * linear(over=5, to=0.5) >> hold()", 10, [3, 5, 10]),
    ],
)
def test_boundaries(text, horizon, ends):
    parts = parse(text).resolve(horizon).parts
    assert [part.end for part in parts] == ends
    assert [part.start for part in parts] == [0, *ends[:-1]]


def test_a_fixed_length_in_a_longer_run_stays_and_says_so():
    curve = parse("warmup(2) >> linear(to=0.5, over=2)").resolve(8)
    assert curve(range(9)) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5], abs=1e-15)
    (note,) = curve.notes
    assert "ends at update 4 of 8" in note
    assert "0.5" in note


@pytest.mark.parametrize(
    ("text", "total", "said"),
    [
        ("step(every=9)", 4, "step(every=9) never drops"),
        ("multistep(at=[2, 4])", 4, "the milestone 4"),
        ("hold(10%) >> hold(20%) >> linear()", 3, "hold(20%) comes out as 0 updates of 3"),
        ("repeat(linear(), first=2)", 5, "the last cycle"),
        ("piecewise(points=[[8, 1], [9, 0]], over=4) >> linear()", 10, "all points"),
    ],
)
def test_what_is_doubtful_is_noted(text, total, said):
    (note,) = parse(text).resolve(total).notes
    assert said in note


@pytest.mark.parametrize(
    "text",
    ["warmup(2) >> linear()", "step(every=2)", "multistep(at=[2])", "repeat(linear(), cycles=2)", "linear(over=100%)"],
)
def test_nothing_is_noted_of_a_plain_schedule(text):
    assert parse(text).resolve(8).notes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("warmup(10) >> linear()", "nothing is left for linear()"),
        ("warmup(100%) >> linear()", "nothing is left for linear()"),
        ("warmup(11) >> linear()", "nothing is left for linear()"),
        ("warmup(91%) >> linear()", "nothing is left for linear()"),
        ("hold(5) >> linear() >> hold(5)", "nothing is left for linear()"),
        ("warmup(10)", "never reaches its end"),
        ("warmup(99%)", "or write warmup(100%) for a climb over the whole run"),
        ("hold(5) >> warmup(5)", "never reaches its end"),
        ("warmup(5) >> warmup(50%)", "never reaches its end"),
        ("warmup(11)", "takes 11 updates, but only 10 are there"),
        ("hold(6) >> linear(over=5)", "takes 11 updates, but only 10 are there"),
        ("hold(60%) >> linear(over=50%)", "takes 11 updates"),
        ("linear(over=11) * hold()", "takes 11 updates"),
        ("linear(over=1000000000000)", "takes 1,000,000,000,000 updates"),
        ("repeat(linear(over=6), cycles=2)", "takes 12 updates"),
        ("hold() >> linear()", "two phases without a length, hold() and linear()"),
        ("hold() >> warmup(1) >> linear()", "two phases without a length"),
        ("(hold() >> linear()) * hold()", "two phases without a length"),
        ("hold() >> repeat(linear(), cycles=2)", "two phases without a length"),
        ("repeat(hold() >> linear(), cycles=2)", "two phases without a length"),
        ("repeat(linear())", "the length of a cycle of"),
        ("repeat(linear(over=5), cycles=2, growth=2)", "has a length of its own"),
        ("repeat(linear(over=5), first=5)", "has a length of its own"),
        ("repeat(linear(), cycles=11)", "shorter than an update"),
        ("repeat(linear(), cycles=10, growth=0.5)", "shorter than an update"),
        ("repeat(linear(), first=5%)", "shorter than an update"),
        ("repeat(linear(), cycles=10000, growth=1e300)", "too long or too short"),
        ("repeat(warmup(4) >> linear(), cycles=3)", "nothing is left for linear()"),
        ("repeat(warmup(1) >> linear(to=0.9, over=2), cycles=2, decay=0.5)", "would fall"),
        ("step(every=0.00000001)", "less than a millionth of an update"),
        ("triangular(up=0.00000001)", "less than a millionth of an update"),
        # ends above the start
        ("linear(to=2)", "would rise, from 1 to 2; a decay falls"),
        ("cosine(to=1.1)", "would rise"),
        ("polynomial(to=1.1)", "would rise"),
        ("exponential(to=1.1)", "would rise"),
        ("one_minus_sqrt(to=1.1)", "would rise"),
        ("rex(to=1.1)", "would rise"),
        ("tanh(to=1.1)", "would rise"),
        ("step(every=1, to=1.1)", "would rise"),
        ("multistep(at=[1], to=1.1)", "would rise"),
        ("inverse_sqrt(to=1.1)", "would rise"),
        ("power(timescale=1, to=1.1)", "would rise"),
        ("linear(to=0.2, over=5) >> cosine(to=0.3)", "would rise, from 0.2 to 0.3"),
        ("hold(5, to=0) >> linear(to=0.1)", "would rise, from 0 to 0.1"),
        ("triangular(up=2, to=1.1)", "above its peak"),
        ("hold(2) >> warmup(2, to=0.5) >> hold()", "would fall, from 1 to 0.5; a warmup climbs"),
        ("warmup(2, start=0.5, to=0.4) >> hold()", "would fall, from 0.5 to 0.4"),
        ("warmup(2, shape=exponential) >> hold()", "cannot climb exponentially from 0"),
        # milestones and points
        ("multistep(at=[6, 50%])", "out of order"),
        ("multistep(at=[5, 50%])", "out of order"),
        ("multistep(at=[91%, 99%])", "out of order: updates 10 and 10"),
        ("warmup(5) >> multistep(at=[4])", "lies at update 4, before its phase, which starts at 5"),
        ("piecewise(points=[[0, 1], [5, 0.5], [50%, 0]])", "out of order"),
        # a group's LR
        ("linear(to_lr=1e-6)", "needs the peak LR"),
        ("floor(linear(), to_lr=1e-6)", "needs the peak LR"),
        ("hold(to_lr=1e-6)", "needs the peak LR"),
    ],
)
def test_what_does_not_fit_into_a_run_of_10_updates(text, said):
    refused(lambda: parse(text).resolve(10), said)


def test_only_schedules_are_joined():
    for make in (
        lambda: linear() >> 5,
        lambda: 5 >> linear(),
        lambda: linear() * 0.5,
        lambda: linear() >> "cosine()",
        lambda: linear() + linear(),
    ):
        with pytest.raises(TypeError, match="unsupported operand"):
            make()


@pytest.mark.parametrize(
    "text",
    [
        "cosine(cycles=1e308)",
        "hold(to=1e308) * hold(to=1e308)",
        "warmup(2, to=1e308) * warmup(2, to=1e308) >> linear()",
    ],
)
def test_factors_that_are_not_finite_are_refused_at_resolve(text):
    with np.errstate(all="ignore"):
        refused(lambda: parse(text).resolve(10), "not finite")


@pytest.mark.parametrize("peak", [NAN, float("inf"), -1e-4, "2e-5"])
def test_invalid_peaks(peak):
    refused(lambda: parse("linear()").resolve(10, peak=peak), "the peak LR must be")


def test_what_could_not_be_read_back_cannot_be_built():
    long = parse("linear()")
    with pytest.raises(ScheduleError, match="10,000 characters"):
        for _ in range(1500):
            long = long >> parse("hold(1)")
    deep = parse("linear()")
    with pytest.raises(ScheduleError, match="32 deep"):
        for _ in range(40):
            deep = ls.floor(deep)
    data = {"phase": "linear"}
    for _ in range(2000):
        data = {"phase": "floor", "schedule": data}
    refused(lambda: ls.from_data(data), "32 deep")
    points = []
    for _ in range(5000):
        points = [points]
    refused(lambda: ls.from_data({"phase": "piecewise", "points": points}), "32 deep")
    data = {"phase": "floor"}
    data["schedule"] = data
    refused(lambda: ls.from_data(data), "32 deep")
    refused(lambda: ls.from_data({"phase": "linear", 3: 1}), "a schedule as data")


@quick
@given(runs(shortest=2), peaks, st.floats(0.01, 1), rates)
def test_sequential_lr(run, peak, start, rate):
    total, warm = run
    warm = max(warm, 1)

    def make(optimizer):
        climb = lr_scheduler.LinearLR(optimizer, start, 1.0, warm)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, total - warm, eta_min=rate * peak)
        return lr_scheduler.SequentialLR(optimizer, [climb, fall], [warm])

    text = f"warmup({warm}, start={start!r}) >> cosine(to_lr={rate * peak!r})"
    assert_same(ours(text, total, peak), trace(make, total, peak), peak)
