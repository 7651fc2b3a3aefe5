"""transformers' schedulers, side by side with ours: full traces, to 1e-12 of the peak.

Where transformers is wrong, or means something else, a test shows both values and says why.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import get_inverse_sqrt_schedule, get_scheduler

import hf_lrsched
from hf_lrsched.schedules import ScheduleError

from .references import an_optimizer, assert_same, peaks, quick, rates, runs, trace


def assert_same_name(name, total, warm, peak, *, past=0, **kwargs):
    """One of transformers' names, made by its factory and by ours; `past` updates longer than the run."""
    theirs = trace(lambda o: get_scheduler(name, o, warm, total, kwargs), total + past, peak)
    assert_same(
        trace(lambda o: hf_lrsched.get_scheduler(name, o, warm, total, kwargs), total + past, peak), theirs, peak
    )


@quick
@given(runs(), peaks)
def test_linear(run, peak):
    assert_same_name("linear", *run, peak, past=5)


@quick
@given(runs(), peaks)
def test_constant(run, peak):
    assert_same_name("constant", *run, peak, past=5)


@quick
@given(runs(), peaks)
def test_constant_with_warmup(run, peak):
    assert_same_name("constant_with_warmup", *run, peak, past=5)


@quick
@given(runs(), peaks, st.floats(0.01, 4))
def test_cosine(run, peak, cycles):
    assert_same_name("cosine", *run, peak)
    assert_same_name("cosine", *run, peak, num_cycles=cycles)


@quick
@given(runs(), peaks, st.integers(1, 9))
def test_cosine_with_restarts(run, peak, cycles):
    total, warm = run
    assume(cycles <= total - warm)
    theirs = trace(
        lambda o: get_scheduler("cosine_with_restarts", o, warm, total, {"num_cycles": cycles}), total + 5, peak
    )
    ours = trace(
        lambda o: hf_lrsched.get_scheduler("cosine_with_restarts", o, warm, total, {"num_cycles": cycles}),
        total + 5,
        peak,
    )
    # At its restarts the reference may stay at 0 for an update: see test_restarts_that_come_late.
    late = [t for t in range(warm, total) if (Fraction(t - warm, total - warm) * cycles).denominator == 1]
    assert ours[late] == pytest.approx(peak)
    ours[late] = theirs[late] = 0
    assert_same(ours, theirs, peak)


@quick
@given(runs(), st.floats(1e-5, 10), st.floats(0.1, 4), st.floats(0, 1e-6))
def test_polynomial(run, peak, power, lr_end):
    assert_same_name("polynomial", *run, peak, past=5)
    assert_same_name("polynomial", *run, peak, past=5, power=power, lr_end=lr_end)


@quick
@given(runs(), peaks, st.integers(1, 1000))
def test_inverse_sqrt(run, peak, timescale):
    assert_same_name("inverse_sqrt", *run, peak)
    # Not through get_scheduler: transformers' before 5 drops the timescale there, without a word.
    total, warm = run
    theirs = trace(lambda o: get_inverse_sqrt_schedule(o, warm, timescale), total, peak)
    ours = trace(
        lambda o: hf_lrsched.get_scheduler("inverse_sqrt", o, warm, total, {"timescale": timescale}), total, peak
    )
    assert_same(ours, theirs, peak)


@quick
@given(runs(), peaks, rates, st.floats(0.01, 4))
def test_cosine_with_min_lr(run, peak, rate, cycles):
    assert_same_name("cosine_with_min_lr", *run, peak, min_lr_rate=rate)
    assert_same_name("cosine_with_min_lr", *run, peak, min_lr=rate * peak, num_cycles=cycles)


@quick
@given(runs(), peaks, rates, st.none() | rates, st.floats(0.01, 4))
def test_cosine_warmup_with_min_lr(run, peak, rate, start, cycles):
    assume(run[1] >= 2)  # fewer: see test_a_warmup_of_0_or_1_updates
    assert_same_name("cosine_warmup_with_min_lr", *run, peak, min_lr_rate=rate, warmup_lr_rate=start)
    assert_same_name("cosine_warmup_with_min_lr", *run, peak, min_lr=rate * peak, num_cycles=cycles)


@pytest.mark.filterwarnings("ignore:Both num_training_steps and num_stable_steps")
@quick
@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 30),
    peaks,
    rates,
    st.sampled_from(["linear", "cosine", "1-sqrt"]),
    st.sampled_from(["linear", "cosine", "1-sqrt"]),
    st.floats(0.01, 2),
)
def test_warmup_stable_decay(warm, stable, decay, peak, ratio, warmup_type, decay_type, cycles):
    total = warm + stable + decay
    kwargs = {"num_decay_steps": decay, "warmup_type": warmup_type, "decay_type": decay_type, "min_lr_ratio": ratio}
    assert_same_name("warmup_stable_decay", total, warm, peak, past=5, **kwargs)
    assert_same_name("warmup_stable_decay", total, warm, peak, num_cycles=cycles, **kwargs)
    assert_same_name("warmup_stable_decay", total, warm, peak, num_stable_steps=stable, **kwargs)


@quick
@given(runs(), st.lists(peaks, min_size=2, max_size=4))
def test_groups(run, several):
    total, warm = run
    for name in ("linear", "cosine", "inverse_sqrt", "constant_with_warmup"):
        theirs = trace(lambda o, n=name: get_scheduler(n, o, warm, total), total, *several)
        ours = trace(lambda o, n=name: hf_lrsched.get_scheduler(n, o, warm, total), total, *several)
        assert (np.abs(ours - theirs) <= 1e-12 * np.array(several)).all()


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup", "inverse_sqrt"])
def test_names_that_need_no_end(name):
    warm = {} if name == "constant" else {"num_warmup_steps": 7}
    theirs = trace(lambda o: get_scheduler(name, o, **warm), 3000, 1e-3)
    assert_same(trace(lambda o: hf_lrsched.get_scheduler(name, o, **warm), 3000, 1e-3), theirs, 1e-3)


def both(name, total, *peaks, warm=0, longer=None, default=None, **kwargs):
    """Factors of (the reference, ours) at each update, for each group."""
    longer = longer or total
    theirs = trace(lambda o: get_scheduler(name, o, warm, total, kwargs), longer, *peaks, default=default)
    mine = trace(lambda o: hf_lrsched.get_scheduler(name, o, warm, total, kwargs), longer, *peaks, default=default)
    return theirs / np.array(peaks), mine / np.array(peaks)


@pytest.mark.parametrize(
    ("name", "kwargs", "end"), [("cosine", {}, 0), ("cosine_with_min_lr", {"min_lr_rate": 0.1}, 0.1)]
)
def test_a_cosine_that_rises_past_its_end(name, kwargs, end):
    # A run that outlives its schedule: the reference is back at the peak at twice the length, ours stays at the end.
    theirs, mine = both(name, 10, 1.0, longer=21, **kwargs)
    assert theirs[[10, 15, 20], 0] == pytest.approx([end, (1 + end) / 2, 1])
    assert mine[[10, 15, 20], 0] == pytest.approx([end, end, end])


def test_min_lr_of_two_groups():
    # The reference divides min_lr by the optimizer's default LR: the other group ends at 100 times the floor.
    theirs, mine = both("cosine_with_min_lr", 10, 1e-4, 1e-2, longer=11, min_lr=1e-5)
    assert theirs[10] * [1e-4, 1e-2] == pytest.approx([1e-5, 1e-3])
    assert mine[10] * [1e-4, 1e-2] == pytest.approx([1e-5, 1e-5])


def test_lr_end_of_two_groups():
    theirs, mine = both("polynomial", 10, 1e-4, 1e-2, longer=11, lr_end=1e-5)
    assert theirs[10] * [1e-4, 1e-2] == pytest.approx([1e-5, 1e-3])
    assert mine[10] * [1e-4, 1e-2] == pytest.approx([1e-5, 1e-5])


def test_min_lr_where_no_group_has_the_default_lr():
    # The default is of no group, and its own floor is 1/1000 of it: the reference ends at 1e-7, far below min_lr.
    theirs, mine = both("cosine_with_min_lr", 10, 1e-4, longer=11, default=1e-2, min_lr=1e-5)
    assert theirs[10, 0] * 1e-4 == pytest.approx(1e-7)
    assert mine[10, 0] * 1e-4 == pytest.approx(1e-5)


def test_a_min_lr_above_the_peak():
    # The reference climbs to ten times the peak, without a word.
    optimizer = an_optimizer(1e-4)
    theirs = trace(lambda o: get_scheduler("cosine_with_min_lr", o, 0, 10, {"min_lr": 1e-3}), 11, 1e-4)
    assert theirs[10, 0] == pytest.approx(1e-3)
    with pytest.raises(ScheduleError, match=r"would rise, from 1 to 10 \(to_lr=0.001 of a peak LR of 0.0001\)"):
        hf_lrsched.get_scheduler("cosine_with_min_lr", optimizer, 0, 10, {"min_lr": 1e-3})


def test_constant_swallows_what_it_does_not_know():
    assert trace(lambda o: get_scheduler("constant", o, 0, 10, {"num_cycels": 2}), 3, 1.0).tolist() == [[1], [1], [1]]
    with pytest.raises(ScheduleError, match="'constant' has no argument 'num_cycels'; allowed are none"):
        hf_lrsched.get_scheduler("constant", an_optimizer(1.0), 0, 10, {"num_cycels": 2})


def test_restarts_that_come_late():
    # In floats 49 * (1 / 49) is just below 1, and the reference's (num_cycles * progress) % 1.0 with it: it stays at 0
    # for the update that should start a cycle.
    total, cycles, t = 98, 49, 2
    theirs, mine = both("cosine_with_restarts", total, 1.0, num_cycles=cycles)
    assert theirs[t, 0] == pytest.approx(0, abs=1e-12)
    assert mine[t, 0] == 1


def test_a_warmup_of_0_or_1_updates():
    # Without a warmup the reference counts one update ahead and never uses the peak; with one of 1 update and a rate it
    # starts at the rate. Ours starts a run without a climb at the peak, and refuses a rate that would be lost. Both end
    # at the floor, at the last update.
    theirs, mine = both("cosine_warmup_with_min_lr", 4, 1.0, min_lr_rate=0)
    assert theirs[:, 0] == pytest.approx([0.8535533905932737, 0.5, 0.1464466094067263, 0], abs=1e-12)
    assert mine[:, 0] == pytest.approx([1, 0.75, 0.25, 0], abs=1e-12)
    theirs, mine = both("cosine_warmup_with_min_lr", 4, 1.0, warm=1, min_lr_rate=0)
    assert theirs[:, 0] == pytest.approx([1, 0.75, 0.25, 0], abs=1e-12)
    assert mine[:, 0] == pytest.approx([1, 0.75, 0.25, 0], abs=1e-12)
    rated = {"min_lr_rate": 0, "warmup_lr_rate": 0.1}
    theirs = trace(lambda o: get_scheduler("cosine_warmup_with_min_lr", o, 1, 4, rated), 4, 1.0)
    assert theirs[:, 0] == pytest.approx([0.1, 0.75, 0.25, 0], abs=1e-12)
    with pytest.raises(ScheduleError, match=r"warmup_lr_rate=0.1 has no effect with num_warmup_steps=1"):
        hf_lrsched.get_scheduler("cosine_warmup_with_min_lr", an_optimizer(1.0), 1, 4, rated)


@pytest.mark.parametrize("warm", [10, 11, 1000])
@pytest.mark.parametrize("name", ["linear", "cosine", "constant_with_warmup", "inverse_sqrt"])
def test_a_warmup_longer_than_the_run(name, warm):
    # The reference never reaches its peak, without a word.
    theirs = trace(lambda o: get_scheduler(name, o, warm, 10), 10, 1.0)
    assert theirs.max() == pytest.approx(9 / warm)
    with pytest.raises(ScheduleError, match=rf"warmup\({warm}\)"):
        hf_lrsched.get_scheduler(name, an_optimizer(1.0), warm, 10)


def test_wsd_phases_that_do_not_fit():
    # 8 + 8 of 10 updates: the reference jumps into the last quarter of its decay; ours refuses.
    theirs = trace(lambda o: get_scheduler("warmup_stable_decay", o, 8, 10, {"num_decay_steps": 8}), 10, 1.0)
    assert theirs[7:9, 0] == pytest.approx([0.875, 0.1464466094067263])
    with pytest.raises(ScheduleError, match=r"num_decay_steps are 8 \+ 8 updates, but the run has 10"):
        hf_lrsched.get_scheduler("warmup_stable_decay", an_optimizer(1.0), 8, 10, {"num_decay_steps": 8})


def test_wsd_with_waves_past_its_end():
    # With num_cycles=1 the wave would end at the peak; past the end the reference jumps to the floor, ours stays.
    theirs, mine = both("warmup_stable_decay", 4, 1.0, longer=6, num_decay_steps=4, num_cycles=1)
    assert theirs[:, 0] == pytest.approx([1, 0.5, 0, 0.5, 0, 0], abs=1e-12)
    assert mine[:, 0] == pytest.approx([1, 0.5, 0, 0.5, 0.5, 0.5], abs=1e-12)
