"""The doctor's findings in the log of a ScheduledTrainer, before the first update."""

import logging

import pytest
from transformers import TrainerCallback

from hf_lrsched.doctor import checks
from hf_lrsched.doctor.finding import Finding


@pytest.fixture
def with_check(monkeypatch):
    """`with_check(function)`: add a check to the doctor's."""
    return lambda check: monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, check))


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_findings_are_logged_once_and_before_the_first_update(make_trainer, with_check, caplog):
    def high_lr(facts):
        yield Finding("warning", f"the LR is {facts.learning_rate:g}", "It is high", "Lower it")
        yield Finding("note", "a note", "It is a note", "Nothing")

    counts = []

    class CountWarnings(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            counts.append(len(warnings(caplog)))

    with_check(high_lr)
    trainer = make_trainer("warmup(1) >> linear()", callbacks=[CountWarnings()])
    trainer.train()
    trainer.train()
    assert warnings(caplog) == ["high_lr: the LR is 0.001. It is high. Lower it."]
    assert counts[0] == 1


def test_sound_run_logs_no_finding(make_trainer, caplog, capsys):
    make_trainer("warmup(1) >> linear()").train()
    assert warnings(caplog) == []
    assert "doctor" not in capsys.readouterr().out


def test_failing_check_does_not_stop_the_training(make_trainer, with_check):
    def breaks(facts):
        raise RuntimeError("a check with an error")
        yield

    with_check(breaks)
    trainer = make_trainer("linear()")
    trainer.train()
    assert trainer.state.global_step == trainer.state.max_steps
