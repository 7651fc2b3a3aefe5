"""momentum() in a run, beside torch's OneCycleLR and CyclicLR."""

import pytest
import torch
from torch.optim import SGD, Adafactor, AdamW
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from hf_lrsched import ScheduleError, ScheduleLR

UPDATES = 60


def make_optimizer(kind, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], "lr": lr} for lr in (1e-3, 1e-4)]
    return kind(groups, **options)


def get_momenta(optimizer):
    return [group["momentum"] if "momentum" in group else group["betas"][0] for group in optimizer.param_groups]


def advance(*schedulers):
    for scheduler in schedulers:
        scheduler.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("kind", "options"), [(SGD, {"momentum": 0.9}), (AdamW, {"betas": (0.9, 0.98)})])
@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("one_cycle() * momentum()", lambda optimizer: OneCycleLR(optimizer, [1e-3, 1e-4], UPDATES)),
        (
            "one_cycle(shape=linear, peak_at=0.42) * momentum(0.9, 0.7)",
            lambda optimizer: OneCycleLR(
                optimizer,
                [1e-3, 1e-4],
                UPDATES,
                pct_start=0.42,
                anneal_strategy="linear",
                base_momentum=0.7,
                max_momentum=0.9,
            ),
        ),
        (
            "triangular(up=7, to=0.1) * momentum(0.9, 0.8)",
            lambda optimizer: CyclicLR(optimizer, [1e-4, 1e-5], [1e-3, 1e-4], 7),
        ),
    ],
)
def test_momentum_is_that_of_torch(kind, options, text, make):
    theirs, mine = make(make_optimizer(kind, **options)), ScheduleLR(make_optimizer(kind, **options), text, UPDATES)
    for _ in range(UPDATES - 1):
        assert get_momenta(mine.optimizer) == pytest.approx(get_momenta(theirs.optimizer), abs=1e-12)
        assert mine.get_last_lr() == pytest.approx(theirs.get_last_lr(), abs=1e-15)
        advance(theirs, mine)
    if kind is AdamW:
        assert {group["betas"][1] for group in mine.optimizer.param_groups} == {0.98}


def test_only_groups_whose_schedule_has_it_change():
    optimizer = make_optimizer(SGD, momentum=0.5)
    optimizer.param_groups[1]["schedule"] = "linear()"
    scheduler = ScheduleLR(optimizer, "one_cycle() * momentum()", UPDATES)
    assert get_momenta(optimizer) == [0.95, 0.5]
    advance(scheduler)
    assert get_momenta(optimizer)[1] == 0.5


def test_new_betas_of_a_switch_are_not_those_before():
    before = ScheduleLR(make_optimizer(AdamW, betas=(0.88, 0.99)), "one_cycle() * momentum()", UPDATES)
    after = ScheduleLR(make_optimizer(AdamW, betas=(0.8, 0.99)), "one_cycle()", UPDATES, on_resume="switch")
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    after.load_state_dict(before.state_dict())
    assert get_momenta(after.optimizer) == [0.8, 0.8]


@pytest.mark.parametrize("on_resume", ["strict", "switch"])
def test_a_resumed_run_has_the_same_momentum(on_resume):
    whole = ScheduleLR(make_optimizer(AdamW), "one_cycle() * momentum()", UPDATES)
    for _ in range(10):
        advance(whole)
    saved = whole.optimizer.state_dict(), whole.state_dict()
    resumed = ScheduleLR(make_optimizer(AdamW), whole.schedule, UPDATES, on_resume=on_resume)
    resumed.optimizer.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for _ in range(10):
        assert get_momenta(resumed.optimizer) == get_momenta(whole.optimizer)
        advance(whole, resumed)


def test_a_run_that_goes_on_without_it_gets_its_own_momentum_back():
    before = ScheduleLR(make_optimizer(AdamW, betas=(0.88, 0.99)), "one_cycle() * momentum()", UPDATES)
    for _ in range(10):
        advance(before)
    after = ScheduleLR(make_optimizer(AdamW, betas=(0.88, 0.99)), "one_cycle()", UPDATES, on_resume="switch")
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    after.load_state_dict(before.state_dict())
    assert [group["betas"] for group in after.optimizer.param_groups] == [(0.88, 0.99)] * 2


def test_the_momentum_of_a_stretched_curve_is_stretched():
    before = ScheduleLR(make_optimizer(SGD, momentum=0.9), "linear() * momentum(0.9, 0.5)", 10)
    for _ in range(5):
        advance(before)
    after = ScheduleLR(make_optimizer(SGD, momentum=0.9), "linear() * momentum(0.9, 0.5)", 15, on_resume="stretch")
    after.load_state_dict(before.state_dict())
    advance(after)
    assert get_momenta(after.optimizer) == pytest.approx([0.72] * 2)  # 5.5 of 10 updates


def test_an_optimizer_without_momentum_is_refused():
    with pytest.raises(ScheduleError, match=r"momentum\(\) needs an optimizer with momentum.*; Adafactor has neither"):
        ScheduleLR(make_optimizer(Adafactor), "one_cycle() * momentum()", UPDATES)
