"""Symptoms of a warmup."""

import math

import pytest

from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from tests.monitor.example_runs import UPDATES, diagnose, falling, kinds


@pytest.mark.parametrize("schedule", ["warmup(4%) >> linear()", "warmup(4%, to=0.5) >> linear()"])
def test_warmup_too_short(schedule):
    def jump(update):
        return falling(update) + 1.2 * math.exp(-(((update - 12) / 6) ** 2))

    diagnosis = diagnose(loss=jump, schedule=schedule)
    finding = next(each for each in diagnosis.findings if each.kind == "warmup_too_short")
    assert "find_lr" in finding.advice and not finding.changes  # a longer warmup did not help where it was measured


@pytest.mark.parametrize("schedule", ["triangular(up=50%)", "one_cycle(peak_at=60%)"])
def test_a_rise_without_a_warmup_is_intended(schedule):
    assert kinds(diagnose(schedule=schedule)) == []


def test_a_jump_of_the_gradients_norm_is_no_symptom():
    """It rises when learning begins, and falls when the task is solved: of healthy runs, too."""
    diagnosis = Diagnosis(RunInfo(UPDATES, 2e-5, "warmup(4%) >> linear()"))
    for update in range(1, UPDATES + 1):
        diagnosis.add_loss(update, falling(update), 1 - update / UPDATES)
        diagnosis.add_record(update, {"grad_norm": 10.0 if 11 <= update <= 20 else 2.0})
    assert kinds(diagnosis) == []
