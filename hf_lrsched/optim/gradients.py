"""Gradients that are not finite: found before the optimizer steps, and kept from the weights."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn

from .wrappers import unwrap_optimizer

# A flag of a CUDA device is read so many updates later. By then it has arrived; and on every process it is the same update.
_UPDATES_LATER = 2
# The smallest gradients that are looked at before all are.
_SMALLEST = 8


def gradients_of(parameters: Iterable[nn.Parameter]) -> Iterator[torch.Tensor]:
    """Those that there are; of sparse ones, the values."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None:
            yield gradient._values() if gradient.is_sparse else gradient


def is_bad(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Whether the norm of any gradient is not finite: a number on their device, which nothing has waited for.

    Example:
    ```python
    >>> is_bad([torch.ones(2), torch.tensor([1.0, torch.inf])])
    tensor(True)

    ```
    """
    norms = torch._foreach_norm(gradients)
    device = norms[0].device
    return ~torch.stack([norm.to(device, torch.float32) for norm in norms]).isfinite().all()


def are_surely_finite(smallest: Iterable[torch.Tensor]) -> bool:
    """Whether a few *clipped* gradients show that all of them are finite.

    Clipping multiplies all by one number, which is NaN where their norm is NaN, and 0 where it is infinite. So one gradient
    that is finite and not 0 is enough; where there is none, nothing is known. It does not hold for clipping that treats each
    gradient by itself, as a Trainer's subclass may: this can't be seen from the gradients. Where `max_grad_norm` is 0, all are
    looked at.

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
    return any(0 < gradient.norm().item() < torch.inf for gradient in islice(smallest, _SMALLEST))


def drop_if(flag: torch.Tensor, optimizer: Any, gradients: list[torch.Tensor]) -> None:
    """Where the flag is true, the step that follows does nothing with these gradients; without waiting for the device.

    A fused optimizer takes such a flag itself, as `torch.amp.GradScaler` gives it one, and then leaves weights and moments
    as they are; [`end_drop`] must follow its step. For others the gradients become 0.
    """
    inner = unwrap_optimizer(optimizer)
    if getattr(inner, "_step_supports_amp_scaling", False):
        inner.found_inf = flag.float()
        return
    for gradient in gradients:
        gradient.masked_fill_(flag.to(gradient.device), 0)


def end_drop(optimizer: Any) -> None:
    """Takes the flag from a fused optimizer, after its step."""
    inner = unwrap_optimizer(optimizer)
    if hasattr(inner, "found_inf"):
        del inner.found_inf


class LateFlags:
    """Flags of updates, read from the device when they have arrived, in order.

    Example:
    ```python
    >>> flags = LateFlags()
    >>> for update in (1, 2, 3):
    ...     flags.add(update, torch.tensor(update == 1))
    >>> flags.arrived(3), flags.arrived(3)
    ([1], [])

    ```
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, torch.Tensor, Any]] = deque()

    def add(self, update: int, flag: torch.Tensor) -> None:
        """The flag of an update; on a CUDA device its copy to the host begins."""
        ready = None
        if flag.device.type == "cuda":
            host = torch.empty((), dtype=flag.dtype, pin_memory=True)
            host.copy_(flag, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
            flag = host
        self._waiting.append((update, flag, ready))

    def arrived(self, update: int, wait: bool = False) -> list[int]:
        """The updates whose flag was true, as far as it is known after this update.

        Args:
            update (`int`): The one that is over.
            wait (`bool`, defaults to `False`): Read all, as where Trainer waits for the device itself. Devices other than
                CUDA's and the CPU are read then alone.
        """
        found = []
        while self._waiting:
            of, flag, ready = self._waiting[0]
            if not wait and (of > update - _UPDATES_LATER or (ready is None and flag.device.type != "cpu")):
                break
            if ready is not None and not ready.query():
                ready.synchronize()
            self._waiting.popleft()
            if flag.item():
                found.append(of)
        return found
