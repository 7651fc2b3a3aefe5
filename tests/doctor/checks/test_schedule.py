"""Checks of which schedule trains: each broken configuration is found by the right check alone, each sound one draws no warning."""

import dataclasses

import torch
from transformers import Trainer, TrainingArguments, get_scheduler

from hf_lrsched import ScheduleArguments, ScheduledTrainer, diagnose
from tests.doctor.checks.cases import test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import GLUE, Config
from tests.doctor.files import checks_of

BROKEN = {
    "invalid_schedule": [
        Config(345, schedule="linear() >> cosine()"),
        Config(345, schedule="warmup(10%) >> linaer()"),
        Config(
            345, schedule="warmup(10foo) >> linear()", schedule_module="house"
        ),  # an unknown unit is no unknown name
        Config(345, **GLUE, lr_scheduler_type="cosin"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr"),
        Config(345, schedule="warmup(2000tok) >> linear()"),
        Config(468, schedule="warmup(500) >> linear()"),
        Config(345, **GLUE, lr_scheduler_type="linear", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs='{"min_lr": 1e-6}'),
        Config(345, **GLUE, lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs={"num_decay_steps": 400}),
        Config(345, learning_rate=2e-5, schedule="warmup(10%) >> cosine(to_lr=1e-4)"),
    ],
    "two_schedules": [
        Config(345, schedule="warmup(10%) >> linear()", lr_scheduler_type="cosine"),
        Config(345, schedule="bert()", warmup_ratio=0.1),
    ],
    "unknown_length": [
        Config(**GLUE, streaming=True),
        Config(schedule="warmup(10%) >> linear()", streaming=True),
        Config(345, **GLUE, auto_find_batch_size=True, warmup_steps=30),
    ],
}

SOUND = {
    "invalid_schedule": [
        Config(345, schedule="warmup(10%) >> cosine(to=1%)"),
        Config(345, **GLUE, lr_scheduler_type="inverse_sqrt", warmup_steps=20),
        Config(345, schedule="warmup(1ep) >> step(every=1ep, factor=0.5)", num_train_epochs=3),
        Config(schedule="warmup(2min) >> linear()", clock="time(30min)"),
    ],
    "two_schedules": [
        Config(345, schedule="bert()", lr_scheduler_type="linear", warmup_steps=0),
        Config(345, **GLUE, lr_scheduler_type="cosine", warmup_steps=0.1),
    ],
    "unknown_length": [
        Config(**GLUE, streaming=True, max_steps=1000),
        Config(345, **GLUE, auto_find_batch_size=True, warmup_ratio=0.1),
        Config(**GLUE),  # the data is not known: a note
    ],
}


def test_schedule_in_the_arguments_of_another_trainer(make_trainer, tmp_path):
    @dataclasses.dataclass
    class Arguments(ScheduleArguments, TrainingArguments):
        pass

    given = {"schedule": "warmup(1) >> linear()"}
    args = Arguments(str(tmp_path), use_cpu=True, report_to="none", logging_steps=1, max_steps=5, **given)
    rows, model = [{"x": torch.ones(2), "labels": 0}] * 8, make_trainer().model
    (finding,) = [finding for finding in diagnose(Trainer(model, args, train_dataset=rows)) if finding.is_wrong]
    assert finding.check == "unused_schedule" and "lr_scheduler_type=linear" in finding.why
    assert checks_of(ScheduledTrainer(model, args, train_dataset=rows)) == set()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=5)
    trainer = Trainer(model, args, train_dataset=rows, optimizers=(optimizer, scheduler))
    assert checks_of(trainer) == {"unused_schedule"}


def test_data_without_length(make_trainer, endless):
    assert checks_of(make_trainer(data=endless, max_steps=10)) == set()
    trainer = make_trainer(ScheduledTrainer, data=endless, max_steps=10, extra={"schedule": "warmup(1ep) >> linear()"})
    assert checks_of(trainer) == {"invalid_schedule"}
