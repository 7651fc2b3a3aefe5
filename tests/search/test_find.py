"""find_lr: what it finds, and that the Trainer and the run after it are as if it had not been."""

import hashlib
import random

import numpy as np
import pytest
import torch
from transformers import Trainer

from hf_lrsched import ScheduledTrainer, ScheduleError, find_lr

SCHEDULE = "warmup(10%) >> linear()"


def digest(model):
    joined = b"".join(tensor.detach().cpu().numpy().tobytes() for tensor in model.state_dict().values())
    return hashlib.sha256(joined).hexdigest()


def draws():
    """The next random numbers, without drawing them."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    drawn = random.random(), np.random.rand(), torch.rand(3).tolist()
    random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
    return drawn


@pytest.fixture
def searchable(make_trainer, data):
    """A Trainer whose run of 48 updates is long enough for a search."""

    def make(schedule=SCHEDULE, **kwargs):
        return make_trainer(schedule, **{"train": 64, "dev": data(32), "num_train_epochs": 3} | kwargs)

    return make


class Grouped(ScheduledTrainer):
    """A Trainer with two groups: the encoder follows `learning_rate`, the head has an LR of its own."""

    head_lr = 5e-3

    def __init__(self, **kwargs):
        super().__init__(**kwargs, groups=self.split)

    def split(self, model, groups):
        encoder, head = [*model.encoder.parameters()], [*model.head.parameters()]
        return [{"params": encoder}, {"params": head, "lr": self.head_lr}]


class Found(ScheduledTrainer):
    """A Trainer that searches its peak LR."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, find_lr=True)


class FoundGrouped(Grouped):
    """A Trainer with two groups that searches its peak LR."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, find_lr=True)


KINDS = {
    "scheduled": {},
    "stock": {"schedule": None, "cls": Trainer, "lr_scheduler_type": "cosine", "warmup_steps": 5},
    "accumulated": {"gradient_accumulation_steps": 2, "num_train_epochs": 6},
    "epochs": {"schedule": "warmup(1ep) >> linear()"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_run_after_a_search_is_that_of_a_run_with_the_lr_given(searchable, kind, tmp_path):
    trainer = searchable(**KINDS[kind])
    before, numbers = digest(trainer.model), draws()
    search = find_lr(trainer)
    assert digest(trainer.model) == before
    assert draws() == numbers
    assert not [*(tmp_path / "out").iterdir()]
    trainer.args.learning_rate = search.suggestion
    trainer.train()

    given = searchable(**KINDS[kind], learning_rate=search.suggestion)
    given.train()
    assert digest(trainer.model) == digest(given.model)
    assert trainer.state.log_history[-1]["train_loss"] == given.state.log_history[-1]["train_loss"]


@pytest.mark.parametrize("kind", ["scheduled", "grouped"])
def test_search_before_training(searchable, kind, capsys):
    trainer = searchable(cls={"scheduled": Found, "grouped": FoundGrouped}[kind], save_strategy="epoch")
    trainer.train()
    search = trainer.lr_search
    assert str(search) in capsys.readouterr().out
    assert trainer.args.learning_rate == search.suggestion

    # What a run with all peaks scaled by hand does.
    factor = search.suggestion / 1e-3
    given = searchable(cls={"scheduled": ScheduledTrainer, "grouped": Grouped}[kind], learning_rate=search.suggestion)
    if kind == "grouped":
        given.head_lr = 5e-3 * factor
    given.train()
    assert digest(trainer.model) == digest(given.model)
    assert trainer.recorder.groups == given.recorder.groups


def test_resumed_run_does_not_search_again(searchable, monkeypatch):
    whole = searchable(cls=FoundGrouped, save_strategy="epoch")
    whole.train()
    monkeypatch.setattr("hf_lrsched.trainer.peak_search.find_lr", None)
    resumed = searchable(cls=FoundGrouped, save_strategy="epoch")
    resumed.train(resume_from_checkpoint=f"{resumed.args.output_dir}/checkpoint-16")
    assert resumed.lr_search is None
    assert digest(resumed.model) == digest(whole.model)
    assert resumed.recorder.groups == whole.recorder.groups[16:]
    assert resumed.lr_scheduler.run_state.owners["lr_search"] == whole.lr_scheduler.run_state.owners["lr_search"]


def test_resume_of_a_run_that_did_not_search(searchable):
    searchable(save_strategy="epoch").train()
    trainer = searchable(cls=Found)
    with pytest.raises(ScheduleError, match="its run has not searched for its peak LR"):
        trainer.train(resume_from_checkpoint=True)
