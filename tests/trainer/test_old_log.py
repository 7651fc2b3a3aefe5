"""Trainers that override log() with the signature of before transformers 4.47."""

import pytest
from transformers import Trainer

from hf_lrsched import ScheduledTrainer, ScheduleMixin, train_budgets


class OldTrainer(Trainer):
    def log(self, logs):
        self.logged = [*getattr(self, "logged", []), logs]
        super().log(logs)


class Below(ScheduleMixin, OldTrainer):
    """The old signature comes after ours."""


class Above(ScheduledTrainer):
    """The old signature comes before ours."""

    def log(self, logs):
        self.logged = [*getattr(self, "logged", []), logs]
        super().log(logs)


class New(ScheduledTrainer):
    def log(self, logs, start_time=None):
        assert start_time is not None or "loss" not in logs
        super().log(logs, start_time)


@pytest.mark.parametrize("cls", [Below, Above])
def test_old_signature(make_trainer, cls):
    """The run is shorter than logging_steps, so the only training record is the one before the evaluation."""
    trainer = make_trainer("linear()", cls=cls, eval_strategy="epoch", logging_steps=500)
    trainer.train()
    history = trainer.state.log_history
    assert [record["step"] for record in history if "loss" in record] == [6]
    assert [record["eval_learning_rate"] for record in history if "eval_loss" in record] == pytest.approx([1e-3 / 6])
    assert len(trainer.logged) == 3


def test_copy_logs_for_itself(make_trainer, data):
    trainer = make_trainer("linear()", cls=Above, dev=data(8))
    train_budgets(trainer, ["6"])
    assert not hasattr(trainer, "logged") and not trainer.state.log_history


def test_new_signature(make_trainer):
    trainer = make_trainer("linear()", cls=New, eval_strategy="epoch", logging_steps=500)
    trainer.train()
    assert "log" not in vars(trainer)
