"""What a probe may change in a Trainer comes back: also after an error, and without a copy of what is frozen."""

import random
from collections import defaultdict, deque

import numpy as np
import pytest
import torch

from hf_lrsched.search.snapshot import copy_plain, undisturbed
from tests.searching import digest, next_draws


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
