"""get_scheduler(): transformers' factory by name, and this language's own sentences, with nothing swallowed."""

import pytest
import torch
import transformers
from transformers.trainer_utils import SchedulerType

from hf_lrsched import ScheduleError, cosine, get_scheduler, linear, warmup
from hf_lrsched.schedules import Horizon, from_transformers
from hf_lrsched.schedules.from_transformers import TRANSFORMERS_NAMES

METRIC_DRIVEN = ("reduce_lr_on_plateau", "greedy")
EXTRA = {
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
    "warmup_stable_decay": {"num_decay_steps": 5},
}


@pytest.fixture
def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)


def used(scheduler, updates):
    lrs = []
    for _ in range(updates):
        lrs.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return lrs


def test_every_name_of_transformers_has_a_sentence():
    names = {kind.value for kind in SchedulerType} - set(METRIC_DRIVEN)
    assert names == set(TRANSFORMERS_NAMES)


@pytest.mark.parametrize(
    ("name", "kwargs", "sentence"),
    [
        ("linear", {}, "warmup(10) >> linear()"),
        ("cosine", {}, "warmup(10) >> cosine()"),
        ("cosine", {"num_cycles": 2}, "warmup(10) >> cosine(cycles=2)"),
        ("cosine_with_restarts", {"num_cycles": 3}, "warmup(10) >> repeat(cosine(), cycles=3)"),
        ("polynomial", {"power": 2.0, "lr_end": 1e-6}, "warmup(10) >> polynomial(power=2, to_lr=1e-06)"),
        ("constant", {}, "hold()"),
        ("constant_with_warmup", {}, "warmup(10) >> hold()"),
        ("inverse_sqrt", {"timescale": 50}, "warmup(10) >> inverse_sqrt(timescale=50)"),
        ("cosine_with_min_lr", {"min_lr": 1e-5}, "warmup(10) >> cosine(to_lr=1e-05)"),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}, "warmup(10) >> cosine(to=0.1)"),
        ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}, "warmup(9, start=0.1) >> cosine(to=0.1, over=90)"),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 20, "decay_type": "1-sqrt"},
            "warmup(10, start=0) >> hold(70) >> one_minus_sqrt(over=20)",
        ),
    ],
)
def test_names_are_sentences(optimizer, name, kwargs, sentence):
    scheduler = get_scheduler(
        name, optimizer, num_training_steps=100, num_warmup_steps=10, scheduler_specific_kwargs=kwargs
    )
    assert str(scheduler.schedule) == sentence
    assert str(from_transformers(name, 10, 100, **kwargs)) == sentence


@pytest.mark.parametrize("kind", [kind for kind in SchedulerType if kind.value not in METRIC_DRIVEN])
def test_the_enum_is_the_name(optimizer, kind):
    extra = EXTRA.get(kind.value, {})
    by_enum = get_scheduler(kind, optimizer, 5, 20, extra)
    by_name = get_scheduler(kind.value, optimizer, 5, 20, extra)
    by_name_with_blanks = get_scheduler(f" {kind.value}\n", optimizer, 5, 20, extra)
    assert by_enum.schedule == by_name.schedule == by_name_with_blanks.schedule
    assert by_enum.schedule == from_transformers(kind.value, 5, 20, **extra)


def test_arguments_by_position_and_by_name(optimizer):
    assert used(get_scheduler("linear", optimizer, num_training_steps=4, num_warmup_steps=2), 4) == pytest.approx(
        [0, 5e-4, 1e-3, 5e-4]
    )
    same = get_scheduler(name="linear", optimizer=optimizer, num_training_steps=4, num_warmup_steps=2)
    assert str(same.schedule) == "warmup(2) >> linear()"
    horizon = get_scheduler("linear", optimizer, num_training_steps=Horizon(4), num_warmup_steps=2)
    assert horizon.schedule == same.schedule


def test_without_specific_kwargs(optimizer):
    for none in ({}, None):
        assert get_scheduler("linear", optimizer, 0, 10, scheduler_specific_kwargs=none).schedule == linear()


@pytest.mark.parametrize("given", ["warmup(50%) >> linear()", warmup("50%") >> linear(), "warmup(1ep) >> linear()"])
def test_sentences(optimizer, given):
    scheduler = get_scheduler(given, optimizer, num_training_steps=4, updates_per_epoch=2)
    assert used(scheduler, 6) == pytest.approx([0, 5e-4, 1e-3, 5e-4, 0, 0])


@pytest.mark.parametrize(
    ("name", "kwargs", "said"),
    [
        ("lineer", {}, "unknown name 'lineer'; transformers' are linear, cosine, .* Did you mean 'linear'"),
        ("Cosine", {}, "Did you mean 'cosine'"),
        ("greedy", {}, "has no equivalent here. Use a plateau"),
        ("linear", {"num_cycles": 2}, "'linear' has no argument 'num_cycles'; allowed are none"),
        ("constant", {"power": 2}, "'constant' has no argument 'power'"),
        (
            "cosine",
            {"num_cycle": 2},
            "'cosine' has no argument 'num_cycle'; allowed are num_cycles. Did you mean 'num_cycles'",
        ),
        ("polynomial", {"lr_min": 2}, "'polynomial' has no argument 'lr_min'; allowed are lr_end, power"),
        ("cosine", {"min_lr": 1e-5}, "'cosine' has no argument 'min_lr'"),
        ("cosine_with_min_lr", {}, "give one of min_lr and min_lr_rate"),
        ("cosine_with_min_lr", {"min_lr": 1e-5, "min_lr_rate": 0.1}, "give one of min_lr and min_lr_rate"),
        ("cosine_with_min_lr", {"min_lr_rate": 1.1}, "would rise"),
        ("cosine_with_min_lr", {"min_lr": 1e-2}, "would rise"),
        ("cosine_with_min_lr", {"min_lr_rate": -0.1}, "at least 0"),
        ("cosine_with_min_lr", {"min_lr": float("nan")}, "finite"),
        ("cosine_with_restarts", {"num_cycles": 0}, "whole number of at least 1"),
        ("polynomial", {"power": 0}, "above 0"),
        ("polynomial", {"lr_end": 1.0}, "would rise"),
        ("inverse_sqrt", {"timescale": 0}, "must be above 0"),
        ("warmup_stable_decay", {}, "needs num_decay_steps"),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 5, "decay_type": "cosin"},
            "decay_type must be one of linear, cosine, 1-sqrt, got 'cosin'. Did you mean 'cosine'",
        ),
        ("warmup_stable_decay", {"num_decay_steps": 5, "warmup_type": "sqrt"}, "warmup_type must be one of"),
        ("warmup_stable_decay", {"num_decay_steps": 19}, r"are 2 \+ 19 updates, but the run has 20"),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 10, "num_stable_steps": 9},
            "takes 21 updates, but only 20 are there",
        ),
    ],
)
def test_bad_names_and_arguments(optimizer, name, kwargs, said):
    with pytest.raises(ScheduleError, match=said):
        get_scheduler(name, optimizer, 2, 20, kwargs)


@pytest.mark.parametrize("name", sorted(set(TRANSFORMERS_NAMES) - {"constant"}))
def test_num_warmup_steps_is_needed_as_in_transformers(optimizer, name):
    with pytest.raises(ScheduleError, match=f"'{name}' needs num_warmup_steps; 0 for none"):
        get_scheduler(name, optimizer, None, 20, EXTRA.get(name))


@pytest.mark.parametrize("steps", [-1, 20, 21, True, "x", float("nan")])
def test_invalid_num_warmup_steps_are_an_error(optimizer, steps):
    with pytest.raises(ScheduleError):
        get_scheduler("linear", optimizer, num_training_steps=20, num_warmup_steps=steps)


@pytest.mark.parametrize(
    "name",
    [
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "cosine_with_min_lr",
        "cosine_warmup_with_min_lr",
        "warmup_stable_decay",
    ],
)
def test_num_training_steps_is_needed(optimizer, name):
    with pytest.raises(ScheduleError, match=f"'{name}' needs num_training_steps"):
        get_scheduler(name, optimizer, 5, None, EXTRA.get(name))


@pytest.mark.parametrize("schedule", ["warmup(5) >> linear()", cosine()])
def test_a_schedule_needs_num_training_steps(optimizer, schedule):
    with pytest.raises(ScheduleError, match=r"needs num_training_steps"):
        get_scheduler(schedule, optimizer)


@pytest.mark.parametrize("steps", [0, -5, 1.5, True, "20"])
def test_invalid_num_training_steps_are_an_error(optimizer, steps):
    with pytest.raises(ScheduleError, match="num_updates must be a whole number of at least 1"):
        get_scheduler("linear()", optimizer, num_training_steps=steps)


@pytest.mark.parametrize(
    ("name", "kwargs", "at"),
    [
        ("constant", {}, {0: 1, 1_000_000: 1}),
        ("constant_with_warmup", {"num_warmup_steps": 4}, {0: 0, 2: 0.5, 4: 1, 1_000_000: 1}),
        ("inverse_sqrt", {"num_warmup_steps": 4}, {2: 0.5, 4: 1, 16: 0.5, 4_000_000: 0.001}),
        ("inverse_sqrt", {"num_warmup_steps": 0}, {0: 1, 30_000: 0.5}),
        ("inverse_sqrt", {"num_warmup_steps": 4, "scheduler_specific_kwargs": {"timescale": 100}}, {4: 1, 304: 0.5}),
        (
            "warmup_stable_decay",
            {"num_warmup_steps": 4, "scheduler_specific_kwargs": {"num_stable_steps": 4, "num_decay_steps": 4}},
            {2: 0.5, 8: 1, 10: 0.5, 12: 0, 100: 0},
        ),
    ],
)
def test_without_an_end(optimizer, name, kwargs, at):
    scheduler = get_scheduler(name, optimizer, **kwargs)
    (curve,) = scheduler.curves
    assert {t: curve(t) for t in at} == pytest.approx(at, abs=1e-12)
    assert used(scheduler, 3) == pytest.approx([1e-3 * curve(t) for t in range(3)])


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"num_warmup_steps": 5}, "num_warmup_steps can only be given with a name of transformers, such as 'cosine'"),
        ({"num_warmup_steps": 0}, "num_warmup_steps can only be given with a name of transformers, such as 'cosine'"),
        (
            {"scheduler_specific_kwargs": {"power": 2}},
            "power can only be given with a name of transformers, such as 'cosine'",
        ),
    ],
)
def test_a_sentence_takes_none_of_their_arguments(optimizer, kwargs, said):
    for schedule in ("warmup(5) >> cosine()", cosine()):
        with pytest.raises(ScheduleError, match=said):
            get_scheduler(schedule, optimizer, num_training_steps=20, **kwargs)


@pytest.mark.parametrize("given", [5, None, linear, ["linear()"], {"phase": "linear"}])
def test_what_is_no_schedule(optimizer, given):
    with pytest.raises(ScheduleError, match="a schedule must be a text such as"):
        get_scheduler(given, optimizer, num_training_steps=20)


def test_a_bad_text_points_at_its_character(optimizer):
    with pytest.raises(ScheduleError) as caught:
        get_scheduler("warmup(5) >> lineer()", optimizer, num_training_steps=20)
    assert caught.value.position == 13


def test_a_failure_leaves_the_optimizer_as_it_was(optimizer):
    with pytest.raises(ScheduleError):
        get_scheduler("warmup(20) >> linear()", optimizer, num_training_steps=20)
    (group,) = optimizer.param_groups
    assert group["lr"] == 1e-3
    assert "initial_lr" not in group


@pytest.mark.parametrize("kind", list(SchedulerType))
def test_script_moves_over_by_one_import(optimizer, kind):
    """Each name, with the arguments of transformers by position."""
    given = (kind, optimizer, 5, 20, EXTRA.get(kind.value))
    if kind.value == "greedy":
        with pytest.raises(ScheduleError, match=r"Use a plateau.*plateau\(factor=0.5, patience=2\)"):
            get_scheduler(*given)
        return
    ours = used(get_scheduler(*given), 20)
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[0].pop("initial_lr")
    theirs = transformers.get_scheduler(*given)
    if kind.value == "reduce_lr_on_plateau":
        assert ours == [1e-3] * 20
    else:
        assert ours == pytest.approx(used(theirs, 20), abs=1e-15)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"factor": 0.5, "patience": 1},
        {"threshold": 0.05, "threshold_mode": "abs", "patience": 0},
        {"min_lr": 2e-4, "patience": 0},
    ],
)
def test_reduce_lr_on_plateau_is_torchs(optimizer, kwargs):
    losses = [1.0, 0.9, 0.91, 0.9, 0.89999, 0.95, 0.8, 0.8, 0.8, 0.81, 0.79, 0.9, 0.9, 0.9, 0.9] * 2
    scheduler = get_scheduler("reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs=kwargs)
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = transformers.get_scheduler("reduce_lr_on_plateau", other, scheduler_specific_kwargs=kwargs)
    for loss in losses:
        optimizer.step()
        scheduler.step()
        scheduler.observe({"eval_loss": loss})
        theirs.step(loss)
        # Torch stops where a drop would be smaller than eps, 1e-8.
        assert scheduler.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12, abs=1e-8)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"eps": 1e-4}, "eps=0.0001 has no equivalent"),
        ({"mode": "max"}, "needs the name of the metric"),
        ({"min_lr": [1e-5, 1e-5]}, "a different share of each group's LR"),
        ({"verbose": True}, "has no argument 'verbose'"),
    ],
)
def test_what_a_plateau_cannot_translate(kwargs, said):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1e-3, 2e-5)]
    with pytest.raises(ScheduleError, match=said):
        get_scheduler("reduce_lr_on_plateau", torch.optim.SGD(groups, lr=1e-3), scheduler_specific_kwargs=kwargs)
