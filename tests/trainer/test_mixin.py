"""Schedules in Trainer: the LR that each update used, read from the optimizer as it is about to step."""

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from hf_lrsched import (
    ScheduleArguments,
    ScheduledTrainer,
    ScheduleError,
    ScheduleLR,
    ScheduleMixin,
    get_scheduler,
    linear,
    scheduled,
    step,
    warmup,
)

PEAK = 1e-3
SPEC = "warmup(25%) >> linear()"


@dataclass
class Args(ScheduleArguments, TrainingArguments):
    pass


class MyTrainer(ScheduleMixin, Trainer):
    pass


def ramp(warm, updates, peak=PEAK):
    """`warmup(warm) >> linear()`, by hand."""
    return [peak * (t / warm if t < warm else (updates - t) / (updates - warm)) for t in range(updates)]


def near(expected):
    return pytest.approx(expected, rel=0, abs=1e-12 * PEAK)


# Runs of every size


@pytest.mark.parametrize(
    ("train", "settings", "warm", "updates"),
    [
        pytest.param(24, {"num_train_epochs": 2}, 3, 12, id="epochs"),
        pytest.param(25, {"num_train_epochs": 2}, 4, 14, id="a short last batch"),
        pytest.param(25, {"num_train_epochs": 2, "dataloader_drop_last": True}, 3, 12, id="drop_last"),
        pytest.param(24, {"num_train_epochs": 3, "max_steps": 5}, 2, 5, id="max_steps within an epoch"),
        pytest.param(24, {"num_train_epochs": 1, "max_steps": 9}, 3, 9, id="max_steps over epochs"),
        pytest.param(24, {"num_train_epochs": 1.5}, 3, 9, id="fractional epochs"),
        pytest.param(24, {"num_train_epochs": 0.4}, 1, 3, id="less than an epoch"),
        pytest.param(24, {"num_train_epochs": 2, "gradient_accumulation_steps": 2}, 2, 6, id="accumulation"),
        pytest.param(24, {"num_train_epochs": 3, "gradient_accumulation_steps": 4}, 2, 6, id="remainder"),
        pytest.param(24, {"num_train_epochs": 4, "gradient_accumulation_steps": 8}, 1, 4, id="more than an epoch"),
        pytest.param(24, {"max_steps": 5, "gradient_accumulation_steps": 4}, 2, 5, id="max_steps, accumulation"),
    ],
)
def test_lr_used(make_trainer, train, settings, warm, updates):
    trainer = make_trainer(SPEC, train=train, **settings)
    trainer.train()
    assert trainer.recorder.used == near(ramp(warm, updates))
    assert trainer.state.global_step == updates


@pytest.mark.parametrize(
    ("spec", "settings", "factors"),
    [
        pytest.param(
            "warmup(1ep) >> step(every=1ep, factor=0.5)",
            {"num_train_epochs": 3, "gradient_accumulation_steps": 4},
            [0, 1 / 2, 1, 1, 0.5, 0.5],
            id="remainder",
        ),
        pytest.param(
            "warmup(1ep) >> step(every=1ep, factor=0.5)",
            {"num_train_epochs": 3, "gradient_accumulation_steps": 2},
            [0, 1 / 3, 2 / 3, 1, 1, 1, 0.5, 0.5, 0.5],
            id="accumulation",
        ),
        pytest.param(
            "warmup(0.5ep) >> step(every=0.5ep, factor=0.1)",
            {"max_steps": 9},
            [0, 1 / 3, 2 / 3, 1, 1, 1, 0.1, 0.1, 0.1],
            id="max_steps",
        ),
    ],
)
def test_epoch_lengths(make_trainer, spec, settings, factors):
    trainer = make_trainer(spec, **settings)
    trainer.train()
    assert trainer.recorder.used == near([PEAK * factor for factor in factors])


@pytest.mark.parametrize("decay", [True, False], ids=["two groups", "own groups"])
def test_every_group_follows_its_peak(make_trainer, grouped, decay):
    model, optimizer = grouped(1e-3, 2e-5)
    optimizers = (None, None) if decay else (optimizer, None)
    trainer = make_trainer("warmup(2) >> linear()", model=model, optimizers=optimizers)
    trainer.train()
    peaks = [1e-3, 1e-3] if decay else [1e-3, 2e-5]
    assert trainer.recorder.groups == [pytest.approx([f * p for p in peaks]) for f in (0, 0.5, 1, 0.75, 0.5, 0.25)]


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def test_stream(make_trainer, data):
    trainer = make_trainer(SPEC, train=Stream(data(24)), max_steps=8)
    trainer.train()
    assert trainer.recorder.used == near(ramp(2, 8))


def test_a_stream_has_no_epochs(make_trainer, data):
    trainer = make_trainer("warmup(1ep) >> linear()", train=Stream(data(24)), max_steps=8)
    with pytest.raises(ScheduleError, match=r"1ep has no meaning.*updates_per_epoch is not known"):
        trainer.train()
    assert trainer.recorder.used == []


def test_a_schedule_that_does_not_fit_is_refused_before_the_first_update(make_trainer):
    trainer = make_trainer("warmup(500) >> linear()")
    before = copy.deepcopy(trainer.model.state_dict())
    with pytest.raises(ScheduleError, match=r"warmup\(500\)"):
        trainer.train()
    assert trainer.recorder.used == []
    assert all(torch.equal(value, before[key]) for key, value in trainer.model.state_dict().items())


def test_the_lengths_are_shown_before_the_first_update(make_trainer, capsys):
    trainer = make_trainer(SPEC, num_train_epochs=2)
    shown = []
    trainer.recorder.on_train_begin = lambda *args, **kwargs: shown.append(capsys.readouterr().out)
    trainer.train()
    assert "25% of 12 updates = 3" in shown[0]
    assert "warmup(25%) >> linear()" in shown[0]


# A fresh schedule for every run


def test_second_train_starts_again(make_trainer):
    trainer = make_trainer(SPEC, num_train_epochs=2)
    trainer.train()
    first = trainer.lr_scheduler
    trainer.train()
    assert trainer.recorder.used == near(ramp(3, 12) + ramp(3, 12))
    assert trainer.lr_scheduler is not first


def test_second_train_has_its_own_horizon(make_trainer):
    trainer = make_trainer(SPEC, num_train_epochs=2)
    trainer.train()
    trainer.args.num_train_epochs = 1
    trainer.args.gradient_accumulation_steps = 2
    trainer.train()
    assert trainer.recorder.used == near(ramp(3, 12) + ramp(1, 3))


def test_second_train_with_a_given_optimizer(make_trainer, grouped):
    model, optimizer = grouped(PEAK)
    trainer = make_trainer(SPEC, model=model, optimizers=(optimizer, None), max_steps=4)
    trainer.train()
    trainer.train()
    assert trainer.recorder.used == near(ramp(1, 4) + ramp(1, 4))


def test_train_replaces_a_scheduler_made_before(make_trainer):
    trainer = make_trainer(SPEC, max_steps=4)
    trainer.create_optimizer_and_scheduler(num_training_steps=100)
    assert trainer.lr_scheduler.run_state.horizon.num_updates == 100
    trainer.train()
    assert trainer.recorder.used == near(ramp(1, 4))


def test_create_scheduler_on_a_copy_with_another_optimizer(make_trainer, grouped):
    trainer = make_trainer("linear()")
    _, optimizer = grouped(0.5)
    scheduler = copy.copy(trainer).create_scheduler(num_training_steps=4, optimizer=optimizer)
    assert isinstance(scheduler, ScheduleLR)
    assert scheduler.optimizer is optimizer
    assert scheduler.get_last_lr() == [0.5]


class Full(torch.nn.Module):
    """Out of memory on batches above `limit`, or once at its `fails_at`-th forward pass in training."""

    def __init__(self, net, limit=10**6, fails_at=None):
        super().__init__()
        self.net, self.limit, self.fails_at, self.calls = net, limit, fails_at, 0

    def forward(self, x, labels=None):
        self.calls += self.training
        if len(x) > self.limit or (self.training and self.calls == self.fails_at):
            raise RuntimeError("CUDA out of memory.")
        return self.net(x, labels)


def test_auto_find_batch_size(make_trainer, net):
    settings = {"per_device_train_batch_size": 10, "auto_find_batch_size": True}
    trainer = make_trainer(SPEC, model=Full(net(), limit=8), train=48, **settings)
    trainer.train()
    found = trainer.state.train_batch_size
    assert found <= 8
    updates = math.ceil(48 / found)
    assert trainer.recorder.used == near(ramp(math.ceil(updates / 4), updates))


def test_auto_find_batch_size_in_the_middle(make_trainer, net):
    settings = {"per_device_train_batch_size": 8, "auto_find_batch_size": True, "num_train_epochs": 2}
    trainer = make_trainer("warmup(1ep) >> linear()", model=Full(net(), fails_at=5), train=48, **settings)
    trainer.train()
    found = trainer.state.train_batch_size
    assert found < 8
    per_epoch = math.ceil(48 / found)
    assert trainer.recorder.used == near(ramp(6, 12)[:4] + ramp(per_epoch, 2 * per_epoch))


# Hyperparameter search


def search(trainer, space, metric="minimize"):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return trainer.hyperparameter_search(
        hp_space=lambda trial: {name: trial.suggest_categorical(name, values) for name, values in space.items()},
        sampler=optuna.samplers.GridSampler(space, seed=0),
        n_trials=2,
        direction=metric,
        backend="optuna",
    )


def test_search_over_the_learning_rate(make_trainer, net):
    trainer = make_trainer("warmup(2) >> linear()", model_init=net, max_steps=6, eval_strategy="epoch")
    search(trainer, {"learning_rate": [1e-2, 1e-4]})
    first, second = trainer.recorder.used[:6], trainer.recorder.used[6:]
    assert sorted([first, second]) == [pytest.approx(ramp(2, 6, peak), rel=1e-12) for peak in (1e-4, 1e-2)]


def test_search_over_the_schedule(make_trainer, net):
    schedules = ["linear()", "warmup(2) >> cosine(to=1)"]
    trainer = make_trainer(
        args_class=Args, schedule_in_args="hold()", model_init=net, max_steps=4, eval_strategy="epoch"
    )
    search(trainer, {"schedule": schedules})
    first, second = trainer.recorder.used[:4], trainer.recorder.used[4:]
    assert sorted([first, second]) == [near([0, 0.5 * PEAK, PEAK, PEAK]), near(ramp(0, 4))]


def accuracy(predictions):
    return {"accuracy": float((predictions.predictions.argmax(-1) == predictions.label_ids).mean())}


@pytest.mark.parametrize(
    ("metrics", "key", "lrs"),
    [(None, "eval_loss", (None, None)), (None, "eval_loss", (1e-2, 2e-2)), (accuracy, "eval_accuracy", (1e-2, 2e-2))],
    ids=["loss", "loss, LRs differ", "metric, LRs differ"],
)
def test_the_objective_is_the_metric_alone(make_trainer, net, metrics, key, lrs):
    class Grouped(ScheduledTrainer):
        def create_optimizer(self, *args, **kwargs):
            super().create_optimizer(*args, **kwargs)
            for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr or group["lr"]
            return self.optimizer

    trainer = make_trainer(
        "linear()", cls=Grouped, model_init=net, max_steps=6, eval_strategy="epoch", compute_metrics=metrics
    )
    best = search(trainer, {"learning_rate": [0.1, 0.2]}, "maximize")
    assert [set(trial) >= {key, "epoch"} for trial in trainer.recorder.metrics] == [True, True]
    assert best.objective == max(trial[key] for trial in trainer.recorder.metrics)


# Other trainers


@pytest.mark.parametrize(
    ("cls", "args_class"),
    [
        (ScheduledTrainer, TrainingArguments),
        (MyTrainer, TrainingArguments),
        (scheduled(Trainer), TrainingArguments),
        (scheduled(Seq2SeqTrainer), Seq2SeqTrainingArguments),
    ],
)
def test_any_trainer(make_trainer, cls, args_class):
    trainer = make_trainer(SPEC, cls=cls, args_class=args_class, num_train_epochs=2, eval_strategy="epoch")
    trainer.train()
    assert trainer.recorder.used == near(ramp(3, 12))
    evaluated = [record["eval_learning_rate"] for record in trainer.state.log_history if "eval_loss" in record]
    assert evaluated == near([PEAK * 7 / 9, PEAK / 9])


def test_stock_trainer_with_get_scheduler(make_trainer, grouped):
    model, optimizer = grouped(1e-3, 2e-5)
    scheduler = get_scheduler("warmup(2) >> linear()", optimizer, num_training_steps=6)
    trainer = make_trainer(cls=Trainer, model=model, optimizers=(optimizer, scheduler))
    trainer.train()
    expected = [pytest.approx([f * 1e-3, f * 2e-5]) for f in (0, 0.5, 1, 0.75, 0.5, 0.25)]
    assert trainer.recorder.groups == expected


# Resuming


def weights(trainer):
    return torch.cat([value.flatten() for value in trainer.model.state_dict().values()])


@pytest.mark.parametrize(
    ("stop", "accumulation", "dropout"),
    [(3, 1, 0.0), (3, 1, 0.3), (6, 1, 0.3), (3, 2, 0.3), (5, 2, 0.3)],  # within an epoch, and at its end
)
def test_a_resumed_run_is_the_same_to_the_bit(make_trainer, net, tmp_path, stop, accumulation, dropout):
    settings = {"max_steps": 7, "gradient_accumulation_steps": accumulation, "logging_steps": 1}
    whole = make_trainer(SPEC, model=net(dropout=dropout), save_strategy="steps", save_steps=stop, **settings)
    whole.train()
    resumed = make_trainer(SPEC, model=net(dropout=dropout), output_dir=str(tmp_path / "resumed"), **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"out/checkpoint-{stop}"))
    assert whole.recorder.used == near(ramp(2, 7))
    assert resumed.recorder.used == whole.recorder.used[stop:]
    assert torch.equal(weights(resumed), weights(whole))
    assert losses(resumed) == losses(whole)


def losses(trainer):
    return [record["loss"] for record in trainer.state.log_history if "loss" in record]


def test_resuming_in_the_same_trainer(make_trainer, tmp_path):
    trainer = make_trainer(SPEC, max_steps=7, save_strategy="steps", save_steps=3)
    trainer.train()
    trainer.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    assert trainer.recorder.used == near(ramp(2, 7) + ramp(2, 7)[3:])


@pytest.mark.parametrize(
    ("spec", "settings", "named"),
    [
        (SPEC, {"num_train_epochs": 3}, r"updates was 12 and is 18"),
        (SPEC, {"learning_rate": 2e-3}, r"peak.*0\.001.*0\.002"),
        ("warmup(25%) >> cosine()", {}, "schedule was"),
        (SPEC, {"gradient_accumulation_steps": 2, "num_train_epochs": 4}, r"updates.per.epoch was 6 and is 3"),
    ],
    ids=["epochs", "learning rate", "schedule", "epoch's length"],
)
def test_a_resume_that_would_jump_is_refused(make_trainer, tmp_path, spec, settings, named):
    make_trainer(SPEC, num_train_epochs=2, save_strategy="steps", save_steps=5).train()
    resumed = make_trainer(spec, **{"num_train_epochs": 2} | settings)
    with pytest.raises(ScheduleError, match=named):
        resumed.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-5"))
    assert resumed.recorder.used == []


def test_a_checkpoint_of_the_stock_trainer_on_another_curve_is_refused(make_trainer, tmp_path):
    make_trainer(cls=Trainer, save_strategy="steps", save_steps=3).train()
    resumed = make_trainer("cosine(to=0.5)")
    with pytest.raises(ScheduleError, match="another scheduler"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    assert resumed.recorder.used == []


# Ways to give a schedule


@pytest.mark.parametrize(
    "given",
    [
        {"schedule": "warmup(1ep) >> step(every=1ep, factor=0.5)"},
        {"schedule": warmup("1ep") >> step(every="1ep", factor=0.5)},
        {"args_class": Args, "schedule_in_args": "warmup(1ep)>>step(every=1ep,factor=0.5)"},
        {
            "args_class": Args,
            "schedule": warmup("1ep") >> step(every="1ep", factor=0.5),
            "schedule_in_args": "warmup(1ep)>>step(every=1ep,factor=0.5)",
        },
    ],
    ids=["text", "object", "args", "both the same"],
)
def test_ways_to_give_a_schedule(make_trainer, given):
    trainer = make_trainer(**given, gradient_accumulation_steps=3, num_train_epochs=3)
    trainer.train()
    assert trainer.recorder.used == near([PEAK * factor for factor in (0, 0.5, 1, 1, 0.5, 0.5)])


@pytest.mark.parametrize("args_class", [TrainingArguments, Args])
def test_a_schedule_is_needed(make_trainer, args_class):
    with pytest.raises(ScheduleError, match="ScheduledTrainer needs a schedule"):
        make_trainer(args_class=args_class)


@pytest.mark.parametrize("given", ["warmpu(10%) >> linear()", "linear", 5, ["linear()"], linear])
def test_an_invalid_schedule_is_refused_at_once(make_trainer, given):
    with pytest.raises(ScheduleError):
        make_trainer(given)


def test_learning_rate_changed_between_two_runs(make_trainer):
    trainer = make_trainer("linear()", max_steps=4)
    trainer.train()
    trainer.args.learning_rate /= 2
    trainer.train()
    peak = trainer.args.learning_rate
    assert trainer.recorder.used[4:] == pytest.approx([peak * k / 4 for k in (4, 3, 2, 1)])
