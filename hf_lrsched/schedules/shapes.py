"""Shapes: what is left of a decay, from 1 down to 0, as a function of progress p in [0, 1].

Each function takes and returns a float64 array. They are the only place where a shape is computed: curves, pictures
and training all read them.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[[Array], Array]


def linear(p: Array) -> Array:
    """`1 - p`"""
    return 1.0 - p


def cosine(p: Array) -> Array:
    """`(1 + cos(pi p)) / 2`"""
    return 0.5 * (1.0 + np.cos(np.pi * p))
