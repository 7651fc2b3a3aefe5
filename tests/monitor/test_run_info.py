"""RunInfo: the highest LR that is still to come."""

from dataclasses import replace

import pytest

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.run_info import RunInfo


@pytest.mark.parametrize(
    ("schedule", "share", "highest"),
    [
        ("linear()", 0.25, 0.75),  # it falls, so the first one
        ("warmup(50%) >> linear()", 0.0, 1.0),
        ("warmup(50%) >> linear()", 0.75, 0.5),
        ("warmup(100%)", 0.25, 1.0),  # it climbs, so the last one
        ("linear()", 1.0, 0.0),
    ],
)
def test_the_highest_lr_of_the_rest(schedule, share, highest):
    curve = parse(schedule).resolve(Horizon(100))
    info = RunInfo(100, 1e-3, curve=lambda share: float(curve(100 * share)))
    assert info.max_lr_after(share) == pytest.approx(highest, abs=0.01)


def test_an_unknown_schedule_has_nothing_to_come():
    assert RunInfo(100, 1e-3).max_lr_after(0.5) == 0


def test_a_high_lr_is_one_near_the_highest_of_the_run():
    info = RunInfo(100, 1e-3, curve=lambda share: 0.5 * (1 - share))
    assert info.is_high(0.46, 0.9) and not info.is_high(0.44, 0.9)
    unread = RunInfo(100, 1e-3, curve=None)
    assert unread.is_high(0.9, 0.9) and not unread.is_high(0.89, 0.9)


@pytest.mark.parametrize(
    ("schedule", "ratio", "total"),
    [("hold()", 0.01, 1.0), ("linear()", 0.01, 0.5), ("warmup(50%) >> linear()", 0.1, 5.0), (None, 0.01, 1.0)],
)
def test_all_steps_of_a_run_together(schedule, ratio, total):
    """Of an unknown schedule each step may be at the peak."""
    curve = parse(schedule).resolve(Horizon(100)) if schedule else None
    info = RunInfo(100, 1e-3, curve=(lambda share: float(curve(100 * share))) if curve else None, step_ratio=ratio)
    assert info.total_steps == pytest.approx(total)
    assert not info.moves_little  # nothing is known of the weights
    assert replace(info, has_random_weights=True).moves_little == (total < 1.5)


def test_where_the_size_of_a_step_is_unknown_weights_may_move_far():
    info = RunInfo(100, 1e-3, has_random_weights=True)
    assert info.total_steps is None and not info.moves_little
