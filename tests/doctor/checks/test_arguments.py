"""Checks of a schedule's arguments: each broken configuration is found by the right check alone, each sound one draws no warning."""

import dataclasses
import inspect

import pytest
import torch
import transformers
from transformers import Seq2SeqTrainingArguments

from hf_lrsched import diagnose
from hf_lrsched.doctor.checks.arguments import GREEDY_FLOOR
from tests.doctor.checks.cases import test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import BERT, GLUE, IS_FIVE, Config, Run, Stage, lambda_state, log, write_yaml

BROKEN = {
    "no_restarts": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 1}),
    ],
    "ignored_arguments": [
        Config(345, **GLUE, lr_scheduler_type="constant", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, **GLUE, lr_scheduler_type="constant_with_warmup", lr_scheduler_kwargs={"min_lr": 1e-6}),
        Config(345, **GLUE, lr_scheduler_type="constant", warmup_steps=50),
        Config(345, **GLUE, lr_scheduler_type="linear", warmup_steps=50, warmup_ratio=0.1),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            warmup_ratio=0.1,
            eval_strategy="steps",
            eval_steps=10,
        ),
    ],
    "number_as_text": [
        Config(345, **BERT | {"learning_rate": "2e-5"}),
        Config(345, **GLUE, warmup_steps="10"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": "1e-6"}),
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"power": "2"}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": "1e-1"}),
    ],
    "floor_above_peak": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": 1e-4}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 10}),
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"lr_end": 2e-5}),
        Config(345, **GLUE, lr_scheduler_type="greedy", eval_strategy="steps", eval_steps=5),
    ],
    "floor_differs_by_group": [
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr": 1e-6},
                scheduler=lambda_state(50, 1e-5) | {"base_lrs": [5e-5, 1e-3], "_last_lr": [1e-5, 2e-4]},
                history=log({"loss": 0.5, "learning_rate": 4.9e-5}),
            )
        ),
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="polynomial",
                lr_scheduler_kwargs={"lr_end": 1e-6},
                scheduler=lambda_state(50, 1e-5) | {"base_lrs": [5e-5, 1e-5], "_last_lr": [1e-5, 2e-6]},
                history=log({"loss": 0.5, "learning_rate": 4.5e-5}),
            )
        ),
    ],
}

SOUND = {
    "no_restarts": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, schedule="repeat(cosine(), cycles=3)"),
    ],
    "ignored_arguments": [
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"power": 2, "lr_end": 1e-7}),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 0.5}),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"factor": 0.5, "patience": 2, "min_lr": 1e-7},
            eval_strategy="steps",
            eval_steps=10,
        ),
    ],
    "number_as_text": [
        Config(345, schedule="warmup(10%) >> linear()", learning_rate="2e-5"),  # the recipe reads text
        Config(345, **BERT, metric_for_best_model="1", push_to_hub_token="2"),
    ],
    "floor_above_peak": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": 1e-6}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1}),
        Config(345, learning_rate=2e-5, schedule="warmup(10%) >> cosine(to_lr=1e-6)"),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="greedy",
            lr_scheduler_kwargs={"min_lr": 1e-6},
            eval_strategy="steps",
            eval_steps=5,
        ),
    ],
    "floor_differs_by_group": [
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr": 1e-6},
                scheduler=lambda_state(50, 1e-5, groups=2),  # with and without weight decay
                history=log({"loss": 0.5, "learning_rate": 4.9e-5}),
            )
        ),
        Config(345, learning_rate=2e-5, head_learning_rate=1e-4, schedule="warmup(10%) >> cosine(to_lr=1e-6)"),
    ],
}


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


def test_misspelled_settings_are_notes(tmp_path):
    path = write_yaml(
        tmp_path / "a.yaml",
        {"learning_rate": 2e-5, "warmup_step": 500, "max_steps": 400, "lr_schedular_type": "cosine"},
    )
    notes = [finding for finding in diagnose(path) if finding.check == "misspelled_setting"]
    assert {(note.severity, note.what.split()[0], note.fix) for note in notes} == {
        ("note", "warmup_step", "Did you mean warmup_steps?"),
        ("note", "lr_schedular_type", "Did you mean lr_scheduler_type?"),
    }


def test_no_training_argument_counts_as_misspelled(tmp_path):
    names = {field.name for field in dataclasses.fields(Seq2SeqTrainingArguments)}
    path = write_yaml(tmp_path / "a.yaml", dict.fromkeys(sorted(names), None) | {"learning_rate": 2e-5})
    assert [finding.what for finding in diagnose(path) if finding.check == "misspelled_setting"] == []


@pytest.mark.skipif(not IS_FIVE, reason="4.57 has no GreedyLR")
def test_floor_of_greedy_is_its_default():
    parameters = inspect.signature(transformers.optimization.GreedyLR).parameters
    assert parameters["min_lr"].default == GREEDY_FLOOR
