"""Two schedules for one run are refused."""

from dataclasses import dataclass

import pytest
import torch
from transformers import TrainingArguments

from hf_lrsched import ScheduleArguments, ScheduleError

PEAK = 1e-3
SPEC = "warmup(25%) >> linear()"


@dataclass
class Args(ScheduleArguments, TrainingArguments):
    pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr_scheduler_type", "cosine"),
        ("lr_scheduler_type", "constant_with_warmup"),
        ("lr_scheduler_kwargs", {"num_cycles": 2}),
        ("warmup_steps", 10),
        ("warmup_ratio", 0.1),
    ],
)
def test_settings_that_contradict_the_schedule(make_trainer, has_argument, name, value):
    if name == "warmup_ratio" and not has_argument(name):
        pytest.skip("gone in this version of transformers")
    with pytest.raises(ScheduleError, match=rf"two schedules: .*{name}=.*Delete {name}"):
        make_trainer(SPEC, **{name: value})


@pytest.mark.parametrize("name", ["lr_scheduler_type", "warmup_steps"])
def test_settings_that_contradict_the_schedule_after_init(make_trainer, name):
    """A sweep over them sets arguments late, and all of its trials would be the same run."""
    trainer = make_trainer(SPEC)
    setattr(trainer.args, name, {"lr_scheduler_type": "cosine", "warmup_steps": 3}[name])
    with pytest.raises(ScheduleError, match=name):
        trainer.train()
    assert trainer.recorder.used == []


@pytest.mark.parametrize("cls", [torch.optim.lr_scheduler.ConstantLR, torch.optim.lr_scheduler.ReduceLROnPlateau])
def test_a_scheduler_beside_the_schedule(make_trainer, grouped, cls):
    model, optimizer = grouped(PEAK)
    with pytest.raises(ScheduleError, match=rf"two schedules: .*{cls.__name__} in optimizers="):
        make_trainer(SPEC, model=model, optimizers=(optimizer, cls(optimizer)))


def test_two_different_schedules(make_trainer):
    with pytest.raises(ScheduleError, match=r"two schedules: .*linear\(\).*cosine\(\)"):
        make_trainer("linear()", args_class=Args, schedule_in_args="cosine()")
