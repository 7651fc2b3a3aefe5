"""The optimizer within accelerate's wrappers, and what kind it is."""

import math
from typing import Any

import torch


def unwrap_optimizer(optimizer: Any) -> Any:
    """The optimizer within accelerate's wrappers."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


#: Optimizers whose steps have about the size of the LR, whatever the gradients.
_ADAPTIVE = ("Adam", "Lion", "Adagrad", "RMSprop", "NAdam", "RAdam", "LAMB")


def is_adaptive(optimizer: Any) -> bool:
    """Whether its steps have about the size of the LR, whatever the size of the gradients."""
    return any(name.lower() in type(optimizer).__name__.lower() for name in _ADAPTIVE)


def weight_rms(model: torch.nn.Module) -> float:
    """The root mean square of a model's weight matrices that are trained.

    Of sharded weights the part counts that this process holds. The other processes don't measure with it: an operation on
    the whole, which they would have to join, would never end.
    """
    matrices = [
        _own_part(parameter.detach())
        for parameter in model.parameters()
        if parameter.requires_grad and parameter.ndim > 1
    ]
    count = sum(matrix.numel() for matrix in matrices)
    if not count:
        return 0.0
    norms = torch.stack([torch.linalg.vector_norm(matrix.float()).to(matrices[0].device) for matrix in matrices])
    return float(torch.linalg.vector_norm(norms).item()) / math.sqrt(count)


def _own_part(weights: Any) -> torch.Tensor:
    part: torch.Tensor = weights.to_local() if hasattr(weights, "to_local") else weights
    return part
