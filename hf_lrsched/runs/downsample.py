"""Long lines by fewer points: extremes and jumps stay."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..schedules.shapes import Array

Indices = np.ndarray[Any, np.dtype[np.int64]]

#: A plot has fewer pixels in a row: more points than these cannot be seen.
MAX_POINTS = 4000
#: A step of more than this share of a line's range is a jump.
_JUMP = 0.01


def downsample(xs: Sequence[float] | Array, *lines: Sequence[float] | Array) -> list[Array]:
    """Reduce lines over the same x to at most about 4,000 points; return x and the lines. See [`select_points`]."""
    arrays = [np.asarray(each, dtype=np.float64) for each in (xs, *lines)]
    kept = select_points(arrays[1:], MAX_POINTS)
    return [each[kept] for each in arrays]


def select_points(lines: Sequence[Array], max_points: int) -> Indices:
    """Select the points of lines over the same x that are to be drawn so that the lines look as all points would.

    The points are cut into stretches of equal length. Of each stretch and line the first, the last, the highest and the
    lowest point stay, and both sides of its largest step. So do both sides of every jump, as far as there is room.

    Args:
        lines (`Sequence[np.ndarray]`): Values at the same places.
        max_points (`int`): Points to keep, about; never fewer than those of one stretch.

    Returns:
        `np.ndarray`: Indices, in order.

    Example:
    ```python
    >>> line = np.zeros(1000)
    >>> line[700] = 1.0
    >>> select_points([line], 10).tolist()
    [0, 499, 500, 699, 700, 701, 999]

    ```
    """
    count = len(lines[0]) if len(lines) else 0
    if count <= max_points:
        return np.arange(count)
    stretches = max(max_points // 2, 1)
    while True:
        selected = [_select_in_stretches(np.asarray(line, np.float64), stretches) for line in lines]
        kept = np.unique(np.concatenate(selected))
        if len(kept) <= max_points or stretches == 1:
            break
        stretches = max(stretches // 2, 1)
    jumps = np.setdiff1d(np.concatenate([_find_jumps(line) for line in lines]), kept)
    return kept if len(kept) + len(jumps) > max_points else np.union1d(kept, jumps)


def _select_in_stretches(line: Array, stretches: int) -> Indices:
    size = -(-len(line) // stretches)
    starts = np.arange(0, len(line), size)
    # The last stretch is filled up with its last value: what is sought is found at its first place.
    filled = np.concatenate([line, np.full(len(starts) * size - len(line), line[-1])]).reshape(-1, size)
    steps = np.abs(np.diff(filled, axis=1, append=filled[:, -1:]))
    is_flat = filled.max(axis=1) == filled.min(axis=1)
    largest = np.where(is_flat, 0, steps.argmax(axis=1))
    places = [0, size - 1, largest, np.where(is_flat, 0, largest + 1), filled.argmax(axis=1), filled.argmin(axis=1)]
    found: Indices = np.concatenate([starts + place for place in places])
    return np.minimum(found, len(line) - 1)


def _find_jumps(line: Array) -> Indices:
    span = float(np.max(line) - np.min(line))
    at = np.nonzero(np.abs(np.diff(line)) > _JUMP * span)[0] if span else np.array([], dtype=np.int64)
    return np.concatenate([at, at + 1])
