"""UpdateLosses: the trained loss of every update, read from the device without waiting for it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .device_queue import DeviceQueue

# By so much, relative and absolute, the losses of one process may differ from a log record, which may be rounded.
_TOLERANCE = 1e-3, 1e-4
# So many micro-batches of an update, times those that are accumulated, mean that nobody ends the updates any more.
_MAX_PENDING = 64
# A record is the mean over several processes, of which one reads its own losses only.
_PROCESSES_TOLERANCE = 0.5


def get_loss(record: Mapping[str, Any] | None) -> float | None:
    """Return the training loss of a log record, if it has one; SetFit's is the `embedding_loss`."""
    loss = next((record[key] for key in ("loss", "embedding_loss") if key in record), None) if record else None
    return None if loss is None else float(loss)


class UpdateLosses:
    """Collect the loss that is trained, one number per update.

    In a [`ScheduledTrainer`] it is what `training_step` returns. For any other Trainer a forward hook reads the loss that the
    model returns, before Trainer filters values that are not finite, and counts it once the backward pass reaches it. That
    need not be the loss that is trained: `compute_loss` may add a term, or compute another loss (TRL's DPO, class weights,
    label smoothing). So each log record is compared with it, and when they differ only the records count.

    Example:
    ```python
    >>> losses = UpdateLosses()
    >>> for value in (0.35, 0.25):  # two micro-batches, divided by their number
    ...     losses.add_trained(torch.tensor(value))
    >>> losses.end_update(1)
    >>> [(update, round(loss, 6)) for update, loss in losses.get()]
    [(1, 0.6)]

    ```
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._reset()

    def __reduce__(self) -> tuple[type["UpdateLosses"], tuple[()]]:
        """Copy and pickle as an empty one: the hook is copied with its model, numbers on their way from a device cannot be."""
        return type(self), ()

    def _reset(self) -> None:
        # Of the micro-batches of the present update.
        self._losses: list[torch.Tensor] = []
        self._queue = DeviceQueue()
        self._most = _MAX_PENDING
        self._is_trained = False
        self._scales: tuple[float, ...] = ()
        self._scale = 0.0
        self._tolerance = _TOLERANCE
        #: The losses since the latest record.
        self._recent: list[float] = []
        #: Whether the losses before the latest record were not those that are trained.
        self.was_wrong = False

    def attach(self, model: Any, num_accumulated: int = 1, num_processes: int = 1) -> None:
        """Begin to read a model's losses, if it is a torch module.

        Args:
            model (`nn.Module`): The model.
            num_accumulated (`int`, defaults to 1): Micro-batches per update.
            num_processes (`int`, defaults to 1): Processes. Trainer may report a loss multiplied by either number.
        """
        self.detach()
        self._reset()
        self._scales = 1.0, float(num_accumulated), float(num_processes), float(num_accumulated * num_processes)
        self._most = _MAX_PENDING * num_accumulated
        self._tolerance = _TOLERANCE if num_processes == 1 else (_PROCESSES_TOLERANCE, 0.0)
        if isinstance(model, nn.Module):
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
        if isinstance(loss, torch.Tensor) and loss.requires_grad:
            # A hook that holds the loss itself would keep its graph, and with it all weights, for ever.
            value = loss.detach()
            loss.register_hook(lambda _: self._add(value))  # type: ignore[no-untyped-call]

    def add_trained(self, loss: torch.Tensor) -> None:
        """Add what Trainer's `training_step` returned; the model's own loss does not count any more."""
        if not self._is_trained:
            self.detach()
            self._is_trained, self._losses = True, []
        self._add(loss.detach())

    def _add(self, loss: torch.Tensor) -> None:
        if len(self._losses) == self._most:  # an error ended the run, or turned the owner off
            self.detach()
            self._losses = []
        self._losses.append(loss)

    def end_update(self, update: int) -> None:
        """Take the micro-batches since the last call as this update: their mean, of trained losses their sum."""
        losses, self._losses = self._losses, []
        if not losses:
            return
        # A loss may be several numbers of data parallel replicas.
        first, *others = (loss if loss.ndim == 0 else loss.float().mean() for loss in losses)
        for loss in others:
            first = first.float() + loss.to(first.device, non_blocking=True)
        self._queue.put(update, first if self._is_trained or not others else first / len(losses))

    def get(self, wait: bool = False) -> list[tuple[int, float]]:
        """Return the losses that can be read now, as `(update, loss)`, each once and in order.

        Args:
            wait (`bool`, defaults to `False`): Read everything, as at a log record, for which Trainer waits for the device.
        """
        losses = self._queue.get(wait)
        if not self._is_trained:
            self._recent += [loss for _, loss in losses]
        return losses

    def compare(self, record: float) -> float | None:
        """Compare the losses since the latest log record with this one; call it after `get(wait=True)`.

        Returns:
            `float`, *optional*: The loss to use for the updates since the latest record, if their own losses are not known.
        """
        self.was_wrong = False
        if self._is_trained:
            return None
        recent, self._recent = self._recent, []
        if recent and not all(map(math.isfinite, [*recent, record])):  # of NaN Trainer records something else
            return None
        mean = sum(recent) / len(recent) if recent else math.nan
        relative, absolute = self._tolerance
        scale = self._scale or min(self._scales, key=lambda scale: abs(record - scale * mean))
        if abs(record - scale * mean) <= relative * abs(record) + absolute:
            self._scale = scale
            return None
        self.detach()
        self.was_wrong = bool(recent) and not self._scale
        return record / (self._scale or 1.0)
