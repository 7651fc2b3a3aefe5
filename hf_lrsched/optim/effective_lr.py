"""How far an update moves the weights, and the LR that each of their elements gets. Pure: nothing is changed."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from ..runs.columns import QUANTILES

Group = dict[str, Any]
Part = Callable[[Tensor], Tensor]
Look = Callable[[str], Tensor]

# Quantiles need elements in order. Of so many, the one told as the 5 % quantile lies between 4.8 % and 5.2 %, 19 times of 20.
_MOST_IN_ORDER = 1 << 16


class Sample:
    """Every k-th element of a group's parameters, counted through all of them: at every update the same ones.

    k is 1, which is all of them, where they are no more than `most`; else the first prime from 5 on that leaves no more. A
    prime hardly ever divides the width of a matrix, so that no column is preferred.

    Args:
        parameters (`Sequence[Tensor]`): The parameters.
        most (`int`, *optional*): Elements to take, at most; all by default.

    Example:
    ```python
    >>> parameters = [torch.arange(7), torch.arange(7, 12)]
    >>> [part.tolist() for part in Sample(parameters, most=3).of(parameters)]
    [[0, 5], [10]]

    ```
    """

    def __init__(self, parameters: Sequence[Tensor], most: int | None = None):
        ends = list(accumulate(_flat(parameter).numel() for parameter in parameters))
        total = ends[-1] if ends else 0
        self.stride = 1 if most is None or total <= most else _prime_from(max(-(-total // most), 5))
        self.starts = [-begin % self.stride for begin in (0, *ends[:-1])]

    def of(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """These elements of tensors of the parameters' shapes, as views."""
        return [self.part(index)(tensor) for index, tensor in enumerate(tensors)]

    def part(self, index: int) -> Part:
        """What takes these elements out of a tensor of one parameter's shape."""
        return lambda tensor: _flat(tensor)[self.starts[index] :: self.stride]


def update_ratio(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """‖w_after − w_before‖ / ‖w_before‖ over all elements of a group, as a tensor without dimensions.

    Not finite where all weights were 0.

    Args:
        before (`Sequence[Tensor]`): The weights before the update.
        after (`Sequence[Tensor]`): Those after it.

    Example:
    ```python
    >>> update_ratio([torch.tensor([3.0]), torch.tensor([4.0])], [torch.tensor([3.0]), torch.tensor([4.5])])
    tensor(0.1000)

    ```
    """
    moved = [_precise(new) - _precise(old) for old, new in zip(before, after, strict=True)]
    return _norm(moved) / _norm(before)


def knows(optimizer: Optimizer) -> bool:
    """Whether the optimizer's effective LR is known: a class of torch's own, for a subclass may compute anything."""
    return type(optimizer) in _FORMULAS


def effective_lr(optimizer: Optimizer, group: Group, parameter: Tensor, part: Part | None = None) -> Tensor:
    r"""The LR that each element of a parameter got at the latest update: what multiplies its (averaged) gradient.

    With γ the group's LR, g the gradient, t the parameter's updates, squares and roots of each element by itself:

    | optimizer | effective LR | where |
    |---|---|---|
    | Adam, AdamW | γ / (√v̂ + ε) | v̂ = v / (1 − β₂ᵗ), v = β₂·v + (1 − β₂)·g² |
    | RMSprop | γ / (√v + ε) | v = α·v + (1 − α)·g²; less ḡ² if `centered`, ḡ = α·ḡ + (1 − α)·g |
    | Adagrad | γ / (1 + (t − 1)·η) / (√s + ε) | s = s + g², η = `lr_decay` |
    | SGD | γ | |

    The moments are those after the update's gradient, as the update itself uses them. Adam and AdamW multiply this LR by the
    mean gradient m̂ = m / (1 − β₁ᵗ), the others by g; with `momentum`, RMSprop and SGD add up the steps of earlier updates.
    `amsgrad` takes the highest v so far. Weight decay has no part: in AdamW it is a step of its own, γ·λ·w, in the others
    it is within g. Sources: Kingma & Ba 2014, https://arxiv.org/abs/1412.6980 (Adam); Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1711.05101 (AdamW); Hinton, Srivastava & Swersky 2012, Neural Networks for Machine Learning,
    lecture 6e (RMSprop); Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html (Adagrad); in the form that
    torch gives them.

    Args:
        optimizer (`torch.optim.Optimizer`): One that [`knows`] is true of.
        group (`dict`): The parameter's group.
        parameter (`Tensor`): A parameter that has been updated.
        part (`Callable`, *optional*): Takes the wanted elements out of a tensor of the parameter's shape.

    Returns:
        `Tensor`: An LR for each wanted element. NaN where v or s is 0: no gradient has reached these elements yet, such as
        the embeddings of tokens that were not seen, and nothing multiplies γ / ε.

    Example:
    ```python
    >>> weight = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = torch.optim.Adam([weight], lr=0.1)
    >>> weight.grad = torch.tensor([1.0, -4.0, 0.0])
    >>> optimizer.step()
    >>> effective_lr(optimizer, optimizer.param_groups[0], weight)
    tensor([0.1000, 0.0250,    nan])

    ```
    """
    lr, state = group["lr"], optimizer.state[parameter]
    if isinstance(lr, Tensor):
        lr = lr.to(parameter.device)

    def of(name: str) -> Tensor:
        tensor = state[name] if name else parameter
        return _precise(tensor if part is None else part(tensor))

    return _FORMULAS[type(optimizer)](lr, group, state, of)


def effective_lrs(optimizer: Optimizer, group: Group) -> Tensor | None:
    """The [`QUANTILES`] of a group's effective LRs, interpolated between two elements, at the latest update.

    Those of the parameters that had a gradient then, without the elements that never had one; of a group of more than 65,536
    elements, of a [`Sample`] of so many.

    Args:
        optimizer (`torch.optim.Optimizer`): One that [`knows`] is true of; its gradients are still there.
        group (`dict`): One of its groups.

    Returns:
        `Tensor`, *optional*: Three values; `None` of a group without gradients, such as a frozen one.
    """
    parameters = group["params"]
    sample = Sample(parameters, _MOST_IN_ORDER)
    lrs = [
        effective_lr(optimizer, group, parameter, sample.part(index))
        for index, parameter in enumerate(parameters)
        if parameter.grad is not None
    ]
    if not sum(lr.numel() for lr in lrs):
        return None
    every = torch.cat([lr.to(lrs[0].device) for lr in lrs])
    return torch.nanquantile(every, every.new_tensor([*QUANTILES.values()]))


def _adam(lr: float | Tensor, group: Group, state: Group, of: Look) -> Tensor:
    v, beta2 = of("max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"), float(group["betas"][1])
    # 1 - beta2^t, of which single precision would leave four digits at the first updates.
    correction = -torch.expm1(state["step"].to(v) * (math.log(beta2) if beta2 else -math.inf))
    return _reached(v, lr / ((v / correction).sqrt() + group["eps"]))


def _rmsprop(lr: float | Tensor, group: Group, state: Group, of: Look) -> Tensor:
    v = of("square_avg")
    variance = v - of("grad_avg") ** 2 if group["centered"] else v
    return _reached(v, lr / (variance.sqrt() + group["eps"]))


def _adagrad(lr: float | Tensor, group: Group, state: Group, of: Look) -> Tensor:
    v = of("sum")
    decayed = lr / (1 + (state["step"].to(v) - 1) * group["lr_decay"])
    return _reached(v, decayed / (v.sqrt() + group["eps"]))


def _sgd(lr: float | Tensor, group: Group, state: Group, of: Look) -> Tensor:
    every: Tensor = torch.zeros_like(of("")) + lr
    return every


_FORMULAS: dict[type[Optimizer], Callable[[float | Tensor, Group, Group, Look], Tensor]] = {
    Adam: _adam,
    AdamW: _adam,
    RMSprop: _rmsprop,
    Adagrad: _adagrad,
    SGD: _sgd,
}


def _reached(v: Tensor, lr: Tensor) -> Tensor:
    """The LRs of the elements that a gradient has reached."""
    lrs: Tensor = torch.where(v > 0, lr, torch.nan)
    return lrs


def _flat(tensor: Tensor) -> Tensor:
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().reshape(-1)


def _precise(tensor: Tensor) -> Tensor:
    """In single precision at least: the difference of two weights of bfloat16 may be none of that."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def _norm(parts: Sequence[Tensor]) -> Tensor:
    norms = [torch.linalg.vector_norm(_precise(part)) for part in parts]
    norm: Tensor = torch.linalg.vector_norm(torch.stack([each.to(norms[0]) for each in norms]))
    return norm


def _prime_from(number: int) -> int:
    while any(number % divisor == 0 for divisor in range(2, math.isqrt(number) + 1)):
        number += 1
    return number
