"""Curves as a drawing in the terminal."""

import numpy as np
import pytest

pytest.importorskip("plotext")
from hf_lrsched import linear, warmup
from hf_lrsched.plots.terminal import draw_in_terminal


def test_the_key_the_axis_and_the_highest_lr():
    curves = [(warmup(2) >> linear()).resolve(10), linear().resolve(10)]
    lines = draw_in_terminal(curves, 2e-5, np.arange(10), width=60, height=12).splitlines()
    assert lines[:2] == ["  ▞  warmup(2) >> linear()", "  •  linear()"]
    assert lines[3].lstrip().startswith("2.00e-05") and lines[-1].strip() == "update"
    assert all(len(line) <= 60 and line == line.rstrip() for line in lines)


def test_without_colour_there_are_no_codes_of_the_terminal():
    curves = [linear().resolve(10)]
    assert "\x1b" not in draw_in_terminal(curves, 1.0, np.arange(10))
    assert "\x1b" in draw_in_terminal(curves, 1.0, np.arange(10), colour=True)
