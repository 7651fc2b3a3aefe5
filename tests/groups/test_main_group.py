"""The group whose LR stands for the run."""

import pytest
import torch

from hf_lrsched.groups import find_main_group


def group(size, *, trained=True, **options):
    return {"params": [torch.nn.Parameter(torch.zeros(size), requires_grad=trained)], "lr": 1.0, **options}


@pytest.mark.parametrize(
    ("groups", "index"),
    [
        ([group(2)], 0),
        ([group(2), group(30), group(4)], 1),
        ([group(30), group(30)], 0),
        ([group(2), group(30, trained=False)], 0),
        ([group(2), group(30, schedule="freeze()")], 0),
        ([group(2, schedule="linear()"), group(30, schedule="freeze(1ep) >> linear()")], 1),
        ([group(0), group(0)], 0),
    ],
)
def test_largest_group_on_the_main_schedule(groups, index):
    assert find_main_group(groups) == index


def test_optimizer():
    assert find_main_group(torch.optim.SGD([group(2), group(30)])) == 1
