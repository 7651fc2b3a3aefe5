"""DeviceQueue: numbers that are read from the device without waiting for it."""

from collections import deque
from typing import Any

import torch

# Numbers that may wait on a device which cannot say whether they have arrived.
_MAX_WAITING = 64


class DeviceQueue:
    """Hand over one number per update, from the device to the host, in order.

    On a CUDA device numbers are copied to pinned memory beside the computation, and read once they have arrived: nothing waits
    for the device. On other accelerators a number is read when the caller waits for the device anyway, or when 64 are waiting.

    Args:
        together (`int`, defaults to 1): So many numbers are copied at once from a CUDA device: each copy costs the host time.
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

    def __init__(self, delay: int | None = None, together: int = 1):
        self.delay, self.together = delay, together
        # On a CUDA device, and not yet on their way.
        self._unsent: list[tuple[int, torch.Tensor]] = []
        self._waiting: deque[tuple[list[int], torch.Tensor, Any]] = deque()
        # Pinned memory and CUDA events to use again: to make them takes longer than the copy.
        self._free: list[tuple[torch.Tensor, Any]] = []

    def put(self, update: int, value: torch.Tensor) -> None:
        """Add the number of an update, a tensor with one element; from a CUDA device its copy to the host begins."""
        if value.device.type != "cuda":
            self._waiting.append(([update], value, None))
            return
        self._unsent.append((update, value))
        if len(self._unsent) == self.together:
            self._send()

    def _send(self) -> None:
        """Begin to copy what is unsent to the host."""
        updates, values = map(list, zip(*self._unsent, strict=True))
        self._unsent = []
        host, arrival = self._free.pop() if self._free else _make_slot(self.together)
        host[: len(updates)].copy_(torch.stack(values) if len(values) > 1 else values[0].reshape(1), non_blocking=True)
        arrival.record()
        self._waiting.append((updates, host, arrival))

    def get(self, wait: bool = False) -> list[tuple[int, float]]:
        """Return what can be read now, as `(update, number)`, each once.

        Args:
            wait (`bool`, defaults to `False`): Read everything, as where Trainer itself waits for the device.
        """
        if wait and self._unsent:
            self._send()
        arrived: list[tuple[int, float]] = []
        if not self._waiting:
            return arrived
        latest = self._waiting[-1][0][-1]
        while self._waiting:
            updates, values, arrival = self._waiting[0]
            if self.delay is not None and not wait and updates[-1] > latest - self.delay:
                break
            has_arrived = values.device.type == "cpu" if arrival is None else arrival.query()
            is_due = wait or self.delay is not None or len(self._waiting) > _MAX_WAITING
            if not has_arrived and not is_due:
                break
            if not has_arrived and arrival is not None:
                arrival.synchronize()
            self._waiting.popleft()
            if arrival is None:
                arrived.append((updates[0], values.item()))
            else:
                arrived += zip(updates, values.tolist(), strict=False)  # a slot may be longer than what it holds
                self._free.append((values, arrival))
        return arrived


def _make_slot(numbers: int) -> tuple[torch.Tensor, Any]:
    return torch.empty(numbers, dtype=torch.float32, pin_memory=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
