"""What takes a finding back, and what does not."""

import pytest

from hf_lrsched.monitor.finding import LossFinding
from hf_lrsched.monitor.history import Evaluation, LossHistory
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.monitor.symptoms.contradiction import is_contradicted


def history(losses, lrs=None):
    """200 updates in blocks of 5, each with one of 40 losses, or as many as there are."""
    made = LossHistory(200)
    for update in range(1, 5 * len(losses) + 1):
        block = (update - 1) // 5
        made.add_loss(update, losses[block], 1.0 if lrs is None else lrs[block])
    return made


RUN = RunInfo(200, 1e-3)
FOUND_AT_HALF = {"update": 100, "since": 1, "evidence": "", "advice": ""}


@pytest.mark.parametrize("kind", ["stuck", "diverging", "too_slow", "plateau_at_high_lr"])
@pytest.mark.parametrize(("level", "expected"), [(0.69, False), (0.6, False), (0.4, True)])
def test_a_loss_that_falls_by_more_than_a_quarter_of_the_start(kind, level, expected):
    finding = LossFinding(kind, **FOUND_AT_HALF)
    assert is_contradicted(finding, history([0.7] * 20 + [level] * 5), RUN) is expected


@pytest.mark.parametrize(("level", "expected"), [(0.4, False), (0.05, True)])
def test_a_loss_that_falls_says_little_where_the_weights_cannot_move_far(level, expected):
    """At a thirtieth of the best LR losses fell by up to four fifths."""
    run = RunInfo(200, 1e-3, step_ratio=1e-3, has_random_weights=True)
    finding = LossFinding("too_slow", **FOUND_AT_HALF)
    assert is_contradicted(finding, history([0.7] * 20 + [level] * 5), run) is expected


def test_a_loss_that_falls_with_the_lr_was_held_up_by_the_lr():
    losses, lrs = [0.7] * 20 + [0.4] * 5, [1.0] * 20 + [0.5] * 5
    assert not is_contradicted(LossFinding("stuck", **FOUND_AT_HALF), history(losses, lrs), RUN)


def test_a_loss_that_comes_back_from_a_blow_up_has_not_learned():
    losses = [0.7] * 5 + [4.0] * 15 + [1.0] * 5
    assert not is_contradicted(LossFinding("stuck", **FOUND_AT_HALF), history(losses), RUN)


def test_one_low_block_is_chance():
    assert not is_contradicted(LossFinding("stuck", **FOUND_AT_HALF), history([0.7] * 21 + [0.3]), RUN)


@pytest.mark.parametrize(("latest", "expected"), [(0.4, True), (0.6, False)])
def test_a_validation_loss_that_has_a_new_best_does_not_rise(latest, expected):
    made = history([0.7] * 25)
    for update, loss in ((50, 0.5), (100, 0.65), (120, latest)):
        made.evaluations.append(Evaluation(update, loss))
    assert is_contradicted(LossFinding("validation_rises", **FOUND_AT_HALF), made, RUN) is expected


@pytest.mark.parametrize("kind", ["not_finite", "spike", "lr_spent", "warmup_too_long"])
def test_facts_stay(kind):
    assert not is_contradicted(LossFinding(kind, **FOUND_AT_HALF), history([0.7] * 20 + [0.1] * 5), RUN)
