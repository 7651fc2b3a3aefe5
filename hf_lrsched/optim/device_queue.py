"""DeviceQueue: numbers that are read from the device without waiting for it."""

from collections import deque
from typing import Any

import torch

# Numbers that may wait on a device which cannot say whether they have arrived.
_MAX_WAITING = 64


class DeviceQueue:
    """Hand over one number per update, from the device to the host, in order.

    On a CUDA device each number is copied to pinned memory beside the computation, and read once it has arrived: nothing waits
    for the device. On other accelerators a number is read when the caller waits for the device anyway, or when 64 are waiting.

    Args:
        delay (`int`, *optional*): Read each number exactly so many updates after its own, so that all processes read it at the
            same update; a number that has not arrived by then is waited for. Defaults to reading each as soon as it has arrived.

    Example:
    ```python
    >>> queue = DeviceQueue(delay=2)
    >>> for update in (1, 2, 3):
    ...     queue.put(update, torch.tensor(update / 2))
    >>> queue.get(), queue.get(), queue.get(wait=True)
    ([(1, 0.5)], [], [(2, 1.0), (3, 1.5)])

    ```
    """

    def __init__(self, delay: int | None = None):
        self.delay = delay
        self._waiting: deque[tuple[int, torch.Tensor, Any]] = deque()
        # Pinned memory and CUDA events to use again: to make them takes longer than the copy.
        self._free: list[tuple[torch.Tensor, Any]] = []

    def put(self, update: int, value: torch.Tensor) -> None:
        """Add the number of an update, a tensor with one element; from a CUDA device its copy to the host begins."""
        arrival = None
        if value.device.type == "cuda":
            host, arrival = self._free.pop() if self._free else _make_slot()
            host.copy_(value, non_blocking=True)
            arrival.record()
            value = host
        self._waiting.append((update, value, arrival))

    def get(self, wait: bool = False) -> list[tuple[int, float]]:
        """Return what can be read now, as `(update, number)`, each once.

        Args:
            wait (`bool`, defaults to `False`): Read everything, as where Trainer itself waits for the device.
        """
        arrived: list[tuple[int, float]] = []
        if not self._waiting:
            return arrived
        latest = self._waiting[-1][0]
        while self._waiting:
            update, value, arrival = self._waiting[0]
            if self.delay is not None and not wait and update > latest - self.delay:
                break
            has_arrived = value.device.type == "cpu" if arrival is None else arrival.query()
            is_due = wait or self.delay is not None or len(self._waiting) > _MAX_WAITING
            if not has_arrived and not is_due:
                break
            if not has_arrived and arrival is not None:
                arrival.synchronize()
            arrived.append((update, value.item()))
            self._waiting.popleft()
            if arrival is not None:
                self._free.append((value, arrival))
        return arrived


def _make_slot() -> tuple[torch.Tensor, Any]:
    return torch.empty((), dtype=torch.float32, pin_memory=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
