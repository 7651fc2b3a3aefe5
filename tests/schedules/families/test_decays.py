"""Decays, by hand and beside torch's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

import hf_lrsched
from hf_lrsched.schedules import parse

from ..references import assert_same, ours, peaks, quick, rates, trace
from ..tables import COSINE_1_4, COSINE_3_4, SQRT_3_QUARTERS, SQRT_HALF, check_factors, for_each_row

TABLE = [
    # -- linear
    ("linear()", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("linear(to=0.2)", 4, [1, 0.8, 0.6, 0.4, 0.2]),
    ("warmup(2) >> linear()", 6, [0, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("linear(over=2, to=0.5) >> linear()", 4, [1, 0.75, 0.5, 0.25, 0]),
    # -- cosine
    ("cosine()", 4, [1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
    ("cosine(to=0.2)", 4, [1, 0.882842712474619, 0.6, 0.317157287525381, 0.2]),
    ("cosine(k=2)", 4, [1, 0.990392640201615, COSINE_1_4, 0.40245483899193585, 0]),
    ("cosine(cycles=1)", 4, [1, 0.5, 0, 0.5, 0.5]),
    ("cosine(cycles=0.25)", 2, [1, COSINE_1_4, 0.5]),
    ("warmup(2) >> cosine()", 6, [0, 0.5, 1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
    # -- polynomial
    ("polynomial()", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("polynomial(power=2)", 4, [1, 0.5625, 0.25, 0.0625, 0]),
    ("polynomial(power=0.5)", 4, [1, SQRT_3_QUARTERS, SQRT_HALF, 0.5, 0]),
    ("polynomial(power=2, to=0.2)", 4, [1, 0.65, 0.4, 0.25, 0.2]),
    # -- exponential: to an end, and at a rate
    ("exponential(to=0.01)", 4, [1, 0.31622776601683794, 0.1, 0.03162277660168379, 0.01]),
    ("hold(1, to=0.5) >> exponential(to=0.125)", 3, [0.5, 0.5, 0.25, 0.125]),
    (
        "exponential(rate=0.5, per=2)",
        4,
        [1, 0.7788007830714049, 0.6065306597126334, 0.4723665527410147, 0.36787944117144233],
    ),
    ("exponential(rate=0.5, per=2, to=0.5)", 4, [1, 0.7788007830714049, 0.6065306597126334, 0.5, 0.5]),
    (
        "exponential(rate=1, per=50%)",
        4,
        [1, 0.6065306597126334, 0.36787944117144233, 0.22313016014842982, 0.1353352832366127],
    ),
    # -- one_minus_sqrt
    ("one_minus_sqrt()", 4, [1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("one_minus_sqrt(to=0.2)", 4, [1, 0.6, 0.43431457505076194, 0.3071796769724491, 0.2]),
    # -- rex
    ("rex()", 4, [1, 6 / 7, 2 / 3, 0.4, 0]),
    ("rex(d=0)", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("rex(d=0.9)", 2, [1, 0.9090909090909091, 0]),
    ("rex(to=0.5)", 2, [1, 5 / 6, 0.5]),
    # -- tanh: starts and ends near its ends
    ("tanh(lb=-1, ub=1)", 2, [0.8807970779778823, 0.5, 0.11920292202211755]),
    ("tanh(lb=-1, ub=1, to=0.5)", 2, [0.9403985389889412, 0.75, 0.5596014610110588]),
    ("tanh()", 10, {0: 0.9999991684719722, 7: 0.5, 10: 0.0024726231566347743}),
    # -- inverse_sqrt
    ("warmup(4) >> inverse_sqrt()", 17, {3: 0.75, 4: 1, 5: 0.8944271909999159, 8: SQRT_HALF, 16: 0.5}),
    ("warmup(4) >> inverse_sqrt(timescale=2)", 11, {4: 1, 6: SQRT_HALF, 10: 0.5}),
    ("inverse_sqrt()", 3, {0: 1, 1: 0.9999500037496876}),
    ("inverse_sqrt(timescale=1, to=0.6)", 4, [1, SQRT_HALF, 0.6, 0.6, 0.6]),
    # -- power
    (
        "power(timescale=4, exponent=0.5)",
        17,
        {0: 1, 3: 1, 4: 1, 5: 0.8944271909999159, 16: 0.5, 17: 0.48507125007266594},
    ),
    ("power(timescale=1, exponent=1, to=0.3)", 5, [1, 1, 0.5, 1 / 3, 0.3, 0.3]),
    ("warmup(2) >> power(timescale=4, exponent=1)", 9, {1: 0.5, 2: 1, 4: 1, 5: 0.8, 8: 0.5}),
    # -- polynomial of the progress
    ("polynomial(power=2, of=progress)", 4, [1, 0.9375, 0.75, 0.4375, 0]),
    ("polynomial(power=0.5, of=progress, to=0.2)", 4, [1, 0.6, 0.43431457505076194, 0.3071796769724491, 0.2]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


@pytest.mark.parametrize("end", [0.0, 0.2])
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_no_warmup_starts_at_the_peak(total, end):
    for text in ("linear", "cosine", "polynomial", "rex", "one_minus_sqrt"):
        curve = parse(f"{text}(to={end})").resolve(total)
        assert (curve(0), curve(total)) == pytest.approx((1, end), abs=1e-15)


@quick
@given(st.integers(1, 150), peaks, rates)
def test_cosine_annealing_lr(total, peak, rate):
    theirs = trace(lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=rate * peak), total, peak)
    assert_same(ours(f"cosine(to_lr={rate * peak!r})", total, peak), theirs, peak)


@quick
@given(st.integers(1, 150), peaks, st.floats(0.2, 4))
def test_polynomial_lr(total, peak, power):
    theirs = trace(lambda o: lr_scheduler.PolynomialLR(o, total, power), total, peak)
    assert_same(ours(f"polynomial(power={power!r})", total, peak), theirs, peak)


def test_cosine_annealing_lr_rises_past_t_max():
    theirs = trace(lambda o: lr_scheduler.CosineAnnealingLR(o, 10), 21, 1.0)
    assert theirs[[10, 20], 0] == pytest.approx([0, 1], abs=1e-9)
    mine = trace(lambda o: hf_lrsched.get_scheduler("cosine()", o, num_training_steps=10), 21, 1.0)
    assert mine[[10, 20], 0] == pytest.approx([0, 0], abs=1e-12)
