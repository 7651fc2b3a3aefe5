"""Facts from a built Trainer: what only it shows, and that diagnose() changes nothing."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments, get_scheduler

import hf_lrsched
from hf_lrsched import ScheduleArguments, ScheduledTrainer, diagnose
from hf_lrsched.doctor import get_facts

IS_FIVE = int(transformers.__version__.partition(".")[0]) >= 5


def wrong(trainer, num_updates=None):
    return {finding.check for finding in diagnose(trainer, num_updates) if finding.is_wrong}


def passed(model, name="linear", total=10, lr=1e-3, **kwargs):
    """An optimizer and transformers' scheduler for it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    return optimizer, get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=total, **kwargs)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"samples": 41},
        {"samples": 3},
        {"num_train_epochs": 2.5},
        {"gradient_accumulation_steps": 3},
        {"gradient_accumulation_steps": 4, "samples": 41, "num_train_epochs": 3},
        {"dataloader_drop_last": True, "samples": 43},
        {"max_steps": 7},
    ],
    ids=str,
)
def test_number_of_updates_equals_trainer(make_trainer, settings):
    trainer = make_trainer(**settings)
    facts = get_facts(trainer)
    trainer.train()
    assert facts.num_updates == trainer.state.max_steps


def test_sound_trainer_draws_no_warning(make_trainer, pretrained, texts):
    assert wrong(make_trainer()) == set()
    assert wrong(make_trainer(model=pretrained, data=texts, learning_rate=2e-5)) == set()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "warmup(10%) >> linear()"})
    assert diagnose(ours) == []


def test_diagnose_changes_nothing(make_trainer):
    def lrs(looks):
        trainer = make_trainer(warmup_steps=2, logging_steps=1, seed=3)
        if looks:
            diagnose(trainer)
        trainer.train()
        return [record.get("learning_rate") for record in trainer.state.log_history], [
            record.get("loss") for record in trainer.state.log_history
        ]

    assert lrs(True) == lrs(False)


# scheduler_of_other_optimizer


def test_scheduler_of_other_optimizer(make_trainer):
    trainer = make_trainer()
    optimizer, scheduler = passed(trainer.model)
    assert wrong(make_trainer(model=trainer.model, optimizers=(None, scheduler))) == {"scheduler_of_other_optimizer"}
    other, _ = passed(trainer.model)
    assert wrong(make_trainer(model=trainer.model, optimizers=(other, scheduler))) == {"scheduler_of_other_optimizer"}
    assert wrong(make_trainer(model=trainer.model, optimizers=(optimizer, scheduler))) == set()


# reused_scheduler


def test_reused_scheduler(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model))
    assert [finding.severity for finding in diagnose(trainer) if finding.check == "reused_scheduler"] == ["note"]
    trainer.train()
    assert wrong(trainer) == {"reused_scheduler"}


def test_schedulers_made_by_trainer_are_not_passed(make_trainer):
    trainer = make_trainer()
    trainer.train()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "linear()"})
    ours.train()
    assert wrong(trainer) == wrong(ours) == set()


def test_passed_scheduler_with_auto_find_batch_size(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model), auto_find_batch_size=True)
    assert wrong(trainer) == {"reused_scheduler"}
    assert wrong(make_trainer(auto_find_batch_size=True)) == set()


# unused_schedule


def test_schedule_in_the_arguments_of_another_trainer(make_trainer, tmp_path):
    @dataclasses.dataclass
    class Arguments(ScheduleArguments, TrainingArguments):
        pass

    given = {"schedule": "warmup(1) >> linear()"}
    args = Arguments(str(tmp_path), use_cpu=True, report_to="none", logging_steps=1, max_steps=5, **given)
    rows, model = [{"x": torch.ones(2), "labels": 0}] * 8, make_trainer().model
    (finding,) = [finding for finding in diagnose(Trainer(model, args, train_dataset=rows)) if finding.is_wrong]
    assert finding.check == "unused_schedule" and "lr_scheduler_type=linear" in finding.why
    assert wrong(ScheduledTrainer(model, args, train_dataset=rows)) == set()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=5)
    trainer = Trainer(model, args, train_dataset=rows, optimizers=(optimizer, scheduler))
    assert wrong(trainer) == {"unused_schedule"}


# ends_mid_schedule


@pytest.mark.parametrize("total", [5, 40])
def test_scheduler_for_another_number_of_updates(make_trainer, total):
    model = make_trainer().model
    assert wrong(make_trainer(model=model, optimizers=passed(model, total=total))) == {"ends_mid_schedule"}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = (optimizer, hf_lrsched.get_scheduler("linear()", optimizer, num_training_steps=total))
    assert wrong(make_trainer(model=model, optimizers=ours)) == {"ends_mid_schedule"}
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
    assert wrong(make_trainer(model=model, optimizers=(optimizer, cycle))) == {"ends_mid_schedule"}


# engine_ignores_schedule: without the engines, whose plugins are stood in for


def with_plugins(trainer, **plugins):
    state = {"deepspeed_plugin": None, "fsdp_plugin": None, **plugins}
    trainer.accelerator = SimpleNamespace(state=SimpleNamespace(**state))
    trainer.is_deepspeed_enabled = state["deepspeed_plugin"] is not None
    return trainer


def test_deepspeed_drops_optimizers_and_uses_its_own_schedule(make_trainer):
    plugin = SimpleNamespace(deepspeed_config={"zero_optimization": {"stage": 2}})
    model = make_trainer().model
    passing = make_trainer(model=model, optimizers=passed(model))
    assert wrong(with_plugins(passing, deepspeed_plugin=plugin)) == {"engine_ignores_schedule"}
    assert wrong(with_plugins(make_trainer(), deepspeed_plugin=plugin)) == set()
    own = SimpleNamespace(deepspeed_config={"scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 7}}})
    findings = diagnose(with_plugins(make_trainer(), deepspeed_plugin=own))
    (finding,) = [finding for finding in findings if finding.is_wrong]
    assert finding.check == "engine_ignores_schedule" and "warmup_num_steps=7" in finding.why


@pytest.mark.parametrize(
    ("keeps", "version", "lrs", "found"),
    [
        (False, 1, (1e-3, 1e-2), True),
        (True, 1, (1e-3, 1e-2), False),
        (None, 2, (1e-3, 1e-2), False),
        (False, 1, (1e-3, 1e-3), False),
    ],
)
def test_fsdp_flattens_groups(make_trainer, keeps, version, lrs, found):
    trainer = make_trainer()
    parts = [trainer.model.head.weight, trainer.model.head.bias]
    trainer.optimizer = torch.optim.SGD(
        [{"params": [part], "lr": lr} for part, lr in zip(parts, lrs, strict=True)], lr=1
    )
    plugin = SimpleNamespace(use_orig_params=keeps, fsdp_version=version)
    assert wrong(with_plugins(trainer, fsdp_plugin=plugin)) == ({"engine_ignores_schedule"} if found else set())


# lr_out_of_range


@pytest.mark.parametrize(
    ("lr", "severity"), [(2e-5, None), (1e-3, None), (5e-3, "warning"), (1e-2, "error"), (1e-8, "warning")]
)
def test_lr_of_pretrained_model(make_trainer, pretrained, texts, lr, severity):
    findings = diagnose(make_trainer(model=pretrained, data=texts, learning_rate=lr))
    found = [finding.severity for finding in findings if finding.check == "lr_out_of_range"]
    assert found == ([] if severity is None else [severity])


def test_toys_and_other_optimizers_may_have_any_lr(make_trainer, pretrained, texts):
    assert wrong(make_trainer(learning_rate=0.5)) == set()
    optimizer = torch.optim.SGD(pretrained.parameters(), lr=1e-2)
    assert wrong(make_trainer(model=pretrained, data=texts, optimizers=(optimizer, None))) == set()


def test_one_group_within_the_range_is_enough(make_trainer, pretrained, texts):
    parts = [pretrained.bert, pretrained.classifier]
    groups = [{"params": part.parameters(), "lr": lr} for part, lr in zip(parts, (2e-5, 1e-2), strict=True)]
    optimizer = torch.optim.AdamW(groups, lr=2e-5)
    assert wrong(make_trainer(model=pretrained, data=texts, optimizers=(optimizer, None))) == set()


# floor_differs_by_group


def test_floor_differs_by_group(make_trainer):
    model = make_trainer().model
    settings = {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-4}, "logging_steps": 1}
    groups = [{"params": [model.head.weight], "lr": 1e-3}, {"params": [model.head.bias], "lr": 1e-2}]
    optimizer = torch.optim.SGD(groups, lr=1e-3)
    trainer = make_trainer(model=model, optimizers=(optimizer, None), **settings)
    findings = [finding for finding in diagnose(trainer) if finding.check == "floor_differs_by_group"]
    trainer.train()
    ends = [group["lr"] for group in optimizer.param_groups]
    assert ends == pytest.approx([1e-4, 1e-3])  # what transformers makes of one floor
    assert len(findings) == 1 and "end at 0.0001 and 0.001" in findings[0].why


# unknown_length


def test_data_without_length(make_trainer, endless):
    assert wrong(make_trainer(data=endless, max_steps=10)) == set()
    trainer = make_trainer(ScheduledTrainer, data=endless, max_steps=10, extra={"schedule": "warmup(1ep) >> linear()"})
    assert wrong(trainer) == {"invalid_schedule"}


# single_process


def test_independent_processes(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert wrong(trainer) == {"single_process"}
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert wrong(trainer) == set()


def test_other_subject_is_refused():
    with pytest.raises(TypeError, match="takes a path or a Trainer, got int"):
        diagnose(5)
