"""Runs of the recipe that end early by a signal, a file or a time limit: annealed, evaluated and saved."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.recipes.traces import TRACED, traced_lrs
from tests.processes import Processes, run_forked
from tests.recipe_runs import SCRIPT, as_flags, scheduler_state, used_lrs

pytestmark = pytest.mark.slow
PEAK = 5e-5
COOLDOWN = [PEAK, *(PEAK * (1 - u / 12) for u in range(12))]


@pytest.fixture
def long_run(flags):
    """Settings of a run that only its cooldown ends."""
    settings = {**flags, "num_train_epochs": 5000, "schedule": "warmup(4) >> hold() >> cooldown(12, shape=linear)"}
    return settings | {"eval_strategy": "no", "save_strategy": "steps", "save_steps": 20}


def start_until_saved(folder, *command, **more):
    """Start a run and wait for its first checkpoint."""
    processes = Processes(*command, **more)
    while processes.is_running and not list(folder.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    return processes


def test_sigterm_starts_the_cooldown(long_run):
    folder = Path(long_run["output_dir"])
    running = start_until_saved(folder, SCRIPT, *as_flags(long_run))
    os.kill(running.pids[0], signal.SIGTERM)
    done = running.wait()
    assert done.returncode == 0, done.stderr
    used = used_lrs(folder)
    assert used[-13:] == pytest.approx(COOLDOWN)
    assert len(used) < 2000
    (event,) = scheduler_state(folder)["events"]
    assert event["cause"] == "SIGTERM" and event["t"] == len(used) - 12
    assert (folder / "model.safetensors").exists() and (folder / "metrics.csv").exists()
    assert "SIGTERM, so the cooldown begins now" in done.stdout + done.stderr


@pytest.mark.parametrize("cause", ["file", "signal to one process"])
def test_two_processes_start_the_cooldown_together(long_run, tmp_path, cause):
    """A cause that only one process sees starts the cooldown on both at the same update; else each would wait for the other."""
    folder, trace = Path(long_run["output_dir"]), tmp_path / "trace"
    running = start_until_saved(folder, TRACED, "{}", trace, *as_flags(long_run), count=2)
    if cause == "file":
        (folder / "start_cooldown").touch()
    else:
        os.kill(running.pids[1], signal.SIGTERM)
    done = running.wait()
    assert done.returncode == 0, done.stderr
    ranks = [traced_lrs(trace, rank) for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0][-13:] == pytest.approx(COOLDOWN)
    assert (done.stdout + done.stderr).count("so the cooldown begins now") == 1


def test_two_processes_share_the_clock(flags, tmp_path):
    settings = {**flags, "num_train_epochs": 100_000, "schedule": "warmup(20%) >> linear()", "clock": "time(3s)"}
    settings |= {"eval_strategy": "steps", "eval_steps": 50, "save_strategy": "no"}
    done = run_forked(TRACED, "{}", tmp_path / "trace", *as_flags(settings), count=2)
    assert done.returncode == 0, done.stderr
    ranks = [traced_lrs(tmp_path / "trace", rank) for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert len(ranks[0]) > 20 and max(ranks[0]) > 0.8 * PEAK and ranks[0][-1] < 0.1 * PEAK


def test_time_limit_in_real_time(flags):
    settings = {**flags, "num_train_epochs": 100_000, "schedule": "hold() >> cooldown(10, time_limit=4s)"}
    start = time.monotonic()
    done = run_forked(SCRIPT, *as_flags({**settings, "eval_strategy": "no", "save_strategy": "no"}))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 120
    assert "the time limit of 4s is near" in done.stdout
    used = used_lrs(flags["output_dir"])
    assert used[-11] == used[-10] == PEAK and used[-1] < 0.06 * PEAK
