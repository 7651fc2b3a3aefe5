"""What the monitor says that it judges, and what it cannot know."""

import pytest

from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.history import LossHistory
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.monitor.scope import describe_scope, explain_silence
from hf_lrsched.monitor.symptoms.table import DEFAULT_KINDS


def test_an_ordinary_run_is_judged_by_all_kinds_that_are_on():
    text = describe_scope(Diagnosis(RunInfo(200, 1e-3), DEFAULT_KINDS))
    assert text.removeprefix("reports ").split(", ")[0] == "not_finite"
    assert set(text.removeprefix("reports ").split(", ")) == DEFAULT_KINDS


def test_a_resumed_run_names_what_compares_with_its_start():
    text = describe_scope(Diagnosis(RunInfo(200, 1e-3, updates_done=50), DEFAULT_KINDS))
    reported, reason = text.split("; ")
    assert "stuck" not in reported and "the losses before the resume are not known" in reason and "stuck" in reason


def test_a_contrastive_loss_is_no_measure_of_what_was_learned():
    run = RunInfo(200, 1e-3, is_contrastive=True)
    reported, reason = describe_scope(Diagnosis(run, DEFAULT_KINDS)).split("; ")
    assert reason.startswith("the loss may compare the samples of a batch")
    assert reason.endswith("does not report stuck, too_slow, validation_rises") and "not_finite" in reported
    history = LossHistory(200)
    history.add_loss(1, -0.2, 1.0)
    assert explain_silence(history, run) is None  # said once


@pytest.mark.parametrize(
    ("loss", "guess_loss", "reason"),
    [(0.69, 0.693, None), (0.69, None, None), (0.2, 0.693, "was trained before"), (-0.2, None, "it has no scale")],
)
def test_which_first_losses_say_nothing_about_the_lr(loss, guess_loss, reason):
    history = LossHistory(200)
    for update in range(1, 11):
        history.add_loss(update, loss, 1.0)
    found = explain_silence(history, RunInfo(200, 1e-3, guess_loss=guess_loss))
    assert found is None if reason is None else reason in found
