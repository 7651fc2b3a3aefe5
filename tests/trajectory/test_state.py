"""RunState as data."""

from hf_lrsched.trajectory.resume_state import read_state

from .paper_runs import make


def test_owners_and_seconds_survive():
    old = make()
    old.owners["guard"], old.seconds = {"actions": 2.0}, 3.5
    new = read_state(old.to_data())
    assert (new.owners, new.seconds) == ({"guard": {"actions": 2.0}}, 3.5)
