"""Resuming with other settings: full lists of LRs, worked out by hand from the straight line 1 - t / T."""

import pytest
import torch

from hf_lrsched import Horizon, ScheduleError, ScheduleLR
from hf_lrsched.trajectory.resume import check_on_resume


def make(schedule="linear()", updates=8, lrs=(1.0,), on_resume="strict", updates_per_epoch=None):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return ScheduleLR(torch.optim.SGD(groups, lr=1.0), schedule, updates, updates_per_epoch, on_resume)


def advanced(scheduler, steps):
    for _ in range(steps):
        scheduler.step()
    return scheduler


def checkpoint(tmp_path, scheduler):
    """The state as a checkpoint stores and reads it."""
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    return torch.load(tmp_path / "scheduler.pt", weights_only=True)


def rest(scheduler, steps, group=0):
    lrs = []
    for _ in range(steps):
        lrs.append(scheduler.get_last_lr()[group])
        scheduler.step()
    return lrs


def test_the_same_settings_go_on_to_the_bit(tmp_path):
    state = checkpoint(tmp_path, advanced(make("warmup(3) >> cosine()", 11, (3e-4,)), 5))
    resumed = make("warmup(3) >> cosine()", 11, (3e-4,))
    resumed.load_state_dict(state)
    whole = make("warmup(3) >> cosine()", 11, (3e-4,))
    assert rest(resumed, 6) == rest(whole, 11)[5:]
    assert resumed.events == []


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
def test_a_longer_run(tmp_path, on_resume, expected):
    state = checkpoint(tmp_path, advanced(make(updates=8), 4))
    resumed = make(updates=12, on_resume=on_resume)
    resumed.load_state_dict(state)
    assert rest(resumed, 8) == pytest.approx(expected, abs=1e-15)
    (event,) = resumed.events
    assert (event["kind"], event["t"], event["how"], event["lr_before"]) == ("resume", 4, on_resume, [0.5])
    assert event["lr_after"] == pytest.approx(expected[:1])


def test_strict_refuses_with_both_lrs_and_the_choices(tmp_path):
    state = checkpoint(tmp_path, advanced(make(updates=8), 4))
    resumed = make(updates=12)
    with pytest.raises(ScheduleError) as error:
        resumed.load_state_dict(state)
    message = str(error.value)
    assert "num_updates was 8 and is 12" in message and "0.5 by the checkpoint" in message and "0.6667 by" in message
    assert all(f"'{choice}'" in message for choice in ("keep", "stretch", "switch", "rewarm"))
    assert resumed.last_epoch == 0 and resumed.get_last_lr() == [1.0]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"schedule": "cosine()"}, "schedule was 'linear()' and is 'cosine()'"),
        ({"lrs": (0.5,)}, "peaks was [1.0] and is [0.5]"),
        ({"updates_per_epoch": 4}, "updates_per_epoch was None and is 4"),
    ],
)
def test_strict_names_what_differs(tmp_path, other, says):
    state = checkpoint(tmp_path, advanced(make(), 4))
    with pytest.raises(ScheduleError) as error:
        make(**other).load_state_dict(state)
    assert says in str(error.value)


def test_the_size_of_a_batch_matters_where_the_schedule_uses_it(tmp_path):
    def resolved_over(samples, schedule):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return ScheduleLR(optimizer, schedule, Horizon(8, samples_per_update=samples))

    state = checkpoint(tmp_path, advanced(resolved_over(16, "linear()"), 4))
    resumed = resolved_over(32, "linear()")
    resumed.load_state_dict(state)
    assert rest(resumed, 4) == [0.5, 0.375, 0.25, 0.125]
    state = checkpoint(tmp_path, advanced(resolved_over(16, "step(every=32sa)"), 1))
    with pytest.raises(ScheduleError, match="samples_per_update was 16 and is 32"):
        resolved_over(32, "step(every=32sa)").load_state_dict(state)


def test_another_number_of_groups_is_refused_whatever_the_choice(tmp_path):
    state = checkpoint(tmp_path, advanced(make(), 4))
    with pytest.raises(ScheduleError, match="1 parameter groups, this one 2"):
        make(lrs=(1.0, 0.1), on_resume="switch").load_state_dict(state)


def test_a_second_resume_goes_on_with_what_the_first_made(tmp_path):
    first = make(updates=12, on_resume="stretch")
    first.load_state_dict(checkpoint(tmp_path, advanced(make(updates=8), 4)))
    second = make(updates=12)  # strict: the settings are those of the run that wrote the checkpoint
    second.load_state_dict(checkpoint(tmp_path, advanced(first, 2)))
    assert rest(second, 6) == pytest.approx([0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625], abs=1e-15)


def test_stretched_twice(tmp_path):
    first = make(updates=12, on_resume="stretch")
    first.load_state_dict(checkpoint(tmp_path, advanced(make(updates=8), 4)))
    # At t = 8 it is at 0.25, and the rest of 4 updates takes 8.
    second = make(updates=16, on_resume="stretch")
    second.load_state_dict(checkpoint(tmp_path, advanced(first, 4)))
    assert rest(second, 8) == pytest.approx([0.25 - t / 32 for t in range(8)], abs=1e-15)


def test_back_to_the_settings_of_an_earlier_run_is_a_change_too(tmp_path):
    kept = make(updates=12, on_resume="keep")
    kept.load_state_dict(checkpoint(tmp_path, advanced(make(updates=8), 4)))
    with pytest.raises(ScheduleError, match="num_updates was 12 and is 8"):
        make(updates=8).load_state_dict(checkpoint(tmp_path, kept))


def test_several_groups_and_a_new_peak(tmp_path):
    state = checkpoint(tmp_path, advanced(make(lrs=(1.0, 0.1)), 4))
    resumed = make(lrs=(2.0, 0.4), on_resume="rewarm(2)")
    resumed.load_state_dict(state)
    # From 0.5 and 0.05 to the new lines at t = 6: a quarter of 2 and of 0.4.
    assert rest(resumed, 3, group=0)[:3] == pytest.approx([0.5, 0.5, 0.5])
    resumed = make(lrs=(2.0, 0.4), on_resume="rewarm(2)")
    resumed.load_state_dict(state)
    assert rest(resumed, 3, group=1) == pytest.approx([0.05, 0.075, 0.1])


def test_switch_takes_the_new_peak_also_for_a_later_scheduler(tmp_path):
    state = checkpoint(tmp_path, advanced(make(lrs=(1.0,)), 4))
    resumed = make(lrs=(2.0,), on_resume="switch")
    resumed.optimizer.param_groups[0]["initial_lr"] = 1.0  # as the optimizer's state from the checkpoint leaves it
    resumed.load_state_dict(state)
    assert resumed.get_last_lr() == [1.0] and resumed.optimizer.param_groups[0]["initial_lr"] == 2.0


def stock_state(updates=8, steps=4):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    stock = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / updates)
    for _ in range(steps):
        optimizer.step()
        stock.step()
    return stock.state_dict()


def test_a_stock_checkpoint_with_the_same_lr_is_taken_over():
    scheduler = make(updates=8)
    scheduler.load_state_dict(stock_state())
    assert rest(scheduler, 4) == [0.5, 0.375, 0.25, 0.125] and scheduler.events == []


def test_a_stock_checkpoint_with_another_lr_is_refused_unless_it_is_said_what_to_do():
    with pytest.raises(ScheduleError, match="another scheduler's") as error:
        make(updates=12).load_state_dict(stock_state())
    assert "'switch'" in str(error.value) and "'keep'" not in str(error.value)
    scheduler = make(updates=12, on_resume="rewarm(4)")
    scheduler.load_state_dict(stock_state())
    assert rest(scheduler, 5) == pytest.approx([0.5, 0.5 - 1 / 24, 0.5 - 2 / 24, 0.5 - 3 / 24, 4 / 12])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state | {"version": 99}, "this version of hf-lrsched reads version 3"),
        (lambda state: {"version": 3, "update": 4}, "corrupted"),
        (lambda state: state | {"settings": {"schedule": "nonsense"}}, "corrupted"),
        (lambda state: {}, "neither"),
    ],
)
def test_a_state_that_cant_be_read_is_told_and_changes_nothing(change, says):
    scheduler = make()
    with pytest.raises(ScheduleError, match=says):
        scheduler.load_state_dict(change(advanced(make(), 4).state_dict()))
    assert scheduler.last_epoch == 0 and scheduler.get_last_lr() == [1.0]


@pytest.mark.parametrize("choice", ["", "swich", "keep(3)", "rewarm(0)", "rewarm(3", None, 3])
def test_what_is_no_choice_is_refused_at_once(choice):
    with pytest.raises(ScheduleError):
        check_on_resume(choice)


def test_the_nearest_choice_is_offered():
    with pytest.raises(ScheduleError, match="Did you mean 'switch'"):
        make(on_resume="swich")


def test_nothing_left_to_stretch_or_to_rewarm(tmp_path):
    state = checkpoint(tmp_path, advanced(make(updates=8), 8))
    with pytest.raises(ScheduleError, match="nothing is left"):
        make(updates=12, on_resume="stretch").load_state_dict(state)
    with pytest.raises(ScheduleError, match=r"rewarm\(5\)"):
        make(updates=12, on_resume="rewarm(5)").load_state_dict(state)


def test_the_state_is_small_and_does_not_grow(tmp_path):
    scheduler = make("warmup(10%) >> cosine()", 100_000, [1e-5 * (i + 1) for i in range(28)])
    torch.save(scheduler.state_dict(), tmp_path / "a.pt")
    advanced(scheduler, 5000)
    torch.save(scheduler.state_dict(), tmp_path / "b.pt")
    first, second = ((tmp_path / name).stat().st_size for name in ("a.pt", "b.pt"))
    assert second < 10_000 and abs(second - first) < 64


def test_a_refusal_with_many_groups_is_short():
    state = advanced(make(lrs=[1.0] + [0.9**k for k in range(27)]), 4).state_dict()
    other = make(lrs=[1.0] + [0.5**k for k in range(27)])
    with pytest.raises(ScheduleError) as caught:
        other.load_state_dict(state)
    told = str(caught.value).partition(" Resume with")[0]
    assert told == (
        "cannot resume at update 4: peaks differ in 26 of 28 groups: that of group 2 was 0.9 and is 0.5. The next update's LR "
        "is 0.5, 0.45, 0.405, … 0.03231 by the checkpoint and 0.5, 0.25, 0.125, … 7.451e-09 by the new settings."
    )


def test_a_group_with_a_schedule_of_its_own_is_told():
    other = make(lrs=(1.0, 0.1))
    other.optimizer.param_groups[1]["schedule"] = "freeze()"
    other = ScheduleLR(other.optimizer, "linear()", 8)
    with pytest.raises(ScheduleError, match=r"own schedule was \[None, None\] and is \[None, 'freeze\(\)'\]"):
        other.load_state_dict(advanced(make(lrs=(1.0, 0.1)), 4).state_dict())


def test_the_line_says_both_lrs():
    resumed = make(updates=12, on_resume="switch")
    resumed.load_state_dict(advanced(make(updates=8), 4).state_dict())
    assert resumed.run_state.explain_resume() == (
        "resumed after update 4 with on_resume='switch': the next LR was to be 0.5 and is 0.6667"
    )


def test_a_scheduler_stepped_once_per_process_is_found():
    scheduler = make(updates=100)
    with pytest.raises(ScheduleError, match=r"2 times for each optimizer.step\(\).*prepare_schedule"):
        for _ in range(5):
            scheduler.optimizer.step()
            scheduler.step()
            scheduler.step()
    assert scheduler.last_epoch < 10


def test_steps_for_skipped_updates_are_no_mistake():
    scheduler = make(updates=100)
    for skipped in [False, True, False, False, True, True, False] * 5:
        if not skipped:
            scheduler.optimizer.step()
        scheduler.step()
    assert scheduler.last_epoch == 35


def test_advance_to_a_position():
    scheduler = make(updates=8)
    scheduler.advance_to(6)
    assert scheduler.get_last_lr() == [0.25] and scheduler.optimizer.param_groups[0]["lr"] == 0.25


def test_tensor_lrs_compile_once_over_50_updates():
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    parameter = torch.nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.AdamW([parameter], lr=torch.tensor(1e-3), foreach=False)
    scheduler = ScheduleLR(optimizer, "warmup(10) >> cosine()", 50)
    counter = CompileCounter()
    step = torch.compile(optimizer.step, backend=counter)
    seen = set()
    for _ in range(50):
        parameter.grad = torch.ones(4)
        seen.add(float(optimizer.param_groups[0]["lr"]))
        step()
        scheduler.step()
    assert counter.frame_count == 1 and len(seen) == 49  # the climb and the fall cross once
