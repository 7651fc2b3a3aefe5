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
