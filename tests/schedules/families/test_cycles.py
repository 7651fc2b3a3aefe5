"""Schedules that rise again, by hand and beside torch's."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from hf_lrsched.schedules import (
    Horizon,
    ScheduleError,
    parse,
    repeat,
)

from ..helpers import refused
from ..references import assert_same, ours, peaks, quick, rates, trace
from ..tables import check_factors, for_each_row

TABLE = [
    # -- triangular
    ("triangular(up=2, to=0, decay=0.5)", 8, [0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25, 0]),
    ("triangular(up=2, down=1)", 7, [0.1, 0.55, 1, 0.1, 0.55, 1, 0.1, 0.1]),
    ("triangular(up=1, to=0, gamma=0.5)", 4, [0, 0.5, 0, 0.125, 0]),
    ("triangular(up=1.5ep, to=0)", Horizon(6, 1), [0, 2 / 3, 2 / 3, 0, 2 / 3, 2 / 3, 0]),
    # -- one_cycle: the peak one update before its share, the end at the last update
    ("one_cycle(peak_at=0.5, start=0.2, to=0, shape=linear)", 6, [0.2, 0.6, 1, 2 / 3, 1 / 3, 0, 0]),
    ("one_cycle()", 10, {0: 0.04, 1: 0.52, 2: 1, 5.5: 0.500002, 9: 4e-6, 10: 4e-6}),
    ("one_cycle(peak_at=0.5, start=0.2, to=0.1)", 4, [0.2, 1, 0.55, 0.1, 0.1]),
    # -- repeat: growth, decay, broken cycles, a warmup inside, a cycle that is cut off
    ("repeat(linear(), cycles=2)", 8, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=2, decay=0.5)", 8, [1, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 0]),
    ("repeat(linear(), cycles=3, growth=2)", 7, [1, 1, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=3, growth=0.5)", 7, [1, 0.75, 0.5, 0.25, 1, 0.5, 1, 0]),
    ("repeat(linear(), cycles=2, growth=2, decay=0.5)", 6, [1, 0.5, 0.5, 0.375, 0.25, 0.125, 0]),
    ("repeat(linear(), first=2, growth=2)", 9, [1, 0.5, 1, 0.75, 0.5, 0.25, 1, 0.875, 0.75, 0.625]),
    ("repeat(linear(), cycles=3)", 10, [1, 0.7, 0.4, 0.1, 0.8, 0.5, 0.2, 0.9, 0.6, 0.3, 0]),
    ("repeat(linear(over=2), cycles=2) >> hold()", 6, [1, 0.5, 1, 0.5, 0, 0, 0]),
    ("repeat(linear(over=2))", 5, [1, 0.5, 1, 0.5, 1, 0.5]),
    ("repeat(cosine(to=0.2), cycles=2)", 4, [1, 0.6, 1, 0.6, 0.2]),
    ("repeat(step(every=1, factor=0.5), cycles=2)", 4, [1, 0.5, 1, 0.5, 0.25]),
    ("repeat(warmup(1) >> linear(to=0.4, over=2), cycles=2)", 6, [0, 1, 0.7, 0.4, 1, 0.7, 0.4]),
    ("repeat(warmup(1) >> linear(to=0.4, over=2), cycles=2, decay=0.5)", 6, [0, 1, 0.7, 0.4, 0.5, 0.35, 0.2]),
    ("repeat(warmup(1, start=0.1) >> linear(), cycles=2)", 6, [0.1, 1, 0.5, 0.1, 1, 0.5, 0]),
    ("warmup(2) >> repeat(linear(), cycles=2)", 6, [0, 0.5, 1, 0.5, 1, 0.5, 0]),
    ("repeat(repeat(linear(), cycles=2), cycles=2, decay=0.5)", 8, [1, 0.5, 1, 0.5, 0.5, 0.25, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=2, over=4) >> warmup(2) >> linear()", 8, [1, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0]),
    # -- repeat above a floor
    ("repeat(linear(), cycles=2, decay=0.5, floor=0.2)", 4, [1, 0.5, 0.6, 0.35, 0.1]),
    ("repeat(linear(to=0.2), cycles=2, decay=0.5, floor=0.2)", 4, [1, 0.6, 0.6, 0.4, 0.2]),
    ("repeat(linear(to=0.2), cycles=2, peak_decay=0.5)", 4, [1, 0.6, 0.5, 0.35, 0.2]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)


def test_repeats_within_repeats_are_bounded():
    inner = parse("repeat(linear(over=1), cycles=10000)")
    refused(lambda: repeat(repeat(inner, cycles=10000), cycles=10000).resolve(10**13), "cycles in all")


@quick
@given(st.integers(1, 200), peaks, rates, st.integers(1, 40), st.integers(1, 3))
def test_cosine_annealing_warm_restarts(total, peak, rate, first, growth):
    theirs = trace(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first, growth, eta_min=rate * peak), total, peak
    )
    text = f"repeat(cosine(to_lr={rate * peak!r}), first={first}, growth={growth})"
    assert_same(ours(text, total, peak), theirs, peak)


@quick
@given(st.integers(2, 150), peaks, st.floats(0.05, 0.95), st.floats(1, 100), st.floats(1, 1e5), st.booleans())
def test_one_cycle_lr(total, peak, share, div, final, straight):
    assume(share * total > 1.01)  # torch's climb has no update otherwise
    strategy, shape = ("linear", "linear") if straight else ("cos", "cosine")

    def make(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer,
            peak,
            total,
            pct_start=share,
            anneal_strategy=strategy,
            cycle_momentum=False,
            div_factor=div,
            final_div_factor=final,
        )

    theirs = trace(make, total - 1, peak)  # torch allows total_steps - 1 steps
    text = f"one_cycle(peak_at={share!r}, start={1 / div!r}, to={1 / (div * final)!r}, shape={shape})"
    assert_same(ours(text, total, peak)[:-1], theirs, peak)
    assert ours(text, total, peak)[-1] == pytest.approx(peak / div / final)


def test_one_cycle_defaults_are_torchs():
    theirs = trace(lambda o: lr_scheduler.OneCycleLR(o, 1e-3, 100, cycle_momentum=False), 99, 1e-3)
    assert_same(ours("one_cycle()", 100, 1e-3)[:-1], theirs, 1e-3)


@quick
@given(
    st.integers(1, 150),
    peaks,
    rates,
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(["triangular", "triangular2", "exp_range"]),
    st.floats(0.9, 1),
)
def test_cyclic_lr(total, peak, low, up, down, mode, gamma):
    def make(optimizer):
        return lr_scheduler.CyclicLR(optimizer, low * peak, peak, up, down, mode, gamma, cycle_momentum=False)

    extra = {"triangular": "", "triangular2": ", decay=0.5", "exp_range": f", gamma={gamma!r}"}[mode]
    text = f"triangular(up={up}, down={down}, to={low!r}{extra})"
    assert_same(ours(text, total, peak), trace(make, total, peak), peak)


def test_triangles_above_an_lr():
    """torch's CyclicLR(base_lr, max_lr, step_size_up=2)."""
    curve = parse("triangular(up=2, to_lr=1e-5)").resolve(8, peak=1e-4)
    assert [1e-4 * curve(t) for t in range(5)] == pytest.approx([1e-5, 5.5e-5, 1e-4, 5.5e-5, 1e-5])
    with pytest.raises(ScheduleError, match="is above its peak"):
        parse("triangular(up=2, to_lr=1e-3)").resolve(8, peak=1e-4)
