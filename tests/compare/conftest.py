"""A worker on a study in a file, whose recipe runs in the test's own process."""

import contextlib
import json

import pytest

pytest.importorskip("optuna")

from hf_lrsched.compare import worker as module
from hf_lrsched.compare.cells import Grid
from hf_lrsched.compare.storage import open_study
from hf_lrsched.compare.worker import Worker

from . import fake_recipe


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'compare.db'}"


@pytest.fixture
def make_worker(tmp_path, storage, monkeypatch):
    """Make a worker: `make_worker(schedules, lrs, num_seeds, flags of the recipe)`."""

    def run_recipe(command, log, on_poll):
        on_poll()
        with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            return fake_recipe.main(command[2:])

    monkeypatch.setattr(module, "run_recipe", run_recipe)

    def make(schedules=(fake_recipe.LINEAR, fake_recipe.COSINE), lrs=(1e-4,), num_seeds=3, metric="accuracy", **flags):
        heartbeat = 1
        study = open_study(storage, "test", {}, maximize=metric != "loss", heartbeat=heartbeat)
        command = ["python", "recipe.py", *(f"--{name}={value}" for name, value in flags.items())]
        lines = []
        made = Worker(study, Grid(schedules, lrs, num_seeds), command, tmp_path, metric, heartbeat, lines.append)
        made.lines = lines
        return made

    return make


@pytest.fixture
def trainer_state():
    """The trainer_state.json of a run with two records."""
    history = [
        {"step": 5, "epoch": 1.0, "loss": 0.7, "learning_rate": 1e-4},
        {"step": 5, "epoch": 1.0, "eval_accuracy": 0.5},
    ]
    return json.dumps({"log_history": history, "global_step": 5, "max_steps": 5})
