"""Steps, by hand and beside torch's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from hf_lrsched.schedules import Horizon, parse

from ..references import assert_same, ours, peaks, quick, trace
from ..tables import check_factors, for_each_row

TABLE = [
    # -- step: whole and broken lengths, floor, never
    ("step(every=2, factor=0.5)", 6, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ("step(every=25%, factor=0.5)", 10, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.0625]),
    ("step(every=2, factor=0.5, to=0.3)", 6, [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]),
    ("step(every=9)", 4, [1, 1, 1, 1, 1]),
    ("step(every=1, factor=1)", 3, [1, 1, 1, 1]),
    ("warmup(1) >> step(every=2)", 6, [0, 1, 1, 0.1, 0.1, 0.01, 0.01]),
    # -- multistep: counted from the start of the run
    ("multistep(at=[2, 4], factor=0.5)", 6, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ("warmup(1) >> multistep(at=[3, 6])", 8, [0, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]),
    ("multistep(at=[50%])", 7, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]),
    ("multistep(at=[1, 2], factor=0.5, to=0.4)", 3, [1, 0.5, 0.4, 0.4]),
    ("warmup(2) >> multistep(at=[2], factor=0.5)", 4, [0, 0.5, 0.5, 0.5, 0.5]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


def test_milestones_in_mixed_units():
    run = Horizon(100, updates_per_epoch=30, samples_per_update=8, tokens_per_update=512)
    at = "[10, 20.5%, 1ep, 400sa, 30720tok, 2.5ep, 100%]"
    curve = parse(f"multistep(at={at}, factor=0.5)").resolve(run)
    drops = [t for t in range(1, 101) if curve(t) < curve(t - 1)]
    assert drops == [10, 21, 30, 50, 60, 75, 100]
    assert curve(99) == 0.5**6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A drop where a phase ends shows in the one after it, so nothing may say that it never comes.
        ("step(every=2, factor=0.5, over=2) >> hold()", [1, 1, 0.5, 0.5]),
        ("multistep(at=[2], factor=0.5, over=2) >> hold()", [1, 1, 0.5, 0.5]),
    ],
)
def test_a_drop_at_the_end_of_a_phase(text, expected):
    curve = parse(text).resolve(4)
    assert curve(range(4)) == pytest.approx(expected)
    assert curve.notes == ()


@quick
@given(st.integers(1, 150), peaks, st.integers(1, 60), st.floats(0.05, 1))
def test_step_lr(total, peak, every, gamma):
    theirs = trace(lambda o: lr_scheduler.StepLR(o, every, gamma), total, peak)
    assert_same(ours(f"step(every={every}, factor={gamma!r})", total, peak), theirs, peak)


@quick
@given(st.integers(1, 150), peaks, st.sets(st.integers(1, 200), min_size=1, max_size=6), st.floats(0.05, 1))
def test_multi_step_lr(total, peak, milestones, gamma):
    at = sorted(milestones)
    theirs = trace(lambda o: lr_scheduler.MultiStepLR(o, at, gamma), total, peak)
    assert_same(ours(f"multistep(at={at}, factor={gamma!r})", total, peak), theirs, peak)


@quick
@given(st.integers(1, 150), peaks, st.floats(0.5, 0.999))
def test_exponential_lr(total, peak, gamma):
    theirs = trace(lambda o: lr_scheduler.ExponentialLR(o, gamma), total, peak)
    assert_same(ours(f"exponential(rate={-math.log(gamma)!r}, per=1)", total, peak), theirs, peak)
    assert_same(ours(f"step(every=1, factor={gamma!r})", total, peak), theirs, peak)
