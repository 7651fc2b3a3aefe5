"""Runs of the recipe that end before their time: annealed, evaluated and saved. And plateau() by flags."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.recipes.recipe_runs import ROOT, as_flags, environment, run_script, state_of
from tests.recipes.test_text_classification import finished, launch_two, used_lrs

SCRIPT = ROOT / "recipes" / "text_classification.py"
PEAK = 5e-5


def scheduler_state(folder: Path) -> dict:
    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return torch.load(last / "scheduler.pt", weights_only=True)


def test_early_stopping_begins_the_cooldown(recipe, flags):
    settings = {**flags, "num_train_epochs": 9, "schedule": "hold() >> cooldown(1ep, shape=linear)"}
    settings |= {"early_stopping_patience": 2, "early_stopping_threshold": 9}
    assert recipe(settings) == 0
    # the first evaluation is the best, for none is better by 9; so it stops after three epochs of 4, and goes on for one more
    used = used_lrs(flags["output_dir"])
    assert used == pytest.approx([PEAK] * 12 + [PEAK * (1 - u / 4) for u in range(4)])
    folder = Path(flags["output_dir"])
    assert (folder / "model.safetensors").exists()
    assert scheduler_state(folder)["events"][0]["cause"] == "early stopping"


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"early_stopping_patience": 0}, "at least 1"),
        ({"early_stopping_patience": 2, "eval_strategy": "no"}, "counts evaluations"),
    ],
)
def test_early_stopping_refused(recipe, flags, capfd, setting, message):
    assert recipe({**flags, **setting}) == 2
    assert message in capfd.readouterr().err


def test_plateau_and_its_state(recipe, flags):
    settings = {
        **flags,
        "num_train_epochs": 4,
        "schedule": "warmup(2) >> hold() * plateau(factor=0.5, patience=0, threshold=9, threshold_mode=abs)",
    }
    assert recipe(settings) == 0
    expected = [0, 0.5, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert used_lrs(flags["output_dir"]) == pytest.approx([PEAK * factor for factor in expected])
    # 0.125 after the last evaluation, at the end of the run, which the last checkpoint of an epoch holds
    assert [event["scale_after"] for event in scheduler_state(Path(flags["output_dir"]))["events"]] == [
        0.5,
        0.25,
        0.125,
    ]


def test_plateau_on_a_metric_that_the_recipe_has_not(recipe, flags, capfd):
    assert recipe({**flags, "schedule": "hold() * plateau(metric=recall)"}) == 2
    error = capfd.readouterr().err
    assert "no such metric; it has eval_loss" in error and "eval_accuracy" in error
    assert list(Path(flags["output_dir"]).glob("checkpoint-*/scheduler.pt"))


def test_a_clock_by_flag(recipe, flags, capfd):
    assert recipe({**flags, "clock": "tokens(1000)", "schedule": "linear()"}) == 2
    assert "include_num_input_tokens_seen" in capfd.readouterr().err
    settings = {**flags, "clock": "tokens(1000)", "schedule": "linear()", "num_train_epochs": 20}
    assert recipe({**settings, "include_num_input_tokens_seen": "true"}) == 0
    state = state_of(flags["output_dir"])
    assert state["global_step"] < 80 and state["num_input_tokens_seen"] >= 1000
    used = used_lrs(flags["output_dir"])
    assert used[0] == PEAK and used == sorted(used, reverse=True) and used[-1] < 0.25 * PEAK


# ---- real signals


@pytest.mark.slow
def test_sigterm_from_outside(flags, tmp_path):
    settings = {**flags, "num_train_epochs": 5000, "schedule": "warmup(4) >> hold() >> cooldown(12, shape=linear)"}
    settings |= {"eval_strategy": "no", "save_strategy": "steps", "save_steps": 20}
    folder = Path(settings["output_dir"])
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *as_flags(settings)], env=environment(), stdout=log, stderr=log
    )
    while process.poll() is None and not list(folder.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0, (tmp_path / "log").read_text()
    used = used_lrs(folder)
    assert used[-13:] == pytest.approx([PEAK, *(PEAK * (1 - u / 12) for u in range(12))])
    assert len(used) < 2000
    (event,) = scheduler_state(folder)["events"]
    assert event["cause"] == "SIGTERM" and event["t"] == len(used) - 12
    assert (folder / "model.safetensors").exists() and (folder / "metrics.csv").exists()
    assert "SIGTERM, so the cooldown begins now" in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("asked_by", ["a file", "a signal to one process"])
def test_two_processes_begin_together(flags, tmp_path, asked_by):
    """What only one process sees begins the cooldown on both at the same update: else they would wait for each other."""
    settings = {**flags, "num_train_epochs": 2000, "schedule": "warmup(4) >> hold() >> cooldown(12, shape=linear)"}
    settings |= {"eval_strategy": "no", "save_strategy": "steps", "save_steps": 20}
    folder = Path(settings["output_dir"])
    config = ROOT / "recipes" / "accelerate" / "two_cpu.yaml"
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE.format(recipes=str(ROOT / "recipes"), out=str(tmp_path)), encoding="utf-8")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["--main_process_port", "0", str(probe), *as_flags(settings)]
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    while process.poll() is None and not list(folder.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    if asked_by == "a file":
        (folder / "start_cooldown").touch()
    else:
        os.kill(int((tmp_path / "pid1").read_text()), signal.SIGTERM)
    code = process.wait(timeout=300)
    text = (tmp_path / "log").read_text()
    assert finished(subprocess.CompletedProcess(command, code, text, text)), text
    ranks = [[float(lr) for lr in (tmp_path / f"lrs{rank}").read_text().split()] for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0][-13:] == pytest.approx([PEAK, *(PEAK * (1 - u / 12) for u in range(12))])
    assert text.count("so the cooldown begins now") == 1


@pytest.mark.slow
def test_two_processes_have_the_same_time(flags, tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE.format(recipes=str(ROOT / "recipes"), out=str(tmp_path)), encoding="utf-8")
    settings = {**flags, "num_train_epochs": 100_000, "schedule": "warmup(20%) >> linear()", "clock": "time(5s)"}
    done = launch_two(probe, *as_flags({**settings, "eval_strategy": "steps", "eval_steps": 50, "save_strategy": "no"}))
    assert finished(done), done.stderr
    ranks = [[float(lr) for lr in (tmp_path / f"lrs{rank}").read_text().split()] for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert len(ranks[0]) > 20 and max(ranks[0]) > 0.8 * PEAK and ranks[0][-1] < 0.1 * PEAK


PROBE = """
import os, sys
from pathlib import Path
sys.path.insert(0, {recipes!r})
import text_classification as recipe
from transformers import TrainerCallback

rank, out = os.environ["RANK"], Path({out!r})
(out / f"pid{{rank}}").write_text(str(os.getpid()))
lrs = (out / f"lrs{{rank}}").open("w", buffering=1)

class Probe(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        print(repr(float(optimizer.param_groups[0]["lr"])), file=lrs)

make = recipe.make_trainer
def with_probe(*arguments):
    trainer = make(*arguments)
    trainer.add_callback(Probe())
    return trainer
recipe.make_trainer = with_probe
sys.exit(recipe.main())
"""


@pytest.mark.slow
def test_a_time_limit_in_real_time(flags):
    settings = {**flags, "num_train_epochs": 100_000, "schedule": "hold() >> cooldown(10, time_limit=6s)"}
    start = time.monotonic()
    done = run_script(*as_flags({**settings, "eval_strategy": "no", "save_strategy": "no"}))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 120
    assert "the time limit of 6s nears" in done.stdout
    used = used_lrs(flags["output_dir"])
    assert used[-11] == used[-10] == PEAK and used[-1] < 0.06 * PEAK
