"""RunState as data."""

from hf_lrsched.trajectory.resume_state import read_state
from hf_lrsched.trajectory.state import explain_rescale

from .paper_runs import make


def test_owners_and_seconds_survive():
    old = make()
    old.owners["guard"], old.seconds = {"actions": 2.0}, 3.5
    new = read_state(old.to_data())
    assert (new.owners, new.seconds) == ({"guard": {"actions": 2.0}}, 3.5)


def test_a_lower_scale_after_the_end_of_a_schedule_has_no_lr_to_lower():
    run = make()
    assert explain_rescale(run, run.rescale(0.5, "test")).endswith("(scale 1 to 0.5)")
    run.advance_to(8)
    assert not any(run.lrs())
    assert explain_rescale(run, run.rescale(0.5, "test")) == (
        "the schedule has ended at an LR of 0, so no LR is left to lower (scale 0.5 to 0.25)"
    )
