"""What a probe may change in a Trainer comes back: also after an error, and without a copy of what is frozen."""

import gc
import random
import weakref
from collections import defaultdict, deque

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Trainer

from hf_lrsched import find_lr
from hf_lrsched.search.snapshot import copy_plain, undisturbed
from tests.searching import digest, next_draws
from tests.tiny_trainer import Net


def disturb(trainer):
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(1.0)
            parameter.grad = torch.ones_like(parameter)
            parameter.requires_grad_(False)
    trainer.model.eval()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)


def test_everything_comes_back_after_an_error(searchable):
    trainer = searchable()
    trainer.model.train()
    before, draws = digest(trainer.model), next_draws()
    with pytest.raises(KeyboardInterrupt), undisturbed(trainer):
        disturb(trainer)
        raise KeyboardInterrupt
    assert digest(trainer.model) == before
    assert next_draws() == draws
    assert all(each.requires_grad and each.grad is None for each in trainer.model.parameters())
    assert all(module.training for module in trainer.model.modules())


def test_it_comes_back_as_often_as_asked(searchable):
    trainer = searchable()
    before = digest(trainer.model)
    with undisturbed(trainer) as restore:
        for _ in range(2):
            disturb(trainer)
            restore()
            assert digest(trainer.model) == before


def test_plain_containers_are_copied_and_objects_are_not():
    shared = object()
    value = {"list": [1, [2]], "deque": deque([3], maxlen=2), "counts": defaultdict(int, a=1), "object": shared}
    copied = copy_plain(value)
    copied["list"][1].append(4)
    copied["deque"].append(5)
    copied["counts"]["b"] += 1
    assert value["list"] == [1, [2]] and list(value["deque"]) == [3] and dict(value["counts"]) == {"a": 1}
    assert copied["object"] is shared


class Wide(Net):
    """Has one weight whose copies can be counted."""

    SIZE = 12345

    def __init__(self):
        super().__init__(dropout=0.0)
        self.wide = nn.Parameter(torch.zeros(self.SIZE))

    def forward(self, x, labels=None):
        outputs = super().forward(x, labels)
        outputs["loss"] = outputs["loss"] + self.wide.sum()
        return outputs


def count_copies():
    """The tensors as large as the weight, gradients included."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if isinstance(each, torch.Tensor)]
    tensors += [each.grad for each in tensors if each.is_leaf and each.grad is not None]
    return len({each.data_ptr() for each in tensors if each.numel() == Wide.SIZE})


def test_a_search_holds_one_copy_of_the_weights(searchable, monkeypatch):
    """At each update as much as a run, and that copy, which is on the CPU; nothing of an earlier run."""
    counts, step = [], Trainer.training_step

    def count(*args, **kwargs):
        counts.append(count_copies())
        return step(*args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", count)
    searchable(model=Wide()).train()
    assert max(counts) == 3  # the weight, and two moments
    counts.clear()
    find_lr(searchable(model=Wide()))
    assert max(counts) == 4


def test_a_trained_model_is_freed(searchable):
    """With its weights, which a graph of autograd may keep although the model is gone."""
    trainer = searchable()
    trainer.train()
    weights = [weakref.ref(each) for each in trainer.model.parameters()]
    del trainer
    gc.collect()
    assert not any(each() is not None for each in weights)
