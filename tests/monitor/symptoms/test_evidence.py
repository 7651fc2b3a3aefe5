"""What several symptoms have in common, by hand."""

import pytest

from hf_lrsched import Horizon
from hf_lrsched.monitor.finding import Change
from hf_lrsched.monitor.history import Evaluation, LossHistory
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.monitor.symptoms.evidence import (
    change_lr,
    change_schedule,
    get_clear_rise,
    get_end_levels,
    is_solved,
    lr_too_high,
)

CHANGE = Change("schedule", "linear()", "cosine()")


def fill(losses, num_updates=200, lr=lambda update: 1.0):
    history = LossHistory(num_updates)
    for update, loss in enumerate(losses, 1):
        history.add_loss(update, loss, lr(update))
    return history


@pytest.mark.parametrize(("score", "solved"), [(None, False), (0.89, False), (0.9, True), (1.0, True), (55.0, False)])
def test_a_score_near_1_is_solved_and_one_in_percent_says_nothing(score, solved):
    history = LossHistory(100)
    assert not is_solved(history)
    history.evaluations.extend([Evaluation(1, 1.0, 0.95), Evaluation(2, 1.0, score)])
    assert is_solved(history) == solved


def test_levels_are_the_means_of_the_first_and_the_last_sixth():
    # 12 blocks of 5 updates with the losses 1 to 12: the first two and the last two.
    history = fill([float(block) for block in range(1, 13) for _ in range(5)])
    assert get_end_levels(history) == (1.5, 11.5)
    assert get_end_levels(fill([3.0] * 5)) == (3.0, 3.0)  # one block is both


def test_a_clear_rise_without_noise_is_a_share_of_the_start():
    assert get_clear_rise(fill([2.0] * 20)) == pytest.approx(0.3)


def test_five_times_the_start_is_clear_in_any_noise():
    losses = [1.0] * 5 + [100.0 * (update % 3) for update in range(20)]
    assert get_clear_rise(fill(losses)) == pytest.approx(4.0)


@pytest.mark.parametrize(("peak_at", "settings"), [(2, ["learning_rate", "schedule"]), (30, ["learning_rate"])])
def test_a_longer_warmup_is_advised_where_the_peak_was_reached_at_once(peak_at, settings):
    history = fill([1.0] * 40, lr=lambda update: min(1.0, update / peak_at))
    run = RunInfo(200, 1e-3, "warmup(1%) >> linear()", horizon=Horizon(200), step_ratio=0.1)
    finding = lr_too_high(history, run, 5, "it rises")
    assert [change.setting for change in finding.changes if change] == settings and "LR is too high" in finding.advice


@pytest.mark.parametrize("is_new", [False, True])
def test_a_lower_lr_is_lower(is_new):
    large, small = (RunInfo(200, 1e-3, step_ratio=ratio, has_random_weights=is_new) for ratio in (1.0, 1e-3))
    lower, higher = change_lr(large, lower=True), change_lr(small, lower=False)
    assert lower.setting == "learning_rate"
    assert float(lower.after) < float(lower.before) == float(higher.before) == 1e-3 < float(higher.after)


def test_where_the_size_of_the_steps_is_unknown_the_advice_is_words():
    """Of five runs with SGD or Adafactor at 30 times the best LR, two were ruined by ten times less or more of it."""
    assert change_lr(RunInfo(200, 1e-3), lower=True) is None
    run = RunInfo(200, 1e-3, "linear()", horizon=Horizon(200))
    finding = lr_too_high(fill([1.0] * 40), run, 5, "it rises")
    assert not any(finding.changes) and "find_lr" in finding.advice


def test_only_a_schedule_of_this_package_is_changed():
    asked = []
    change_schedule(RunInfo(200, 1e-3, "linear()"), lambda *given: asked.append(given))
    assert asked == [("linear()", Horizon(200), 1e-3)]
    assert change_schedule(RunInfo(200, 1e-3), lambda *given: CHANGE) is None
