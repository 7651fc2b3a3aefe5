"""Trajectory: the LRs of a run, with what resumes and an early cooldown made of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched import Horizon
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Rewarm, Stretch, Trajectory

from .paper_runs import advance, make, resume, take_lrs

LINE = Trajectory(RunSettings("linear()", Horizon(8), peaks=(1.0, 4.0)))


def test_each_group_has_its_peak_times_the_curve():
    assert [lr.tolist() for lr in LINE.lrs(np.array([0.0, 2.0, 8.0]))] == [[1.0, 0.75, 0.0], [4.0, 3.0, 0.0]]
    assert (LINE.lrs_at(4), LINE.end()) == ([0.5, 2.0], 8)


def test_groups_with_one_schedule_share_a_curve_unless_it_names_an_lr():
    one, other = LINE.curves()
    assert one is other
    named = replace(LINE, settings=replace(LINE.settings, schedule="linear(to_lr=0.5)"))
    assert named.lrs_at(8) == [0.5, 0.5]  # half of one peak, an eighth of the other


def test_a_curve_that_groups_share_is_evaluated_once():
    calls = []

    def curve(t):
        calls.append(t)
        return 1 - t / 8

    assert LINE.lrs_at(2, [curve, curve]) == [0.75, 3.0] and len(calls) == 1


def test_a_stretch_moves_positions_after_its_start_only():
    stretched = replace(LINE, stretches=(Stretch(at=4, old_end=8, new_end=12),))
    assert [stretched.to_curve_position(t) for t in (0, 4, 6, 12)] == [0, 4, 5, 8]
    assert (stretched.end(), stretched.lrs_at(6)) == (12, [0.375, 1.5])


def test_stretched_twice():
    first = resume(advance(make(updates=8), 4), make(updates=12), "stretch")
    # At t = 8 it is at 0.25, and the rest of 4 updates takes 8.
    second = resume(advance(first, 4), make(updates=16), "stretch")
    assert take_lrs(second, 8) == pytest.approx([0.25 - t / 32 for t in range(8)], abs=1e-15)


def test_a_rewarm_is_a_straight_line_to_the_curve():
    # From 0 and 0 at position 2 to half of the peaks at position 4.
    climb = replace(LINE, rewarm=Rewarm(at=2, over=2, lrs=(0.0, 0.0)))
    assert [climb.lrs_at(t) for t in (1, 2, 3, 4)] == [[0.875, 3.5], [0.0, 0.0], [0.25, 1.0], [0.5, 2.0]]


def test_a_cooldown_begins_at_the_level_of_the_curve():
    given_settings = RunSettings("hold(2) >> linear(over=6) >> cooldown(4, shape=linear)", Horizon(12), peaks=(2.0,))
    early = Trajectory(given_settings, cooldown_at=5.0)
    # Halfway down the line to 0: from 1 in four updates.
    assert [early.lrs_at(t)[0] for t in (4, 5, 6, 7, 8, 9)] == pytest.approx([4 / 3, 1.0, 0.75, 0.5, 0.25, 0.0])
    assert early.end() == 9


def test_groups_in_another_order_keep_their_lrs():
    climb = replace(LINE, rewarm=Rewarm(at=2, over=2, lrs=(0.1, 0.2)))
    for t in (0, 2, 3, 6):
        assert climb.reorder([1, 0]).lrs_at(t) == climb.lrs_at(t)[::-1]
    assert climb.reorder([1, 0]).reorder([1, 0]) == climb


@settings(max_examples=25)
@given(
    stretch=st.none() | st.builds(Stretch, st.floats(0, 7), st.just(8), st.integers(9, 99)),
    climb=st.none() | st.builds(Rewarm, st.floats(0, 7), st.integers(1, 9), st.tuples(*[st.floats(0, 1)] * 2)),
    cooldown_at=st.none() | st.floats(0, 8),
)
def test_the_same_from_its_data(stretch, climb, cooldown_at):
    trajectory = Trajectory(LINE.settings, (stretch,) if stretch else (), climb, cooldown_at)
    assert Trajectory.from_data(json.loads(json.dumps(trajectory.to_data()))) == trajectory
