"""Budgets: the curve, the recommendation and the text."""

import math

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.budgets import Branch, Budgets


def budgets(values, metric="eval_accuracy", direction="max", **kwargs):
    """Budgets of 100, 200, … updates, with the values of their seeds."""
    branches = [
        Branch(f"{number}ep", 100 * number, 20 * number, {metric: value}, 10.0 * number, seed=seed)
        for number, of_seeds in enumerate(values, 1)
        for seed, value in enumerate(of_seeds)
    ]
    return Budgets(metric, direction, tuple(branches), "warmup(10) >> hold()", 1e-4, **kwargs)


def test_smallest_budget_within_the_error_is_recommended():
    found = budgets([[0.80, 0.81, 0.82], [0.90, 0.92, 0.94], [0.94, 0.92, 0.93]])
    # 3ep is 4, 0 and -1 points above 2ep. The standard deviation of these differences is sqrt(7e-4) = sqrt(2) * spread; that of
    # their mean is sqrt(7e-4 / 3) = 0.0153, and the mean is 0.01.
    assert found.spread == pytest.approx(math.sqrt(7e-4 / 2))
    assert found.best.budget == "3ep" and found.recommended.budget == "2ep"
    assert found.recommendation == (
        "2ep is enough: 3ep, the best of 3 budgets, gains 1 point over it. The spread over 3 paired seeds is 1.9 points."
    )


def test_noise_of_short_budgets_does_not_make_them_enough():
    found = budgets([[0.40, 0.50, 0.60], [0.918, 0.920, 0.922], [0.930, 0.928, 0.932]])
    assert found.recommended.budget == "3ep"
    assert found.spread == pytest.approx(math.sqrt(4e-6 / 2))  # 3ep is 12, 8 and 10 thousandths above 2ep


def test_what_a_seed_adds_to_all_budgets_is_no_noise():
    """Seeds 10 points apart, each of which gains 1 point by the longer budget, give or take 0.1."""
    found = budgets([[0.70, 0.80, 0.90], [0.71, 0.811, 0.909]])
    assert found.recommended.budget == "2ep"
    assert found.spread == pytest.approx(0.001 / math.sqrt(2))


def test_seeds_that_lack_a_budget_are_not_compared():
    found = budgets([[0.90, 0.92, 0.91, 0.5], [0.91, 0.91, 0.92]])
    assert found.spread == budgets([[0.90, 0.92, 0.91], [0.91, 0.91, 0.92]]).spread
    assert budgets([[0.90, 0.92], [0.91]]).spread is None


@pytest.mark.parametrize("values", [[[0.80, 0.81], [0.82, 0.83]], [[0.8333, 0.8512], [0.8444, 0.8623]]])
def test_seeds_that_gain_the_same_have_no_spread(values):
    found = budgets(values)
    assert found.spread == 0 and found.recommended.budget == "2ep"
    assert "is 0 points." in found.recommendation


def test_different_seeds_are_no_pairs():
    alone = [
        Branch(f"{number}ep", 100 * number, 20, {"loss": 1 / number + seed}, seed=10 * number + seed)
        for number in (1, 2)
        for seed in (0, 1)
    ]
    found = Budgets("loss", "min", tuple(alone), "hold()", 1e-4)
    assert found.spread is None
    assert "Until two seeds have the same budgets, it is not known" in found.recommendation


def test_best_budget_is_recommended_where_it_gains_more_than_the_error():
    found = budgets([[0.80, 0.81, 0.82], [0.90, 0.90, 0.90], [0.93, 0.93, 0.93]])
    assert found.recommended.budget == "3ep"
    assert "3ep is the best of 3 budgets and gains 3 points over 2ep." in found.recommendation
    assert "It is the longest: a longer one may gain more." in found.recommendation


def test_one_seed_is_said_to_be_uncertain():
    found = budgets([[0.80], [0.92], [0.91]])
    assert found.spread is None and found.recommended.budget == "2ep"
    assert "it is not known how much of this is chance: train with seeds=3" in found.recommendation
    assert "longest" not in found.recommendation


def test_one_budget_is_compared_with_nothing():
    text = "Only 1ep has a finite accuracy yet: there is nothing to compare it with."
    assert budgets([[0.80, 0.81, 0.82]]).recommendation == text
    assert budgets([[0.80, 0.81], [math.nan, 0.9]]).recommendation == text


def test_smallest_budget_is_the_best():
    assert budgets([[0.9], [0.8]]).recommendation.startswith("1ep, the smallest of 2 budgets, is the best.")


def test_a_loss_falls_and_is_not_counted_in_points():
    found = budgets([[0.7], [0.5]], "eval_loss", "min")
    assert found.recommended.budget == "2ep"
    assert "gains 0.2 over 1ep" in found.recommendation


@pytest.mark.parametrize(
    ("values", "metric", "direction", "gain"),
    [((0.0, 1.0), "eval_accuracy", "max", "100 points"), ((1500.0, 266.0), "eval_perplexity", "min", "1,234")],
)
def test_large_gains_are_whole_numbers(values, metric, direction, gain):
    assert f"gains {gain} over 1ep" in budgets([[value] for value in values], metric, direction).recommendation


def test_budget_that_diverged():
    found = budgets([[0.8], [math.nan]])
    assert found.recommended.budget == "1ep"
    assert Budgets.from_json(found.to_json()).points[0] == found.points[0]
    assert budgets([[math.nan]]).recommendation == "No budget ended with a finite accuracy."
    assert budgets([[math.nan]]).recommended is None
    assert "nan" in str(found)


def test_cost_counts_trunk_cooldowns_and_search():
    found = budgets([[0.8, 0.8], [0.9, 0.9]], search_updates=30)
    assert found.updates == 2 * (160 + 20 + 40) + 30
    assert found.cost == pytest.approx(470 / 600)
    assert "470 updates, 30 for the LR included, instead of 600 for separate runs: 0.78 of their cost" in str(found)


def test_table_shows_the_spread_of_several_seeds():
    lines = str(budgets([[0.80, 0.82], [0.9, 0.9]])).splitlines()
    assert lines[2].split() == ["budget", "updates", "seconds", "accuracy", "spread"]
    assert lines[3].split() == ["1ep", "100", "10.0", "0.8100", "0.0141"]


def test_json_round_trip():
    found = budgets([[0.8, 0.81]], start={"eval_accuracy": 0.3}, settings={"seed": 1})
    assert Budgets.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "corrupted"), ("[]", "corrupted"), ('{"version": 9}', "has version 9"), ('{"version": 1}', "corrupted")],
)
def test_invalid_json(text, message):
    with pytest.raises(ScheduleError, match=message):
        Budgets.from_json(text)


def test_plot():
    figure = budgets([[0.80, 0.82], [0.9, 0.9]], start={"eval_accuracy": 0.3}).plot()
    assert figure.axes
