"""A group with a schedule of its own; where its factor is 0 the group stays as it is, moments included."""

import copy

import pytest
import torch
from transformers import Trainer, TrainerCallback

from hf_lrsched import ScheduledTrainer, ScheduleLR, get_scheduler

PEAK = 1e-2


def optimizer_of(*schedules, cls=torch.optim.AdamW, **kwargs):
    """A group of one weight for each schedule; None follows the main one."""
    groups = []
    for schedule in schedules:
        group = {"params": [torch.nn.Parameter(torch.ones(2))]}
        groups.append(group if schedule is None else {**group, "schedule": schedule})
    return cls(groups, lr=PEAK, **kwargs)


def backward(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.5)


def trace(scheduler, updates):
    optimizer, used = scheduler.optimizer, []
    for _ in range(updates):
        used.append([group["lr"] / PEAK for group in optimizer.param_groups])
        backward(optimizer)
        optimizer.step()
        scheduler.step()
    return used


def test_each_group_follows_its_own_schedule():
    optimizer = optimizer_of(None, "warmup(2) >> hold()", "linear() * freeze(2)", None)
    scheduler = ScheduleLR(optimizer, "linear()", 4)
    assert trace(scheduler, 4) == [[1, 0, 0, 1], [0.75, 0.5, 0, 0.75], [0.5, 1, 0.5, 0.5], [0.25, 1, 0.25, 0.25]]
    assert [curve.schedule == scheduler.schedule for curve in scheduler.curves] == [True, False, False, True]


@pytest.mark.parametrize("cls", [torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop])
def test_a_frozen_group_stays_as_it_is(cls):
    kwargs = {"momentum": 0.9} if cls is torch.optim.SGD else {}
    optimizer = optimizer_of("freeze(3) >> linear()", None, cls=cls, weight_decay=0.1, **kwargs)
    frozen, free = (group["params"][0] for group in optimizer.param_groups)
    scheduler = ScheduleLR(optimizer, "linear()", 6)
    before = copy.deepcopy(optimizer.state.get(frozen, {}))  # Adagrad has a state from the start
    trace(scheduler, 3)
    assert torch.equal(frozen, torch.ones(2))  # nor decayed
    assert str(optimizer.state.get(frozen, {})) == str(before)  # its moments have not moved
    assert not torch.equal(free, torch.ones(2))
    trace(scheduler, 1)
    assert not torch.equal(frozen, torch.ones(2))
    if cls is torch.optim.AdamW:
        assert optimizer.state[frozen]["step"] == 1  # its bias correction begins where its training does


def test_thawed_it_is_as_if_training_began_then():
    late = optimizer_of("freeze(3) >> linear()")
    trace(ScheduleLR(late, "linear()", 7), 7)
    fresh = optimizer_of(None)
    trace(ScheduleLR(fresh, "linear()", 4), 4)
    assert torch.equal(late.param_groups[0]["params"][0], fresh.param_groups[0]["params"][0])


def test_lr_0_of_the_main_schedule_is_no_freezing():
    """The first update of a warmup moves the moments, as it does with transformers' own schedules."""
    optimizer = optimizer_of(None)
    trace(ScheduleLR(optimizer, "warmup(2) >> hold()", 4), 1)
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["step"] == 1


def test_a_scheduler_that_is_replaced_freezes_no_more():
    optimizer = optimizer_of("freeze()")
    trace(ScheduleLR(optimizer, "linear()", 4), 4)
    for group in optimizer.param_groups:
        del group["schedule"]
    trace(ScheduleLR(optimizer, "hold()", 4), 1)
    assert not torch.equal(optimizer.param_groups[0]["params"][0], torch.ones(2))


def test_resumed(tmp_path):
    def made(steps, **kwargs):
        optimizer = optimizer_of("linear() * freeze(3)", None)
        scheduler = ScheduleLR(optimizer, "cosine()", 6, **kwargs)
        return optimizer, scheduler, trace(scheduler, steps)

    whole = made(6)
    half = made(2)
    torch.save({"optimizer": half[0].state_dict(), "scheduler": half[1].state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    optimizer, scheduler, _ = made(0)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    assert trace(scheduler, 4) == whole[2][2:]


def test_a_group_that_follows_another_schedule_now(tmp_path):
    optimizer = optimizer_of("linear() * freeze(3)", None)
    scheduler = ScheduleLR(optimizer, "linear()", 6)
    trace(scheduler, 2)
    other = optimizer_of("hold()", None)
    resumed = ScheduleLR(other, "linear()", 6, on_resume="switch")
    other.load_state_dict(optimizer.state_dict())  # which brings the old group's schedule
    resumed.load_state_dict(scheduler.state_dict())
    assert other.param_groups[0]["schedule"] == "hold()"
    assert "schedule" not in other.param_groups[1]
    assert trace(resumed, 1) == [[1, pytest.approx(4 / 6)]]
    with pytest.raises(
        ValueError, match=r"own schedule was \['linear\(\) \* freeze\(3\)', None\] and is \['hold\(\)', None\]"
    ):
        ScheduleLR(optimizer_of("hold()", None), "linear()", 6).load_state_dict(scheduler.state_dict())


def test_a_plateau_of_one_group_alone():
    optimizer = optimizer_of("hold() * plateau(factor=0.5, patience=0)", None)
    scheduler = ScheduleLR(optimizer, "hold()", 6)
    scheduler.declare_driven("plateau")
    trace(scheduler, 1)
    for loss in (0.5, 0.6):
        scheduler.observe({"eval_loss": loss})
    assert scheduler.get_last_lr() == [PEAK * 0.5, PEAK]


# ---- in Trainer


def groups(model, schedule):
    return [
        {"params": list(model.encoder.parameters()), "schedule": schedule, "name": "encoder"},
        {"params": list(model.head.parameters()), "name": "head"},
    ]


@pytest.mark.parametrize("stock", [False, True])
def test_in_trainer(make_trainer, net, stock):
    model = net()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(groups(model, "linear() * freeze(4)"), lr=PEAK, weight_decay=0.1)
    if stock:
        pair, cls, schedule = (optimizer, get_scheduler("linear()", optimizer, num_training_steps=6)), Trainer, None
    else:
        pair, cls, schedule = (optimizer, None), ScheduledTrainer, "linear()"
    snapshots = []

    class Snapshot(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            snapshots.append(copy.deepcopy(model.state_dict()))

    make_trainer(schedule, cls=cls, model=model, optimizers=pair, callbacks=[Snapshot()]).train()
    for update, state in enumerate(snapshots, 1):
        same = torch.equal(state["encoder.weight"], before["encoder.weight"])
        assert same == (update <= 4)
        assert not torch.equal(state["head.weight"], before["head.weight"])


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_norm_that_is_clipped_is_that_of_what_trains(make_trainer, net, accumulation):
    def norms(schedule):
        model = net(dropout=0.0)
        optimizer = torch.optim.SGD(groups(model, schedule), lr=PEAK)
        trainer = make_trainer(
            "hold()",
            model=model,
            optimizers=(optimizer, None),
            logging_steps=1,
            gradient_accumulation_steps=accumulation,
            seed=1,
        )
        trainer.train()
        return [record["grad_norm"] for record in trainer.state.log_history if "grad_norm" in record], model

    def head_alone():
        model = net(dropout=0.0)
        model.encoder.requires_grad_(False)
        trainer = make_trainer(
            "hold()",
            model=model,
            optimizers=(torch.optim.SGD(model.head.parameters(), lr=PEAK), None),
            logging_steps=1,
            gradient_accumulation_steps=accumulation,
            seed=1,
        )
        trainer.train()
        return [record["grad_norm"] for record in trainer.state.log_history if "grad_norm" in record], model

    (found, model), (expected, oracle) = norms("freeze()"), head_alone()
    assert found == pytest.approx(expected, rel=1e-6)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, oracle.state_dict()[name])
    assert norms("hold()")[0] != pytest.approx(expected, rel=1e-6)
