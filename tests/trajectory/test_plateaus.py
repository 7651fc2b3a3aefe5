"""What plateau() has observed: the trackers of a run, their scales, and a resume."""

from hf_lrsched import parse
from hf_lrsched.trajectory.plateaus import get_scales, restore_plateaus, track_plateaus

from .paper_runs import advance, make, resume

HALF, TENTH = "hold() * plateau(factor=0.5, patience=0)", "hold() * plateau(factor=0.1, patience=0)"


def test_groups_with_one_schedule_have_one_tracker():
    curves = make(HALF, 8, lrs=(1.0, 2.0, 3.0)).curves
    trackers = track_plateaus(curves, (HALF, HALF, HALF))
    assert [tracker.schedule for tracker in trackers] == [HALF]
    assert len(track_plateaus(curves, (HALF, HALF, TENTH))) == 2
    assert track_plateaus(make("linear()").curves, ("linear()",)) == []


def test_the_scale_of_a_group_is_that_of_the_run_times_those_of_its_plateaus():
    state = make(
        f"{HALF} * plateau(metric=f1, mode=max, factor=0.1)",
        8,
        lrs=(1.0, 2.0, 3.0),
        own=(None, parse(TENTH), parse("hold()")),
    )
    for tracker, scale in zip(state.plateaus, (0.5, 0.1, 0.2), strict=True):
        tracker.state = {**tracker.state, "scale": scale}
    assert get_scales(state.trajectory, state.plateaus, 4.0) == [4.0 * 0.5 * 0.1, 4.0 * 0.2, 4.0]


def test_only_a_plateau_with_the_same_text_takes_over_a_saved_state():
    old, new = advance(make(HALF, 8), 1), make(TENTH, 8)
    for loss in (1.0, 2.0):
        old.observe({"eval_loss": loss})
    saved = [tracker.to_data() for tracker in old.plateaus]
    assert (restore_plateaus(new.plateaus, saved), new.scales) == (0, [1.0])
    same = make(HALF, 8)
    assert (restore_plateaus(same.plateaus, saved), same.scales) == (1, [0.5])
    assert same.plateaus[0].to_data() == saved[0] and same.plateaus[0].state["best"] == 1.0


def test_two_plateaus_with_one_text_are_restored_in_order():
    text = "plateau(factor=0.5, patience=0)"
    old, new = (make(f"hold(2) * {text} >> hold() * {text}", 8) for _ in range(2))
    for update, loss in ((1, 1.0), (2, 2.0), (3, 7.0)):
        old.advance_to(update)
        old.observe({"eval_loss": loss})
    assert restore_plateaus(new.plateaus, [tracker.to_data() for tracker in old.plateaus]) == 2
    assert [(tracker.state["best"], tracker.state["scale"]) for tracker in new.plateaus] == [(1.0, 0.5), (7.0, 1.0)]


def test_plateau_continues_with_what_it_observed():
    old = advance(make("linear() * plateau(factor=0.5, patience=1)", 8), 2)
    for loss in (0.5, 0.6):
        old.observe({"eval_loss": loss})
    new = resume(old, make("linear() * plateau(factor=0.5, patience=1)", 8))
    (event,) = new.observe({"eval_loss": 0.7})
    assert (event["scale_before"], event["scale_after"]) == (1.0, 0.5) and new.lrs() == [0.375]


def test_the_scale_stays_through_a_resume_with_other_settings():
    old = advance(make(HALF, 8), 4)
    for loss in (1.0, 2.0):
        old.observe({"eval_loss": loss})
    assert resume(old, make(HALF, 12), "switch").lrs() == [0.5]
