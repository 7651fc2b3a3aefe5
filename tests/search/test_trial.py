"""A probe runs the whole schedule of the run in fewer updates, with the peaks of all groups scaled together."""

import pytest
import torch
from transformers import get_scheduler as stock_scheduler

from hf_lrsched import ScheduleError, get_scheduler
from hf_lrsched.search.trial import count_updates, scale_fixed_peaks, shorten


def make_optimizer(*lrs):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs], lr=1.0)


def walk(scheduler, updates):
    lrs = []
    for _ in range(updates):
        lrs.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return lrs


def test_our_curve_is_read_at_every_fourth_update():
    scheduler = get_scheduler("warmup(20) >> linear()", make_optimizer(1.0), num_training_steps=100)
    shorten(scheduler, 4.0)
    expected = [t / 20 if t < 20 else (100 - t) / 80 for t in range(0, 100, 4)]
    assert walk(scheduler, 25) == pytest.approx(expected)


def test_the_stock_curve_is_read_at_every_fourth_update():
    scheduler = stock_scheduler("linear", make_optimizer(1.0), num_warmup_steps=20, num_training_steps=100)
    shorten(scheduler, 4.0)
    scheduler.step()  # the first LR was set when the scheduler was made
    expected = [t / 20 if t < 20 else (100 - t) / 80 for t in range(4, 100, 4)]
    assert walk(scheduler, 24) == pytest.approx(expected)


def test_a_scheduler_without_a_planned_curve_is_refused():
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(make_optimizer(1.0))
    with pytest.raises(ScheduleError, match="ReduceLROnPlateau cannot be shortened"):
        shorten(scheduler, 4.0)


def test_peaks_that_do_not_follow_learning_rate_are_scaled_too():
    """`head` has an LR of its own, 0.5, at any learning_rate; `body` has the learning rate, here 0.01 times 3."""
    body, head = make_optimizer(0.03, 0.5).param_groups
    scale_fixed_peaks([body, head], [0.01, 0.5], 3.0)
    assert (body["lr"], head["lr"]) == pytest.approx((0.03, 1.5))


def test_updates_of_the_run_are_counted_as_trainer_counts_them(searchable):
    trainer = searchable(gradient_accumulation_steps=2, num_train_epochs=6)
    counted = count_updates(trainer)
    trainer.train()
    assert counted == trainer.state.max_steps == trainer.state.global_step
