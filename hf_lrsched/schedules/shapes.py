"""Shapes: what is left of a decay, from 1 down to 0, as a function of progress p in [0, 1].

Each takes and returns a float64 array. This is the only place where a shape is computed: curves, plots and training
all read it. Sources and uses are in the docstrings of the families.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Array], Array]


def linear(p: Array) -> Array:
    """`1 - p`"""
    return 1.0 - p


def cosine(p: Array, cycles: float = 0.5, k: float = 1.0) -> Array:
    """`(1 + cos(2 pi cycles p ** k)) / 2`"""
    progress = p if k == 1.0 else p**k
    return 0.5 * (1.0 + np.cos((2.0 * np.pi * cycles) * progress))


def polynomial(p: Array, power: float) -> Array:
    """`(1 - p) ** power`"""
    return (1.0 - p) ** power


def one_minus_power(p: Array, power: float) -> Array:
    """`1 - p ** power`"""
    return 1.0 - p**power


def one_minus_sqrt(p: Array) -> Array:
    """`1 - sqrt(p)`"""
    return 1.0 - np.sqrt(p)


def rex(p: Array, d: float) -> Array:
    """`(1 - p) / ((1 - d) + d (1 - p))`"""
    left = 1.0 - p
    return left / ((1.0 - d) + d * left)


def tanh(p: Array, lb: float, ub: float) -> Array:
    """`(1 - tanh(lb (1 - p) + ub p)) / 2`"""
    return 0.5 * (1.0 - np.tanh(lb * (1.0 - p) + ub * p))


#: The shapes that a climb or a way between two points may have, by name.
BY_NAME: dict[str, Function] = {"linear": linear, "cosine": cosine, "one_minus_sqrt": one_minus_sqrt}


def climb(shape: Function, p: Array) -> Array:
    """Return a shape upside down and backwards, from 0 up to 1: what a climb has gained at p."""
    return shape(1.0 - p)
