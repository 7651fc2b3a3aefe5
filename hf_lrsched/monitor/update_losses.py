"""UpdateLosses: the loss of every update, read from the device without waiting for it."""

from collections import deque
from typing import Any

import torch
from torch import nn

# Losses that may wait on a device that can't say when they are there: at the next record Trainer itself waits for it.
_MOST_WAITING = 64


class UpdateLosses:
    """Collects the losses that a model returns while it trains, one number an update.

    A forward hook sees each micro-batch's loss, before Trainer filters what is not finite; an update's loss is their mean.
    On a CUDA device the number is copied to the host beside the computation and read when it has arrived, an update or two
    later: nothing waits for the device. On other accelerators it is read when Trainer writes a record, at which it waits
    itself.

    A loss that is not computed by the model (`compute_loss_func`, label smoothing) is not seen: [`sees`] is then `False`.

    Example:
    ```python
    >>> model = nn.Module()
    >>> model.forward = lambda loss: {"loss": loss}
    >>> losses = UpdateLosses()
    >>> losses.attach(model)
    >>> for value in (0.7, 0.5):
    ...     _ = model(torch.tensor(value))
    >>> losses.end_update(1)
    >>> [(update, round(loss, 6)) for update, loss in losses.arrived()]
    [(1, 0.6)]
    >>> losses.detach()

    ```
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._forget()

    def __reduce__(self) -> tuple[type["UpdateLosses"], tuple[()]]:
        """A new one: whoever copies a model in mid-training copies the hook, and what waits on a device can't be copied."""
        return type(self), ()

    def _forget(self) -> None:
        self._sum: torch.Tensor | None = None
        self._count = 0
        self._waiting: deque[tuple[int, torch.Tensor, Any]] = deque()
        self.sees = False

    def attach(self, model: nn.Module) -> None:
        """Begins to listen to a model."""
        self.detach()
        self._forget()
        self._handle = model.register_forward_hook(self._after_forward)

    def detach(self) -> None:
        """Listens no longer."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    # In a compiled model what is remembered here would be compiled in, again and again.
    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def _after_forward(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        if not model.training:  # an evaluation
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else getattr(outputs, "loss", None)
        if isinstance(loss, torch.Tensor) and loss.is_floating_point():
            self.add(loss)

    def add(self, loss: torch.Tensor) -> None:
        """The loss of a micro-batch; several numbers, as data parallel replicas give, count by their mean."""
        value = loss.detach().float().mean()
        if self._sum is not None and value.device != self._sum.device:  # of a data parallel replica
            value = value.to(self._sum.device, non_blocking=True)
        self._sum = value if self._sum is None else self._sum + value
        self._count += 1

    def end_update(self, update: int) -> None:
        """The micro-batches since the update before make up this one."""
        if self._sum is None:
            return
        self.sees = True
        mean, ready = self._sum / self._count, None
        self._sum, self._count = None, 0
        if mean.device.type == "cuda":
            host = torch.empty((), pin_memory=True)
            host.copy_(mean, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
            mean = host
        self._waiting.append((update, mean, ready))

    def arrived(self, wait: bool = False) -> list[tuple[int, float]]:
        """The losses that can be read now, as `(update, loss)`, each once and in order.

        Args:
            wait (`bool`, defaults to `False`): Read all, as at a record, for which Trainer waits for the device.
        """
        found = []
        wait = wait or len(self._waiting) > _MOST_WAITING
        while self._waiting:
            update, loss, ready = self._waiting[0]
            if not wait and not (loss.device.type == "cpu" if ready is None else ready.query()):
                break
            if ready is not None:
                ready.synchronize()
            found.append((update, loss.item()))
            self._waiting.popleft()
        return found
