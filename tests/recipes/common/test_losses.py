"""Losses of all predictions of a split."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_losses_equal_those_of_torch(weights):
    from common.losses import mean_binary_cross_entropy, mean_cross_entropy

    source = np.random.default_rng(0)
    logits, labels = source.normal(size=(7, 5, 3)), source.integers(-1, 3, size=(7, 5))
    labels[labels < 0] = -100
    each = cross_entropy(torch.tensor(logits).mT, torch.tensor(labels), reduction="none").numpy()
    counts = np.array(weights or [1.0] * 3)[labels.clip(0)]
    expected = (each * counts)[labels >= 0].mean()
    given = None if weights is None else np.array(weights)
    assert mean_cross_entropy(logits, labels, given) == pytest.approx(expected)

    logits, labels = torch.tensor(logits[0]), torch.tensor(source.integers(0, 2, size=(5, 3)), dtype=torch.float64)
    pos_weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = float(binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight))
    assert mean_binary_cross_entropy(logits.numpy(), labels.numpy(), given) == pytest.approx(expected)
