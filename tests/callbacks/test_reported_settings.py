"""The settings that reporters store name the schedule; the training arguments are as the user made them before and after."""

import dataclasses

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_lrsched import ScheduleArguments, ScheduleCallback, get_scheduler

SCHEDULE = "warmup(2) >> linear()"


@dataclasses.dataclass
class Arguments(ScheduleArguments, TrainingArguments):
    pass


class Reporter(TrainerCallback):
    """Stores the settings as Trainer's reporters do: at its first hook in the training, or at a record before it."""

    settings = None

    def on_log(self, args, state, control, **kwargs):
        if self.settings is None:
            self.settings = args.to_dict()

    def on_train_begin(self, args, state, control, **kwargs):
        self.on_log(args, state, control)


def reported(trainer):
    reporter = Reporter()
    trainer.callback_handler.callbacks.insert(1, reporter)  # where Trainer has its own
    return reporter


def make_stock_trainer(make_trainer, net):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    scheduler = get_scheduler(SCHEDULE, optimizer, num_training_steps=6)
    return make_trainer(cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=[ScheduleCallback()])


@pytest.mark.parametrize("kind", ["ours", "stock", "in the arguments"])
def test_the_schedule_is_reported_and_the_arguments_are_restored(make_trainer, net, tmp_path, kind):
    if kind == "stock":
        trainer = make_stock_trainer(make_trainer, net)
    elif kind == "ours":
        trainer = make_trainer(SCHEDULE)
    else:
        trainer = make_trainer(args_class=Arguments, schedule_in_args=SCHEDULE)
    before = type(trainer.args).to_dict(trainer.args)
    reporter = reported(trainer)
    trainer.train()
    assert trainer.args.to_dict() == before
    peak = 0.02 if kind == "stock" else 1e-3
    expected = {
        **{name: value for name, value in before.items() if not name.startswith("warmup") and "kwargs" not in name},
        "lr_scheduler_type": SCHEDULE,
        "schedule": SCHEDULE,
        "num_updates": 6,
        "learning_rate": peak,
        "peak_learning_rate": peak,
        **({} if kind == "stock" else {"updates_per_epoch": 6}),
    }
    assert {name: value for name, value in reporter.settings.items() if "kwargs" not in name} == expected
    assert "lr_scheduler_kwargs" not in reporter.settings
    trainer.save_model()
    saved = torch.load(tmp_path / "out/training_args.bin", weights_only=False)
    assert "to_dict" not in vars(saved)


def test_an_evaluation_before_the_training(make_trainer):
    trainer = make_trainer(SCHEDULE)
    reporter = reported(trainer)
    trainer.evaluate()
    assert (reporter.settings["schedule"], reporter.settings["lr_scheduler_type"]) == (SCHEDULE, SCHEDULE)
    assert "to_dict" not in vars(trainer.args)


def test_the_arguments_are_restored_where_the_training_fails(make_trainer):
    class Failing(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            raise RuntimeError("no reporter")

    trainer = make_trainer(SCHEDULE, callbacks=[Failing()])
    with pytest.raises(RuntimeError, match="no reporter"):
        trainer.train()
    assert "to_dict" not in vars(trainer.args)


def test_peaks_of_groups(make_trainer, grouped):
    model, optimizer = grouped(1e-4, 5e-4, names=["encoder", "head"])
    trainer = make_trainer(SCHEDULE, model=model, optimizers=(optimizer, None))
    reporter = reported(trainer)
    trainer.train()
    peaks = {name: value for name, value in reporter.settings.items() if name.startswith("peak")}
    assert peaks == {"peak_learning_rate": 1e-4, "peak_lr/encoder": 1e-4, "peak_lr/head": 5e-4}


def test_a_resume_reports_what_trains(make_trainer):
    make_trainer(SCHEDULE, save_strategy="steps", save_steps=3, max_steps=6).train()
    trainer = make_trainer("cosine()", max_steps=9)
    trainer._on_resume = "keep"
    reporter = reported(trainer)
    trainer.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-3")
    found = {name: reporter.settings[name] for name in ("schedule", "num_updates", "resumed_with")}
    assert found == {"schedule": SCHEDULE, "num_updates": 9, "resumed_with": "keep"}


def test_a_clock_instead_of_updates(make_trainer):
    trainer = make_trainer(SCHEDULE.replace("2", "10%"))
    trainer.clock = "time(30min)"
    reporter = reported(trainer)
    trainer.train()
    assert reporter.settings["clock"] == "time(30min)"
    assert "num_updates" not in reporter.settings
