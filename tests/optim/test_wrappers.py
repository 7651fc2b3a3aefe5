"""What kind of optimizer it is, and how large the weights are."""

import pytest
import torch
from torch import nn

from hf_lrsched.optim.wrappers import is_adaptive, weight_rms


def test_is_adaptive():
    weights = [nn.Parameter(torch.zeros(2))]
    assert is_adaptive(torch.optim.AdamW(weights)) and is_adaptive(torch.optim.RMSprop(weights))
    assert not is_adaptive(torch.optim.SGD(weights, lr=1.0))


def test_weight_rms():
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, 3.0)
    assert weight_rms(model) == pytest.approx(3.0)
    assert weight_rms(nn.LayerNorm(4)) == 0.0  # no matrix
