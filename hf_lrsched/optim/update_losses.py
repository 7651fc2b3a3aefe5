"""UpdateLosses: the loss of every update, read from the device without waiting for it."""

from typing import Any

import torch
from torch import nn

from .device_queue import DeviceQueue


class UpdateLosses:
    """Collect the losses that a model returns while it trains, one number per update.

    A forward hook reads each micro-batch's loss before Trainer filters values that are not finite. An update's loss is the
    mean of its micro-batches. No update waits for the device: see [`DeviceQueue`].

    The hook cannot read a loss that the model does not compute (`compute_loss_func`, label smoothing). [`is_available`] is
    `False` then.

    Example:
    ```python
    >>> model = nn.Module()
    >>> model.forward = lambda loss: {"loss": loss}
    >>> losses = UpdateLosses()
    >>> losses.attach(model)
    >>> for value in (0.7, 0.5):
    ...     _ = model(torch.tensor(value))
    >>> losses.end_update(1)
    >>> [(update, round(loss, 6)) for update, loss in losses.get()]
    [(1, 0.6)]
    >>> losses.detach()

    ```
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._reset()

    def __reduce__(self) -> tuple[type["UpdateLosses"], tuple[()]]:
        """Copy and pickle as an empty one: the hook is copied with its model, numbers on their way from a device cannot be."""
        return type(self), ()

    def _reset(self) -> None:
        self._sum: torch.Tensor | None = None
        self._count = 0
        self._queue = DeviceQueue()
        #: Whether there was a loss for any update.
        self.is_available = False

    def attach(self, model: nn.Module) -> None:
        """Begin to read a model's losses."""
        self.detach()
        self._reset()
        self._handle = model.register_forward_hook(self._after_forward)

    def detach(self) -> None:
        """Remove the hook from the model."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    # A compiled model must not compile this hook: it would do so again at every update.
    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def _after_forward(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        if not model.training:  # an evaluation
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else getattr(outputs, "loss", None)
        if isinstance(loss, torch.Tensor) and loss.is_floating_point():
            self.add(loss)

    def add(self, loss: torch.Tensor) -> None:
        """Add the loss of a micro-batch; of several numbers, as from data parallel replicas, their mean."""
        value = loss.detach().float().mean()
        if self._sum is not None and value.device != self._sum.device:  # from a data parallel replica
            value = value.to(self._sum.device, non_blocking=True)
        self._sum = value if self._sum is None else self._sum + value
        self._count += 1

    def end_update(self, update: int) -> None:
        """Take the micro-batches since the last call as this update."""
        if self._sum is not None:
            self._queue.put(update, self._sum / self._count)
            self._sum, self._count, self.is_available = None, 0, True

    def get(self, wait: bool = False) -> list[tuple[int, float]]:
        """Return the losses that can be read now, as `(update, loss)`, each once and in order.

        Args:
            wait (`bool`, defaults to `False`): Read everything, as at a log record, for which Trainer waits for the device.
        """
        return self._queue.get(wait)
