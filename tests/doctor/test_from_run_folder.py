"""Facts from run folders."""

import json
import math
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from hf_lrsched import ScheduledTrainer, diagnose
from hf_lrsched.doctor import get_facts
from hf_lrsched.runs import json_stream
from hf_lrsched.runs import rows as rows_module
from hf_lrsched.runs.rows import Rows
from tests.doctor.configurations import NAN, Run, Stage, lambda_state, linear_log, write_json, write_yaml
from tests.doctor.files import archive, checks_of


def test_state_without_arguments_is_checked(tmp_path):
    records = [{"step": 10, "loss": 0.0, "grad_norm": NAN, "learning_rate": 1e-5}]
    path = write_json(tmp_path / "trainer_state.json", {"log_history": records, "max_steps": 20, "global_step": 10})
    assert checks_of(path) == checks_of(tmp_path) == {"hidden_nan"}


def test_long_log_is_read_piece_by_piece(tmp_path, monkeypatch):
    run = Run(Stage(40, 80, history=linear_log(40, 120)), Stage(60, 80, history=linear_log(60, 120))).write(tmp_path)
    whole = get_facts(run)
    monkeypatch.setattr(json_stream, "_BLOCK", 30)
    monkeypatch.setattr(json_stream, "_MAX_AT_ONCE", 0)
    facts = get_facts(run)
    assert isinstance(facts.log_history, Rows) and facts.log_history == whole.log_history
    assert (facts.earlier_stages[0].log_history, facts.foreign_checkpoints) == (whole.earlier_stages[0].log_history, ())


def test_long_record_is_read_piece_by_piece(tmp_path, monkeypatch):
    """As dicts, a row of this record needs 400 bytes."""
    monkeypatch.setattr(rows_module, "_BLOCK", 100)
    count = 4000
    rows = [
        {"step": step, "loss": None if step == 7 else 0.5, "grad_norm": 1.5, "lr/a": 1e-3}
        for step in range(1, count + 1)
    ]
    for name, content in {
        "run": [{"step": 0, "settings": {"learning_rate": 1e-3, "max_steps": count}}],
        "train": [rows[1], rows[0], *rows[2:]],
        "evaluations": [{"step": 3, "eval_loss": 0.25}],
    }.items():
        path = tmp_path / "record" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
    get_facts(tmp_path)  # imports, too
    tracemalloc.start()
    facts = get_facts(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (facts.updates_done, len(facts.log_history)) == (count, count + 1)
    steps = facts.log_history.column("step")
    assert steps[:5].tolist() == [1, 2, 3, 3, 4] and (np.diff(steps) >= 0).all()
    assert facts.log_history[3] == {"step": 3, "eval_loss": 0.25} and math.isnan(facts.log_history[7]["loss"])
    assert peak < 320 * count


def test_optimizer_is_read_without_tensors(tmp_path):
    run = Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[5e-5])).write(tmp_path)
    path = run / "checkpoint-50" / "optimizer.pt"
    content = zipfile.ZipFile(path).read("optimizer/data.pkl")
    archive(path, content, "optimizer/data.pkl")  # without the tensors' data
    assert checks_of(run) == {"scheduler_of_other_optimizer"}


def test_checkpoint_named_in_a_config_is_checked(tmp_path):
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
    facts = get_facts(tmp_path / "ours")
    assert (facts.schedule, facts.uses_our_trainer, facts.num_updates) == ("warmup(10%) >> linear()", True, 20)


@pytest.mark.slow
def test_real_resume_with_another_length(make_trainer, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 10, "logging_steps": 2, "output_dir": str(tmp_path / "run")}
    make_trainer(max_steps=10, **settings).train()
    make_trainer(max_steps=20, **settings).train(resume_from_checkpoint=True)
    assert checks_of(tmp_path / "run") == {"resume_changes_curve"}


@pytest.mark.slow
def test_real_reused_scheduler_and_other_optimizer(make_trainer, tmp_path):
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
    assert "scheduler_of_other_optimizer" in checks_of(tmp_path / "third")


def test_run_with_only_a_record(make_trainer, tmp_path):
    extra = {"schedule": "warmup(10%) >> linear()"}
    trainer = make_trainer(ScheduledTrainer, output_dir=str(tmp_path / "run"), extra=extra)
    trainer.train()
    assert not list((tmp_path / "run").glob("checkpoint-*"))
    facts = get_facts(tmp_path / "run")
    assert (facts.schedule, facts.num_updates, facts.updates_done) == ("warmup(10%) >> linear()", 10, 10)
    assert diagnose(tmp_path / "run") == []
    arguments = tmp_path / "run" / "training_args.bin"
    with arguments.open("wb") as huge:
        huge.truncate(2**40)
    (found,) = diagnose(tmp_path / "run")
    assert (found.check, found.is_wrong) == ("unreadable_file", False)
    assert "training_args.bin" in str(found)
    arguments.unlink()
    file = tmp_path / "run" / "record" / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[-1] |= {"loss": 0.0, "grad_norm": None}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert checks_of(tmp_path / "run") == {"hidden_nan"}


@pytest.mark.parametrize(("optimizer", "checks"), [("SGD", set()), ("Muon", set()), ("AdamW", {"lr_out_of_range"})])
def test_optimizer_of_the_record_replaces_the_arguments(optimizer, checks, make_trainer, tmp_path):
    trainer = make_trainer(ScheduledTrainer, output_dir=str(tmp_path / "run"), extra={"schedule": "linear()"})
    trainer.train()
    file = tmp_path / "run" / "record" / "run.jsonl"
    row = json.loads(file.read_text().splitlines()[0])
    assert row["optimizer"] == "AdamW"
    row |= {"optimizer": optimizer, "peaks": [0.05], "model": "google-bert/bert-base-uncased"}
    file.write_text(json.dumps(row) + "\n")
    assert checks_of(tmp_path / "run") == checks
    notes = [finding.what for finding in diagnose(tmp_path / "run") if finding.check == "lr_out_of_range"]
    assert ("not checked" in "".join(notes)) == (optimizer == "Muon")


def test_optimizer_of_the_checkpoint_replaces_the_arguments(tmp_path):
    settings = {"learning_rate": 0.05, "history": linear_log(50, 100, learning_rate=0.05)}
    state = lambda_state(50, 0.025, base=0.05)
    run = Run(Stage(50, 100, scheduler=state, optimizer_lrs=[0.025], **settings)).write(tmp_path)
    assert checks_of(run) == {"lr_out_of_range"}
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.025)
    torch.save(optimizer.state_dict(), run / "checkpoint-50" / "optimizer.pt")
    assert checks_of(run) == set()
