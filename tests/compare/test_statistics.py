"""Paired differences: against closed forms, published figures, and SciPy's functions used another way."""

import math

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats")

from hf_lrsched.compare.statistics import adjust_holm, compare_paired, count_seeds, get_power  # noqa: E402

#: Student's own data (1908): hours of sleep that two drugs gave to the same ten patients.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_sleep_data():
    (found,) = compare_paired(FIRST_DRUG, [SECOND_DRUG])
    # R: t.test(extra ~ group, data = sleep, paired = TRUE)
    assert found.mean == pytest.approx(1.58)
    assert found.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert not found.is_tie and found.num_seeds == 10


def test_intervals_of_several_comparisons_hold_together():
    generator = np.random.default_rng(0)
    first = generator.normal(size=12)
    others = [first + generator.normal(0.1 * index, 0.3, 12) for index in range(4)]
    for found, other in zip(compare_paired(first, others), others, strict=True):
        differences = other - first
        half = stats.t.ppf(1 - 0.05 / 4 / 2, 11) * differences.std(ddof=1) / math.sqrt(12)
        assert (found.low, found.high) == pytest.approx((differences.mean() - half, differences.mean() + half))
        assert stats.ttest_rel(other, first).pvalue <= found.p_value <= 1


def test_holm_against_a_published_example():
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"), in another order
    assert adjust_holm([0.05, 0.01, 0.04, 0.02, 0.03]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert adjust_holm([0.6, math.nan, 0.7])[::2] == [1.0, 1.0]
    assert adjust_holm([]) == []


def test_false_alarms_are_as_rare_as_promised():
    generator, alarms = np.random.default_rng(1), 0
    for _ in range(400):
        first, *others = generator.normal(size=(4, 8))
        alarms += any(not found.is_tie for found in compare_paired(first, others))
    assert alarms / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_power_tables(effect, seeds):
    """G*Power, two-sided paired t-test, 80 %: Cohen's small, medium and large effects."""
    differences = effect + np.array([-1.0, 1.0]) / math.sqrt(2)
    assert count_seeds(differences) == seeds
    assert get_power(effect, seeds) >= 0.8 > get_power(effect, seeds - 1)


def test_effect_that_is_large():
    """Where the noncentral t has no probability at the wrong sign that SciPy can compute."""
    samples = np.random.default_rng(3).normal(5.35, 1.0, size=(20_000, 2))
    found = (stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05).mean()
    assert get_power(5.35, 2) == pytest.approx(found, abs=0.012)
    assert count_seeds(5.35 + np.array([-1.0, 1.0]) / math.sqrt(2)) == 3


def test_power_against_simulation():
    samples = np.random.default_rng(2).normal(0.7, 1.0, size=(20_000, 12))
    found = (stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.01).mean()
    assert get_power(0.7, 12, 0.01) == pytest.approx(found, abs=0.012)


def test_equal_differences_have_no_spread():
    same, shifted = compare_paired([1.0, 2.0, 3.0, 4.0], [[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0, 5.0]])
    assert same.is_tie and same.mean == 0 and same.seeds_needed is None
    assert math.isnan(same.low) and math.isnan(same.high)  # not 0 to 0: two seeds prove no equality
    # By the sign test, four of four: 2 / 2**4, twice for two comparisons.
    assert shifted.p_value == pytest.approx(0.25) and shifted.mean == 1.0 and math.isnan(shifted.low)


def test_runs_that_are_missing():
    pair, lonely, nothing = compare_paired(
        [0.5, 0.6, math.nan], [[0.6, 0.8, 0.9], [0.7, math.nan, 0.1], [math.nan] * 3]
    )
    assert pair.num_seeds == 2 and pair.mean == pytest.approx(0.15)
    assert lonely.num_seeds == 1 and lonely.is_tie and math.isnan(lonely.low)
    assert nothing.num_seeds == 0 and math.isnan(nothing.mean) and nothing.seeds_needed is None


def test_difference_that_no_number_of_seeds_resolves():
    assert count_seeds([1.0, -1.0, 1e-3]) is None
