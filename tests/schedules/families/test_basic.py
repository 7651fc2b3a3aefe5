"""warmup() and jump()."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from hf_lrsched.schedules import ScheduleError, jump, linear, parse, warmup

from ..references import assert_same, ours, peaks, quick, rates, runs, trace
from ..tables import COSINE_1_4, COSINE_3_4, SQRT_3_QUARTERS, SQRT_HALF, check_factors, for_each_row


def test_warmup_between_lrs():
    curve = parse("warmup(4, start_lr=1e-6, to_lr=5e-5) >> hold()").resolve(6, peak=1e-4)
    assert [1e-4 * curve(t) for t in range(6)] == pytest.approx([1e-6 + t * 49e-6 / 4 for t in range(4)] + [5e-5] * 2)
    for text in ("warmup(4, start=0.1, start_lr=1e-6)", "warmup(4, to=0.5, to_lr=1e-6)"):
        with pytest.raises(ScheduleError, match=r"has both (start|to)=0.* and (start|to)_lr=1e-06; give one"):
            parse(text)
    with pytest.raises(ScheduleError, match=r"start_lr=1e-06 of warmup.* needs the peak LR"):
        (warmup(4, start_lr=1e-6) >> linear()).resolve(10)


def test_a_jump_takes_no_update():
    curve = parse("linear(over=50%) >> jump() >> linear()").resolve(8)
    assert [(part.text, part.start, part.end) for part in curve.parts] == [
        ("linear(over=50%)", 0, 4),
        ("linear()", 4, 8),
    ]
    assert curve.notes == ()
    assert "jump" not in curve.explain().split("\n", 1)[1]
    assert parse("hold(2) >> jump(to_lr=5e-5) >> hold()").resolve(4, peak=1e-4)([1, 2]).tolist() == [1, 0.5]
    with pytest.raises(ScheduleError, match=r"jump\(0.5\) takes no update"):
        jump(0.5).resolve(4)


TABLE = [
    # -- warmup: shapes, starts, ends
    ("warmup(4) >> hold()", 6, [0, 0.25, 0.5, 0.75, 1, 1, 1]),
    ("warmup(1) >> hold()", 3, [0, 1, 1, 1]),
    ("warmup(4, start=0.1) >> hold()", 5, [0.1, 0.325, 0.55, 0.775, 1, 1]),
    ("warmup(4, start=0.1, to=0.5) >> hold()", 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5]),
    ("warmup(2, start=1) >> hold()", 3, [1, 1, 1, 1]),
    ("warmup(2, to=2) >> linear()", 4, [0, 1, 2, 1, 0]),
    ("warmup(4, shape=cosine) >> hold()", 5, [0, COSINE_3_4, 0.5, COSINE_1_4, 1, 1]),
    ("warmup(4, start=0.2, shape=cosine) >> hold()", 5, [0.2, 0.317157287525381, 0.6, 0.882842712474619, 1, 1]),
    ("warmup(4, shape=one_minus_sqrt) >> hold()", 5, [0, 1 - SQRT_3_QUARTERS, 1 - SQRT_HALF, 0.5, 1, 1]),
    ("warmup(2, start=0.01, shape=exponential) >> hold()", 4, [0.01, 0.1, 1, 1, 1]),
    (
        "warmup(4, start=0.0625, to=0.25, shape=exponential) >> hold()",
        5,
        [0.0625, 0.08838834764831845, 0.125, 0.1767766952966369, 0.25, 0.25],
    ),
    ("warmup(3, start=0.3, shape=constant) >> hold()", 5, [0.3, 0.3, 0.3, 1, 1, 1]),
    ("warmup(2, shape=constant) >> linear()", 4, [0, 0, 1, 0.5, 0]),
    # -- all but one update
    ("warmup(3) >> linear()", 4, [0, 1 / 3, 2 / 3, 1, 0]),
    ("warmup(3) >> hold()", 4, [0, 1 / 3, 2 / 3, 1, 1]),
    ("warmup(75%) >> cosine(to=0.5)", 4, [0, 1 / 3, 2 / 3, 1, 0.5]),
    # -- in the middle: continues from the level, or jumps to its start
    ("hold(2, to=0.2) >> warmup(4) >> hold()", 8, [0.2, 0.2, 0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
    (
        "linear(to=0.2, over=4) >> warmup(4) >> linear()",
        12,
        [1, 0.8, 0.6, 0.4, 0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25, 0],
    ),
    ("linear(over=2) >> warmup(2, start=0.5) >> linear()", 6, [1, 0.5, 0.5, 0.75, 1, 0.5, 0]),
    ("linear(to=0.5, over=2) >> warmup(2, to=0.75) >> linear()", 7, [1, 0.75, 0.5, 0.625, 0.75, 0.5, 0.25, 0]),
    # -- hold
    ("hold()", 3, [1, 1, 1, 1]),
    ("hold(to=0.3)", 2, [0.3, 0.3, 0.3]),
    ("hold(2) >> linear()", 4, [1, 1, 1, 0.5, 0]),
    ("hold(2, to=0) >> warmup(2) >> linear()", 6, [0, 0, 0, 0.5, 1, 0.5, 0]),
    ("linear(to=0.4, over=2) >> hold()", 4, [1, 0.7, 0.4, 0.4, 0.4]),
    # -- freeze: nothing, then on from where it was
    ("freeze(2) >> linear()", 4, [0, 0, 1, 0.5, 0]),
    ("freeze()", 3, [0, 0, 0, 0]),
    ("(warmup(2) >> linear()) * freeze(3)", 6, [0, 0, 0, 0.75, 0.5, 0.25, 0]),
    ("warmup(1, to=0.5) >> hold(1) >> freeze(2) >> hold()", 6, [0, 0.5, 0, 0, 0.5, 0.5, 0.5]),
    # -- jump: a level between two phases, without an update
    ("linear(over=4) >> jump() >> linear()", 8, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    ("linear(over=2) >> jump(0.5) >> hold()", 4, [1, 0.5, 0.5, 0.5, 0.5]),
    ("jump(0.5) >> linear()", 4, [0.5, 0.375, 0.25, 0.125, 0]),
    ("jump(0.2) >> warmup(4) >> hold()", 6, [0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
    ("hold(2) >> jump(0.1) >> jump(2) >> cosine()", 6, [1, 1, 2, 2 * COSINE_1_4, 1, 2 * COSINE_3_4, 0]),
    # -- a warmup over the whole run
    ("warmup(100%)", 4, [0, 0.25, 0.5, 0.75, 0.75]),
    ("warmup(100%, start=0.01, shape=exponential)", 2, [0.01, 0.1, 0.1]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


@quick
@given(runs(shortest=2), peaks, st.floats(0.001, 1), rates)
def test_linear_lr(run, peak, one, other):
    total, warm = run
    low, high = sorted([one, max(other, 0.001)])
    theirs = trace(lambda o: lr_scheduler.LinearLR(o, low, high, max(warm, 1)), total, peak)
    assert_same(ours(f"warmup({max(warm, 1)}, start={low!r}, to={high!r}) >> hold()", total, peak), theirs, peak)


@quick
@given(runs(shortest=2), peaks, rates)
def test_constant_lr(run, peak, factor):
    assume(factor > 1e-3)  # torch divides by it again
    total, warm = run
    theirs = trace(lambda o: lr_scheduler.ConstantLR(o, factor, max(warm, 1)), total, peak)
    text = f"warmup({max(warm, 1)}, start={factor!r}, shape=constant) >> hold()"
    assert_same(ours(text, total, peak), theirs, peak)
