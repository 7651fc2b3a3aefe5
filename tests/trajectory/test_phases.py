"""The curve and the phases that a run follows after a resume: they are those of the LRs that it uses."""

import numpy as np
import pytest

from hf_lrsched import Horizon
from hf_lrsched.trajectory.phases import (
    explain_followed_schedule,
    find_phases,
    get_followed_curve,
    list_unused_settings,
)
from hf_lrsched.trajectory.resume_state import resume_state
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.state import RunState

HOWS = ("keep", "stretch", "switch", "rewarm(3)")


def make(schedule="warmup(2) >> linear()", updates=10, peak=1e-3, clock="updates"):
    return RunState.start(RunSettings(schedule, Horizon(updates), peaks=(peak,), clock=clock))


def resume(how, updates=16, done=4):
    old = make()
    old.advance_to(done)
    return resume_state(make("warmup(4) >> cosine()", updates, peak=2e-3), old.to_data(), how).state


def test_without_a_resume_it_is_the_curve():
    state = make()
    assert get_followed_curve(state) is state.curves[0]
    assert explain_followed_schedule(state) == "warmup(2) >> linear()"
    assert list_unused_settings(state) == []


@pytest.mark.parametrize("updates", [8, 10, 16])
@pytest.mark.parametrize("how", HOWS)
def test_the_curve_has_the_lrs_that_are_used(how, updates):
    state = resume(how, updates)
    curve = get_followed_curve(state)
    ahead = np.arange(4, updates)
    planned = state.peaks[0] * curve(ahead)
    used = []
    for update in ahead:
        state.advance_to(int(update))
        used.append(state.lrs()[0])
    assert planned.tolist() == pytest.approx(used, rel=1e-12, abs=1e-18)
    assert curve.horizon.num_updates == updates
    bounds = [(part.start, part.end) for part in curve.parts]
    assert [start for start, _ in bounds] == [0, *(end for _, end in bounds[:-1])] and bounds[-1][1] == updates


@pytest.mark.parametrize(
    ("how", "line", "unused"),
    [
        ("keep", "warmup(2) >> linear() over 10 updates, then its last LR to update 16", True),
        ("stretch", "warmup(2) >> linear() over 10 updates, its rest from update 4 on stretched to update 16", True),
        ("switch", "warmup(4) >> cosine()", False),
        ("rewarm(3)", "warmup(4) >> cosine(), from update 4 on reached in a straight line of 3 updates", False),
    ],
)
def test_one_line(how, line, unused):
    state = resume(how)
    assert explain_followed_schedule(state) == line
    assert list_unused_settings(state) == (["schedule='warmup(4) >> cosine()'", "peak LR 0.002"] if unused else [])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("keep", [("warmup(2)", 0, 2), ("linear()", 2, 10), ("the last LR", 10, 16)]),
        ("stretch", [("warmup(2)", 0, 2), ("linear()", 2, 16)]),
        ("rewarm(3)", [("warmup(4)", 0, 4), ("rewarm", 4, 7), ("cosine()", 7, 16)]),
    ],
)
def test_parts(how, expected):
    assert [(part.text, part.start, part.end) for part in get_followed_curve(resume(how)).parts] == expected


def test_an_early_cooldown():
    state = make("hold() >> cooldown(4)", 20)
    state.advance_to(5)
    state.start_cooldown()
    curve = get_followed_curve(state)
    assert [(part.text, part.start, part.end) for part in curve.parts] == [("hold()", 0, 5), ("cooldown(4)", 5, 9)]
    assert explain_followed_schedule(state) == "hold() >> cooldown(4), its cooldown from update 5 on"
    assert (state.peaks[0] * curve(6), curve(8) > curve(9)) == (pytest.approx(_lr_at(state, 6)), True)


def test_a_longer_run_ends_after_an_early_cooldown():
    old, longer = make("hold() >> cooldown(4)", 20), make("hold() >> cooldown(4)", 40)
    old.advance_to(3)
    state = resume_state(longer, old.to_data(), "keep").state
    state.advance_to(5)
    state.start_cooldown()
    line = "hold() >> cooldown(4) over 20 updates, its cooldown from update 5 on"
    assert explain_followed_schedule(state) == line


def test_a_run_that_is_longer_than_its_stretched_schedule():
    state = resume("stretch")
    longest = resume_state(make("warmup(4) >> cooldown(4)", 30), state.to_data(), "keep").state
    line = "warmup(2) >> linear() over 10 updates, its rest from update 4 on stretched to update 16, then its last LR to update 30"
    assert explain_followed_schedule(longest) == line


def _lr_at(state, update):
    state.advance_to(update)
    return state.lrs()[0]


def test_phases_are_moved_by_the_offset():
    state = make()
    found = find_phases(state.trajectory, state.curves[0], offset=1.0)
    assert [(phase.start, phase.end) for phase in found] == [(-1, 1), (1, 9)]
