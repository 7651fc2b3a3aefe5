"""LRRows: the LRs of the updates that follow, computed many at a time."""

from collections.abc import Callable

import numpy as np

from ..schedules.shapes import Array

# A curve is fastest on an array of many updates. So many numbers are read from it at a time: more would leave the processor's
# cache before they are used.
BLOCK = 1024
_MIN_ROWS = 8


class LRRows(dict[int, list[float]]):
    """The LRs of all groups, by update, for the next few updates.

    Example:
    ```python
    >>> rows = LRRows()
    >>> rows.get(3) or rows.read(3, lambda: np.linspace(0.0, 1.0, BLOCK).reshape(-1, 1))
    [0.0]
    >>> 4 in rows
    True

    ```
    """

    def __init__(self) -> None:
        super().__init__()
        self._block, self._start = np.empty((0, 0)), 0

    def read(self, update: int, compute: Callable[[], Array]) -> list[float]:
        """Read the rows of an update and of those that follow, and return that of the update.

        Args:
            update (`int`): The update.
            compute (`Callable`): Computes the rows of the [`BLOCK`] updates that begin with it.
        """
        first = update - self._start
        if not 0 <= first < len(self._block):
            self._block, self._start, first = compute(), update, 0
        rows: list[list[float]] = self._block[first : first + max(BLOCK // self._block.shape[1], _MIN_ROWS)].tolist()
        self.clear()
        self.update(zip(range(update, update + len(rows)), rows, strict=True))
        return rows[0]
