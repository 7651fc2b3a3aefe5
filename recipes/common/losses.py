"""Losses of all predictions of a split, each row or label counted once."""

import numpy as np
from scipy.special import log_softmax

#: A label that is not to be predicted, as in torch.
IGNORED = -100


def mean_cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    r"""Return the mean of \\(-w_y \log p_y\\) over the labels y that are not -100.

    Args:
        logits (`np.ndarray`): Shape (…, classes).
        labels (`np.ndarray`): Shape (…).
        weights (`np.ndarray`, *optional*): The weight of each class. Defaults to 1.
    """
    chosen = labels != IGNORED
    logits, labels = logits[chosen].astype(np.float64), labels[chosen]
    losses = -np.take_along_axis(log_softmax(logits, axis=-1), labels[:, None], axis=-1)[:, 0]
    return float(np.mean(losses if weights is None else losses * weights[labels]))


def mean_binary_cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    r"""Return the mean of \\(-w y \log p - (1 - y) \log (1 - p)\\) over rows and labels.

    Args:
        logits (`np.ndarray`): Shape (rows, labels).
        labels (`np.ndarray`): 0 or 1, of the same shape.
        weights (`np.ndarray`, *optional*): The weight of each label where it applies. Defaults to 1.
    """
    logits = logits.astype(np.float64)
    positive = labels * np.logaddexp(0.0, -logits)
    return float(
        np.mean((positive if weights is None else positive * weights) + (1 - labels) * np.logaddexp(0.0, logits))
    )
