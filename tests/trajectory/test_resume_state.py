"""Resuming with other settings: full lists of LRs, worked out by hand from the straight line 1 - t / T."""

import subprocess
import sys

import pytest

from hf_lrsched import Horizon, ScheduleError, parse
from hf_lrsched.trajectory.resume import check_on_resume
from hf_lrsched.trajectory.resume_state import explain_resume, read_state, resume_state
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.state import RunState


def make(schedule="linear()", updates=8, lrs=(1.0,), updates_per_epoch=None, own=()):
    horizon = updates if isinstance(updates, Horizon) else Horizon(updates, updates_per_epoch)
    return RunState.start(RunSettings.build(parse(schedule), horizon, lrs, own))


def advanced(state, updates):
    state.advance_to(state.update + updates)
    return state


def resumed(old, new, on_resume="strict"):
    saved = old if isinstance(old, dict) else old.to_data()
    return resume_state(new, saved, on_resume).state


def rest(state, updates, group=0):
    lrs = []
    for _ in range(updates):
        lrs.append(state.lrs()[group])
        state.advance_to(state.update + 1)
    return lrs


def test_same_settings_continue_to_the_bit():
    old = advanced(make("warmup(3) >> cosine()", 11, (3e-4,)), 5)
    new = resumed(old, make("warmup(3) >> cosine()", 11, (3e-4,)))
    assert rest(new, 6) == rest(make("warmup(3) >> cosine()", 11, (3e-4,)), 11)[5:]
    assert new.events == []


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
    new = resumed(advanced(make(updates=8), 4), make(updates=12), on_resume)
    assert rest(new, 8) == pytest.approx(expected, abs=1e-15)
    (event,) = new.events
    assert (event["kind"], event["t"], event["how"], event["lr_before"]) == ("resume", 4, on_resume, [0.5])
    assert event["lr_after"] == pytest.approx(expected[:1])


def test_outcome_is_a_value():
    old, fresh = advanced(make(updates=8), 4), make(updates=12)
    outcome = resume_state(fresh, old.to_data(), "keep")
    assert (outcome.how, outcome.before) == ("keep", old.trajectory) and fresh.update == 0
    assert outcome.state.settings == fresh.settings and outcome.state.trajectory == old.trajectory
    assert resume_state(make(updates=8), old.to_data(), "strict").how == "same"


def test_strict_refuses_with_both_lrs_and_the_choices():
    with pytest.raises(ScheduleError) as error:
        resumed(advanced(make(updates=8), 4), make(updates=12))
    message = str(error.value)
    assert "num_updates was 8 and is 12" in message and "0.5 by the checkpoint" in message and "0.6667 by" in message
    assert all(f"'{choice}'" in message for choice in ("keep", "stretch", "switch", "rewarm"))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"schedule": "cosine()"}, "schedule was 'linear()' and is 'cosine()'"),
        ({"lrs": (0.5,)}, "peaks was [1.0] and is [0.5]"),
        ({"updates_per_epoch": 4}, "updates_per_epoch was None and is 4"),
        ({"lrs": (1.0, 0.1)}, "1 parameter groups, this one 2"),
    ],
)
def test_strict_names_the_difference(other, said):
    with pytest.raises(ScheduleError) as error:
        resumed(advanced(make(), 4), make(**other))
    assert said in str(error.value)


def test_batch_size_matters_if_the_schedule_uses_it():
    def over(samples, schedule):
        return make(schedule, Horizon(8, samples_per_update=samples))

    assert rest(resumed(advanced(over(16, "linear()"), 4), over(32, "linear()")), 4) == [0.5, 0.375, 0.25, 0.125]
    with pytest.raises(ScheduleError, match="samples_per_update was 16 and is 32"):
        resumed(advanced(over(16, "step(every=32sa)"), 1), over(32, "step(every=32sa)"))


def test_another_number_of_groups_is_refused_for_every_choice():
    with pytest.raises(ScheduleError, match="1 parameter groups, this one 2"):
        resumed(advanced(make(), 4), make(lrs=(1.0, 0.1)), "switch")


def test_second_resume_continues_what_the_first_made():
    first = resumed(advanced(make(updates=8), 4), make(updates=12), "stretch")
    second = resumed(advanced(first, 2), make(updates=12))  # strict: the same settings as the run before
    assert rest(second, 6) == pytest.approx([0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625], abs=1e-15)


def test_stretched_twice():
    first = resumed(advanced(make(updates=8), 4), make(updates=12), "stretch")
    # At t = 8 it is at 0.25, and the rest of 4 updates takes 8.
    second = resumed(advanced(first, 4), make(updates=16), "stretch")
    assert rest(second, 8) == pytest.approx([0.25 - t / 32 for t in range(8)], abs=1e-15)


def test_back_to_earlier_settings_is_a_change_too():
    kept = resumed(advanced(make(updates=8), 4), make(updates=12), "keep")
    with pytest.raises(ScheduleError, match="num_updates was 12 and is 8"):
        resumed(kept, make(updates=8))


def test_rewarm_of_several_groups_with_new_peaks():
    old = advanced(make(lrs=(1.0, 0.1)), 4)
    # From 0.5 and 0.05 to the new lines at t = 6: a quarter of 2 and of 0.4.
    assert rest(resumed(old, make(lrs=(2.0, 0.4)), "rewarm(2)"), 3, group=0) == pytest.approx([0.5, 0.5, 0.5])
    assert rest(resumed(old, make(lrs=(2.0, 0.4)), "rewarm(2)"), 3, group=1) == pytest.approx([0.05, 0.075, 0.1])


def stock_state(updates=8, steps=4):
    """The state of torch's LambdaLR for a straight line."""
    return {"last_epoch": steps, "_last_lr": [1 - steps / updates]}


def test_stock_checkpoint_with_the_same_lr_is_taken_over():
    new = resumed(stock_state(), make(updates=8))
    assert rest(new, 4) == [0.5, 0.375, 0.25, 0.125] and new.events == []


def test_stock_checkpoint_with_another_lr_needs_a_choice():
    with pytest.raises(ScheduleError, match="another scheduler's") as error:
        resumed(stock_state(), make(updates=12))
    assert "'switch'" in str(error.value) and "'keep'" not in str(error.value)
    new = resumed(stock_state(), make(updates=12), "rewarm(4)")
    assert rest(new, 5) == pytest.approx([0.5, 0.5 - 1 / 24, 0.5 - 2 / 24, 0.5 - 3 / 24, 4 / 12])


def test_stock_checkpoint_is_taken_over_at_the_update_of_the_run():
    """ReduceLROnPlateau counts evaluations: its position is not that of the run."""
    new = resumed(stock_state(steps=1), advanced(make(updates=8), 4), "switch")
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
        resumed(change(advanced(make(), 4).to_data()), make())


@pytest.mark.parametrize("choice", ["", "swich", "keep(3)", "rewarm(0)", "rewarm(3", None, 3])
def test_invalid_on_resume(choice):
    with pytest.raises(ScheduleError):
        check_on_resume(choice)


def test_nearest_choice_is_offered():
    with pytest.raises(ScheduleError, match="Did you mean 'switch'"):
        check_on_resume("swich")


def test_nothing_left_to_stretch_or_to_rewarm():
    old = advanced(make(updates=8), 8)
    with pytest.raises(ScheduleError, match="nothing is left"):
        resumed(old, make(updates=12), "stretch")
    with pytest.raises(ScheduleError, match=r"rewarm\(5\)"):
        resumed(old, make(updates=12), "rewarm(5)")


def test_refusal_with_many_groups_is_short():
    old = advanced(make(lrs=[1.0] + [0.9**k for k in range(27)]), 4)
    with pytest.raises(ScheduleError) as caught:
        resumed(old, make(lrs=[1.0] + [0.5**k for k in range(27)]))
    assert str(caught.value).partition(" Resume with")[0] == (
        "cannot resume at update 4: peaks differ in 26 of 28 groups: that of group 2 was 0.9 and is 0.5. The next update's LR "
        "is 0.5, 0.45, 0.405, … 0.03231 by the checkpoint and 0.5, 0.25, 0.125, … 7.451e-09 by the new settings."
    )


def test_own_schedule_of_a_group_is_named():
    other = make(lrs=(1.0, 0.1), own=(None, parse("freeze()")))
    with pytest.raises(ScheduleError, match=r"own schedule was \[None, None\] and is \[None, 'freeze\(\)'\]"):
        resumed(advanced(make(lrs=(1.0, 0.1)), 4), other)


def test_explanation_has_both_lrs():
    assert explain_resume(resumed(advanced(make(updates=8), 4), make(updates=12), "switch")) == (
        "resumed after update 4 with on_resume='switch': the next LR is 0.6667 instead of 0.5"
    )


def test_plateau_continues_with_what_it_observed():
    old = advanced(make("linear() * plateau(factor=0.5, patience=1)", 8), 2)
    for loss in (0.5, 0.6):
        old.observe({"eval_loss": loss})
    new = resumed(old, make("linear() * plateau(factor=0.5, patience=1)", 8))
    (event,) = new.observe({"eval_loss": 0.7})
    assert (event["scale_before"], event["scale_after"]) == (1.0, 0.5) and new.lrs() == [0.375]


def test_owners_and_seconds_survive():
    old = make()
    old.owners["guard"], old.seconds = {"actions": 2.0}, 3.5
    new = read_state(old.to_data())
    assert (new.owners, new.seconds) == ({"guard": {"actions": 2.0}}, 3.5)


def test_without_torch_and_transformers():
    """The whole of a resume, in a process that cannot import either."""
    code = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from hf_lrsched import Horizon
from hf_lrsched.trajectory.resume_state import resume_state
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.state import RunState
old, new = (RunState.start(RunSettings("hold() * plateau(factor=0.5, patience=0)", Horizon(n), (1.0,))) for n in (8, 12))
old.advance_to(4)
for loss in (1.0, 2.0):
    old.observe({"eval_loss": loss})
print(resume_state(new, old.to_data(), "switch").state.lrs())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[0.5]\n", 0), done.stderr
