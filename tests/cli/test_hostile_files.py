"""Hostile input: every command ends within seconds, with an answer or one clear error."""

import json
import os
import time
import zipfile

import pytest

from hf_lrsched.cli.main import main

HISTORY = [{"step": 2, "epoch": 1.0, "loss": 1.5, "learning_rate": 1e-5}, {"step": 2, "epoch": 1.0, "eval_loss": 1.1}]
ENDLESS = "/dev/zero"


def state(folder, **values):
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": HISTORY, "max_steps": 4, **values}))
    return folder


def linked(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).symlink_to(ENDLESS)
    return folder


def piped(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.mkfifo(folder / name)
    return folder


def text(path, content):
    path.write_text(content)
    return path


def opcodes(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + b"N0" * 20_500_000 + b"N.")
    return path


CHECKPOINT = ("training_args.bin", "scheduler.pt", "optimizer.pt", "config.json")
HOSTILE = {
    "device": lambda folder: linked(folder, "a.json") / "a.json",
    "pipe": lambda folder: piped(folder, "a.json") / "a.json",
    "state is a device": lambda folder: linked(folder / "run", "trainer_state.json"),
    "state is a pipe": lambda folder: piped(folder / "run", "trainer_state.json"),
    "record is a device": lambda folder: linked(folder / "run" / "record", "run.jsonl").parent,
    "rows are a device": lambda folder: (
        text(linked(folder / "run" / "record", "train.jsonl") / "run.jsonl", '{"num_updates": 4}\n').parent.parent
    ),
    "checkpoint of devices": lambda folder: linked(state(folder / "run" / "checkpoint-2"), *CHECKPOINT).parent,
    "checkpoint of pipes": lambda folder: piped(state(folder / "run" / "checkpoint-2"), *CHECKPOINT).parent,
    "deep JSON": lambda folder: text(folder / "a.json", '{"log_history": ' + "[" * 200_000),
    "deep record": lambda folder: text(
        folder / "a.json", '{"log_history": [{"step": 1, "x": ' + "[" * 5000 + "]" * 5000 + "}]}"
    ),
    "deep YAML": lambda folder: text(folder / "a.yaml", "a: " + "[" * 90_000),
    "41 million opcodes": lambda folder: opcodes(folder / "training_args.bin"),
    "no numbers": lambda folder: state(
        folder / "run", max_steps="x", global_step=[1], epoch={}, num_train_epochs="nan"
    ),
    "huge numbers": lambda folder: state(folder / "run", max_steps=10**30, global_step=10**30),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("command", ["plot", "report", "doctor", "preview"])
def test_answer_or_error_within_seconds(command, name, tmp_path, capsys):
    path = HOSTILE[name](tmp_path)
    output = {"plot": ["--output", str(tmp_path / "o.png")], "report": ["--output", str(tmp_path / "o.html")]}
    arguments = ["--updates", "4", "--config"] if command == "preview" else []
    start = time.monotonic()
    assert main([command, *arguments, str(path), *output.get(command, [])]) in (0, 1, 2)
    assert time.monotonic() - start < 5
    assert len(capsys.readouterr().err) < 2000
