"""One command for every start, `--resume_from_checkpoint auto`: it begins, resumes, or writes what is missing."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import transformers

from tests.recipe_runs import state_of, used_lrs

TIMES = ("_runtime", "_per_second")
FILES = (
    *("README.md", "config.json", "learning_rate_and_metrics.png", "metrics.csv", "metrics.json", "model.safetensors"),
    *("all_results.json", "eval_results.json", "train_results.json", "trainer_state.json"),
)


class InterruptedRunError(Exception):
    """Stands for a kill, after which the process does nothing more."""


@pytest.fixture
def start(recipe, monkeypatch):
    """Starts the recipe with `auto`; `at` is an update whose checkpoint is the last thing it does, or "results"."""
    from common import run
    from transformers import TrainerCallback

    class Interrupt(TrainerCallback):
        def __init__(self, update):
            self.update = update

        def on_save(self, args, state, control, **kwargs):
            if state.global_step == self.update:
                raise InterruptedRunError

    def start(settings, at=None):
        flags = {**settings, "resume_from_checkpoint": "auto"}
        make = run.make_trainer

        def make_interrupted(*arguments):
            trainer = make(*arguments)
            trainer.add_callback(Interrupt(at))
            return trainer

        def fail(*arguments):
            raise InterruptedRunError

        with monkeypatch.context() as patch:
            if at == "results":
                patch.setattr(run, "save_results", fail)
            elif at is not None:
                patch.setattr(run, "make_trainer", make_interrupted)
            if at is None:
                return recipe(flags)
            with pytest.raises(InterruptedRunError):
                recipe(flags)
        return None

    return start


def records(folder):
    """The log without times."""
    log = state_of(folder)["log_history"]
    return [{key: value for key, value in record.items() if not key.endswith(TIMES)} for record in log]


def assert_same_run(first, second):
    for name in FILES:
        assert (Path(first) / name).exists() and (Path(second) / name).exists(), name
    for name in ("metrics.csv", "metrics.json", "model.safetensors"):
        assert (Path(first) / name).read_bytes() == (Path(second) / name).read_bytes(), name
    assert used_lrs(first) == used_lrs(second)
    losses = [json.loads((Path(folder) / "train_results.json").read_text())["train_loss"] for folder in (first, second)]
    # transformers 4 keeps the sum of the losses in a local variable, so there it covers the rest of the run only.
    if int(transformers.__version__.split(".")[0]) >= 5:
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)


EARLY_STOPPING = {
    "num_train_epochs": 9,
    "early_stopping_patience": 3,
    "early_stopping_threshold": 9,  # no evaluation is better by that much: it stops after the fourth
}


@pytest.mark.parametrize(
    ("settings", "updates"),
    [
        ({"num_train_epochs": 3}, 12),
        ({**EARLY_STOPPING, "schedule": "warmup(2) >> linear()"}, 16),
        ({**EARLY_STOPPING, "schedule": "hold() >> cooldown(1ep, shape=linear)"}, 20),
    ],
    ids=["plain", "early stopping", "cooldown"],
)
def test_auto_begins_resumes_and_completes(start, flags, tmp_path, settings, updates, capfd):
    shared = {**flags, **settings, "learning_rate": 1e-3}
    assert start({**shared, "output_dir": tmp_path / "uninterrupted"}) == 0
    interrupted = {**shared, "output_dir": tmp_path / "interrupted"}
    start(interrupted, at=8)
    start(interrupted, at="results")
    assert state_of(tmp_path / "uninterrupted")["global_step"] == updates
    assert start(interrupted) == 0
    assert_same_run(tmp_path / "uninterrupted", tmp_path / "interrupted")

    modified = {path: path.stat().st_mtime_ns for path in (tmp_path / "interrupted").rglob("*")}
    capfd.readouterr()
    assert start(interrupted) == 0
    assert "nothing is left to do" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "interrupted").rglob("*")} == modified


def test_auto_begins_after_a_death_in_the_first_checkpoint(start, flags):
    start(flags, at=4)
    folder = Path(flags["output_dir"])
    (folder / "checkpoint-4" / "trainer_state.json").unlink()  # it is written last
    assert start(flags) == 0
    assert state_of(folder)["global_step"] == 8
    assert [path.name for path in folder.glob("record*")] == ["record"]
    assert [record["step"] for record in state_of(folder)["log_history"] if "loss" in record] == [*range(1, 9)]


def test_auto_does_not_overwrite_a_folder_of_others(start, flags, capfd):
    folder = Path(flags["output_dir"])
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert start(flags) == 2
    assert "holds another run (config.json)" in capfd.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_more_epochs_train_on_after_early_stopping_has_ended_the_run(start, flags):
    """Other settings are another run: the results of the last one do not complete it."""
    settings = {**flags, **EARLY_STOPPING, "schedule": "hold()"}
    assert start(settings) == 0
    assert start({**settings, "early_stopping_patience": 5}) == 0
    assert state_of(flags["output_dir"])["global_step"] > 16


def test_folder_in_use(flags, recipe, capfd):
    from common.output_folder import OutputFolder

    held = OutputFolder(flags["output_dir"], {})
    held.hold()
    held.note(is_complete=False)
    try:
        assert recipe({**flags, "train_file": "./never-read.csv"}) == 2
    finally:
        held.release()
    assert f"is in use by process {os.getpid()} on" in capfd.readouterr().err
    assert not Path(flags["output_dir"]).exists()  # nothing was written, so nothing is left


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_folder_that_can_not_be_written(flags, recipe, monkeypatch, capfd, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    assert recipe({**flags, "train_file": "./never-read.csv"}) == 2
    error = capfd.readouterr().err
    assert f"--output_dir {flags['output_dir']} can't be written" in error and os.strerror(code) in error
    shutil.rmtree(flags["output_dir"], ignore_errors=True)


def test_columns_keep_their_order_after_a_resume(start, flags, tmp_path):
    settings = {**flags, "layer_decay": 0.5, "num_train_epochs": 3}
    start(settings, at=4)
    assert start(settings) == 0
    with (Path(flags["output_dir"]) / "metrics.csv").open() as file:
        columns = file.readline().strip().split(",")
    assert columns[:5] == ["epoch", "update", "learning_rate", "training_loss", "validation_loss"]
    assert columns[5:8] == ["accuracy", "f1", "matthews_correlation"]
    assert all(column.startswith("lr/") for column in columns[8:]) and len(columns) > 8
