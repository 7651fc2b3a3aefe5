"""ScheduleLR and get_scheduler: the LR of every update, in every group, and across a checkpoint."""

import copy
import io
import json
import math
import pickle
import warnings

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from hf_lrsched import Horizon, ScheduleError, ScheduleLR, cosine, get_scheduler, linear, warmup

PEAK = 1e-3


def optimizer_of(*lrs, cls=torch.optim.SGD, **group):
    return cls([{"params": [torch.nn.Parameter(torch.ones(2))], "lr": lr, **group} for lr in lrs], lr=1.0)


def advance(scheduler, updates):
    """Steps and returns the LRs used: [update][group], read from the optimizer."""
    used = []
    for _ in range(updates):
        used.append([float(group["lr"]) for group in scheduler.optimizer.param_groups])
        scheduler.optimizer.step()
        scheduler.step()
    return used


def trace(scheduler, updates):
    """The LRs used of the first group."""
    return [lrs[0] for lrs in advance(scheduler, updates)]


def near(expected, peak=PEAK):
    return pytest.approx(expected, rel=0, abs=1e-12 * peak)


@st.composite
def runs(draw):
    """(updates, warmup, peak), the warmup at least 1 and shorter than the run."""
    updates = draw(st.integers(2, 200))
    return updates, draw(st.integers(1, updates - 1)), 10.0 ** draw(st.floats(-7, 1))


# The values of every update


@pytest.mark.parametrize(
    ("schedule", "updates", "per_epoch", "factors"),
    [
        ("warmup(2) >> linear()", 6, None, [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0, 0]),
        ("linear()", 4, None, [1, 0.75, 0.5, 0.25, 0, 0]),
        ("cosine()", 4, None, [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5, 0, 0, 0]),
        ("cosine(to=0.2)", 4, None, [1, 0.6 + 0.08**0.5, 0.6, 0.6 - 0.08**0.5, 0.2, 0.2, 0.2]),
        ("warmup(1ep) >> step(every=1ep, factor=0.5)", 6, 2, [0, 0.5, 1, 1, 0.5, 0.5]),
        ("warmup(25%) >> hold(25%) >> linear(to=0.5)", 8, None, [0, 0.5, 1, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.5]),
    ],
)
def test_full_list(schedule, updates, per_epoch, factors):
    scheduler = get_scheduler(schedule, optimizer_of(PEAK), num_training_steps=updates, updates_per_epoch=per_epoch)
    assert trace(scheduler, len(factors)) == near([PEAK * factor for factor in factors])


@pytest.mark.parametrize(
    ("name", "make_theirs", "further"),
    [
        ("linear", get_linear_schedule_with_warmup, 3),
        ("cosine", get_cosine_schedule_with_warmup, 1),  # which rises again after its end
    ],
)
@settings(max_examples=40, deadline=None)
@given(run=runs())
def test_decay_is_that_of_transformers(name, make_theirs, further, run):
    updates, warm, peak = run
    mine = get_scheduler(f"warmup({warm}) >> {name}()", optimizer_of(peak), num_training_steps=updates)
    theirs = make_theirs(optimizer_of(peak), warm, updates)
    assert trace(mine, updates + further) == near(trace(theirs, updates + further), peak)


@settings(max_examples=40, deadline=None)
@given(runs(), st.integers(1, 60), st.floats(0.05, 1))
def test_step_is_that_of_torch(run, every, factor):
    updates, _, peak = run
    mine = trace(
        get_scheduler(f"step(every={every}, factor={factor!r})", optimizer_of(peak), num_training_steps=updates),
        updates,
    )
    theirs = trace(StepLR(optimizer_of(peak), every, gamma=factor), updates)
    assert mine == near(theirs, peak)


@settings(max_examples=40, deadline=None)
@given(runs(), st.integers(1, 60), st.floats(0.05, 1))
def test_step_after_a_warmup(run, every, factor):
    updates, warm, peak = run
    spec = f"warmup({warm}) >> step(every={every}, factor={factor!r})"
    expected = [peak * (t / warm if t < warm else factor ** ((t - warm) // every)) for t in range(updates)]
    assert trace(get_scheduler(spec, optimizer_of(peak), num_training_steps=updates), updates) == near(expected, peak)


def test_thousands_of_updates():
    mine = trace(get_scheduler("warmup(700) >> cosine()", optimizer_of(PEAK), num_training_steps=5000), 5001)
    theirs = trace(get_cosine_schedule_with_warmup(optimizer_of(PEAK), 700, 5000), 5001)
    assert mine == near(theirs)


@pytest.mark.parametrize("schedule", ["warmup(3) >> linear()", "warmup(3) >> cosine(to=0.1)"])
def test_past_the_end_it_stays(schedule):
    last = {"warmup(3) >> linear()": 0.0, "warmup(3) >> cosine(to=0.1)": 0.1 * PEAK}[schedule]
    scheduler = get_scheduler(schedule, optimizer_of(PEAK), num_training_steps=10)
    assert trace(scheduler, 3000)[10:] == near([last] * 2990)


def test_text_object_and_class_are_the_same():
    made = warmup("10%") >> cosine(to=0.1)
    schedulers = [
        get_scheduler("warmup(10%) >> cosine(to=0.1)", optimizer_of(PEAK), num_training_steps=50),
        get_scheduler(made, optimizer_of(PEAK), num_training_steps=50),
        ScheduleLR(optimizer_of(PEAK), made, 50),
        ScheduleLR(optimizer_of(PEAK), made, Horizon(50)),
    ]
    traces = [trace(scheduler, 50) for scheduler in schedulers]
    assert traces[1:] == traces[:1] * 3
    assert all(isinstance(scheduler, LRScheduler) for scheduler in schedulers)


@pytest.mark.parametrize("updates", [0, -1, 2.5, None])
def test_a_run_must_have_updates(updates):
    with pytest.raises(ScheduleError, match="num_"):
        get_scheduler("linear()", optimizer_of(PEAK), num_training_steps=updates)


def test_what_is_not_a_schedule_is_refused():
    with pytest.raises(ScheduleError, match="LambdaLR"):
        get_scheduler(LambdaLR(optimizer_of(PEAK), lambda t: 1.0), optimizer_of(PEAK), num_training_steps=10)


# Groups and their peaks


def test_each_group_has_its_own_peak():
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer_of(1e-3, 2e-5, 0.0), num_training_steps=4)
    used = advance(scheduler, 4)
    assert used == [pytest.approx([f * 1e-3, f * 2e-5, 0.0], rel=1e-12) for f in (0, 0.5, 1, 0.5)]
    assert scheduler.get_last_lr() == [0.0, 0.0, 0.0]


def test_get_last_lr_is_what_the_optimizer_holds():
    scheduler = get_scheduler("linear()", optimizer_of(1e-3, 2e-5), num_training_steps=4)
    seen = []
    for _ in range(4):
        seen.append(scheduler.get_last_lr())
        assert seen[-1] == [group["lr"] for group in scheduler.optimizer.param_groups]
        scheduler.optimizer.step()
        scheduler.step()
    assert seen[1] == pytest.approx([7.5e-4, 1.5e-5], rel=1e-12)


def test_what_get_last_lr_returned_stays_as_it_was():
    scheduler = get_scheduler("linear()", optimizer_of(1e-3), num_training_steps=4)
    advance(scheduler, 2)
    before = scheduler.get_last_lr()
    advance(scheduler, 1)
    assert before == pytest.approx([5e-4])


def test_a_second_scheduler_on_a_used_optimizer_starts_at_the_peak():
    optimizer = optimizer_of(1e-3, 2e-5)
    first = advance(get_scheduler("linear()", optimizer, num_training_steps=4), 4)
    assert advance(get_scheduler("linear()", optimizer, num_training_steps=4), 4) == first
    assert first[0] == [1e-3, 2e-5]


def test_initial_lr_is_the_peak():
    scheduler = get_scheduler("linear()", optimizer_of(7e-9, initial_lr=1e-3), num_training_steps=2)
    assert trace(scheduler, 2) == [1e-3, 5e-4]


def test_an_lr_written_by_someone_else_lasts_one_update():
    scheduler = get_scheduler("linear()", optimizer_of(1e-3), num_training_steps=4)
    advance(scheduler, 1)
    scheduler.optimizer.param_groups[0]["lr"] = 123.0
    assert trace(scheduler, 3) == pytest.approx([123.0, 5e-4, 2.5e-4], rel=1e-12)


# Tensor LRs


@pytest.mark.parametrize(("dtype", "ulp"), [(torch.float32, 1e-7), (torch.float64, 1e-12)])
def test_tensor_lrs_are_written_in_place(dtype, ulp):
    optimizer = optimizer_of(torch.tensor(1e-3, dtype=dtype), torch.tensor(2e-5, dtype=dtype), cls=torch.optim.AdamW)
    tensors = [group["lr"] for group in optimizer.param_groups]
    places = [lr.data_ptr() for lr in tensors]
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer, num_training_steps=6)
    for factor in [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0]:
        assert all(group["lr"] is lr for group, lr in zip(optimizer.param_groups, tensors, strict=True))
        assert [group["lr"].data_ptr() for group in optimizer.param_groups] == places
        assert [lr.item() for lr in tensors] == pytest.approx([factor * 1e-3, factor * 2e-5], rel=ulp)
        assert [type(lr) for lr in scheduler.get_last_lr()] == [float, float]
        assert scheduler.get_last_lr() == pytest.approx([factor * 1e-3, factor * 2e-5], rel=ulp)
        optimizer.step()
        scheduler.step()


def test_a_second_scheduler_on_tensor_lrs_starts_at_the_peak():
    optimizer = optimizer_of(torch.tensor(1e-3))
    advance(get_scheduler("linear()", optimizer, num_training_steps=4), 4)
    assert trace(get_scheduler("linear()", optimizer, num_training_steps=4), 4) == pytest.approx(
        [1e-3, 7.5e-4, 5e-4, 2.5e-4], rel=1e-7
    )


def test_loading_writes_a_tensor_lr_in_place():
    source = get_scheduler("linear()", optimizer_of(torch.tensor(1e-3)), num_training_steps=4)
    advance(source, 3)
    target = get_scheduler("linear()", optimizer_of(torch.tensor(1e-3)), num_training_steps=4)
    lr = target.optimizer.param_groups[0]["lr"]
    target.load_state_dict(source.state_dict())
    assert target.optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(2.5e-4, rel=1e-7)


# State


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("stop", [0, 1, 2, 7, 1023, 1024, 1025, 2499, 2500, 2600])
@pytest.mark.parametrize("ahead", [0, 1500])
def test_a_resumed_scheduler_continues_to_the_bit(stop, ahead):
    def fresh():
        return get_scheduler("warmup(5) >> cosine(to=0.01)", optimizer_of(3e-4, 7e-5), num_training_steps=2500)

    uninterrupted = advance(fresh(), 2620)
    stopped = fresh()
    advance(stopped, stop)
    resumed = fresh()
    advance(resumed, ahead)  # where it stood before must not matter
    resumed.load_state_dict(through_a_file(stopped.state_dict()))
    assert resumed.get_last_lr() == stopped.get_last_lr()
    assert advance(resumed, 2620 - stop) == uninterrupted[stop:]


def test_a_state_of_epochs_comes_back():
    source = get_scheduler("warmup(1ep) >> linear()", optimizer_of(PEAK), num_training_steps=12, updates_per_epoch=4)
    advance(source, 6)
    target = get_scheduler("warmup(1ep) >> linear()", optimizer_of(PEAK), num_training_steps=Horizon(12, 4))
    target.load_state_dict(through_a_file(source.state_dict()))
    assert trace(target, 2) == near([PEAK * 6 / 8, PEAK * 5 / 8])


def test_the_state_is_plain_data_with_a_version():
    scheduler = get_scheduler(warmup("10%") >> linear(), optimizer_of(torch.tensor(0.5), 0.25), num_training_steps=50)
    advance(scheduler, 3)
    state = scheduler.state_dict()
    assert json.loads(json.dumps(state)) == state
    assert isinstance(state["version"], int)
    assert state["update"] == 3
    assert "warmup(10%) >> linear()" in json.dumps(state)


def test_a_state_does_not_change_when_training_goes_on():
    scheduler = get_scheduler("linear()", optimizer_of(PEAK), num_training_steps=50)
    advance(scheduler, 3)
    state = scheduler.state_dict()
    before = copy.deepcopy(state)
    advance(scheduler, 3)
    assert state == before


def lambda_state():
    scheduler = LambdaLR(optimizer_of(PEAK), lambda t: 1.0)
    advance(scheduler, 5)
    return scheduler.state_dict()


def other(schedule="warmup(2) >> linear()", updates=10, lrs=(PEAK,), per_epoch=None):
    scheduler = get_scheduler(schedule, optimizer_of(*lrs), num_training_steps=updates, updates_per_epoch=per_epoch)
    advance(scheduler, 5)
    return scheduler.state_dict()


@pytest.mark.parametrize(
    ("state", "named"),
    [
        pytest.param(lambda: other("warmup(2) >> cosine()"), ["schedule", "cosine()", "linear()"], id="schedule"),
        pytest.param(lambda: other("warmup(3) >> linear()"), ["schedule", "warmup(3)"], id="warmup"),
        pytest.param(lambda: other(updates=20), ["updates", "20", "10"], id="horizon"),
        pytest.param(lambda: other(per_epoch=5), ["epoch", "5"], id="updates per epoch"),
        pytest.param(lambda: other(lrs=(2e-3,)), ["peak", "0.002", "0.001"], id="peak"),
        pytest.param(lambda: other(lrs=(PEAK, PEAK)), ["groups", "2", "1"], id="groups"),
        pytest.param(lambda_state, ["another scheduler", "0.001", "0.00075"], id="LambdaLR"),
        pytest.param(dict, ["scheduler"], id="empty"),
        pytest.param(lambda: other() | {"version": 10**6}, ["version", "1000000"], id="version"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(state, named):
    state = state()
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer_of(PEAK), num_training_steps=10)
    advance(scheduler, 4)
    before = scheduler.state_dict()
    with pytest.raises(ScheduleError) as refusal:
        scheduler.load_state_dict(state)
    assert [word for word in named if word not in str(refusal.value)] == []
    assert scheduler.state_dict() == before
    assert trace(scheduler, 6) == near([PEAK * k / 8 for k in (6, 5, 4, 3, 2, 1)])


# Copies


def test_a_deep_copy_goes_on_by_itself():
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer_of(PEAK), num_training_steps=10)
    advance(scheduler, 4)
    copied = copy.deepcopy(scheduler)
    assert trace(copied, 6) == near([PEAK * k / 8 for k in (6, 5, 4, 3, 2, 1)])
    assert scheduler.get_last_lr() == near([PEAK * 6 / 8])
    assert trace(scheduler, 1) == near([PEAK * 6 / 8])


def test_pickled_as_torchs_own_schedulers():
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer_of(PEAK), num_training_steps=10)
    advance(scheduler, 4)
    copied = pickle.loads(pickle.dumps(scheduler))
    assert trace(copied, 6) == near([PEAK * k / 8 for k in (6, 5, 4, 3, 2, 1)])


# The order of calls, and accelerate


def test_a_loop_with_a_grad_scaler():
    """As in torch's own examples, the scheduler steps where the scaler skipped the optimizer's step, too."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=PEAK)
    scheduler = get_scheduler("linear()", optimizer, num_training_steps=5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for gradient in (1.0, 1.0, math.inf, 1.0, 1.0):
        weight.grad = torch.tensor([gradient])
        scaler.scale(torch.zeros(1))
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    assert scheduler.get_last_lr()[0] <= 0.2 * PEAK


def test_torch_still_warns_of_the_wrong_order():
    scheduler = get_scheduler("linear()", optimizer_of(PEAK), num_training_steps=10)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()


def test_no_warning_in_the_right_order():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trace(get_scheduler("linear()", optimizer_of(PEAK), num_training_steps=4), 4)[1] == 0.75 * PEAK


@pytest.fixture
def accelerator():
    def make(**kwargs):
        return Accelerator(cpu=True, **kwargs)

    yield make
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_on_an_optimizer_of_accelerate(accelerator):
    inner = optimizer_of(1e-3, 2e-5)
    optimizer = accelerator().prepare(inner)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        used = advance(get_scheduler("warmup(2) >> linear()", optimizer, num_training_steps=4), 3)
    assert used == [pytest.approx([f * 1e-3, f * 2e-5], rel=1e-12) for f in (0, 0.5, 1)]
    assert [group["lr"] for group in inner.param_groups] == pytest.approx([5e-4, 1e-5], rel=1e-12)


def test_prepared_by_accelerate_with_accumulation(accelerator):
    accelerator = accelerator(gradient_accumulation_steps=2)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK)
    scheduler = get_scheduler("linear()", optimizer, num_training_steps=4)
    model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
    seen = []
    for _ in range(8):
        with accelerator.accumulate(model):
            accelerator.backward(model(torch.ones(1, 1)).sum())
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    assert seen == near([PEAK * factor for factor in (1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25)])


def test_the_factor_at_the_end_of_a_cosine_is_not_negative():
    used = trace(get_scheduler("cosine()", optimizer_of(PEAK), num_training_steps=997), 1100)
    assert min(used) >= 0 and not any(math.copysign(1, lr) < 0 for lr in used)


def make(schedule="linear()", updates=8, lrs=(1.0,), on_resume="strict"):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return ScheduleLR(torch.optim.SGD(groups, lr=1.0), schedule, updates, on_resume=on_resume)


def advanced(scheduler, steps):
    for _ in range(steps):
        scheduler.step()
    return scheduler


def checkpoint(tmp_path, scheduler):
    """The state as a checkpoint stores and reads it."""
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    return torch.load(tmp_path / "scheduler.pt", weights_only=True)


def test_switch_takes_the_new_peak_also_for_a_later_scheduler(tmp_path):
    state = checkpoint(tmp_path, advanced(make(lrs=(1.0,)), 4))
    resumed = make(lrs=(2.0,), on_resume="switch")
    resumed.optimizer.param_groups[0]["initial_lr"] = 1.0  # as the optimizer's state from the checkpoint leaves it
    resumed.load_state_dict(state)
    assert resumed.get_last_lr() == [1.0] and resumed.optimizer.param_groups[0]["initial_lr"] == 2.0


def test_the_state_is_small_and_does_not_grow(tmp_path):
    scheduler = make("warmup(10%) >> cosine()", 100_000, [1e-5 * (i + 1) for i in range(28)])
    torch.save(scheduler.state_dict(), tmp_path / "a.pt")
    advanced(scheduler, 5000)
    torch.save(scheduler.state_dict(), tmp_path / "b.pt")
    first, second = ((tmp_path / name).stat().st_size for name in ("a.pt", "b.pt"))
    assert second < 10_000 and abs(second - first) < 64


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


def test_base_lrs_cannot_be_changed_without_effect():
    scheduler = make(lrs=(1.0, 0.5))
    assert scheduler.base_lrs == (1.0, 0.5)
    with pytest.raises(ScheduleError, match=r"base_lrs cannot be set.*scheduler.rescale"):
        scheduler.base_lrs = [lr / 2 for lr in scheduler.base_lrs]
    with pytest.raises(TypeError):
        scheduler.base_lrs[0] = 0.5
