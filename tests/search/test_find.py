"""find_lr: what it finds, and that the Trainer and the run after it are as if it had not been."""

import hashlib
import random

import numpy as np
import pytest
import torch
from transformers import Trainer

from hf_lrsched import ScheduledTrainer, find_lr

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

    def __init__(self, **kwargs):
        super().__init__(**kwargs, groups=self.split)

    def split(self, model, groups):
        encoder, head = [*model.encoder.parameters()], [*model.head.parameters()]
        return [{"params": encoder, "lr": self.args.learning_rate / 2}, {"params": head, "lr": 5e-3}]


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
