"""Two schedules for one run are refused."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments

from hf_lrsched import (
    ScheduleArguments,
    ScheduleCallback,
    ScheduledTrainer,
    ScheduleError,
    ScheduleMixin,
)
from hf_lrsched.groups import LayerwiseGroups

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


# Trainer's own scheduler in place of a schedule


def test_a_scheduler_of_trainer_that_the_arguments_name(make_trainer):
    trainer = make_trainer(lr_scheduler_type="cosine", warmup_steps=2, max_steps=6, eval_strategy="epoch")
    trainer.train()
    factors = [0, 0.5, *((1 + math.cos(math.pi * k / 4)) / 2 for k in range(4))]
    assert trainer.recorder.used == pytest.approx([PEAK * factor for factor in factors])
    evaluations = [record for record in trainer.state.log_history if "eval_loss" in record]
    assert [record["eval_learning_rate"] for record in evaluations] == pytest.approx(
        [trainer.recorder.used[record["step"] - 1] for record in evaluations]
    )
    trainer.create_model_card()
    card = Path(trainer.args.output_dir, "README.md").read_text(encoding="utf-8")
    assert "- lr_scheduler_type: cosine" in card
    assert "learning_rate_schedule" not in card


def test_a_scheduler_of_the_user(make_trainer, grouped):
    model, optimizer = grouped(PEAK)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    trainer = make_trainer(model=model, optimizers=(optimizer, scheduler), max_steps=3)
    trainer.train()
    assert trainer.recorder.used == pytest.approx([PEAK, PEAK / 2, PEAK / 3])


@pytest.mark.parametrize(
    "option", [{"groups": LayerwiseGroups()}, {"on_resume": "keep"}, {"clock": "epochs"}, {"find_lr": True}]
)
def test_options_that_a_scheduler_of_trainer_does_not_follow(make_trainer, option):
    with pytest.raises(ScheduleError, match=f"^{next(iter(option))} needs a schedule"):
        make_trainer(cls=partial(ScheduledTrainer, **option), lr_scheduler_type="cosine")


# A schedule that would not be used


def test_the_order_of_the_bases_of_a_trainer():
    with pytest.raises(TypeError, match=r"class MyTrainer\(ScheduleMixin, Trainer\)"):

        class MyTrainer(Trainer, ScheduleMixin):
            pass


def test_the_order_of_the_bases_of_arguments():
    with pytest.raises(TypeError, match=r"class MyArgs\(ScheduleArguments, TrainingArguments\)"):

        class MyArgs(TrainingArguments, ScheduleArguments):
            pass


def test_a_schedule_in_the_arguments_of_a_stock_trainer(make_trainer):
    trainer = make_trainer(cls=Trainer, args_class=Args, schedule_in_args="cosine()", callbacks=[ScheduleCallback()])
    with pytest.raises(ScheduleError, match=r"args.schedule='cosine\(\)' is not used: this Trainer made a LambdaLR"):
        trainer.train()
    assert trainer.recorder.used == []


def test_a_subclass_that_makes_its_own_scheduler(make_trainer):
    class Own(ScheduledTrainer):
        def create_scheduler(self, num_training_steps, optimizer=None):
            self.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(self.optimizer)
            return self.lr_scheduler

    trainer = make_trainer(SPEC, cls=Own)
    with pytest.raises(ScheduleError, match="is not used: the scheduler of this Own is a ConstantLR"):
        trainer.train()
    assert trainer.recorder.used == []


def test_an_assigned_scheduler(make_trainer):
    trainer = make_trainer(SPEC)
    trainer.create_optimizer()
    trainer.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(trainer.optimizer)
    with pytest.raises(ScheduleError, match="is not used"):
        trainer.train()


def test_a_search_over_schedules_without_the_field(make_trainer, net):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trainer = make_trainer(SPEC, model_init=net, max_steps=2, eval_strategy="epoch")
    with pytest.raises(ScheduleError, match="hp_space sets schedule, but the training arguments have no such field"):
        trainer.hyperparameter_search(
            hp_space=lambda trial: {"schedule": trial.suggest_categorical("schedule", ["linear()", "hold()"])},
            n_trials=1,
            backend="optuna",
        )
    assert trainer.recorder.used == []
