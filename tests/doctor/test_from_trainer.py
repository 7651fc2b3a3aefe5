"""A built Trainer: what only it shows, and that looking at it changes nothing."""

import logging
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import Trainer, TrainerCallback, get_scheduler

import hf_lrsched
from hf_lrsched import ScheduledTrainer, diagnose
from hf_lrsched.doctor import facts_of
from hf_lrsched.doctor.checks import CHECKS
from tests.doctor.configurations import BERT, Run, Stage, linear_log, write_json, write_yaml

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
def test_the_updates_are_those_that_trainer_trains(make_trainer, settings):
    trainer = make_trainer(**settings)
    facts = facts_of(trainer)
    trainer.train()
    assert facts.num_updates == trainer.state.max_steps


def test_a_sound_trainer_draws_nothing(make_trainer, pretrained, texts):
    assert wrong(make_trainer()) == set()
    assert wrong(make_trainer(model=pretrained, data=texts, learning_rate=2e-5)) == set()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "warmup(10%) >> linear()"})
    assert diagnose(ours) == []


def test_looking_changes_nothing(make_trainer):
    def lrs(looks):
        trainer = make_trainer(warmup_steps=2, logging_steps=1, seed=3)
        if looks:
            diagnose(trainer)
        trainer.train()
        return [record.get("learning_rate") for record in trainer.state.log_history], [
            record.get("loss") for record in trainer.state.log_history
        ]

    assert lrs(True) == lrs(False)


# other_optimizer


def test_a_scheduler_of_another_optimizer(make_trainer):
    trainer = make_trainer()
    optimizer, scheduler = passed(trainer.model)
    assert wrong(make_trainer(model=trainer.model, optimizers=(None, scheduler))) == {"other_optimizer"}
    other, _ = passed(trainer.model)
    assert wrong(make_trainer(model=trainer.model, optimizers=(other, scheduler))) == {"other_optimizer"}
    assert wrong(make_trainer(model=trainer.model, optimizers=(optimizer, scheduler))) == set()


# reused_scheduler


def test_a_scheduler_that_a_second_train_goes_on_with(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model))
    assert [finding.severity for finding in diagnose(trainer) if finding.check == "reused_scheduler"] == ["note"]
    trainer.train()
    assert wrong(trainer) == {"reused_scheduler"}


def test_the_schedulers_that_trainer_makes_are_no_users(make_trainer):
    trainer = make_trainer()
    trainer.train()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "linear()"})
    ours.train()
    assert wrong(trainer) == wrong(ours) == set()


def test_a_scheduler_that_no_further_try_of_a_batch_size_makes_anew(make_trainer):
    model = make_trainer().model
    trainer = make_trainer(model=model, optimizers=passed(model), auto_find_batch_size=True)
    assert wrong(trainer) == {"reused_scheduler"}
    assert wrong(make_trainer(auto_find_batch_size=True)) == set()


# ends_mid_schedule


@pytest.mark.parametrize("total", [5, 40])
def test_a_scheduler_for_another_number_of_updates(make_trainer, total):
    model = make_trainer().model
    assert wrong(make_trainer(model=model, optimizers=passed(model, total=total))) == {"ends_mid_schedule"}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = (optimizer, hf_lrsched.get_scheduler("linear()", optimizer, num_training_steps=total))
    assert wrong(make_trainer(model=model, optimizers=ours)) == {"ends_mid_schedule"}
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
    assert wrong(make_trainer(model=model, optimizers=(optimizer, cycle))) == {"ends_mid_schedule"}


# loss_multiplied


class Losses(TrainerCallback):
    def __init__(self):
        self.first = None

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.first = logs.get("loss") if self.first is None else self.first


def first_loss(make_trainer, model, texts, **settings):
    losses = Losses()
    trainer = make_trainer(
        model=model,
        data=texts,
        extra={"callbacks": [losses]},
        logging_steps=1,
        max_steps=1,
        learning_rate=2e-5,
        **settings,
    )
    found = wrong(trainer)
    trainer.train()
    return found, float(losses.first)


def test_the_loss_is_multiplied_exactly_where_it_is_said(make_trainer, pretrained, texts):
    """Found if and only if Trainer really multiplies: 4.57 does not."""
    found, once = first_loss(make_trainer, pretrained, texts, per_device_train_batch_size=8)
    assert not found
    state = {name: value.clone() for name, value in pretrained.state_dict().items()}
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, loss = first_loss(make_trainer, pretrained, texts, **settings)
    assert (found == {"loss_multiplied"}) == IS_FIVE == (loss / once > 3)
    pretrained.load_state_dict(state)
    pretrained.accepts_loss_kwargs = False
    found, loss = first_loss(make_trainer, pretrained, texts, **settings)
    assert not found and loss / once == pytest.approx(1, rel=0.01)


def test_a_model_of_llama_that_tells_texts_apart_is_multiplied_in_both_versions(make_trainer, texts):
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=0,
    )
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, many = first_loss(make_trainer, LlamaForSequenceClassification(config), texts, **settings)
    assert found == {"loss_multiplied"} and many > 2
    words = [{**text, "labels": text["input_ids"]} for text in texts]
    found, loss = first_loss(make_trainer, LlamaForCausalLM(config), words, **settings)
    assert not found and loss < 4


def test_question_answering_has_no_labels_to_count_by(make_trainer, answering, texts):
    data = [{**text, "start_positions": 1, "end_positions": 2} for text in texts]
    for row in data:
        del row["labels"]
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, loss = first_loss(make_trainer, answering, data, **settings)
    assert not found and loss < 2


def test_a_loss_of_ones_own_is_not_judged(make_trainer, bert, texts):
    class Own(Trainer):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs)

    settings = {"gradient_accumulation_steps": 4, "learning_rate": 2e-5, "logging_steps": 1}
    assert wrong(make_trainer(Own, model=bert, data=texts, **settings)) == set()
    by_function = make_trainer(
        model=bert, data=texts, extra={"compute_loss_func": lambda *args, **kwargs: 0}, **settings
    )
    assert wrong(by_function) == set()


@pytest.mark.skipif(not IS_FIVE, reason="4.57 does not multiply")
def test_the_loss_of_a_configuration_and_of_a_run(tmp_path):
    """The same from a model's name, and from a run's folder, where the log has to show it."""
    settings = {**BERT, "gradient_accumulation_steps": 4}
    config = write_yaml(tmp_path / "config.yaml", settings)
    assert wrong(config, 345) == {"loss_multiplied"}
    sound = {
        "alone": BERT,
        "llama": {**settings, "model_name_or_path": "meta-llama/Llama-3.2-1B", "label_smoothing_factor": 0.1},
        "answers": {**settings, "doc_stride": 128},
        "ours": {**settings, "schedule": "bert()"},
        "unknown": {**settings, "model_name_or_path": "somebody/something"},
    }
    for name, each in sound.items():
        assert wrong(write_yaml(tmp_path / f"{name}.yaml", each), 345) == set(), name
    for name, loss in {"multiplied": 2.8, "right": 0.7}.items():
        history = [*linear_log(40, 80), {"step": 40, "loss": loss}, {"step": 40, "eval_loss": 0.69}]
        folder = tmp_path / name
        folder.mkdir()
        run = Run(Stage(40, 80, gradient_accumulation_steps=4, history=history)).write(folder)
        write_json(run / "checkpoint-40" / "config.json", {"architectures": ["BertForSequenceClassification"]})
        assert wrong(run) == ({"loss_multiplied"} if name == "multiplied" else set())


# engine_ignores_schedule: without the engines, whose plugins are stood in for


def with_plugins(trainer, **plugins):
    state = {"deepspeed_plugin": None, "fsdp_plugin": None, **plugins}
    trainer.accelerator = SimpleNamespace(state=SimpleNamespace(**state))
    trainer.is_deepspeed_enabled = state["deepspeed_plugin"] is not None
    return trainer


def test_deepspeed_drops_what_is_passed_and_follows_its_own_schedule(make_trainer):
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
def test_fsdp_melts_groups(make_trainer, keeps, version, lrs, found):
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
def test_the_lr_of_a_pretrained_model(make_trainer, pretrained, texts, lr, severity):
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


# floor_across_groups


def test_a_floor_with_two_groups_of_lrs(make_trainer):
    model = make_trainer().model
    settings = {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-4}, "logging_steps": 1}
    groups = [{"params": [model.head.weight], "lr": 1e-3}, {"params": [model.head.bias], "lr": 1e-2}]
    optimizer = torch.optim.SGD(groups, lr=1e-3)
    trainer = make_trainer(model=model, optimizers=(optimizer, None), **settings)
    findings = [finding for finding in diagnose(trainer) if finding.check == "floor_across_groups"]
    trainer.train()
    ends = [group["lr"] for group in optimizer.param_groups]
    assert ends == pytest.approx([1e-4, 1e-3])  # what transformers makes of one floor
    assert len(findings) == 1 and "end at 0.0001, 0.001" in findings[0].why


# unknown_length


def test_data_without_a_length(make_trainer, endless):
    assert wrong(make_trainer(data=endless, max_steps=10)) == set()
    trainer = make_trainer(ScheduledTrainer, data=endless, max_steps=10, extra={"schedule": "warmup(1ep) >> linear()"})
    assert wrong(trainer) == {"unmeant_schedule"}


# one_process


def test_processes_that_do_not_know_of_each_other(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert wrong(trainer) == {"one_process"}
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert wrong(trainer) == set()


# ScheduledTrainer


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_scheduled_trainer_tells_before_the_first_update_and_once(make_trainer, pretrained, texts, caplog):
    steps = []

    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            steps.append(len(said(caplog)))

    extra = {"schedule": "warmup(1) >> linear()", "callbacks": [Watch()]}
    trainer = make_trainer(ScheduledTrainer, model=pretrained, data=texts, learning_rate=5e-2, extra=extra)
    trainer.train()
    trainer.train()
    told = [message for message in said(caplog) if message.startswith("lr_out_of_range")]
    assert len(told) == 1 and "0.05" in told[0]
    assert steps[0] >= 1


def test_scheduled_trainer_is_silent_about_a_sound_run(make_trainer, caplog, capsys):
    trainer = make_trainer(ScheduledTrainer, extra={"schedule": "warmup(10%) >> linear()"})
    trainer.train()
    assert said(caplog) == []
    assert "doctor" not in capsys.readouterr().out


def test_a_run_does_not_die_of_being_looked_at(make_trainer, monkeypatch):
    from hf_lrsched.doctor import checks

    def breaks(facts):
        raise RuntimeError("a check of somebody's")
        yield

    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, breaks))
    trainer = make_trainer(ScheduledTrainer, extra={"schedule": "linear()"})
    trainer.train()
    assert trainer.state.global_step == 10


def test_what_is_no_trainer_is_refused():
    with pytest.raises(TypeError, match="a path or a Trainer, got int"):
        diagnose(5)
