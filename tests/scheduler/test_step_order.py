"""StepOrder: how a training loop calls the optimizer, the scheduler and what drives the reactive parts."""

import pytest
import torch

from hf_lrsched import ScheduleError, ScheduleLR


def make(schedule="linear()", updates=8, lrs=(1.0,), on_resume="strict"):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return ScheduleLR(torch.optim.SGD(groups, lr=1.0), schedule, updates, on_resume=on_resume)


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
