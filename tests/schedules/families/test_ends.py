"""The ends of decays: `to` and `to_lr`."""

import pytest

from hf_lrsched.schedules import (
    linear,
    parse,
)

from ..helpers import refused
from ..tables import SQRT_HALF


@pytest.mark.parametrize(
    ("text", "peak", "expected"),
    [
        ("linear(to_lr=1e-6)", 1e-4, [1, 0.505, 0.01]),
        ("linear(to_lr=1e-6)", 1e-5, [1, 0.55, 0.1]),
        ("linear(to_lr=0)", 1e-5, [1, 0.5, 0]),
        ("cosine(to_lr=1e-6)", 1e-5, [1, 0.55, 0.1]),
        ("polynomial(power=2, to_lr=1e-6)", 1e-5, [1, 0.325, 0.1]),
        ("exponential(to_lr=1e-6)", 1e-4, [1, 0.1, 0.01]),
        ("exponential(rate=2, per=1, to_lr=1e-6)", 1e-5, [1, 0.1353352832366127, 0.1]),
        ("step(every=1, to_lr=2e-6)", 1e-5, [1, 0.2, 0.2]),
        ("multistep(at=[1], to_lr=2e-6)", 1e-5, [1, 0.2, 0.2]),
        ("inverse_sqrt(timescale=1, to_lr=8e-6)", 1e-5, [1, 0.8, 0.8]),
        ("power(timescale=1, exponent=2, to_lr=3e-6)", 1e-5, [1, 1, 0.3]),
        ("one_minus_sqrt(to_lr=1e-6)", 1e-5, [1, 0.1 + 0.9 * (1 - SQRT_HALF), 0.1]),
        ("rex(to_lr=4e-6)", 1e-5, [1, 0.8, 0.4]),
        ("tanh(lb=-1, ub=1, to_lr=5e-6)", 1e-5, [0.9403985389889412, 0.75, 0.5596014610110588]),
        ("hold(to_lr=3e-6)", 1e-5, [0.3, 0.3, 0.3]),
        ("floor(linear(), to_lr=6e-6)", 1e-5, [1, 0.6, 0.6]),
        ("floor(linear(), to_lr=6e-6)", 1e-4, [1, 0.5, 0.06]),
    ],
)
def test_an_end_as_an_lr_holds_for_each_peak(text, peak, expected):
    assert parse(text).resolve(2, peak=peak)([0, 1, 2]) == pytest.approx(expected, rel=0, abs=1e-12)


def test_an_end_as_an_lr_above_the_peak():
    refused(lambda: linear(to_lr=1e-3).resolve(10, peak=1e-4), "from 1 to 10 (to_lr=0.001 of a peak LR of 0.0001)")
    refused(lambda: linear(to_lr=1e-6).resolve(10, peak=0.0), "a group with a peak LR of 0 cannot reach it")


def test_a_phase_whose_lr_is_0_throughout_is_noted():
    (note,) = parse("linear(over=5) >> cosine()").resolve(20).notes
    assert note.startswith("the LR is 0 for updates 6 to 20")
    assert parse("linear(over=5) >> hold()").resolve(20).notes == ()
