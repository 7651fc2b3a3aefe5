"""Real runs of the recipe, killed by SIGKILL over and over and resumed: nothing but work since the last checkpoint is lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import transformers

from tests.end_to_end.recipes.traces import TRACED, read_trace
from tests.recipe_runs import as_flags, environment, run_script, state_of, two_processes

SCHEDULE = "warmup(10%) >> hold() * plateau(metric=eval_loss, factor=0.5, patience=0, threshold=1, threshold_mode=abs)"
UPDATES, EVERY = 20, 2

SEED = 20
CHAINS = 4
#: How each of the 20 runs dies; a file's name: while it is written.
DEATHS = [
    *["training"] * 5,
    *["evaluating"] * 3,
    *["evaluated", "saved", "rotating"],
    *["model.safetensors", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"],
    *["outside"] * 3,
]


def plans() -> list[list[dict]]:
    """For each chain, its deaths, of which each is later in the run than the one before, so that it is met."""
    source = random.Random(SEED)
    deaths = source.sample(DEATHS, len(DEATHS))
    chains = []
    for chain in range(CHAINS):
        chains.append([])
        for number, death in enumerate(deaths[chain::CHAINS]):
            update = source.choice(range(3 * number + 3, 3 * number + 6))
            if death not in ("training", "outside") and update % EVERY:
                update += -1 if update % 3 else 1  # to the even one of these three, where evaluation and saving are
            plan = {"event": death, "update": update}
            if "." in death:
                plan |= {"event": "saving", "file": death, "part": round(source.uniform(0, 0.99), 3)}
            chains[-1].append(plan)
    return chains


def test_the_plans_are_met():
    for chain in plans():
        updates = [plan["update"] for plan in chain]
        assert updates == sorted(set(updates)) and updates[0] > EVERY and updates[-1] < UPDATES
        assert all(plan["event"] in ("training", "outside") or plan["update"] % EVERY == 0 for plan in chain)
    assert sum(map(len, plans())) == len(DEATHS) == 20


@pytest.fixture(scope="module")
def settings(model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """5 epochs of 4 updates, with dropout: what a run draws by chance must be found again, too."""
    model = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("dropout") / "model"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.2}))
    return {
        "model_name_or_path": str(model),
        "train_file": str(data_folder / "train.csv"),
        "validation_file": str(data_folder / "validation.csv"),
        "schedule": SCHEDULE,
        "learning_rate": 1e-2,
        "num_train_epochs": 5,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 4,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": EVERY,
        "save_strategy": "steps",
        "save_steps": EVERY,
        "use_cpu": True,
        "disable_tqdm": True,
    }


@pytest.fixture(scope="module")
def whole(settings: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nobody kills."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run_script(*as_flags({**settings, "output_dir": folder}))
    assert done.returncode == 0, done.stderr
    return folder


def run_until_killed(plan: dict, trace: Path, flags: list[str], source: random.Random) -> str:
    """Starts the recipe, which is dead afterwards; returns what it said."""
    command = [sys.executable, str(TRACED), json.dumps(plan), str(trace), *flags]
    before = len(read_trace(trace))
    with trace.with_name("output").open("w") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        try:
            if plan["event"] == "outside":
                while process.poll() is None and len(read_trace(trace)) <= before:
                    time.sleep(0.01)
                time.sleep(source.uniform(0, 0.6))
                process.send_signal(signal.SIGKILL)
            status = process.wait(timeout=300)
        finally:
            process.kill()
    said = trace.with_name("output").read_text()
    assert status == -signal.SIGKILL, f"{plan}: ended by itself\n{said}"
    return said


def last_saved(plan: dict, trace: list[dict]) -> range:
    """The update of the last whole checkpoint after a death; where the death came from outside, within these."""
    update = plan["update"]
    if plan["event"] == "outside":
        begun = [line["update"] for line in trace if "update" in line] or [0]
        begins = [line["begins"] for line in trace if "begins" in line][-1]
        least = max(begins, (begun[-1] - 1) // EVERY * EVERY)
        return range(least, least + EVERY + 1, EVERY)
    if plan["event"] == "training":
        update = (update - 1) // EVERY * EVERY
    elif plan["event"] not in ("saved", "rotating"):
        update -= EVERY
    return range(update, update + 1)


def records(folder: Path) -> list[dict]:
    """The whole log, but for what tells of time."""
    times = ("_runtime", "_per_second")
    return [{k: v for k, v in each.items() if not k.endswith(times)} for each in state_of(folder)["log_history"]]


def scheduler_state(folder: Path) -> dict:
    import torch

    return torch.load(folder / f"checkpoint-{UPDATES}" / "scheduler.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("chain", range(CHAINS))
def test_killed_five_times(settings, whole, tmp_path, chain):
    run, trace, source = tmp_path / "run", tmp_path / "trace", random.Random(SEED + chain)
    chain_plans, flags = plans()[chain], {**settings, "output_dir": run}
    context = f"seed {SEED}, chain {chain}: {chain_plans}"
    saved = range(1)
    for plan in chain_plans:
        before = len(read_trace(trace))
        said = run_until_killed(plan, trace, as_flags(flags), source)
        added = read_trace(trace)[before:]
        assert added[0]["begins"] in saved, f"{context}: went on elsewhere at {plan}\n{said}"
        saved = last_saved(plan, added)
        flags["resume_from_checkpoint"] = "true"
    done = run_script(*as_flags(flags))
    assert done.returncode == 0, f"{context}\n{done.stderr}"
    begun = int(done.stdout.partition("resumed after update ")[2].partition(":")[0])
    assert begun in saved, context

    mine, other = records(run), records(whole)
    lrs = [record["learning_rate"] for record in other if "loss" in record]
    assert len(lrs) == UPDATES and len(set(lrs)) > 5, "the run has nothing to show"
    for line in read_trace(trace):
        if "update" in line:
            assert set(line["lrs"]) == {lrs[line["update"] - 1]}, f"{context}: {line}"
    assert [record for record in mine if "loss" in record] == [record for record in other if "loss" in record], context
    assert [record for record in mine if "eval_loss" in record] == [r for r in other if "eval_loss" in r], context
    assert (run / "metrics.json").read_text() == (whole / "metrics.json").read_text(), context

    state = scheduler_state(run)
    assert state == scheduler_state(whole), context
    reductions = [event for event in state["events"] if event["kind"] == "plateau"]
    assert len(reductions) > 3, context
    for name in ("model.safetensors", f"checkpoint-{UPDATES}/model.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), context


# --- two processes ----------------------------------------------------------------------------------------------------


def launch_two(plan: dict, trace: Path, flags: list[str]) -> None:
    """Two processes of the recipe; where there is a plan, all are killed when the chosen one has come to its moment."""
    command = two_processes(TRACED, json.dumps(plan), trace, *flags)
    rank = int(plan.get("rank", "0"))
    before = len(read_trace(trace, rank))
    with trace.with_name("output").open("w") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        everyone = psutil.Process(process.pid)
        try:
            while (
                plan and process.poll() is None and not any("dies" in line for line in read_trace(trace, rank)[before:])
            ):
                time.sleep(0.05)
            if not plan:
                process.wait(timeout=500)
        finally:
            try:
                family = [everyone, *everyone.children(recursive=True)]
            except psutil.NoSuchProcess:
                family = []
            for each in family:
                if each.is_running():
                    os.kill(each.pid, signal.SIGKILL)
            process.wait(timeout=60)
    said = trace.with_name("output").read_text()
    if plan:
        assert process.returncode == -signal.SIGKILL, f"{plan}: ended by itself\n{said}"
    else:  # torch's own teardown may abort a process that has done its work
        assert process.returncode == 0 or "terminate called without an active exception" in said, said


def used_by(trace: Path, rank: int) -> dict[int, list[float]]:
    """The LRs of each update; one that was made again has the same ones."""
    used: dict[int, list[float]] = {}
    for line in read_trace(trace, rank):
        if "update" in line:
            assert used.setdefault(line["update"], line["lrs"]) == pytest.approx(line["lrs"], rel=1e-12)
    return used


@pytest.mark.slow
@pytest.mark.skipif(transformers.__version__ < "5", reason="transformers 4.57 can't resume several processes on CPUs")
def test_two_processes_killed_twice(settings, tmp_path):
    traces = {}
    deaths = [
        {"event": "training", "update": 4, "rank": "1"},
        {"event": "saving", "update": 8, "file": "optimizer.pt", "part": 0.5, "rank": "0"},
    ]
    for name, killed in (("whole", []), ("killed", deaths)):
        folder = tmp_path / name
        folder.mkdir()
        traces[name] = folder / "trace"
        flags = {**settings, "per_device_train_batch_size": 4, "num_train_epochs": 3, "output_dir": folder / "run"}
        for plan in [*killed, {}]:
            launch_two(plan, traces[name], as_flags(flags))
            flags["resume_from_checkpoint"] = "true"
    for rank in (0, 1):
        begins = [line["begins"] for line in read_trace(traces["killed"], rank) if "begins" in line]
        assert begins == [0, 2, 6]
        mine, other = (used_by(traces[name], rank) for name in ("killed", "whole"))
        assert list(mine) == list(other) == list(range(1, 13))
        assert all(mine[update] == pytest.approx(other[update], rel=1e-12) for update in mine)
        assert len({lrs[0] for lrs in mine.values()}) > 3
    import torch

    states = [
        torch.load(tmp_path / name / "run" / "checkpoint-12" / "scheduler.pt", weights_only=True) for name in traces
    ]
    assert states[0]["events"] == states[1]["events"]
    assert [event["kind"] for event in states[0]["events"]].count("plateau") > 1
