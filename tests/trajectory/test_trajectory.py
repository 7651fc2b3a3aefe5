"""Trajectories that a resume has changed."""

import pytest

from .paper_runs import advance, make, resume, take_lrs


def test_stretched_twice():
    first = resume(advance(make(updates=8), 4), make(updates=12), "stretch")
    # At t = 8 it is at 0.25, and the rest of 4 updates takes 8.
    second = resume(advance(first, 4), make(updates=16), "stretch")
    assert take_lrs(second, 8) == pytest.approx([0.25 - t / 32 for t in range(8)], abs=1e-15)
