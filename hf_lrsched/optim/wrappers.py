"""The optimizer within accelerate's wrappers, and how large its steps are."""

import math
from typing import Any

import torch

# Optimizers whose steps have about the size of the LR, whatever the gradients.
_ADAPTIVE = ("adam", "lion", "adagrad", "rmsprop", "lamb")


def unwrap_optimizer(optimizer: Any) -> Any:
    """Return the optimizer within accelerate's wrappers."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def is_adaptive(optimizer: Any) -> bool:
    """Whether the optimizer's steps have about the size of the LR, whatever the size of the gradients."""
    return any(name in type(optimizer).__name__.lower() for name in _ADAPTIVE)


def weight_rms(model: torch.nn.Module) -> float:
    """Compute the root mean square of a model's trained weight matrices; 0 where it has none.

    Of sharded weights only the part on this process counts: an operation on all parts would wait for processes that do not
    join it.
    """
    matrices = [
        _local(parameter.detach()) for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 1
    ]
    count = sum(matrix.numel() for matrix in matrices)
    if not count:
        return 0.0
    norms = torch.stack([torch.linalg.vector_norm(matrix.float()).to(matrices[0].device) for matrix in matrices])
    return float(torch.linalg.vector_norm(norms).item()) / math.sqrt(count)


def _local(weights: Any) -> torch.Tensor:
    part: torch.Tensor = weights.to_local() if hasattr(weights, "to_local") else weights
    return part
