"""Large schedules: an answer or an error, soon."""

import time

import pytest

from hf_lrsched.schedules import ScheduleError, linear, parse, repeat, rex


def test_many_factors():
    start = time.process_time()
    assert parse(" * ".join(["linear()"] * 900)).resolve(100)(50) == pytest.approx(0.5**900)
    product = linear()
    with pytest.raises(ScheduleError, match="a schedule's text has at most 10,000 characters"):
        for _ in range(1100):
            product = product * linear()
    assert time.process_time() - start < 5


def test_many_cycles():
    start = time.process_time()
    curve = repeat(rex(), cycles=10_000).resolve(100_000)
    assert curve([0, 10, 99_990]).tolist() == pytest.approx([1, 1, 1])
    assert curve(range(100_000)).min() > 0
    assert time.process_time() - start < 5
