"""Resuming with other settings: full lists of LRs, worked out by hand from the straight line 1 - t / T."""

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.trajectory.resume_state import explain_resume, resume_state

from .paper_runs import advance, make, resume, take_lrs


def test_same_settings_continue_to_the_bit():
    old = advance(make("warmup(3) >> cosine()", 11, (3e-4,)), 5)
    new = resume(old, make("warmup(3) >> cosine()", 11, (3e-4,)))
    assert take_lrs(new, 6) == take_lrs(make("warmup(3) >> cosine()", 11, (3e-4,)), 11)[5:]
    assert new.events == []


def test_outcome_is_a_value():
    old, fresh = advance(make(updates=8), 4), make(updates=12)
    outcome = resume_state(fresh, old.to_data(), "keep")
    assert (outcome.how, outcome.before) == ("keep", old.trajectory) and fresh.update == 0
    assert outcome.state.settings == fresh.settings and outcome.state.trajectory == old.trajectory
    assert resume_state(make(updates=8), old.to_data(), "strict").how == "same"


def test_second_resume_continues_what_the_first_made():
    first = resume(advance(make(updates=8), 4), make(updates=12), "stretch")
    second = resume(advance(first, 2), make(updates=12))  # strict: the same settings as the run before
    assert take_lrs(second, 6) == pytest.approx([0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625], abs=1e-15)


def test_back_to_earlier_settings_is_a_change_too():
    kept = resume(advance(make(updates=8), 4), make(updates=12), "keep")
    with pytest.raises(ScheduleError, match="num_updates was 12 and is 8"):
        resume(kept, make(updates=8))


def stock_state(updates=8, steps=4):
    """The state of torch's LambdaLR for a straight line."""
    return {"last_epoch": steps, "_last_lr": [1 - steps / updates]}


def test_stock_checkpoint_with_the_same_lr_is_taken_over():
    new = resume(stock_state(), make(updates=8))
    assert take_lrs(new, 4) == [0.5, 0.375, 0.25, 0.125] and new.events == []


def test_stock_checkpoint_with_another_lr_needs_a_choice():
    with pytest.raises(ScheduleError, match="another scheduler's") as error:
        resume(stock_state(), make(updates=12))
    assert "'switch'" in str(error.value) and "'keep'" not in str(error.value)
    new = resume(stock_state(), make(updates=12), "rewarm(4)")
    assert take_lrs(new, 5) == pytest.approx([0.5, 0.5 - 1 / 24, 0.5 - 2 / 24, 0.5 - 3 / 24, 4 / 12])


def test_stock_checkpoint_is_taken_over_at_the_update_of_the_run():
    """ReduceLROnPlateau counts evaluations: its position is not that of the run."""
    new = resume(stock_state(steps=1), advance(make(updates=8), 4), "switch")
    assert new.update == 4 and new.lrs() == [0.5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state | {"version": 99}, "this version of hf-lrsched reads version 3"),
        (lambda state: {"version": 3, "update": 4}, "corrupted"),
        (lambda state: state | {"settings": {"schedule": "nonsense"}}, "corrupted"),
        (lambda state: {}, "neither"),
    ],
)
def test_unreadable_state(change, said):
    with pytest.raises(ScheduleError, match=said):
        resume(change(advance(make(), 4).to_data()), make())


def test_explanation_has_both_lrs():
    assert explain_resume(resume(advance(make(updates=8), 4), make(updates=12), "switch")) == (
        "resumed after update 4 with on_resume='switch': the next LR is 0.6667 instead of 0.5"
    )
