"""Public issues about learning rates in Trainer, one test each.

Each test first shows what transformers, torch or accelerate do. It fails when they change that.
"""

import functools

import accelerate.scheduler
import pytest
import torch
from accelerate import Accelerator
from accelerate.scheduler import AcceleratedScheduler
from torch import nn
from torch.utils.data import IterableDataset
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, get_scheduler

import hf_lrsched
from hf_lrsched import ScheduledTrainer, ScheduleError, layerwise_groups, prepare_schedule, regex_groups
from hf_lrsched.doctor import diagnose
from tests.processes import launched

PEAK = 1e-3


def weight(lr=1.0, cls=torch.optim.SGD):
    return cls([nn.Parameter(torch.ones(1))], lr=lr)


def trace(optimizer, scheduler, updates):
    used = []
    for _ in range(updates):
        used.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return used


def first(lrs):
    return [each[0] for each in lrs]


def evaluations(trainer):
    return [record for record in trainer.state.log_history if "eval_loss" in record]


def test_scheduler_steps_once_per_update_with_any_number_of_processes(monkeypatch):
    """huggingface/accelerate issues 2926, 2142, 1398. Two processes are only simulated here."""

    class TwoProcesses:
        num_processes = 2

    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(accelerate.scheduler, "AcceleratorState", TwoProcesses)
    linear = [1 - t / 8 for t in range(8)]

    optimizer = accelerator.prepare(weight())
    stock = accelerator.prepare(torch.optim.lr_scheduler.LambdaLR(optimizer.optimizer, lambda t: max(1 - t / 8, 0)))
    assert isinstance(stock, AcceleratedScheduler)
    assert first(trace(optimizer, stock, 8)) == [1, 0.75, 0.5, 0.25, 0, 0, 0, 0]  # spent after half of the run

    optimizer = accelerator.prepare(weight())
    ours = prepare_schedule("linear()", optimizer, accelerator, 8)
    assert first(trace(optimizer, ours, 8)) == linear


@pytest.mark.slow
def test_scheduler_steps_once_per_update_with_two_processes(tmp_path):
    script = tmp_path / "two_schedulers.py"
    script.write_text(TWO_SCHEDULERS, encoding="utf-8")
    for found in launched(script, processes=2):
        assert found["stock"] == [1, 0.75, 0.5, 0.25, 0, 0, 0, 0]  # spent after half of the run
        assert found["ours"] == [1 - t / 8 for t in range(8)]


TWO_SCHEDULERS = """
import json
import torch
from accelerate import Accelerator
from transformers import get_scheduler
from hf_lrsched import prepare_schedule

accelerator = Accelerator(cpu=True)
found = {}
for name in ("stock", "ours"):
    model, optimizer = torch.nn.Linear(1, 1), None
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model, optimizer = accelerator.prepare(model, optimizer)
    if name == "stock":
        scheduler = accelerator.prepare(get_scheduler("linear", optimizer, 0, 8))
    else:
        scheduler = prepare_schedule("linear()", optimizer, accelerator, 8)
    used = []
    for _ in range(8):
        accelerator.backward(model(torch.ones(1, 1)).sum())
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    found[name] = used
print("FOUND " + json.dumps(found), flush=True)
accelerator.wait_for_everyone()
accelerator.end_training()
"""


def test_resume_with_other_epochs_does_not_jump(make_trainer, tmp_path):
    """huggingface/transformers issues 34053, 27749, 9099."""

    def run(cls, schedule, epochs, resume=None, **kwargs):
        trainer = make_trainer(schedule, cls=cls, num_train_epochs=epochs, save_strategy="epoch", **kwargs)
        trainer.train(resume_from_checkpoint=resume)
        return trainer.recorder.used

    checkpoint = str(tmp_path / "out" / "checkpoint-6")
    was = run(Trainer, None, 2)  # 12 updates, linear to 0
    assert was[6] == pytest.approx(PEAK / 2)
    jumped = run(Trainer, None, 4, checkpoint)
    assert jumped[:2] == pytest.approx([PEAK / 2, PEAK * 17 / 24])  # down to 0.5, then up to 0.71, silently

    assert run(ScheduledTrainer, "linear()", 2, output_dir=str(tmp_path / "ours")) == pytest.approx(was)
    checkpoint = str(tmp_path / "ours" / "checkpoint-6")
    with pytest.raises(ScheduleError, match=r"LR is 0.0005 by the checkpoint and 0.00075 by the new settings"):
        run(ScheduledTrainer, "linear()", 4, checkpoint)
    stretched = run(lambda **kwargs: ScheduledTrainer(on_resume="stretch", **kwargs), "linear()", 4, checkpoint)
    assert stretched == pytest.approx([PEAK / 2 * (1 - u / 18) for u in range(18)])


def test_resume_does_not_ignore_a_new_learning_rate(make_trainer, tmp_path):
    """huggingface/transformers issue 23099."""

    def run(cls, schedule, lr, resume=None, **kwargs):
        settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "learning_rate": lr}
        trainer = make_trainer(schedule, cls=cls, **settings | kwargs)
        trainer.train(resume_from_checkpoint=resume)
        return trainer.recorder.used

    for cls, schedule, folder in ((Trainer, None, "stock"), (ScheduledTrainer, "linear()", "ours")):
        run(cls, schedule, PEAK, output_dir=str(tmp_path / folder))
    left = [PEAK * k / 6 for k in (3, 2, 1)]
    assert run(Trainer, None, 5 * PEAK, str(tmp_path / "stock/checkpoint-3")) == pytest.approx(left)  # without a word
    checkpoint = str(tmp_path / "ours/checkpoint-3")
    with pytest.raises(ScheduleError, match=r"peaks was \[0.001, 0.001\] and is \[0.005, 0.005\]"):
        run(ScheduledTrainer, "linear()", 5 * PEAK, checkpoint)
    switch = functools.partial(ScheduledTrainer, on_resume="switch")
    assert run(switch, "linear()", 5 * PEAK, checkpoint) == pytest.approx([5 * lr for lr in left])


def test_warmup_and_step_decay_by_name(training_args, make_trainer):
    """huggingface/transformers issues 5936, 31831."""
    with pytest.raises(ValueError, match="step_with_warmup"):
        training_args(TrainingArguments, lr_scheduler_type="step_with_warmup")
    trainer = make_trainer("warmup(2) >> step(every=2, factor=0.5)")
    trainer.train()
    assert trainer.recorder.used == pytest.approx([0, PEAK / 2, PEAK, PEAK, PEAK / 2, PEAK / 2])


def test_plateau_knows_that_accuracy_should_rise(make_trainer):
    """huggingface/transformers issues 11005, 29417."""
    accuracies = {}

    def rising(_):
        accuracies["now"] = accuracies.get("now", 0.1) + 0.05
        return {"accuracy": accuracies["now"]}

    settings = {"compute_metrics": rising, "num_train_epochs": 2, "eval_strategy": "steps", "eval_steps": 1}
    settings |= {"metric_for_best_model": "accuracy", "greater_is_better": True}
    plateau = {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"factor": 0.5, "patience": 1}}
    stock = make_trainer(cls=Trainer, **settings, **plateau)
    stock.train()
    assert stock.recorder.used[-1] < PEAK / 8  # the metric improves, and the LR falls

    ours = make_trainer("warmup(4) >> linear() * plateau(metric=accuracy, factor=0.5, patience=1)", **settings)
    ours.train()
    assert ours.recorder.used == pytest.approx([PEAK * (t / 4 if t < 4 else (12 - t) / 8) for t in range(12)])


def test_plateau_with_warmup(make_trainer):
    settings = {"num_train_epochs": 1, "eval_strategy": "epoch", "metric_for_best_model": "loss"}
    plateau = {"lr_scheduler_type": "reduce_lr_on_plateau", "warmup_steps": 3}
    stock = make_trainer(cls=Trainer, **settings, **plateau)
    stock.train()
    assert stock.recorder.used == [PEAK] * 6  # warmup_steps is ignored
    ours = make_trainer("warmup(3) >> hold() * plateau()", **settings)
    ours.train()
    assert ours.recorder.used == pytest.approx([0, PEAK / 3, PEAK * 2 / 3, PEAK, PEAK, PEAK])


def test_lr_is_logged_next_to_the_metrics(make_trainer):
    """wandb/wandb issue 1534."""
    stock, ours = make_trainer(cls=Trainer, eval_strategy="epoch"), make_trainer("linear()", eval_strategy="epoch")
    for trainer in (stock, ours):
        trainer.train()
    assert not any(
        "learning_rate" in key for record in stock.state.log_history for key in record
    )  # anywhere in the log
    assert evaluations(ours)[0]["eval_learning_rate"] == ours.recorder.used[-1]
    assert any("learning_rate" in record for record in ours.state.log_history)


def test_every_group_is_logged_by_name(make_trainer, grouped):
    """open-mmlab/mmengine issue 482, Lightning issue 7981."""
    for cls in (Trainer, ScheduledTrainer):
        model, optimizer = grouped(PEAK, PEAK / 10, names=["body", "head"])
        trainer = make_trainer(
            "hold()", cls=cls, model=model, optimizers=(optimizer, None), eval_strategy="epoch", logging_steps=1
        )
        trainer.train()
        logged = {
            key for record in trainer.state.log_history for key in record if "learning_rate" in key or "lr/" in key
        }
        assert logged == (
            {"learning_rate"}
            if cls is Trainer
            else {"learning_rate", "eval_learning_rate", "eval_lr/body", "eval_lr/head"}
        )
    assert (evaluations(trainer)[0]["eval_lr/body"], evaluations(trainer)[0]["eval_lr/head"]) == (PEAK, PEAK / 10)


def test_scheduler_of_another_optimizer_is_refused(make_trainer):
    """A scheduler that is passed without its optimizer drives one that never trains."""
    from hf_lrsched import ScheduleCallback

    def pair():
        return None, get_scheduler("linear", weight(), 0, 6)

    stock = make_trainer(cls=Trainer, optimizers=pair(), logging_steps=1)
    stock.train()
    logged = [record["learning_rate"] for record in stock.state.log_history if "learning_rate" in record]
    assert logged == pytest.approx([1 - t / 6 for t in range(6)])
    assert stock.recorder.used == [PEAK] * 6  # what trained the weights
    checked = make_trainer(cls=Trainer, optimizers=pair(), callbacks=[ScheduleCallback()])
    with pytest.raises(ScheduleError, match="belongs to another optimizer"):
        checked.train()
    assert checked.recorder.used == []


def test_floor_is_the_same_for_every_group(grouped):
    """huggingface/transformers issue 29341."""

    def last(make):
        _, optimizer = grouped(1e-3, 1e-4)
        return trace(optimizer, make(optimizer), 9)[-1]

    stock = last(lambda o: get_scheduler("cosine_with_min_lr", o, 0, 8, scheduler_specific_kwargs={"min_lr": 1e-5}))
    assert stock[0] != pytest.approx(1e-5) or stock[1] != pytest.approx(1e-5)
    assert last(lambda o: hf_lrsched.get_scheduler("cosine(to_lr=1e-5)", o, num_training_steps=8)) == pytest.approx(
        [1e-5, 1e-5]
    )


def test_layers_have_their_own_lrs(make_trainer, tiny_bert):
    """huggingface/transformers issues 10140, 1444."""
    stock = make_trainer(cls=Trainer, model=tiny_bert)
    stock.create_optimizer()
    assert len({group["lr"] for group in stock.optimizer.param_groups}) == 1
    found = {group["name"]: group["lr"] for group in layerwise_groups(tiny_bert, lr=1e-4, decay=0.5, head_lr=1e-3)}
    assert {name: lr for name, lr in found.items() if "/" not in name} == pytest.approx(
        {"head": 1e-3, "layer_1": 5e-5, "layer_0": 2.5e-5, "embeddings": 1.25e-5}
    )


def test_scheduler_in_deepspeed_configuration_is_refused():
    """huggingface/transformers issue 10330; test_deepspeed.py has the rest."""
    from accelerate.utils.deepspeed import DummyScheduler

    from hf_lrsched.integrations.deepspeed import refuse_scheduler_of_config

    config = {"train_micro_batch_size_per_gpu": 1, "scheduler": {"type": "WarmupLR", "params": {}}}

    class Accelerated:
        class state:  # noqa: N801
            deepspeed_plugin = type("Plugin", (), {"deepspeed_config": config})

    # accelerate's placeholder accepts any schedule; DeepSpeed then uses the one of its configuration
    assert DummyScheduler(weight()).total_num_steps is None
    with pytest.raises(ScheduleError, match=r'"scheduler".*WarmupLR.*Delete that section'):
        refuse_scheduler_of_config(Accelerated, "linear()")


def test_data_without_a_length(make_trainer, data):
    """huggingface/datasets issue 5773."""

    class Stream(IterableDataset):
        def __iter__(self):
            while True:
                yield from data(24)

    with pytest.raises(ScheduleError, match="updates_per_epoch is not known"):
        make_trainer("warmup(1ep) >> linear()", train=Stream(), max_steps=6).train()
    trainer = make_trainer("warmup(50%) >> linear()", train=Stream(), max_steps=6)
    trainer.train()
    assert trainer.recorder.used == pytest.approx([PEAK * f for f in (0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)])
    stock = make_trainer(cls=Trainer, train=Stream(), max_steps=6)
    stock.train()
    assert stock.state.epoch == 1  # an epoch is the whole run, since the data is endless


def test_second_train_starts_a_new_schedule(make_trainer, grouped):
    """huggingface/transformers issues 21521, 24521."""
    model, optimizer = grouped(PEAK)
    stock = make_trainer(
        cls=Trainer, model=model, optimizers=(optimizer, torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 6))
    )
    ours = make_trainer("linear()")
    for trainer in (stock, ours):
        trainer.train()
        trainer.train()
    linear = [PEAK * (1 - t / 6) for t in range(6)]
    assert stock.recorder.used == pytest.approx([*linear, *[0] * 6], abs=1e-12)  # spent
    assert ours.recorder.used == pytest.approx(linear * 2)


def test_decay_on_a_schedule_free_optimizer_is_reported(make_trainer):
    """huggingface/transformers issue 30079."""
    settings = {"optim": "schedule_free_adamw", "max_steps": 8}
    stock, optimizer = make_trainer(cls=Trainer, **settings), weight()
    decaying = first(trace(optimizer, stock.create_scheduler(8, optimizer), 8))
    assert decaying == pytest.approx([1 - t / 8 for t in range(8)])  # on an optimizer whose averaging replaces a decay
    for cls, schedule, is_reported in (
        (Trainer, None, True),
        (ScheduledTrainer, "linear()", True),
        (ScheduledTrainer, "warmup(2) >> hold()", False),
    ):
        found = [finding.check for finding in diagnose(make_trainer(schedule, cls=cls, **settings))]
        assert ("schedule_free_optimizer" in found) == is_reported


def test_restarts_restart():
    """huggingface/transformers issues 20552, 29852."""
    optimizer = weight()
    stock = first(trace(optimizer, get_scheduler("cosine_with_restarts", optimizer, 0, 12), 12))
    assert stock == sorted(stock, reverse=True)  # with its defaults there is no restart
    optimizer = weight()
    ours = first(
        trace(optimizer, hf_lrsched.get_scheduler("repeat(cosine(), cycles=2)", optimizer, num_training_steps=12), 12)
    )
    assert ours[:6] == pytest.approx(ours[6:]) and ours[6] == 1 and ours[5] < 0.1


def test_tensor_lrs_are_written_in_place():
    """pytorch/pytorch issues 107076, 120934; another test counts how often a step is compiled."""
    parameter = nn.Parameter(torch.ones(1))
    lr = torch.tensor(1.0)
    optimizer = torch.optim.AdamW([parameter], lr=lr, capturable=False, foreach=False)
    scheduler = hf_lrsched.get_scheduler("linear()", optimizer, num_training_steps=4)
    assert optimizer.param_groups[0]["lr"] is lr
    trace(optimizer, scheduler, 1)
    assert optimizer.param_groups[0]["lr"] is lr and float(lr) == 0.75
    # a float is a new constant at each update, for which a compiled step compiles again
    floats = weight(1.0)
    values = first(trace(floats, get_scheduler("linear", floats, 0, 4), 3))
    assert len({type(value) for value in values}) == 1 and len(set(values)) == 3


def test_frozen_layers_do_not_change(make_trainer, tiny_bert):
    """Lightning issue 514, huggingface/setfit issue 474."""
    lazy = weight(cls=torch.optim.AdamW)
    lazy.param_groups[0]["lr"] = 0.0  # what people write to freeze
    lazy.param_groups[0]["params"][0].grad = torch.ones(1)
    lazy.step()
    assert float(lazy.state[lazy.param_groups[0]["params"][0]]["exp_avg"]) != 0  # its moments have changed

    from hf_lrsched import ScheduleLR, gradual_unfreezing

    groups = gradual_unfreezing(layerwise_groups(tiny_bert, lr=PEAK, weight_decay=0.1), "linear()", every=2)
    optimizer = torch.optim.AdamW(groups)
    scheduler = ScheduleLR(optimizer, "linear()", 8)
    moved = []
    for _ in range(7):
        for parameter in tiny_bert.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        scheduler.step()
        moved.append(
            {group["name"].split("/")[0] for group in optimizer.param_groups if optimizer.state.get(group["params"][0])}
        )
    head, top, all_layers = {"head"}, {"head", "layer_1"}, {"head", "layer_1", "layer_0"}
    assert moved == [head, head, top, top, all_layers, all_layers, {*all_layers, "embeddings"}]


def test_lora_plus_ratio_is_applied_or_refused(make_trainer):
    """huggingface/peft issues 1504, 1915: a ratio that reaches no parameter is ignored there."""

    class Lora(nn.Module):
        def __init__(self):
            super().__init__()
            self.lora_A = nn.Linear(4, 2, bias=False)
            self.lora_B = nn.Linear(2, 2, bias=False)
            self.classifier = nn.Linear(2, 2)

        def forward(self, x, labels=None):
            logits = self.classifier(self.lora_B(self.lora_A(x)))
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def ratio(trainer):
        lrs = {
            name: group["lr"]
            for group in trainer.create_optimizer().param_groups
            for name, parameter in trainer.model.named_parameters()
            if any(parameter is each for each in group["params"])
        }
        return lrs["lora_B.weight"] / lrs["lora_A.weight"]

    assert ratio(make_trainer(cls=Trainer, model=Lora())) == 1
    with_ratio = functools.partial(ScheduledTrainer, groups=functools.partial(_lora_plus, ratio=16))
    assert ratio(make_trainer("hold()", cls=with_ratio, model=Lora())) == pytest.approx(16)
    with pytest.raises(ScheduleError, match="lora_B"):
        layerwise_groups(_bert(), lr=PEAK, lora_plus_ratio=16)


def test_early_stopping_does_not_cut_off_the_schedule(make_trainer):
    """ourownstory/neural_prophet issue 1005."""
    settings = {
        "num_train_epochs": 8,
        "eval_strategy": "epoch",
        "metric_for_best_model": "eval_loss",
        "greater_is_better": True,
    }
    stock = make_trainer(cls=Trainer, callbacks=[EarlyStoppingCallback(1)], **settings)
    stock.train()
    assert stock.recorder.used[-1] > PEAK / 2  # stopped after two epochs of eight
    ours = make_trainer("warmup(2) >> hold() >> cooldown(6)", callbacks=[EarlyStoppingCallback(1)], **settings)
    ours.train()
    assert len(ours.recorder.used) == len(stock.recorder.used) + 6
    assert ours.recorder.used[-1] < PEAK / 8


def _lora_plus(model, groups, ratio):
    rules = {"B": {"pattern": "lora_B", "lr": PEAK * ratio}, "rest": {"pattern": "lora_A|classifier", "lr": PEAK}}
    return regex_groups(model, rules)


def _bert():
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 16,
    }
    return BertForSequenceClassification(BertConfig(**sizes))


@pytest.fixture
def tiny_bert():
    return _bert()
