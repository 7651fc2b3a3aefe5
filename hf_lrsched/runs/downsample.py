"""Long lines by fewer points: extremes and jumps stay."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..schedules.shapes import Array

Indices = np.ndarray[Any, np.dtype[np.int64]]

#: A step of more than this share of a line's range is a jump.
_JUMP = 0.01


def thinned(lines: Sequence[Array], most: int) -> Indices:
    """Which points of lines over the same x to draw so that they look as all of them would.

    The points are cut into stretches of equal length; of each stretch and line the first, the last, the highest and the
    lowest point stay, and both sides of its largest step. So do both sides of every jump, as far as there is room.

    Args:
        lines (`Sequence[np.ndarray]`): Values at the same places.
        most (`int`): Points to keep, about; never fewer than those of one stretch.

    Returns:
        `np.ndarray`: Indices, in order.

    Example:
    ```python
    >>> line = np.zeros(1000)
    >>> line[700] = 1.0
    >>> thinned([line], 10).tolist()
    [0, 499, 500, 699, 700, 701, 999]

    ```
    """
    count = len(lines[0]) if len(lines) else 0
    if count <= most:
        return np.arange(count)
    stretches = max(most // 2, 1)
    while True:
        kept = np.unique(np.concatenate([_of_stretches(np.asarray(line, np.float64), stretches) for line in lines]))
        if len(kept) <= most or stretches == 1:
            break
        stretches = max(stretches // 2, 1)
    jumps = _jumps(lines, kept)
    return kept if len(kept) + len(jumps) > most else np.union1d(kept, jumps)


def _of_stretches(line: Array, stretches: int) -> Indices:
    size = -(-len(line) // stretches)
    starts = np.arange(0, len(line), size)
    # The last stretch is filled up with its last value: what is sought is found at its first place.
    filled = np.concatenate([line, np.full(len(starts) * size - len(line), line[-1])]).reshape(-1, size)
    steps = np.abs(np.diff(filled, axis=1, append=filled[:, -1:]))
    places = [filled.argmax(axis=1), filled.argmin(axis=1)]
    flat = filled.max(axis=1) == filled.min(axis=1)
    largest = np.where(flat, 0, steps.argmax(axis=1))
    ends = np.full(len(starts), size - 1)
    found = [starts, starts + ends, starts + largest, starts + np.where(flat, 0, largest + 1)]
    found += [starts + place for place in places]
    every: Indices = np.concatenate(found)
    return np.minimum(every, len(line) - 1)


def _jumps(lines: Sequence[Array], kept: Indices) -> Indices:
    found = []
    for line in lines:
        span = float(np.max(line) - np.min(line))
        at = np.nonzero(np.abs(np.diff(line)) > _JUMP * span)[0] if span else np.array([], dtype=np.int64)
        found += [at, at + 1]
    return np.setdiff1d(np.concatenate(found), kept)


#: More points than a picture has dots in a row: what lies between can't be seen.
_MOST_POINTS = 4000


def thin(xs: Sequence[float] | Array, *ys: Sequence[float] | Array, most: int = _MOST_POINTS) -> list[list[float]]:
    """So many points that the lines look the same: of each stretch the lowest and the highest, in their order."""
    x, *lines = (np.asarray(each, dtype=np.float64) for each in (xs, *ys))
    if len(x) > most:
        bounds = np.linspace(0, len(x), most // 2).astype(int)[:-1]
        ends = [*bounds[1:], len(x)]
        index = {0, len(x) - 1}
        for y in lines:
            for start, end in zip(bounds, ends, strict=True):
                index |= {start + int(y[start:end].argmin()), start + int(y[start:end].argmax())}
        picked = sorted(index)
        x, lines = x[picked], [y[picked] for y in lines]
    return [x.tolist(), *(y.tolist() for y in lines)]
