"""on_resume: full lists of LRs, worked out by hand from the straight line 1 - t / T."""

import pytest

from hf_lrsched.schedules import ScheduleError
from hf_lrsched.trajectory.resume import check_on_resume

from .paper_runs import advance, make, resume, take_lrs


@pytest.mark.parametrize(
    ("on_resume", "expected"),
    [
        # The old line falls by 1/8; at t = 4 it is at 0.5.
        ("keep", [0.5, 0.375, 0.25, 0.125, 0, 0, 0, 0]),
        # Its last 4 updates over 8.
        ("stretch", [0.5, 0.4375, 0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625]),
        # The new line falls by 1/12; at t = 4 it is at 8/12.
        ("switch", [8 / 12, 7 / 12, 6 / 12, 5 / 12, 4 / 12, 3 / 12, 2 / 12, 1 / 12]),
        # From 0.5 to the new line at t = 8, which is 4/12, over 4 updates.
        ("rewarm(4)", [0.5, 0.5 - 1 / 24, 0.5 - 2 / 24, 0.5 - 3 / 24, 4 / 12, 3 / 12, 2 / 12, 1 / 12]),
    ],
)
def test_longer_run(on_resume, expected):
    new = resume(advance(make(updates=8), 4), make(updates=12), on_resume)
    assert take_lrs(new, 8) == pytest.approx(expected, abs=1e-15)
    (event,) = new.events
    assert (event["kind"], event["t"], event["how"], event["lr_before"]) == ("resume", 4, on_resume, [0.5])
    assert event["lr_after"] == pytest.approx(expected[:1])


def test_strict_refuses_with_both_lrs_and_the_choices():
    with pytest.raises(ScheduleError) as error:
        resume(advance(make(updates=8), 4), make(updates=12))
    message = str(error.value)
    assert "num_updates was 8 and is 12" in message and "0.5 by the checkpoint" in message and "0.6667 by" in message
    assert all(f"'{choice}'" in message for choice in ("keep", "stretch", "switch", "rewarm"))


def test_another_number_of_groups_is_refused_for_every_choice():
    with pytest.raises(ScheduleError, match="1 parameter group, this one 2"):
        resume(advance(make(), 4), make(lrs=(1.0, 0.1)), "switch")


def test_rewarm_of_several_groups_with_new_peaks():
    old = advance(make(lrs=(1.0, 0.1)), 4)
    # From 0.5 and 0.05 to the new lines at t = 6: a quarter of 2 and of 0.4.
    assert take_lrs(resume(old, make(lrs=(2.0, 0.4)), "rewarm(2)"), 3, group=0) == pytest.approx([0.5, 0.5, 0.5])
    assert take_lrs(resume(old, make(lrs=(2.0, 0.4)), "rewarm(2)"), 3, group=1) == pytest.approx([0.05, 0.075, 0.1])


@pytest.mark.parametrize("choice", ["", "swich", "keep(3)", "rewarm(0)", "rewarm(3", None, 3])
def test_invalid_on_resume(choice):
    with pytest.raises(ScheduleError):
        check_on_resume(choice)


def test_nearest_choice_is_offered():
    with pytest.raises(ScheduleError, match="Did you mean 'switch'"):
        check_on_resume("swich")


def test_nothing_left_to_stretch_or_to_rewarm():
    old = advance(make(updates=8), 8)
    with pytest.raises(ScheduleError, match="nothing is left"):
        resume(old, make(updates=12), "stretch")
    with pytest.raises(ScheduleError, match=r"rewarm\(5\)"):
        resume(old, make(updates=12), "rewarm(5)")
