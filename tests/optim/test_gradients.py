"""GradientFilter: updates that are dropped, and what the weights see of them."""

import pytest
import torch
from torch import nn

from hf_lrsched.optim.gradients import GradientFilter, are_surely_finite, has_nonfinite_norm


def step(optimizer, updates, reads_gradients=None):
    """Make one update for each gradient; return the updates that were dropped."""
    gradients = GradientFilter(optimizer, reads_gradients)
    (weight,) = optimizer.param_groups[0]["params"]
    for update, value in enumerate(updates, 1):
        weight.grad = torch.tensor([1.0, value])
        gradients.before_step(update, optimizer, is_clipped=False)
        optimizer.step()
        gradients.after_step(optimizer)
    return gradients.get_dropped(wait=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("reads_gradients", [True, False])
def test_an_update_that_is_not_finite_is_dropped(value, reads_gradients):
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    assert step(optimizer, [2.0, value, 1.0], reads_gradients) == [2]
    assert weight.tolist() == [-1.0, -1.5]


def test_a_fused_optimizer_skips_the_step_by_itself():
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight], lr=0.5, fused=True)
    assert step(optimizer, [2.0, float("nan")], reads_gradients=False) == [2]
    assert optimizer.state[weight]["step"] == 1
    assert not hasattr(optimizer, "found_inf")


def test_each_dropped_update_is_returned_once():
    weight = nn.Parameter(torch.zeros(2))
    gradients = GradientFilter(torch.optim.SGD([weight], lr=0.5))
    weight.grad = torch.tensor([1.0, torch.nan])
    gradients.before_step(1, torch.optim.SGD([weight], lr=0.5), is_clipped=True)
    assert weight.grad is None
    assert gradients.get_dropped() == [1]
    assert gradients.get_dropped() == []


@pytest.mark.parametrize("reads_gradients", [True, False])
def test_a_known_norm_of_clipped_gradients_is_enough(reads_gradients):
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    gradients = GradientFilter(optimizer, reads_gradients)
    for update, norm in enumerate([1.0, torch.nan, torch.inf], 1):
        weight.grad = torch.ones(2)
        gradients.before_step(update, optimizer, is_clipped=True, norm=torch.tensor(norm))
        optimizer.step()
    assert gradients.get_dropped(wait=True) == [2, 3]
    assert weight.tolist() == [-0.5, -0.5]


def test_which_gradients_prove_that_all_are_finite():
    assert are_surely_finite([torch.ones(2)])
    for value in (0.0, torch.nan, torch.inf):
        assert not are_surely_finite([torch.full((2,), value)])
    assert not has_nonfinite_norm([torch.ones(2), torch.zeros(3)])
    assert has_nonfinite_norm([torch.ones(2), torch.tensor([0.0, -torch.inf])])
