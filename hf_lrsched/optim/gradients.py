"""Gradients that are not finite: found before the optimizer steps, and kept away from the weights."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from accelerate import PartialState
from torch import nn

from .device_queue import DeviceQueue
from .wrappers import unwrap_optimizer

# Several processes read a flag so many updates later, all at the same one. By then it has arrived.
_DELAY = 10
# The smallest gradients, which are looked at before all the others.
_NUM_SMALLEST = 8


class GradientFilter:
    """Drop each update whose gradients hold NaN or infinity, before the optimizer steps.

    On the CPU the gradients are looked at directly, and those of a dropped update become `None`. On another device a flag is
    made there and read once it has arrived, so that no update waits for it: a fused optimizer skips the step by itself, as it
    does for `torch.amp.GradScaler`; others get gradients of 0. Updates that fp16's loss scaling skips are only counted.

    Args:
        optimizer (`torch.optim.Optimizer`): The one that steps, or a wrapper of accelerate around it.
        reads_gradients (`bool`, *optional*): Look at the gradients directly. Defaults to whether all parameters are on the CPU.
    """

    def __init__(self, optimizer: Any, reads_gradients: bool | None = None):
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._smallest = sorted(self._parameters, key=nn.Parameter.numel)
        on_cpu = all(parameter.device.type == "cpu" for parameter in self._parameters)
        self.reads_gradients = on_cpu if reads_gradients is None else reads_gradients
        #: Whether fp16's loss scaling is on, which skips the step by itself.
        self.is_scaled = False
        self._dropped: list[int] = []
        self._flags = DeviceQueue(_DELAY if PartialState().num_processes > 1 else None)

    def before_step(self, update: int, optimizer: Any, is_clipped: bool, norm: torch.Tensor | None = None) -> None:
        """Look at the gradients of an update, and drop it if they are not finite.

        Args:
            update (`int`): The update that the optimizer is about to make.
            optimizer (`torch.optim.Optimizer`): The optimizer, with its wrappers.
            is_clipped (`bool`): Whether all gradients were multiplied by one number to clip their norm.
            norm (`torch.Tensor`, *optional*): The norm before that, if it is known: then no clipped gradient is looked at.
        """
        self.is_scaled = getattr(optimizer, "scaler", None) is not None
        norm = norm if is_clipped else None  # without clipping, a hook may have changed single gradients since
        if self.reads_gradients and self._are_finite(is_clipped, norm):
            return
        if self.reads_gradients:
            self._dropped.append(update)
            for parameter in () if self.is_scaled else self._parameters:
                parameter.grad = None  # so that the optimizer leaves it alone, its moments included
            return
        if norm is None:
            gradients = list(get_gradients(self._parameters))
            if not gradients:
                return
            flag = has_nonfinite_norm(gradients)
        else:
            flag = (norm - norm).ne_(0)  # 1.0 where it is not finite; isfinite() takes four kernels
        if not self.is_scaled:
            drop_if(flag, optimizer, self._parameters)
        self._flags.put(update, flag)

    def _are_finite(self, is_clipped: bool, norm: torch.Tensor | None) -> bool:
        """Look at the gradients, or at what is enough of them."""
        if norm is not None:
            return math.isfinite(norm.item())
        if is_clipped and are_surely_finite(get_gradients(self._smallest)):
            return True
        gradients = list(get_gradients(self._parameters))
        return not gradients or not has_nonfinite_norm(gradients)

    def after_step(self, optimizer: Any) -> None:
        """Take the flag away from a fused optimizer."""
        inner = unwrap_optimizer(optimizer)
        if not self.is_scaled and hasattr(inner, "found_inf"):
            del inner.found_inf

    def get_dropped(self, wait: bool = False) -> list[int]:
        """Return the updates that were dropped, each once, as far as it is known by now.

        Args:
            wait (`bool`, defaults to `False`): Wait for the flags that are still on the device.
        """
        dropped = self._dropped + [each for each, flag in self._flags.get(wait) if flag]
        self._dropped = []
        return dropped


def get_gradients(parameters: Iterable[nn.Parameter]) -> Iterator[torch.Tensor]:
    """Return the gradients of those parameters that have one; of a sparse gradient, its values."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None:
            yield gradient._values() if gradient.is_sparse else gradient


def has_nonfinite_norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return whether the norm of any gradient is not finite, as a tensor on their device: nothing waits for it.

    Example:
    ```python
    >>> has_nonfinite_norm([torch.ones(2), torch.tensor([1.0, torch.inf])])
    tensor(True)

    ```
    """
    norms = list(torch._foreach_norm(gradients))
    if len({(norm.device, norm.dtype) for norm in norms}) > 1:
        norms = [norm.to(norms[0].device, torch.float32) for norm in norms]
    return ~torch.stack(norms).isfinite().all()


def are_surely_finite(smallest: Iterable[torch.Tensor]) -> bool:
    """Return whether a few *clipped* gradients prove that all gradients are finite.

    Clipping multiplies all gradients by one number, which is NaN where their norm is NaN, and 0 where it is infinite. So one
    gradient that is finite and not 0 is proof enough. This does not hold for a Trainer's subclass that clips each gradient by
    itself, which the gradients do not show. With `max_grad_norm=0` all gradients are looked at.

    Example:
    ```python
    >>> weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    >>> for weight in weights:
    ...     weight.grad = torch.ones_like(weight)
    >>> weights[1].grad[0] = torch.inf
    >>> _ = nn.utils.clip_grad_norm_(weights, 1.0)
    >>> [weight.grad.tolist() for weight in weights]
    [[0.0, 0.0], [nan, 0.0, 0.0]]
    >>> are_surely_finite([weights[0].grad])
    False

    ```
    """
    return any(0 < gradient.norm().item() < torch.inf for gradient in islice(smallest, _NUM_SMALLEST))


def drop_if(flag: torch.Tensor, optimizer: Any, parameters: list[nn.Parameter]) -> None:
    """Make the next step do nothing with the gradients where the flag is true, without waiting for the device.

    A fused optimizer takes the flag itself, as `torch.amp.GradScaler` gives it one, and then leaves weights and moments as
    they are. For other optimizers the gradients become 0.
    """
    inner = unwrap_optimizer(optimizer)
    if getattr(inner, "_step_supports_amp_scaling", False):
        inner.found_inf = flag.float()
        return
    flag = flag.bool()
    for gradient in get_gradients(parameters):
        gradient.masked_fill_(flag.to(gradient.device), 0)
