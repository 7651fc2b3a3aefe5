"""How far an update moves the weights, and the LR that each of their elements gets. Nothing is changed."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from ..runs.columns import QUANTILES

Group = dict[str, Any]
Selector = Callable[[Tensor], Tensor]
Getter = Callable[[str], Tensor]

# Quantiles need sorted elements. Of so many, the 5 % quantile is one between 4.8 % and 5.2 % in 19 of 20 cases.
_MAX_SORTED = 1 << 16


class Sample:
    """Every k-th element of a group's parameters, counted through all of them: the same ones at every update.

    k is 1, which selects all elements, where there are no more than `max_elements`; otherwise the least odd number that
    leaves no more. Since most widths are even, an odd stride reaches every column of a matrix.

    Args:
        parameters (`Sequence[Tensor]`): The parameters.
        max_elements (`int`, *optional*): Elements to select, at most; all by default.

    Example:
    ```python
    >>> parameters = [torch.arange(7), torch.arange(7, 12)]
    >>> [part.tolist() for part in Sample(parameters, max_elements=3).select(parameters)]
    [[0, 5], [10]]

    ```
    """

    def __init__(self, parameters: Sequence[Tensor], max_elements: int | None = None):
        ends = list(accumulate(_flatten(parameter).numel() for parameter in parameters))
        total = ends[-1] if ends else 0
        self.stride = 1 if max_elements is None or total <= max_elements else -(-total // max_elements) | 1
        self.starts = [-begin % self.stride for begin in (0, *ends[:-1])]

    def select(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return these elements of tensors with the parameters' shapes, as views."""
        return [self.selector(index)(tensor) for index, tensor in enumerate(tensors)]

    def selector(self, index: int) -> Selector:
        """Return a function that selects these elements of a tensor with the shape of one parameter."""
        return lambda tensor: _flatten(tensor)[self.starts[index] :: self.stride]


def compute_update_ratio(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """Compute ‖w_after − w_before‖ / ‖w_before‖ over all elements of a group, as a tensor without dimensions.

    It is not finite where all weights were 0.

    Args:
        before (`Sequence[Tensor]`): The weights before the update.
        after (`Sequence[Tensor]`): The weights after it.

    Example:
    ```python
    >>> compute_update_ratio([torch.tensor([3.0]), torch.tensor([4.0])], [torch.tensor([3.0]), torch.tensor([4.5])])
    tensor(0.1000)

    ```
    """
    moved = [_to_float(new) - _to_float(old) for old, new in zip(before, after, strict=True)]
    return _norm(moved) / _norm(before)


def has_effective_lr(optimizer: Optimizer) -> bool:
    """Whether the optimizer's effective LR is known: only for torch's own classes, since a subclass may compute anything."""
    return type(optimizer) in _FORMULAS


def compute_effective_lr(
    optimizer: Optimizer, group: Group, parameter: Tensor, select: Selector | None = None
) -> Tensor:
    r"""Compute the LR that each element of a parameter got at the latest update: what multiplies its (averaged) gradient.

    With γ the group's LR, g the gradient, t the parameter's updates, squares and roots of each element by itself:

    | optimizer | effective LR | where |
    |---|---|---|
    | Adam, AdamW | γ / (√v̂ + ε) | v̂ = v / (1 − β₂ᵗ), v = β₂·v + (1 − β₂)·g² |
    | RMSprop | γ / (√v + ε) | v = α·v + (1 − α)·g²; less ḡ² if `centered`, ḡ = α·ḡ + (1 − α)·g |
    | Adagrad | γ / (1 + (t − 1)·η) / (√s + ε) | s = s + g², η = `lr_decay` |
    | SGD | γ | |

    The moments are those after the update's gradient, as the update itself uses them. Adam and AdamW multiply this LR by the
    mean gradient m̂ = m / (1 − β₁ᵗ), the others by g; with `momentum`, RMSprop and SGD add up the steps of earlier updates.
    `amsgrad` takes the highest v so far. Weight decay is not included: in AdamW it is a step of its own, γ·λ·w, in the others
    it is part of g. Sources: Kingma & Ba 2014, https://arxiv.org/abs/1412.6980 (Adam); Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1711.05101 (AdamW); Hinton, Srivastava & Swersky 2012, Neural Networks for Machine Learning,
    lecture 6e (RMSprop); Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html (Adagrad); all in torch's
    form.

    Args:
        optimizer (`torch.optim.Optimizer`): An optimizer with a known effective LR ([`has_effective_lr`]).
        group (`dict`): The parameter's group.
        parameter (`Tensor`): A parameter that has been updated.
        select (`Callable`, *optional*): Selects the wanted elements of a tensor with the parameter's shape.

    Returns:
        `Tensor`: An LR for each wanted element. NaN where v or s is 0, since no gradient has reached these elements yet, such as
        the embeddings of tokens that have not occurred.

    Example:
    ```python
    >>> weight = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = torch.optim.Adam([weight], lr=0.1)
    >>> weight.grad = torch.tensor([1.0, -4.0, 0.0])
    >>> optimizer.step()
    >>> compute_effective_lr(optimizer, optimizer.param_groups[0], weight)
    tensor([0.1000, 0.0250,    nan])

    ```
    """
    lr, state = group["lr"], optimizer.state[parameter]
    if isinstance(lr, Tensor):
        lr = lr.to(parameter.device)

    def get(name: str) -> Tensor:
        tensor = state[name] if name else parameter
        return _to_float(tensor if select is None else select(tensor))

    return _FORMULAS[type(optimizer)](lr, group, state, get)


def compute_effective_lrs(optimizer: Optimizer, group: Group) -> Tensor | None:
    """Compute the [`QUANTILES`] of a group's effective LRs at the latest update, interpolated between two elements.

    Parameters without a gradient do not count, nor do elements that never had one. Of a group with more than 65,536 elements
    a [`Sample`] of so many is taken.

    Args:
        optimizer (`torch.optim.Optimizer`): An optimizer with a known effective LR, before its gradients are cleared.
        group (`dict`): One of its groups.

    Returns:
        `Tensor`, *optional*: Three values; `None` for a group without gradients, such as a frozen one.
    """
    parameters = group["params"]
    sample = Sample(parameters, _MAX_SORTED)
    lrs = [
        compute_effective_lr(optimizer, group, parameter, sample.selector(index))
        for index, parameter in enumerate(parameters)
        if parameter.grad is not None
    ]
    if not sum(lr.numel() for lr in lrs):
        return None
    every = torch.cat([lr.to(lrs[0].device) for lr in lrs])
    return torch.nanquantile(every, every.new_tensor([*QUANTILES.values()]))


def _adam(lr: float | Tensor, group: Group, state: Group, get: Getter) -> Tensor:
    v, beta2 = get("max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"), float(group["betas"][1])
    # 1 - beta2^t: computed directly, single precision would leave four digits at the first updates.
    correction = -torch.expm1(state["step"].to(v) * (math.log(beta2) if beta2 else -math.inf))
    return _where_reached(v, lr / ((v / correction).sqrt() + group["eps"]))


def _rmsprop(lr: float | Tensor, group: Group, state: Group, get: Getter) -> Tensor:
    v = get("square_avg")
    variance = v - get("grad_avg") ** 2 if group["centered"] else v
    return _where_reached(v, lr / (variance.sqrt() + group["eps"]))


def _adagrad(lr: float | Tensor, group: Group, state: Group, get: Getter) -> Tensor:
    v = get("sum")
    decayed = lr / (1 + (state["step"].to(v) - 1) * group["lr_decay"])
    return _where_reached(v, decayed / (v.sqrt() + group["eps"]))


def _sgd(lr: float | Tensor, group: Group, state: Group, get: Getter) -> Tensor:
    every: Tensor = torch.zeros_like(get("")) + lr
    return every


_FORMULAS: dict[type[Optimizer], Callable[[float | Tensor, Group, Group, Getter], Tensor]] = {
    Adam: _adam,
    AdamW: _adam,
    RMSprop: _rmsprop,
    Adagrad: _adagrad,
    SGD: _sgd,
}


def _where_reached(v: Tensor, lr: Tensor) -> Tensor:
    """Keep the LRs of the elements that a gradient has reached."""
    lrs: Tensor = torch.where(v > 0, lr, torch.nan)
    return lrs


def _flatten(tensor: Tensor) -> Tensor:
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().reshape(-1)


def _to_float(tensor: Tensor) -> Tensor:
    """Convert to single precision at least: bfloat16 may not hold the difference of two of its numbers."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def _norm(parts: Sequence[Tensor]) -> Tensor:
    norms = [torch.linalg.vector_norm(_to_float(part)) for part in parts]
    norm: Tensor = torch.linalg.vector_norm(torch.stack([each.to(norms[0]) for each in norms]))
    return norm
