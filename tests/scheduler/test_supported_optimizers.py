"""Optimizers that would not train at the LRs of their groups are refused before the first update."""

import pytest
import torch
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import LayerWiseDummyOptimizer

from hf_lrsched import ScheduleError, ScheduleLR


class Lomo(torch.optim.SGD):
    """By its name, as the real one."""


def groups(*lrs):
    return [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]


def test_layer_wise_optimizer_is_refused():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = LayerWiseDummyOptimizer(optimizer_dict={parameter: torch.optim.SGD([parameter], lr=0.1)}, lr=0.1)
    with pytest.raises(ScheduleError, match=r"train at a constant LR.*without _layerwise"):
        ScheduleLR(optimizer, "linear()", 4)


def test_adafactor_without_an_lr_is_refused():
    with pytest.raises(ScheduleError, match=r"Adafactor has lr=None.*relative_step=False"):
        ScheduleLR(Adafactor([torch.nn.Parameter(torch.zeros(1))], lr=None), "linear()", 4)


def test_lomo_with_different_groups_is_refused():
    with pytest.raises(ScheduleError, match=r"Lomo trains all groups with the LR of the first.*0.1, 0.01"):
        ScheduleLR(Lomo(groups(0.1, 0.01), lr=0.1), "linear()", 4)
    frozen = groups(0.1, 0.1)
    frozen[1]["schedule"] = "freeze()"
    with pytest.raises(ScheduleError, match="Lomo trains all groups"):
        ScheduleLR(Lomo(frozen, lr=0.1), "linear()", 4)


def test_lomo_with_equal_groups_is_supported():
    assert ScheduleLR(Lomo(groups(0.1, 0.1), lr=0.1), "linear()", 4).get_last_lr() == [0.1, 0.1]


def test_group_added_after_the_scheduler_is_an_error():
    optimizer = torch.optim.SGD(groups(0.1), lr=0.1)
    scheduler = ScheduleLR(optimizer, "linear()", 4)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group(groups(0.1)[0])
    optimizer.step()
    with pytest.raises(ScheduleError, match="has 2 parameter groups now, and the scheduler was made for 1"):
        scheduler.step()
