"""Weights of labels in the loss, for labels of which some are rare."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from hf_lrsched.schedules.errors import nearest

from .errors import RecipeError
from .labels import MULTI, REGRESSION

_EXAMPLE = "--class_weights balanced or --class_weights 'bug=2,question=1'"


def compute_class_weights(
    given: str | None, problem_type: str, labels: Sequence[Any], names: Sequence[str]
) -> np.ndarray | None:
    r"""Return the weight of each label, or `None` if they all count the same.

    `balanced` is \\(n / (k n_y)\\) with n rows, k labels and \\(n_y\\) rows of label y; where a row has several labels, it is
    the number of rows without a label for each row with it.

    Args:
        given (`str`, *optional*): `balanced`, or weights by label.
        problem_type (`str`): The problem type.
        labels (`Sequence`): The label or labels of each training row.
        names (`Sequence[str]`): All labels in the order of the model's outputs.

    Raises:
        RecipeError: A label is unknown, a weight is no number above 0, or there are no labels.
    """
    if given is None:
        return None
    if problem_type == REGRESSION:
        raise RecipeError("--class_weights needs labels, but this is regression.")
    if given == "balanced":
        counts = Counter(name for label in labels for name in (label if problem_type == MULTI else [label]))
        count = np.array([max(counts[name], 1) for name in names])
        return (len(labels) - count).clip(1) / count if problem_type == MULTI else len(labels) / (len(names) * count)
    weights = dict.fromkeys(names, 1.0)
    for entry in given.split(","):
        name, _, number = entry.rpartition("=")
        if name.strip() not in weights:
            raise RecipeError(f"no label {name.strip()!r} for {_EXAMPLE}.{nearest(name.strip(), names)}")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            raise RecipeError(f"{number!r} is no weight; write {_EXAMPLE}.") from None
    if not all(np.isfinite(weight) and weight > 0 for weight in weights.values()):
        raise RecipeError(f"--class_weights must be numbers above 0, got {given}.")
    return np.array([weights[name] for name in names])


def make_weighted_loss(problem_type: str, weights: np.ndarray) -> Callable[..., torch.Tensor]:
    """Make Trainer's `compute_loss_func`: the mean over rows of weight times loss.

    The mean is over all rows of an update, so that it does not depend on gradient accumulation or processes.
    """

    def compute_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"].float()
        weight = torch.as_tensor(weights, dtype=logits.dtype, device=logits.device)
        if problem_type == MULTI:
            losses = binary_cross_entropy_with_logits(logits, labels.float(), pos_weight=weight, reduction="none")
        else:
            losses = weight[labels] * cross_entropy(logits, labels, reduction="none")
        return losses.mean() if num_items_in_batch is None else losses.sum() / num_items_in_batch

    return compute_loss
