"""Where facts come from: pickled files that execute nothing, and bad input that is one clear error."""

import collections
import dataclasses
import io
import json
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Seq2SeqTrainingArguments, TrainingArguments

import hf_lrsched
from hf_lrsched import ScheduleArguments, ScheduledTrainer, ScheduleError, diagnose
from hf_lrsched.doctor import facts_of
from hf_lrsched.doctor.safe_pickle import Inert, read_pickle
from tests.doctor.configurations import BERT, NAN, Run, Stage, lambda_state, write_json, write_yaml


def checks_of(path, updates=None):
    return {finding.check for finding in diagnose(path, updates) if finding.is_wrong}


def archive(path, content, name="archive/data.pkl"):
    """What torch.save would have made of these bytes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, content)
        file.writestr("archive/version", "3\n")
    return path


# Saved arguments


@pytest.mark.parametrize("cls", [TrainingArguments, Seq2SeqTrainingArguments])
def test_saved_arguments_tell_the_same_as_the_object(cls, tmp_path):
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
    facts = facts_of(tmp_path / "training_args.bin")
    told = (facts.learning_rate, facts.lr_scheduler_type, dict(facts.lr_scheduler_kwargs), facts.warmup_steps)
    assert told == (3e-5, "cosine_with_min_lr", {"min_lr": 1e-6}, 7)
    assert (facts.num_updates, facts.accumulation, facts.optim, facts.processes) == (70, 2, "adafactor", 1)
    assert (facts.eval_strategy, facts.metric_for_best_model, facts.greater_is_better) == ("epoch", "accuracy", True)
    as_json = facts_of(write_json(tmp_path / "args.json", args.to_dict()))
    assert dataclasses.replace(as_json, source="") == dataclasses.replace(facts, source="")


@pytest.mark.parametrize("old_format", [False, True])
def test_formats_of_torch_save(old_format, tmp_path):
    args = TrainingArguments(str(tmp_path), max_steps=100, warmup_steps=100, use_cpu=True, report_to="none")
    torch.save(args, tmp_path / "training_args.bin", _use_new_zipfile_serialization=not old_format)
    assert checks_of(tmp_path / "training_args.bin") == {"long_warmup"}


def test_a_subclass_of_ones_own_with_a_schedule(tmp_path):
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
    facts = facts_of(tmp_path / "training_args.bin")
    assert (facts.schedule, facts.is_ours) == ("warmup(60%) >> linear()", True)
    assert checks_of(tmp_path / "training_args.bin") == {"long_warmup"}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64])
def test_numbers_of_numpy_as_a_sweep_leaves_them(kind, tmp_path):
    args = TrainingArguments(str(tmp_path), learning_rate=kind(2), max_steps=10, use_cpu=True, report_to="none")
    torch.save(args, tmp_path / "training_args.bin")
    assert facts_of(tmp_path / "training_args.bin").learning_rate == 2


def test_an_lr_that_cannot_be_read_is_not_taken_for_the_default(tmp_path):
    args = TrainingArguments(str(tmp_path), learning_rate=1e-5, max_steps=10, use_cpu=True, report_to="none")
    args.learning_rate = torch.tensor(1e-5)
    torch.save(args, tmp_path / "training_args.bin")
    assert facts_of(tmp_path / "training_args.bin").learning_rate is None
    diagnose(tmp_path / "training_args.bin")


def test_arguments_of_several_processes(tmp_path):
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    content = io.BytesIO()
    torch.save(args, content)
    found = read_pickle(saved(tmp_path, content))
    found.__dict__["distributed_state"].__dict__["num_processes"] = 4
    from hf_lrsched.doctor.from_settings import facts_of_settings

    assert facts_of_settings(found.__dict__, "x").processes == 4


def saved(folder, content):
    path = folder / "training_args.bin"
    path.write_bytes(content.getvalue())
    return path


# What a pickled file may not do


class Evil:
    """Pickles into a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def raw(module, name, *arguments):
    """A pickle that calls a name, which need not exist here."""
    lines = [b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n("]
    for argument in arguments:
        data = argument.encode()
        lines.append(b"X" + struct.pack("<I", len(data)) + data)
    return b"".join([*lines, b"tR."])


def evils(mark):
    yield "os.system", pickle.dumps(Evil(os.system, f"touch {mark}"))
    yield "posix", raw("posix", "system", f"touch {mark}")
    yield "eval", pickle.dumps(Evil(eval, f"open({str(mark)!r}, 'w').close()"))
    yield "exec", pickle.dumps(Evil(exec, f"open({str(mark)!r}, 'w').close()"), protocol=4)
    yield "open", pickle.dumps(Evil(open, str(mark), "w"))
    yield "getattr", raw("builtins", "getattr", "a", "b")
    yield "Path.touch", raw("pathlib", "Path.touch", str(mark))
    yield "torch.load", raw("torch", "load", str(mark))
    yield "torch.storage", raw("torch.storage", "_load_from_bytes", str(mark))
    yield "torch.hub", raw("torch.hub", "load", str(mark))
    yield "torch.jit", raw("torch.jit._serialization", "load", str(mark))
    yield "numpy", raw("numpy", "load", str(mark))
    yield "runpy", raw("runpy", "run_path", str(mark))
    yield "this package", raw("hf_lrsched.schedules.modules", "import_names", "this")
    yield "nested name", raw("transformers", "TrainingArguments.__init__", "a")
    yield "copyreg", raw("copyreg", "_reconstructor", "a")
    yield "functools", raw("functools", "partial", "a")
    yield "importlib", raw("importlib", "import_module", "this")


@pytest.mark.parametrize("name", dict(evils("mark")))
@pytest.mark.parametrize("is_zip", [False, True])
def test_nothing_of_a_pickled_file_is_executed(name, is_zip, tmp_path):
    mark = tmp_path / "executed"
    content = dict(evils(mark))[name]
    path = tmp_path / "training_args.bin"
    archive(path, content) if is_zip else path.write_bytes(content)
    with pytest.raises(ScheduleError, match="not on the list") as error:
        diagnose(path)
    assert not mark.exists()
    assert str(path) in str(error.value) and "to_json_string" in str(error.value)


def test_allowed_classes_are_not_made(tmp_path, monkeypatch):
    """A class of transformers that would do something when it is made does nothing: it is not even imported."""
    made = []
    monkeypatch.setattr(TrainingArguments, "__post_init__", lambda self: made.append(self))
    monkeypatch.setattr(TrainingArguments, "__setstate__", lambda self, state: made.append(state), raising=False)
    args = object.__new__(TrainingArguments)
    args.__dict__.update({"output_dir": "o", "learning_rate": 1e-5})
    torch.save(args, tmp_path / "training_args.bin")
    assert facts_of(tmp_path / "training_args.bin").learning_rate == 1e-5
    content = raw("transformers.pipelines", "TextGenerationPipeline", "a")
    found = read_pickle(archive(tmp_path / "b.bin", content))
    assert isinstance(found, Inert) and type(found).__name__ == "TextGenerationPipeline"
    assert made == []


def test_state_that_would_replace_methods_does_nothing(tmp_path):
    # BUILD with slots sets attributes: here __class__ and __setstate__ of a stand-in.
    content = (
        b"\x80\x02ctransformers\nTrainingArguments\n)R(N}(X\x0c\x00\x00\x00__setstate__ctransformers\nTrainer\n"
        b"X\x09\x00\x00\x00__class__ctransformers\nTrainer\nutb}X\x01\x00\x00\x00aK\x01sb."
    )
    found = read_pickle(archive(tmp_path / "training_args.bin", content))
    assert type(found).__mro__[1] is Inert and type(found).__name__ == "TrainingArguments"
    with pytest.raises(ScheduleError, match="holds no training arguments"):
        diagnose(tmp_path / "training_args.bin")


def test_extensions_and_a_huge_memory_are_refused(tmp_path):
    for name, content in {"extension": b"\x80\x02\x82\x01.", "memory": b"\x80\x02Nr\xff\xff\xff\x7f."}.items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(content)
        with pytest.raises(ScheduleError, match="damaged"):
            diagnose(path)


def test_lengths_that_lie_are_refused(tmp_path):
    for content in (
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"\x80\x02(((((.",
    ):
        path = tmp_path / "training_args.bin"
        path.write_bytes(content)
        with pytest.raises(ScheduleError, match="damaged"):
            diagnose(path)


def test_a_huge_pickle_is_not_read(tmp_path):
    path = tmp_path / "training_args.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("archive/data.pkl", "w") as member:
        for _ in range(65):
            member.write(b"\0" * 2**20)
    assert path.stat().st_size < 2**20
    with pytest.raises(ScheduleError, match="too large"):
        diagnose(path)
    sparse = tmp_path / "sparse.bin"
    with sparse.open("wb") as file:
        file.write(b"\x80\x02")
        file.truncate(2**36)
    with pytest.raises(ScheduleError, match="too large"):
        diagnose(sparse)


def test_zips_within_zips_and_strangers(tmp_path):
    inner = tmp_path / "inner.bin"
    torch.save(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"), inner)
    nested = archive(tmp_path / "nested.bin", inner.read_bytes())
    with pytest.raises(ScheduleError, match="damaged"):
        diagnose(nested)
    two = tmp_path / "two.bin"
    with zipfile.ZipFile(two, "w") as file:
        file.writestr("a/data.pkl", b"N.")
        file.writestr("b/data.pkl", b"N.")
    with pytest.raises(ScheduleError, match=r"2 data\.pkl"):
        diagnose(two)
    with pytest.raises(ScheduleError, match=r"0 data\.pkl"):
        diagnose(archive(tmp_path / "none.bin", b"", "x/../../data.txt"))


@pytest.mark.parametrize(
    "held", [None, [1], {"a": 1}, torch.ones(3), collections.OrderedDict(w=torch.ones(2))], ids=str
)
def test_a_file_of_something_else(held, tmp_path):
    torch.save(held, tmp_path / "pytorch_model.bin")
    with pytest.raises(ScheduleError, match="holds no training arguments"):
        diagnose(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_truncated_pickle(share, tmp_path):
    path = tmp_path / "training_args.bin"
    torch.save(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ScheduleError, match="damaged"):
        diagnose(path)


def test_every_byte_of_a_saved_state_may_be_another(tmp_path):
    """Whatever is wrong with a file, the error is one of ours, and nothing hangs."""
    content = io.BytesIO()
    torch.save(lambda_state(5, 1e-5), content, _use_new_zipfile_serialization=False)
    good = content.getvalue()
    path = tmp_path / "training_args.bin"
    for index in range(len(good)):
        path.write_bytes(good[:index] + bytes([good[index] ^ 0x15]) + good[index + 1 :])
        with pytest.raises(ScheduleError):
            diagnose(path)


# Bad input


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.yaml", "", "empty"),
        ("a.yaml", "a: [1", "not YAML"),
        ("a.yaml", "- 1\n- 2", "mapping"),
        ("a.yaml", "name: me", "no settings of a training"),
        ("a.yaml", "learning_rate: fast", "learning_rate must be a number, got 'fast'"),
        ("a.yaml", "learning_rate: [1, 2]", "learning_rate must be a number, got a list"),
        ("a.yaml", "learning_rate: true", "learning_rate must be a number"),
        ("a.yaml", "max_steps: 1.5", "whole number"),
        ("a.yaml", "warmup_steps: .inf", "warmup_steps must be a finite number"),
        ("a.yaml", "warmup_steps: -5", "warmup_steps must be at least 0"),
        ("a.yaml", "lr_scheduler_kwargs: 3\nlearning_rate: 1e-5", "mapping"),
        ("a.yaml", "lr_scheduler_kwargs: '{'\nlearning_rate: 1e-5", "no JSON"),
        ("a.yaml", "fp16: maybe\nlearning_rate: 1e-5", "true or false"),
        ("a.yaml", "schedule: [a]\n", "must be a text"),
        ("a.json", '{"learning_rate": 1e-5, "max_st', "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "3", "mapping"),
        ("a.json", "\udcff", "not JSON"),
        ("a.txt", "learning_rate: 1", "not a file that the doctor knows"),
        ("a.bin", "no pickle", "damaged"),
        ("trainer_state.json", '{"log_history": 3}', "list of records"),
        ("trainer_state.json", '{"log_history": [3]}', "list of records"),
        ("trainer_state.json", '{"log_history": [], "max_steps": "many"}', "max_steps must be a finite number"),
    ],
)
def test_bad_files_are_one_clear_error(name, content, says, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ScheduleError, match=says) as error:
        diagnose(path)
    assert name in str(error.value)


def test_a_bomb_of_aliases_is_read(tmp_path):
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{x}: &{x} [{', '.join([f'*{y}'] * 10)}]" for y, x in zip("abcdefgh", "bcdefghi", strict=True)]
    path = tmp_path / "a.yaml"
    path.write_text("\n".join([*lines, "learning_rate: *i"]))
    with pytest.raises(ScheduleError, match="got a list"):
        diagnose(path)


def test_a_path_that_is_not_there_names_the_nearest(tmp_path):
    write_yaml(tmp_path / "config.yaml", BERT)
    with pytest.raises(ScheduleError, match=r"does not exist\. Did you mean 'config\.yaml'"):
        diagnose(tmp_path / "confg.yaml")


def test_not_a_run_folder(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(ScheduleError, match="not the folder of a run"):
        diagnose(tmp_path)
    Run(Stage(40, 80)).write(tmp_path)
    with pytest.raises(ScheduleError, match=r"Runs are in .*run"):
        diagnose(tmp_path)


def test_a_truncated_state(tmp_path):
    run = Run(Stage(40, 80)).write(tmp_path)
    state = run / "checkpoint-40" / "trainer_state.json"
    state.write_text(state.read_text()[:100])
    with pytest.raises(ScheduleError, match="cut off"):
        diagnose(run)


def test_another_number_of_updates_than_the_source_says(tmp_path):
    path = write_yaml(tmp_path / "a.yaml", {"learning_rate": 1e-5, "max_steps": 100})
    with pytest.raises(ScheduleError, match=r"345 updates are given, but .* says 100"):
        diagnose(path, 345)
    for bad in (0, -1, True, 1.5):
        with pytest.raises(ScheduleError, match="at least 1"):
            diagnose(write_yaml(tmp_path / "b.yaml", {"learning_rate": 1e-5}), bad)


# Run folders


def test_a_state_without_arguments_is_looked_at(tmp_path):
    records = [{"step": 10, "loss": 0.0, "grad_norm": NAN, "learning_rate": 1e-5}]
    path = write_json(tmp_path / "trainer_state.json", {"log_history": records, "max_steps": 20, "global_step": 10})
    assert checks_of(path) == checks_of(tmp_path) == {"hidden_nan"}


def test_an_optimizer_is_told_without_its_tensors(tmp_path):
    run = Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[5e-5])).write(tmp_path)
    path = run / "checkpoint-50" / "optimizer.pt"
    content = zipfile.ZipFile(path).read("optimizer/data.pkl")
    archive(path, content, "optimizer/data.pkl")  # without the tensors' data
    assert checks_of(run) == {"other_optimizer"}


def test_a_scheduler_that_cannot_be_read_is_a_note(tmp_path):
    run = Run(Stage(40, 80, scheduler=lambda_state(40, 2.5e-5))).write(tmp_path)
    mark = tmp_path / "executed"
    (run / "checkpoint-40" / "scheduler.pt").write_bytes(dict(evils(mark))["os.system"])
    findings = diagnose(run)
    assert [(finding.severity, finding.check) for finding in findings] == [("note", "unread_file")]
    assert "system" in findings[0].why and not mark.exists()
    (run / "checkpoint-40" / "scheduler.pt").write_bytes(b"PK\x03\x04")
    assert [finding.check for finding in diagnose(run)] == ["unread_file"]


def test_the_checkpoint_of_a_run_to_come_is_looked_at(tmp_path):
    Run(Stage(40, 80)).write(tmp_path)
    settings = {"learning_rate": 5e-5, "logging_steps": 10, "resume_from_checkpoint": "run/checkpoint-40"}
    longer = write_yaml(tmp_path / "longer.yaml", settings | {"max_steps": 120})
    (finding,) = [finding for finding in diagnose(longer) if finding.is_wrong]
    assert finding.check == "resume_changes_curve"
    assert "2.5e-05" in finding.why and "3.33e-05" in finding.why  # 1/2 and 2/3 of the peak
    assert checks_of(write_yaml(tmp_path / "same.yaml", settings | {"max_steps": 80})) == set()
    ours = write_yaml(tmp_path / "ours.yaml", settings | {"max_steps": 120, "schedule": "linear()"})
    assert checks_of(ours) == set()  # refused by the run itself, or as on_resume says


def test_real_runs_of_both_trainers(make_trainer, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 4, "num_train_epochs": 2, "warmup_steps": 2}
    trainer = make_trainer(output_dir=str(tmp_path / "stock"), **settings)
    trainer.train()
    trainer.save_state()
    del settings["warmup_steps"]
    extra = {"schedule": "warmup(10%) >> linear()"}
    ours = make_trainer(ScheduledTrainer, output_dir=str(tmp_path / "ours"), extra=extra, **settings)
    ours.train()
    for folder in (tmp_path / "stock", tmp_path / "stock" / "checkpoint-8", tmp_path / "ours"):
        assert diagnose(folder) == [], folder
    facts = facts_of(tmp_path / "ours")
    assert (facts.schedule, facts.is_ours, facts.num_updates) == ("warmup(10%) >> linear()", True, 20)


@pytest.mark.slow
def test_a_real_resume_with_another_length(make_trainer, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 10, "logging_steps": 2, "output_dir": str(tmp_path / "run")}
    make_trainer(max_steps=10, **settings).train()
    make_trainer(max_steps=20, **settings).train(resume_from_checkpoint=True)
    assert checks_of(tmp_path / "run") == {"resume_changes_curve"}


@pytest.mark.slow
def test_a_real_spent_scheduler_and_another_optimizer(make_trainer, tmp_path):
    from transformers import get_scheduler

    def lrs(optimizer):
        return get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=10)

    settings = {"save_strategy": "steps", "save_steps": 5}
    model = make_trainer().model
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    scheduler = lrs(optimizer)
    for run in ("first", "second"):
        folder = str(tmp_path / run)
        make_trainer(model=model, optimizers=(optimizer, scheduler), output_dir=folder, **settings).train()
    assert checks_of(tmp_path / "first") == set() and "reused_scheduler" in checks_of(tmp_path / "second")
    lonely = lrs(torch.optim.AdamW(model.parameters(), lr=5e-5))
    make_trainer(model=model, optimizers=(None, lonely), output_dir=str(tmp_path / "third"), **settings).train()
    assert "other_optimizer" in checks_of(tmp_path / "third")


def test_a_run_with_a_record_alone(make_trainer, tmp_path):
    extra = {"schedule": "warmup(10%) >> linear()"}
    trainer = make_trainer(ScheduledTrainer, output_dir=str(tmp_path / "run"), extra=extra)
    trainer.train()
    assert not list((tmp_path / "run").glob("checkpoint-*"))
    facts = facts_of(tmp_path / "run")
    assert (facts.schedule, facts.num_updates, facts.steps_done) == ("warmup(10%) >> linear()", 10, 10)
    assert diagnose(tmp_path / "run") == []
    file = tmp_path / "run" / "record" / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[-1] |= {"loss": 0.0, "grad_norm": None}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert checks_of(tmp_path / "run") == {"hidden_nan"}


# Everything else


def test_misspelt_settings_are_notes(tmp_path):
    path = write_yaml(
        tmp_path / "a.yaml",
        {"learning_rate": 2e-5, "warmup_step": 500, "max_steps": 400, "lr_schedular_type": "cosine"},
    )
    notes = [finding for finding in diagnose(path) if finding.check == "misspelt_setting"]
    assert {(note.severity, note.what.split()[0], note.mend) for note in notes} == {
        ("note", "warmup_step", "Did you mean warmup_steps"),
        ("note", "lr_schedular_type", "Did you mean lr_scheduler_type"),
    }


def test_no_argument_of_transformers_is_taken_for_a_misspelt_one(tmp_path):
    names = {field.name for field in dataclasses.fields(Seq2SeqTrainingArguments)}
    path = write_yaml(tmp_path / "a.yaml", dict.fromkeys(sorted(names), None) | {"learning_rate": 2e-5})
    assert [finding.what for finding in diagnose(path) if finding.check == "misspelt_setting"] == []


def test_a_module_of_names_is_not_imported_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("house_names.py").write_text("open('imported', 'w').close()")
    path = write_yaml(tmp_path / "a.yaml", {"schedule": "house()", "schedule_module": "house_names", "max_steps": 100})
    findings = diagnose(path)
    assert [(finding.severity, finding.check) for finding in findings] == [("note", "unmeant_schedule")]
    assert "--import house_names" in findings[0].mend and not Path("imported").exists()


def test_accelerate_as_json_and_deepspeed_by_file(tmp_path):
    launch = {"distributed_type": "MULTI_CPU", "num_processes": 2, "compute_environment": "LOCAL_MACHINE"}
    assert checks_of(write_json(tmp_path / "a.json", launch)) == {"one_process"}
    write_json(tmp_path / "ds.json", {"zero_optimization": {}, "scheduler": {"type": "WarmupLR"}})
    engine = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"deepspeed_config_file": "ds.json"}}
    assert checks_of(write_yaml(tmp_path / "b.yaml", engine | {"num_processes": 2})) == {"engine_ignores_schedule"}
    assert checks_of(tmp_path / "ds.json") == {"engine_ignores_schedule"}


def test_it_is_in_the_package():
    assert hf_lrsched.diagnose is diagnose
