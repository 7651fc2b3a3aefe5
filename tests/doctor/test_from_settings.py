"""Facts from settings, saved arguments among them."""

import dataclasses
import io
import sys

import pytest
import torch
from transformers import Seq2SeqTrainingArguments, TrainingArguments

from hf_lrsched import ScheduleArguments, diagnose
from hf_lrsched.doctor import get_facts
from hf_lrsched.doctor.from_settings import read_facts_from_settings
from hf_lrsched.doctor.safe_pickle import read_pickle
from tests.doctor.configurations import write_json
from tests.doctor.files import checks_of


@pytest.mark.parametrize("cls", [TrainingArguments, Seq2SeqTrainingArguments])
def test_saved_arguments_equal_the_object(cls, tmp_path):
    args = cls(
        str(tmp_path),
        learning_rate=3e-5,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr": 1e-6},
        warmup_steps=7,
        max_steps=70,
        gradient_accumulation_steps=2,
        optim="adafactor",
        eval_strategy="epoch",
        metric_for_best_model="accuracy",
        use_cpu=True,
        report_to="none",
    )
    torch.save(args, tmp_path / "training_args.bin")
    facts = get_facts(tmp_path / "training_args.bin")
    values = (facts.learning_rate, facts.lr_scheduler_type, dict(facts.lr_scheduler_kwargs), facts.warmup_steps)
    assert values == (3e-5, "cosine_with_min_lr", {"min_lr": 1e-6}, 7)
    assert (facts.num_updates, facts.gradient_accumulation_steps, facts.optim, facts.num_processes) == (
        70,
        2,
        "adafactor",
        1,
    )
    assert (facts.eval_strategy, facts.metric_for_best_model, facts.greater_is_better) == ("epoch", "accuracy", True)
    as_json = get_facts(write_json(tmp_path / "args.json", args.to_dict()))
    assert dataclasses.replace(as_json, source="") == dataclasses.replace(facts, source="")


@pytest.mark.parametrize("is_legacy", [False, True])
def test_formats_of_torch_save(is_legacy, tmp_path):
    args = TrainingArguments(str(tmp_path), max_steps=100, warmup_steps=100, use_cpu=True, report_to="none")
    torch.save(args, tmp_path / "training_args.bin", _use_new_zipfile_serialization=not is_legacy)
    assert checks_of(tmp_path / "training_args.bin") == {"long_warmup"}


def test_custom_subclass_with_schedule(tmp_path):
    @dataclasses.dataclass
    class Arguments(ScheduleArguments, TrainingArguments):
        pass

    args = Arguments(
        output_dir=str(tmp_path), schedule="warmup(60%) >> linear()", max_steps=100, use_cpu=True, report_to="none"
    )
    values = {**args.__dict__}
    del values["distributed_state"]
    # As pickle writes an object of a class that a script defines.
    Arguments.__module__, Arguments.__qualname__ = "__main__", "Arguments"
    main = sys.modules["__main__"]
    main.Arguments = Arguments
    try:
        torch.save(args, tmp_path / "training_args.bin")
    finally:
        del main.Arguments
    facts = get_facts(tmp_path / "training_args.bin")
    assert (facts.schedule, facts.uses_our_trainer) == ("warmup(60%) >> linear()", True)
    assert checks_of(tmp_path / "training_args.bin") == {"long_warmup"}


def test_unreadable_lr_is_not_the_default(tmp_path):
    args = TrainingArguments(str(tmp_path), learning_rate=1e-5, max_steps=10, use_cpu=True, report_to="none")
    args.learning_rate = torch.tensor(1e-5)
    torch.save(args, tmp_path / "training_args.bin")
    assert get_facts(tmp_path / "training_args.bin").learning_rate is None
    diagnose(tmp_path / "training_args.bin")


def test_arguments_of_several_processes(tmp_path):
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    content = io.BytesIO()
    torch.save(args, content)
    found = read_pickle(saved(tmp_path, content))
    found.__dict__["distributed_state"].__dict__["num_processes"] = 4

    assert read_facts_from_settings(found.__dict__, "x").num_processes == 4


def saved(folder, content):
    path = folder / "training_args.bin"
    path.write_bytes(content.getvalue())
    return path


def test_named_file_whose_name_is_too_long_is_not_there(tmp_path):
    settings = {"learning_rate": 2e-5, **dict.fromkeys(("deepspeed", "resume_from_checkpoint"), "x" * 300)}
    assert checks_of(write_json(tmp_path / "settings.json", settings)) == set()
