"""SpikeTest: jumps of the loss that stay, and everything else."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched.monitor.spikes import SpikeTest


def find_spikes(losses, **kwargs):
    """Each spike, with the update that confirmed it; after it the test begins anew, as in the guard."""
    test, spikes = SpikeTest(**kwargs), []
    for update, loss in enumerate(losses, 1):
        spike = test.add(update, loss)
        if spike is not None:
            spikes.append((update, spike))
            test.reset()
    return spikes


def falling(updates, seed=0, noise=0.05):
    """From 2 towards 0.2."""
    draw = random.Random(seed)
    return [0.2 + 1.8 * math.exp(-u / 30) + draw.gauss(0, noise) for u in range(updates)]


def heavy_tailed(updates, seed, hard):
    """Well fitted but for some samples: a loss near 0, and large ones now and then."""
    draw = random.Random(seed)
    losses = []
    for u in range(updates):
        fitted = 1 - math.exp(-u / 60)
        is_hard = draw.random() < hard * fitted
        easy = (0.7 * (1 - fitted) + 0.005) * math.exp(draw.gauss(0, 0.8))
        losses.append(abs(draw.gauss(2, 1)) if is_hard else easy)
    return losses


def test_a_jump_that_stays():
    losses = [*falling(150), *[2.0] * 30]
    ((update, spike),) = find_spikes(losses)
    assert spike.since == 151
    assert update == 154  # one in 51 each: four in a row are rarer than one in a million, three are not
    assert spike.loss == 2.0
    assert spike.level == pytest.approx(0.22, abs=0.03)
    assert spike.setback == pytest.approx(1.0, abs=0.2)


def test_a_known_start():
    """A run that goes on where it is well fitted: all progress is lost, yet the rise is below ten deviations."""
    draw = random.Random(0)
    losses = [0.4 + draw.gauss(0, 0.12) for _ in range(100)] + [1.1 + draw.gauss(0, 0.12) for _ in range(30)]
    assert find_spikes(losses) == []
    ((_, spike),) = find_spikes(losses, start=1.1)
    assert spike.since == 101
    assert spike.setback == pytest.approx(1.0, abs=0.2)


def test_the_start_is_the_median_of_the_first_ten_losses():
    test = SpikeTest()
    assert math.isnan(test.start)
    for update, loss in enumerate([3, 9, 1, 2, 4, 5, 6, 7, 8, 10, 100, 100], 1):
        test.add(update, loss)
    assert test.start == 5.5
    test = SpikeTest(start=2)
    test.add(1, 100.0)
    assert test.start == 2.0


def test_three_high_losses_are_not_enough():
    assert find_spikes([*falling(150), 3, 3, 3, *falling(250, seed=1)[150:]]) == []


def test_high_and_low_losses_in_turn():
    """Ruined weights may still have some samples right."""
    losses = [*falling(150), *[2.5, 0.0] * 20]
    ((update, spike), *_) = find_spikes(losses)
    # P(Binomial(7, 1/51) >= 4) is 4.9e-6, P(Binomial(9, 1/51) >= 5) is 3.4e-7.
    assert (spike.since, spike.updates, update) == (151, 5, 159)
    assert find_spikes(losses, dense=1.0) == []  # no two in a row
    assert find_spikes([*falling(150), *[2.5, 0.0, 0.0] * 20]) == []


def test_losses_that_stay_half_high_become_the_level():
    losses = [*falling(150), *[1.7, 0.1] * 300]
    assert len(find_spikes(losses)) <= 1


def test_half_of_the_progress_is_not_enough():
    assert find_spikes([*falling(150), *[1.1] * 30]) == []
    assert find_spikes([*falling(150), *[1.1] * 30], setback=0.4) != []


def test_an_early_jump_is_measured_by_the_noise():
    draw = random.Random(0)
    start = [1.1 + draw.gauss(0, 0.02) for _ in range(20)]
    assert find_spikes([*start, *[1.25] * 20]) == []
    ((_, spike),) = find_spikes([*start, *[3.0] * 20])
    assert spike.since == 21
    assert "progress" not in spike.text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_that_are_not_finite_are_high(value):
    ((_, spike),) = find_spikes([*falling(150), *[value] * 30])
    assert spike.since == 151
    assert spike.loss == math.inf


@pytest.mark.parametrize(
    "losses", [[1.0] * 300, [0.0] * 300, [math.nan] * 300, [1.0] * 50 + [0.5] * 250, [], [math.inf]]
)
def test_losses_without_a_spike(losses):
    assert find_spikes(losses) == []


@pytest.mark.parametrize("hard", [0.0, 0.02, 0.1, 0.2, 0.3])
def test_heavy_tails_are_not_spikes(hard):
    assert [find_spikes(heavy_tailed(800, seed, hard)) for seed in range(10)] == [[]] * 10


def test_a_spike_among_heavy_tails():
    draw = random.Random(1)
    high = [1.2 + draw.gauss(0, 0.1) for _ in range(40)]
    ((update, spike),) = find_spikes([*heavy_tailed(600, 1, 0.1), *high])
    assert 599 <= spike.since <= 601
    assert update <= 615


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    hard=st.sampled_from([0.0, 0.1, 0.3]),
    jump=st.sampled_from([0.0, 0.5, 1.0, 5.0]),
    scale=st.sampled_from([2.0**-10, 0.5, 4.0, 2.0**20]),  # powers of two, which round nothing
    shift=st.integers(-100, 100),
)
def test_scale_and_origin_of_the_loss_do_not_matter(seed, hard, jump, scale, shift):
    # On a grid of 2**-20 the sums are exact, too.
    losses = [round(loss * 2**20) / 2**20 for loss in heavy_tailed(150, seed, hard)]
    losses[100:] = [loss + jump for loss in losses[100:]]
    plain = [(update, spike.since) for update, spike in find_spikes(losses)]
    assert [(update, spike.since) for update, spike in find_spikes([loss * scale + shift for loss in losses])] == plain


def test_memory_is_constant():
    test = SpikeTest(window=50)
    for update, loss in enumerate(heavy_tailed(5000, 3, 0.3)):
        test.add(update, loss)
    assert len(test._window) == 50
    assert len(test._first) == 10
    assert len(test._high) < 50
