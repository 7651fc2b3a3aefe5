"""UpdateLosses: the loss that is trained, one number per update."""

import gc
import weakref

import pytest
import torch
from torch import nn

from hf_lrsched.optim.update_losses import UpdateLosses


class Model(nn.Module):
    """Returns the loss that it is given, times a weight of 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, loss):
        return {"loss": self.weight * loss}


@pytest.fixture
def attach():
    """`attach(4, 1)`: a model and its losses, with so many micro-batches per update and processes."""

    def make(*counts):
        model, losses = Model(), UpdateLosses()
        losses.attach(model, *counts)
        return model, losses

    return make


def run(model, losses, values):
    """One update for each value."""
    for update, value in enumerate(values, 1):
        model(torch.tensor(value))["loss"].backward()
        losses.end_update(update)
    return [loss for _, loss in losses.get(wait=True)]


def test_the_mean_of_the_micro_batches(attach):
    model, losses = attach(2)
    for value in (0.75, 0.5):
        model(torch.tensor(value))["loss"].backward()
    losses.end_update(1)
    assert losses.get() == [(1, 0.625)]


def test_a_loss_without_a_backward_pass_does_not_count(attach):
    model, losses = attach()
    model(torch.tensor(0.5))
    losses.end_update(1)
    assert losses.get() == []


def test_an_evaluation_does_not_count(attach):
    model, losses = attach()
    model.eval()(torch.tensor(0.5))["loss"].backward()
    losses.end_update(1)
    assert losses.get() == []


def test_a_trained_loss_takes_the_place_of_the_models(attach):
    model, losses = attach(2)
    for value in (0.25, 0.5):
        model(torch.tensor(100.0))["loss"].backward()
        losses.add_trained(torch.tensor(value))
    losses.end_update(1)
    assert losses.get() == [(1, 0.75)]
    assert losses.compare(12.0) is None
    assert not model._forward_hooks


@pytest.mark.parametrize("scale", [1, 4, 2, 8])
def test_records_that_agree(attach, scale):
    """Also multiplied by gradient accumulation, by processes, or both."""
    model, losses = attach(4, 2)
    run(model, losses, [0.5, 0.25])
    assert losses.compare(scale * 0.375) is None
    run(model, losses, [0.25])
    assert losses.compare(scale * 0.25) is None
    run(model, losses, [0.25])
    assert losses.compare(scale * 25) == 25  # by the same scale
    assert not losses.was_wrong and not model._forward_hooks


def test_records_that_never_agree(attach):
    model, losses = attach()
    run(model, losses, [0.5, 0.25])
    assert losses.compare(3.0) == 3.0
    assert losses.was_wrong and not model._forward_hooks
    assert losses.compare(2.0) == 2.0 and not losses.was_wrong


def test_rounded_records_agree(attach):
    model, losses = attach()
    run(model, losses, [0.123449, 0.00002])
    assert losses.compare(0.0617) is None


def test_nan_is_not_compared(attach):
    """Trainer records something else instead."""
    model, losses = attach()
    run(model, losses, [0.5, float("nan")])
    assert losses.compare(0.4) is None


def test_records_alone():
    losses = UpdateLosses()
    losses.attach(object())  # such as SetFit's model
    assert losses.compare(0.5) == 0.5 and not losses.was_wrong


def test_no_graph_outlives_its_update(attach):
    """A hook that holds the loss keeps it in a cycle through autograd, which Python's garbage collector cannot see."""
    model, losses = attach()
    gone = weakref.ref(model.weight)
    run(model, losses, [0.5, 0.25])
    del model
    losses.detach()
    gc.collect()
    assert gone() is None


def test_a_hook_that_nobody_reads_removes_itself(attach):
    """As after an error in mid-run, when the model goes on with another Trainer."""
    model, losses = attach(2, 1)
    for _ in range(129):
        model(torch.tensor(0.5))["loss"].backward()
    assert not model._forward_hooks
    assert len(losses._losses) == 1
