"""Checks of the optimizer: each broken configuration is found by the right check alone, each sound one draws no warning."""

import pytest
import torch

from hf_lrsched import ScheduledTrainer, diagnose
from tests.doctor.checks.cases import passed, test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import BERT, GLUE, NAN, SGD, Config, Run, Stage, lambda_state
from tests.doctor.files import checks_of

BROKEN = {
    "lr_out_of_range": [
        Config(345, **BERT | {"learning_rate": 1e-2}),
        Config(345, **BERT | {"learning_rate": 5e-3}),
        Config(345, **BERT | {"learning_rate": 1e-8}),
        Config(345, **GLUE | {"learning_rate": 0.1}),
        Config(345, **GLUE | {"learning_rate": 0}),
        Config(345, **GLUE | {"learning_rate": NAN}),
        Config(345, schedule="warmup(10%) >> cosine(to_lr=1e-7)", learning_rate=-2e-5),
        Config(345, **BERT | {"learning_rate": 1e-7}, **SGD),
        Config(345, **BERT | {"learning_rate": 1e-3}, optim="lion_32bit"),
    ],
    "schedule_free_optimizer": [
        Config(345, **BERT, optim="schedule_free_adamw"),
        Config(345, **BERT | {"learning_rate": 1e-3}, optim="schedule_free_radam", lr_scheduler_type="cosine"),
        Config(345, learning_rate=1e-4, schedule="warmup(10%) >> linear()", optim="schedule_free_adamw"),
    ],
    "scheduler_of_other_optimizer": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[5e-5])),
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5, groups=2), optimizer_lrs=[2.5e-5, 1e-3])),
    ],
    "reused_scheduler": [
        Run(Stage(50, 100, scheduler=lambda_state(150, 0.0))),
        Run(Stage(10, 100, scheduler=lambda_state(110, 0.0), optimizer_lrs=[0.0])),
    ],
}

SOUND = {
    "lr_out_of_range": [
        Config(345, **BERT | {"learning_rate": 5e-5}),
        Config(345, **BERT | {"learning_rate": 1e-3}, use_peft=True),
        Config(345, **BERT | {"learning_rate": 2e-3}, lora_r=8),
        Config(345, **GLUE | {"learning_rate": 1e-3}),  # of an unknown model
        Config(345, **BERT | {"learning_rate": 1e-2}, **SGD),
        Config(345, model_name_or_path="google-t5/t5-small", learning_rate=1e-3, optim="adafactor", logging_steps=10),
        Config(345, **BERT | {"learning_rate": 0.3}, optim="lamb"),  # an optimizer that is not known
    ],
    "schedule_free_optimizer": [
        Config(345, **BERT, optim="schedule_free_adamw", lr_scheduler_type="constant"),
        Config(345, learning_rate=1e-4, schedule="warmup(5%) >> hold()", optim="schedule_free_adamw"),
    ],
    "scheduler_of_other_optimizer": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[2.5e-5])),
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5, groups=2), optimizer_lrs=[2.5e-5, 2.5e-5])),
    ],
    "reused_scheduler": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5))),
        Run(Stage(100, 100, scheduler=lambda_state(100, 0.0), optimizer_lrs=[0.0])),
    ],
}


def test_scheduler_of_other_optimizer(make_trainer):
    trainer = make_trainer()
    optimizer, scheduler = passed(trainer.model)
    assert checks_of(make_trainer(model=trainer.model, optimizers=(None, scheduler))) == {
        "scheduler_of_other_optimizer"
    }
    other, _ = passed(trainer.model)
    assert checks_of(make_trainer(model=trainer.model, optimizers=(other, scheduler))) == {
        "scheduler_of_other_optimizer"
    }
    assert checks_of(make_trainer(model=trainer.model, optimizers=(optimizer, scheduler))) == set()


def test_reused_scheduler(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model))
    assert checks_of(trainer) == set()
    trainer.train()
    assert checks_of(trainer) == {"reused_scheduler"}


def test_schedulers_made_by_trainer_are_not_passed(make_trainer):
    trainer = make_trainer()
    trainer.train()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "linear()"})
    ours.train()
    assert checks_of(trainer) == checks_of(ours) == set()


def test_passed_scheduler_with_auto_find_batch_size(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model), auto_find_batch_size=True)
    assert checks_of(trainer) == {"reused_scheduler"}
    assert checks_of(make_trainer(auto_find_batch_size=True)) == set()


@pytest.mark.parametrize(
    ("lr", "severity"), [(2e-5, None), (1e-3, None), (5e-3, "warning"), (1e-2, "error"), (1e-8, "warning")]
)
def test_lr_of_pretrained_model(make_trainer, pretrained, texts, lr, severity):
    findings = diagnose(make_trainer(model=pretrained, data=texts, learning_rate=lr))
    found = [finding.severity for finding in findings if finding.check == "lr_out_of_range"]
    assert found == ([] if severity is None else [severity])


def test_toys_and_other_optimizers_may_have_any_lr(make_trainer, pretrained, texts):
    assert checks_of(make_trainer(learning_rate=0.5)) == set()
    optimizer = torch.optim.SGD(pretrained.parameters(), lr=1e-2)
    assert checks_of(make_trainer(model=pretrained, data=texts, optimizers=(optimizer, None))) == set()


def test_one_group_within_the_range_is_enough(make_trainer, pretrained, texts):
    parts = [pretrained.bert, pretrained.classifier]
    groups = [{"params": part.parameters(), "lr": lr} for part, lr in zip(parts, (2e-5, 1e-2), strict=True)]
    optimizer = torch.optim.AdamW(groups, lr=2e-5)
    assert checks_of(make_trainer(model=pretrained, data=texts, optimizers=(optimizer, None))) == set()
