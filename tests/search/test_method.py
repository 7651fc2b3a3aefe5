"""The method on curves whose best LR is known, and on runs that were made."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.search.method import (
    MIN_UPDATES,
    Plan,
    Point,
    choose_horizons,
    estimate,
    find_valley,
    get_noise,
    next_probe,
)

GRID = Path(__file__).parents[2] / "benchmarks" / "find_lr" / "grid.jsonl"


def search(loss, plan):
    """Probe a function of LR and updates until the method has enough."""
    points = []
    while (wanted := next_probe(points, plan)) is not None:
        points.append(Point(*wanted, loss(*wanted)))
        assert len(points) < 40
    return points


def valley_at(best, exponent=0.5, total=1600, width=3.0):
    """A loss whose best LR at `total` updates is `best`; that LR and its loss fall by the same power of the updates."""

    def loss(lr, updates):
        shift = math.log2(lr / best) - exponent * math.log2(total / updates)
        return 0.5 * (total / updates) ** exponent + (shift / width) ** 2

    return loss


@pytest.mark.parametrize(
    ("total", "horizons"),
    [(16000, (1000, 4000)), (94, (6, 24)), (87, (6, 22)), (47, (6, 12)), (40, (10,)), (24, (6,))],
)
def test_horizons(total, horizons):
    assert choose_horizons(total) == horizons


def test_short_run_has_no_horizon():
    with pytest.raises(ScheduleError, match=r"the run has 20 updates.*24 updates or more"):
        choose_horizons(20)


@pytest.mark.parametrize("start", [1e-5, 5e-4, 1e-2])
@pytest.mark.parametrize("best", [3e-5, 4e-4, 8e-3])
def test_finds_the_bottom_of_a_parabola(best, start):
    plan = Plan(1600, (100, 400), start)
    points = search(valley_at(best), plan)
    found = estimate(points, plan)
    assert found.lr == pytest.approx(best, rel=0.02)
    assert found.low < best < found.high
    assert found.exponent == pytest.approx(0.5, abs=0.02)
    assert sum(point.updates for point in points) <= plan.total
    assert not found.notes


@pytest.mark.parametrize("exponent", [0.0, 0.2, 0.7, 1.0])
def test_exponent_lies_between_one_half_and_that_of_the_lowest_losses(exponent):
    plan = Plan(1600, (100, 400), 5e-4)
    found = estimate(search(valley_at(4e-4, exponent), plan), plan)
    assert found.exponent == pytest.approx((0.5 + exponent) / 2, abs=0.04)


def test_exponent_of_losses_without_a_power_law():
    for lift, exponent in [(-5.0, 0.5), (0.0, 0.25)]:  # losses below 0, and losses that rise with the updates
        points = [Point(lr, updates, lift + updates / 100) for updates in (100, 400) for lr in (1e-4, 2e-4)]
        assert estimate(points, Plan(1600, (100, 400), 5e-4)).exponent == exponent


@pytest.mark.parametrize("exponent", [0.2, 0.4, 0.6])
def test_range_holds_the_best_lr_where_the_exponent_differs(exponent):
    plan = Plan(1600, (100, 400), 5e-4)
    found = estimate(search(valley_at(4e-4, exponent), plan), plan)
    assert found.low < 4e-4 < found.high


def test_cliff_above_the_best_lr_does_not_raise_the_estimate():
    def loss(lr, updates):
        return 4.0 if lr > 1.5e-3 else valley_at(4e-4)(lr, updates)

    plan = Plan(1600, (100, 400), 5e-4)
    found = estimate(search(loss, plan), plan)
    assert 1.5e-4 < found.lr < 5e-4


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_diverged_probes_count_as_worst(bad):
    def loss(lr, updates):
        return bad if lr > 1.5e-3 else valley_at(4e-4)(lr, updates)

    plan = Plan(1600, (100, 400), 5e-3)  # the first probe diverges
    points = search(loss, plan)
    assert not math.isfinite(points[0].loss)
    assert 2e-4 < estimate(points, plan).lr < 8e-4


def test_all_diverged():
    plan = Plan(1600, (100, 400), 5e-4)
    points = search(lambda lr, updates: math.nan, plan)
    with pytest.raises(ScheduleError, match=r"all \d+ probes ended with a loss that is not finite, down to"):
        estimate(points, plan)


@pytest.mark.parametrize(
    ("best", "side", "end", "name"), [(1e-6, "below", "0.0001", "low"), (1.0, "above", "0.01", "high")]
)
def test_best_lr_outside_of_the_range(best, side, end, name):
    plan = Plan(1600, (100, 400), 1e-3, low=1e-4, high=1e-2)
    points = search(valley_at(best), plan)
    assert all(point.lr * 1.0000001 >= 1e-4 and point.lr <= 1.0000001e-2 for point in points)
    (note,) = estimate(points, plan).notes
    assert f"{side} the searched range, which ends at {end}: widen it with {name}=" in note


def test_budget_ends_a_search_that_begins_far_away():
    plan = Plan(1600, (100, 400), 1e-8)
    points = search(valley_at(1.0), plan)
    assert sum(point.updates for point in points) <= 1600
    assert "above the searched range" in estimate(points, plan).notes[0]


def test_losses_within_the_error_of_their_means():
    plan = Plan(1600, (100, 400), 5e-4)
    points = [point._replace(std=0.3) for point in search(valley_at(4e-4), plan)]
    found = estimate(points, plan)
    assert "which is no more than their noise: any of these LRs may be as good" in found.notes[0]
    surest = estimate([point._replace(std=0.0) for point in points], plan)
    assert found.lr == surest.lr
    assert found.low <= surest.low and surest.high <= found.high


def test_losses_with_two_valleys_are_noise():
    losses = {1e-4: 0.52, 2e-4: 0.50, 4e-4: 0.53, 8e-4: 0.51, 1.6e-3: 0.54}
    points = [Point(lr, 200, loss) for lr, loss in losses.items()]
    found = estimate(points, Plan(1600, (100, 400), 5e-4))
    assert "differ by 0.04, which is no more than their noise" in found.notes[0]
    shift = 8**found.exponent
    assert found.low <= 1e-4 / shift * 1.001 and 1.6e-3 / shift * 0.999 <= found.high


def test_probes_that_learned_nothing():
    plan = Plan(1600, (100, 400), 5e-4, start_loss=0.693)
    points = search(lambda lr, updates: 0.693 - 1e-4 * valley_at(4e-4)(lr, updates), plan)
    found = estimate(points, plan)
    assert "No probe learned much: the loss before training was 0.693" in found.notes[-1]
    assert found.lr == pytest.approx(5e-4)  # where the search began, whatever the noise says
    assert found.low <= 5e-4 / 6 and found.high >= 5e-4 * 6
    unknown = replace(plan, start_loss=math.nan)
    assert estimate(points, unknown).lr != pytest.approx(5e-4, rel=0.1)  # nothing is known of that then


@pytest.mark.parametrize("start", [1.5e-5, 2.5e-2])
def test_first_lr_far_away_where_nothing_is_learned(start):
    """Low LRs have learned nothing yet and high ones have collapsed, so both say little about where the valley is."""

    def loss(lr, updates):
        learned = valley_at(4e-4, width=4.0)(lr, updates) - 0.5 * (1600 / updates) ** 0.5
        return 0.3 + min(learned, 0.39) + 1e-4 * math.sin(1e5 * lr)

    plan = Plan(1600, (100, 400), start, start_loss=0.695)
    points = search(loss, plan)
    found = estimate(points, plan)
    assert sum(point.updates for point in points) <= plan.total
    assert 4e-4 / 2 < found.lr < 4e-4 * 2


def test_short_probes_that_learned_nothing_hardly_count():
    """A model from scratch: its short probes rank LRs by noise, its long ones learn."""
    plan = Plan(1600, (100, 400), 5e-4, start_loss=4.34)
    short = [Point(lr, 100, loss) for lr, loss in [(5e-4, 4.335), (2e-3, 4.336), (1.25e-4, 4.33), (3e-5, 4.339)]]
    long = [Point(lr, 400, loss) for lr, loss in [(5e-4, 3.95), (1e-3, 3.72), (2e-3, 3.80)]]
    found = estimate([*short, *long], plan)
    assert found.lr == pytest.approx(estimate(long, plan).lr * 4 ** (0.5 - found.exponent), rel=0.2)


def test_one_horizon_is_refined():
    plan = Plan(30, choose_horizons(30), 5e-4, budget=2.0)
    points = search(valley_at(4e-4, total=30), plan)
    assert {point.updates for point in points} == {8}
    assert estimate(points, plan).lr == pytest.approx(4e-4, rel=0.02)


def test_valley_with_unequal_distances():
    xs, best = np.array([-3.0, -1.0, 2.0]), -0.5
    points = [Point(2.0**x, 9, (x - best) ** 2) for x in xs]
    assert math.log2(find_valley(points).lr) == pytest.approx(best)


def test_noise_of_one_valley_is_0():
    losses = [0.9, 0.6, 0.5, 0.7, 2.0]
    assert get_noise([Point(2.0**-i, 9, loss) for i, loss in enumerate(losses)]) == 0


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"low": 1e-2, "high": 1e-3}, "low below high, got low=0.01, high=0.001"),
        ({"start": 20.0}, "start=20 must lie between low=1e-08 and high=10"),
    ],
)
def test_invalid_limits(limits, message):
    with pytest.raises(ScheduleError, match=message):
        Plan(**{"total": 1600, "horizons": (100, 400), "start": 1e-3} | limits)


def test_on_runs_that_were_made():
    """Fine-tuning all-MiniLM-L6 on Banking77 for an epoch: of eight LRs, 4.8e-4 and 9.6e-4 have the highest accuracies."""
    rows = [json.loads(line) for line in GRID.read_text(encoding="utf-8").splitlines()]
    losses = {
        (row["lr"], row["updates"]): row["loss"] for row in rows if row["setting"] == "banking77/minilm/adamw/1ep"
    }
    lrs = sorted({lr for lr, _ in losses})

    def loss(lr, updates):
        return np.interp(math.log(lr), np.log(lrs), [losses[each, updates] for each in lrs])

    plan = Plan(282, choose_horizons(282), 5e-4)
    points = search(loss, plan)
    found = estimate(points, plan)
    assert 4e-4 < found.lr < 9.6e-4
    assert sum(point.updates for point in points) < 282
    assert all(point.updates >= MIN_UPDATES for point in points)
