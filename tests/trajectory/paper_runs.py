"""Runs on paper: start one, advance it, resume it, and list its LRs."""

from hf_lrsched.schedules import Horizon, parse
from hf_lrsched.trajectory.resume_state import resume_state
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.state import RunState


def make(schedule="linear()", updates=8, lrs=(1.0,), updates_per_epoch=None, own=()):
    horizon = updates if isinstance(updates, Horizon) else Horizon(updates, updates_per_epoch)
    return RunState.start(RunSettings.build(parse(schedule), horizon, lrs, own))


def advance(state, updates):
    state.advance_to(state.update + updates)
    return state


def resume(old, new, on_resume="strict"):
    saved = old if isinstance(old, dict) else old.to_data()
    return resume_state(new, saved, on_resume).state


def take_lrs(state, updates, group=0):
    lrs = []
    for _ in range(updates):
        lrs.append(state.lrs()[group])
        state.advance_to(state.update + 1)
    return lrs
