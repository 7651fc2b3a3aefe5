"""A log that shows an LR that no parameter had: found at once."""

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleError, get_scheduler


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, labels=None):
        return {"loss": ((self.weight * x - labels) ** 2).mean(), "logits": self.weight * x}


DATA = [{"x": torch.tensor([1.0]), "labels": torch.tensor([0.0])} for _ in range(8)]


def arguments(tmp_path, **kwargs):
    kwargs = {"max_steps": 8, "per_device_train_batch_size": 1, "learning_rate": 0.1} | kwargs
    return TrainingArguments(str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no", **kwargs)


def messages(caplog):
    return " ".join(record.getMessage() for record in caplog.records)


class UsedLR(TrainerCallback):
    def __init__(self):
        self.used = []

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.used.append(kwargs["optimizer"].param_groups[0]["lr"])


def test_a_scheduler_of_another_optimizer_is_refused_before_the_first_update(tmp_path):
    model = Line()
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = get_scheduler("linear()", other, num_training_steps=8)
    trainer = Trainer(
        model, arguments(tmp_path), train_dataset=DATA, optimizers=(None, scheduler), callbacks=[ScheduleCallback()]
    )
    with pytest.raises(ScheduleError, match="another optimizer"):
        trainer.train()
    assert trainer.state.global_step == 0 and model.weight.item() == 1.0


def test_the_stock_trainer_accepts_it_and_shows_an_lr_that_does_not_train(tmp_path):
    model, used = Line(), UsedLR()
    scheduler = get_scheduler("linear()", torch.optim.SGD(model.parameters(), lr=0.1), num_training_steps=8)
    args = arguments(tmp_path, logging_steps=1)
    trainer = Trainer(model, args, train_dataset=DATA, optimizers=(None, scheduler), callbacks=[used])
    trainer.train()
    shown = [record["learning_rate"] for record in trainer.state.log_history if "learning_rate" in record]
    assert shown == pytest.approx([0.1 * (1 - t / 8) for t in range(8)])
    assert used.used == [0.1] * 8


def test_a_scheduler_of_the_optimizer_that_trains_gives_no_warning(tmp_path, caplog):
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pair = (optimizer, get_scheduler("linear()", optimizer, num_training_steps=8))
    Trainer(model, arguments(tmp_path), train_dataset=DATA, optimizers=pair, callbacks=[ScheduleCallback()]).train()
    assert messages(caplog) == ""


def test_an_lr_that_something_else_writes_is_reported_once(tmp_path, caplog):
    class Writer(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step in (2, 4):
                kwargs["optimizer"].param_groups[0]["lr"] = 7.0

    trainer = ScheduledTrainer(
        Line(), arguments(tmp_path), train_dataset=DATA, schedule="linear()", callbacks=[Writer()]
    )
    trainer.train()
    message = messages(caplog)
    assert "update 3: group 0 is trained with LR 7" in message and "schedule says 0.075" in message
    assert message.count("Something else") == 1


def test_a_used_scheduler_is_reported(tmp_path, caplog):
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pair = (optimizer, get_scheduler("linear()", optimizer, num_training_steps=8))
    trainer = Trainer(model, arguments(tmp_path), train_dataset=DATA, optimizers=pair, callbacks=[ScheduleCallback()])
    trainer.train()
    trainer.train()
    assert "an earlier train() used it" in messages(caplog)


class BodyLine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = Line(), Line()

    def forward(self, x, labels=None):
        return self.head(self.body.weight * x, labels)


def train_with(tmp_path, model, optimizer, schedule="linear()"):
    pair = (optimizer, get_scheduler(schedule, optimizer, num_training_steps=8))
    trainer = Trainer(model, arguments(tmp_path), train_dataset=DATA, optimizers=pair, callbacks=[ScheduleCallback()])
    trainer.train()
    return trainer


def test_trained_parameters_in_no_group_are_named_once(tmp_path, caplog):
    model = BodyLine()
    train_with(tmp_path, model, torch.optim.SGD(model.head.parameters(), lr=0.1))
    assert messages(caplog).count("1 of 2 parameters with requires_grad=True are in no group") == 1
    assert "'body.weight'" in messages(caplog)


def test_frozen_parameters_may_be_in_no_group(tmp_path, caplog):
    model = BodyLine()
    model.body.requires_grad_(False)
    train_with(tmp_path, model, torch.optim.SGD(model.head.parameters(), lr=0.1))
    assert messages(caplog) == ""


class Around(torch.optim.Optimizer):
    """Steps an optimizer within, whose groups are copied, or copied and given the LRs at each step."""

    def __init__(self, inner, passes_on):
        super().__init__([{**group} for group in inner.param_groups], {})
        self.inner, self.passes_on = inner, passes_on

    def step(self, closure=None):
        for group, own in zip(self.inner.param_groups, self.param_groups, strict=True) if self.passes_on else ():
            group["lr"] = own["lr"]
        self.inner.step(closure)


class Shared(Around):
    """Shares the groups; accelerate replaces a list that is a mere attribute."""

    @property
    def param_groups(self):
        return vars(self)["inner"].param_groups if "inner" in vars(self) else self._groups

    @param_groups.setter
    def param_groups(self, groups):
        self._groups = groups
        if "inner" in vars(self):
            self.inner.param_groups = groups


@pytest.mark.parametrize("schedule", ["linear()", "warmup(2) >> linear()", "warmup(4) >> hold()"])
@pytest.mark.parametrize("how", ["shared", "copied", "passed on"])
def test_an_optimizer_within_the_one_that_trains(tmp_path, how, schedule):
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = Shared(inner, False) if how == "shared" else Around(inner, how == "passed on")
    if how == "copied":
        with pytest.raises(ScheduleError, match=r"update [23]: an optimizer within the one that trains has LR 0"):
            train_with(tmp_path, model, optimizer, schedule)
    else:
        assert train_with(tmp_path, model, optimizer, schedule).state.global_step == 8
