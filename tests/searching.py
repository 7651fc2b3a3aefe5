"""Trainers that search their peak LR, and what shows whether a search has changed something."""

import hashlib
import random

import numpy as np
import torch
from transformers import TrainingArguments

from hf_lrsched import ScheduledTrainer


def make_quiet_arguments(folder, **settings):
    """Training arguments of a run on CPUs that saves and reports nothing."""
    quiet = {"use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    return TrainingArguments(folder, **quiet, **settings)


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


def digest(model):
    """A hash of all weights and buffers."""
    joined = b"".join(tensor.detach().cpu().numpy().tobytes() for tensor in model.state_dict().values())
    return hashlib.sha256(joined).hexdigest()


def next_draws():
    """The next random numbers, without drawing them."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    drawn = random.random(), np.random.rand(), torch.rand(3).tolist()
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)
    return drawn
