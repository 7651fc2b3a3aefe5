"""Runs of the recipe, killed by SIGKILL over and over: the one command `auto` ends with the files of the uninterrupted run.

20 kills by default; `KILLS=100 pytest tests/end_to_end/recipes/test_kills.py` does more.
"""

import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import transformers

from tests.end_to_end.recipes.traces import TRACED, read_trace
from tests.processes import Processes, run_forked
from tests.recipe_runs import SCRIPT, as_flags, scheduler_state, state_of
from tests.recipes.task_data import write_data

UPDATES, EVERY = 20, 2
SEED = 20
#: Each has 20 updates.
VARIANTS = {
    "plain": {"schedule": "warmup(10%) >> linear()", "num_train_epochs": 5},
    "best model": {
        "schedule": "warmup(10%) >> cosine()",
        "num_train_epochs": 5,
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
    },
    "layer-wise": {
        "schedule": "warmup(10%) >> hold() * plateau(metric=eval_loss, factor=0.5, patience=0, threshold=1, threshold_mode=abs)",
        "num_train_epochs": 5,
        "layer_decay": 0.5,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
    },
    "early stopping": {  # no evaluation is better by 9: it stops at the eighth, after update 16, and cools down
        "schedule": "warmup(10%) >> hold() >> cooldown(4, shape=linear)",
        "num_train_epochs": 9,
        "early_stopping_patience": 7,
        "early_stopping_threshold": 9,
        "save_total_limit": 2,  # with one, Trainer ends with the best checkpoint instead of the last one
    },
}
#: How each of 20 runs dies; a file's name: while it is written.
DEATHS = [
    *["training"] * 4,
    *["evaluating"] * 2,
    *["evaluated", "saved", "rotating"],
    *["model.safetensors", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"],
    "outside",
]
ROUNDS = max(int(os.environ.get("KILLS", "20")) // 20, 1)


def make_plans(number: int) -> dict[str, list[dict]]:
    """For each variant, five deaths, each later in the run than the one before; the last one while results are written."""
    source = random.Random(SEED + number)
    deaths = source.sample(DEATHS, len(DEATHS))
    plans: dict[str, list[dict]] = {}
    for index, variant in enumerate(VARIANTS):
        plans[variant] = []
        for order, death in enumerate(deaths[index :: len(VARIANTS)]):
            # The first one may come before the first checkpoint, or within it.
            update = source.choice(range(4 * order + 3, 4 * order + 6)) if order else source.choice(range(1, 5))
            if death not in ("training", "outside"):
                update += update % EVERY  # evaluation and saving are at even updates
            if death == "rotating":  # from the second checkpoint on, unless the first one is the best
                death, update = death if variant in ("plain", "layer-wise") else "saved", max(update, 2 * EVERY)
            plan = {"event": death, "update": update}
            if "." in death:
                plan |= {"event": "saving", "file": death, "part": round(source.uniform(0, 0.99), 3)}
            plans[variant].append(plan)
        plans[variant].append({"event": "results"})
    return plans


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_death_is_later_than_the_one_before(number):
    plans = make_plans(number)
    for chain in plans.values():
        updates = [plan["update"] for plan in chain[:-1]]
        assert updates == sorted(set(updates)) and updates[-1] < UPDATES
        assert all(plan["event"] in ("training", "outside") or plan["update"] % EVERY == 0 for plan in chain[:-1])
    assert sum(map(len, plans.values())) == 20


@pytest.fixture(scope="module")
def settings(model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Epochs of 4 updates, with dropout: the random numbers of a resumed run must be the same, too."""
    model = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("dropout") / "model"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.2}))
    return {
        "model_name_or_path": str(model),
        "train_file": str(data_folder / "train.csv"),
        "validation_file": str(data_folder / "validation.csv"),
        "test_file": str(data_folder / "test.csv"),
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 4,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": EVERY,
        "save_strategy": "steps",
        "save_steps": EVERY,
        "use_cpu": True,
        "disable_tqdm": True,
        "resume_from_checkpoint": "auto",
    }


@pytest.fixture(scope="module")
def uninterrupted(settings, tmp_path_factory):
    """Returns the folder of a variant's run that is not killed."""
    folders: dict[str, Path] = {}

    def run(variant: str) -> Path:
        if variant not in folders:
            folder = tmp_path_factory.mktemp("uninterrupted") / "run"
            done = run_forked(SCRIPT, *as_flags({**settings, **VARIANTS[variant], "output_dir": folder}))
            assert done.returncode == 0, done.stderr
            folders[variant] = folder
        return folders[variant]

    return run


def run_until_killed(plan: dict, trace: Path, flags: list[str], source: random.Random) -> str:
    """Start the recipe, which is dead afterwards; return its output."""
    before = len(read_trace(trace))
    running = Processes(TRACED, json.dumps(plan), trace, *flags)
    if plan["event"] == "outside":
        while running.is_running and len(read_trace(trace)) <= before:
            time.sleep(0.01)
        time.sleep(source.uniform(0, 0.6))
        running.kill()
    done = running.wait()
    text = done.stdout + done.stderr
    assert done.returncode == -signal.SIGKILL, f"{plan}: ended by itself\n{text}"
    return text


def last_saved(plan: dict, trace: list[dict]) -> range:
    """The update of the latest complete checkpoint after a death; after a death from outside, the possible ones."""
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
    """The training and evaluation records of the log, without times."""
    times = ("_runtime", "_per_second")
    return [
        {key: value for key, value in each.items() if not key.endswith(times)}
        for each in state_of(folder)["log_history"]
        if "loss" in each or "eval_loss" in each
    ]


def digests(folder: Path) -> dict[str, str]:
    """The digests of the weights and of the tables."""
    names = ("model.safetensors", "checkpoint-*/model.safetensors", "metrics.csv", "metrics.json")
    paths = [path for name in names for path in folder.glob(name)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_five_times(settings, uninterrupted, tmp_path, variant, number):
    run, trace, source = tmp_path / "run", tmp_path / "trace", random.Random(SEED + number)
    chain, whole = make_plans(number)[variant], uninterrupted(variant)
    flags = as_flags({**settings, **VARIANTS[variant], "output_dir": run})
    context = f"seed {SEED}, round {number}, {variant}: {chain}"
    saved = range(1)
    for plan in chain:
        before = len(read_trace(trace))
        text = run_until_killed(plan, trace, flags, source)
        added = read_trace(trace)[before:]
        assert added[0]["begins"] in saved, f"{context}: resumed elsewhere at {plan}\n{text}"
        saved = last_saved(plan, added) if "update" in plan else None
    done = run_forked(SCRIPT, *flags)
    assert done.returncode == 0, f"{context}\n{done.stderr}"

    mine, expected = records(run), records(whole)
    lrs = [record["learning_rate"] for record in expected if "loss" in record]
    assert len(lrs) == UPDATES and len(set(lrs)) > 4, "the run has nothing to show"
    assert mine == expected, context
    used: dict[int, list[float]] = {}
    for line in read_trace(trace):
        if "update" in line:
            assert used.setdefault(line["update"], line["lrs"]) == line["lrs"], f"{context}: {line}"
    assert scheduler_state(run) == scheduler_state(whole), context
    assert digests(run) == digests(whole), context
    assert file_names(run) == file_names(whole), context
    for name in ("train", "eval", "test"):
        results = [json.loads((folder / f"{name}_results.json").read_text()) for folder in (run, whole)]
        measured = [{k: v for k, v in each.items() if "loss" in k or "accuracy" in k or "f1" in k} for each in results]
        assert measured[0] == pytest.approx(measured[1], rel=1e-9), context
    if variant == "layer-wise":
        assert sum(event["kind"] == "plateau" for event in scheduler_state(run)["events"]) > 3
    if variant == "early stopping":
        assert [event["cause"] for event in scheduler_state(run)["events"]] == ["early stopping"]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["token_classification", "question_answering", "masked_lm"])
def test_each_recipe_killed_twice(recipe, settings, tmp_path, task):
    """Killed in training and while results are written, each recipe ends with the files of its uninterrupted run."""
    whole, run, trace = tmp_path / "whole", tmp_path / "run", tmp_path / "trace"
    given = {**settings, **write_data(task, tmp_path), "max_steps": 6}
    del given["test_file"]
    flags = as_flags({**given, "output_dir": run})
    for plan in ({"event": "training", "update": 5}, {"event": "results"}):
        run_until_killed(plan | {"recipe": task}, trace, flags, random.Random(SEED))
    assert [line["begins"] for line in read_trace(trace) if "begins" in line] == [0, 4]

    main = importlib.import_module(task).main
    assert main(flags) == main(as_flags({**given, "output_dir": whole})) == 0
    assert len(records(whole)) == 9 and records(run) == records(whole)
    assert used_by(trace, 0) == {
        update: [record["learning_rate"]] * len(used_by(trace, 0)[update])
        for update, record in enumerate((each for each in records(whole) if "loss" in each), start=1)
    }
    assert scheduler_state(run) == scheduler_state(whole)
    assert digests(run) == digests(whole)
    assert file_names(run) == file_names(whole)


# --- two processes ----------------------------------------------------------------------------------------------------


def launch_two(plan: dict, trace: Path, flags: list[str]) -> None:
    """Start the recipe in two processes; with a plan, all are killed when the chosen one reaches its death."""
    rank = int(plan.get("rank", "0"))
    before = len(read_trace(trace, rank))
    running = Processes(TRACED, json.dumps(plan), trace, *flags, count=2)
    if plan:
        while running.is_running and not any("dies" in line for line in read_trace(trace, rank)[before:]):
            time.sleep(0.05)
        running.kill()
    done = running.wait()
    assert done.returncode == (-signal.SIGKILL if plan else 0), f"{plan}: {done.stdout}{done.stderr}"


def used_by(trace: Path, rank: int) -> dict[int, list[float]]:
    """The LRs of each update; a repeated update has the same ones."""
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
        flags = {
            **settings,
            **VARIANTS["layer-wise"],
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 3,
            "output_dir": folder / "run",
        }
        for plan in [*killed, {}]:
            launch_two(plan, traces[name], as_flags(flags))
    for rank in (0, 1):
        begins = [line["begins"] for line in read_trace(traces["killed"], rank) if "begins" in line]
        assert begins == [0, 2, 6]
        mine, other = (used_by(traces[name], rank) for name in ("killed", "whole"))
        assert list(mine) == list(other) == list(range(1, 13))
        assert all(mine[update] == pytest.approx(other[update], rel=1e-12) for update in mine)
        assert len({lrs[0] for lrs in mine.values()}) > 3
    states = [
        torch.load(tmp_path / name / "run" / "checkpoint-12" / "scheduler.pt", weights_only=True) for name in traces
    ]
    assert states[0]["events"] == states[1]["events"]
    assert [event["kind"] for event in states[0]["events"]].count("plateau") > 1
