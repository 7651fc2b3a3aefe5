"""Trains runs of many kinds, for `leave_one_out.py`: tasks, architectures, optimizers, lengths, habits of logging and evaluating.

    python benchmarks/monitor/make_families.py --data DIR --output runs.jsonl.gz
    python benchmarks/monitor/make_families.py --output runs.jsonl.gz --only regression --most 20
    python benchmarks/monitor/make_families.py --output runs.jsonl.gz --follow 30 --mistakes 10

All models are small enough for one CPU core; the cells are in `family_cells.py`. Without `--data`, the folder with banking77/,
those of real texts are left out. For each cell of a task, an architecture and an optimizer, a sweep over the peak LR comes first,
one run for each LR; its best LR is the healthy one. Then come healthy runs with other schedules, lengths and habits, and runs made
ill by one cause each, in turn of the cells. A run's verdict is that of its test metric against the best of the sweep: `healthy`
within 1 point of accuracy (2 % of a loss), `near` within 2.5 (5 %), else `worse`; a run that was made ill is `ill`, or `harmless`
where it is not behind all the same. Runs shorter than the sweep's mostly end behind it, as `worse`. A cell in whose sweep no run
learned anything has no other runs. With `--follow`, no such runs are added: ill runs in which the present monitor advises a change of
the LR or the schedule are trained again with it, in turn of causes and cells; and with `--mistakes` healthy runs, with the change that
`stuck` and `too_slow` would advise in them.

Each run is one line of JSON, appended when it is done, with what the monitor reported live. Started again, the script goes on with
the runs that the file lacks.
"""

import argparse
import contextlib
import functools
import gc
import gzip
import importlib.metadata
import io
import json
import math
import multiprocessing
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from family_cells import CELLS, FRESH, Cell
from family_tasks import Rows, Texts, read_texts
from leave_one_out import describe_rows, has_learned
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging

from hf_lrsched import LossMonitor, ScheduledTrainer
from hf_lrsched.monitor.symptoms.evidence import change_lr
from hf_lrsched.optim.wrappers import get_guess_loss, get_step_ratio, has_random_weights, unwrap_optimizer

HEALTHY = (
    "warmup(10%) >> linear()",
    "warmup(6%) >> cosine()",
    "linear()",
    "warmup(5%) >> hold() >> one_minus_sqrt(over=30%)",
    "warmup(5%) >> hold()",
)
CAUSES = {
    "lr_x30": (30.0, None),
    "lr_d30": (1 / 30, None),
    "lr_x100": (100.0, None),
    "lr_d100": (1 / 100, None),
    "no_warmup": (12.0, "linear()"),
    "long_warmup": (1.0, "warmup(60%) >> linear()"),
    "early_decay": (1.0, "warmup(5%) >> linear(over=20%) >> hold()"),
    "shuffled_validation": (1.0, None),
    "tiny_validation": (1.0, None),
}
#: Causes that are faults of themselves, whatever the test metric.
FACTS = ("shuffled_validation", "tiny_validation", "long_warmup")
NUM_TEST, NUM_TEST_TEXTS, NUM_TINY = 800, 400, 12
LOGGING, EVALUATIONS = (1, 5, 10, 50, 500), (0, 4, 8, 12, 25, -1)


@dataclass(frozen=True)
class Plan:
    """One run to train.

    Args:
        cell ([`Cell`]): Its cell.
        name, cause (`str`): Its name and what makes it ill.
        lr (`float`), schedule (`str`), num_updates (`int`), epochs (`int`): How it trains.
        logging_steps (`int`): Its logging.
        num_evaluations (`int`): Evaluations while it trains; -1 for one after each epoch.
        num_validation, eval_batch, seed (`int`): Samples of the validation split, and of its batches; the seed.
    """

    cell: Cell
    name: str
    cause: str
    lr: float
    schedule: str = HEALTHY[0]
    num_updates: int = 200
    epochs: int = 2
    logging_steps: int = 10
    num_evaluations: int = 10
    num_validation: int = 200
    eval_batch: int = 200
    seed: int = 0


def sweep(cell: Cell) -> list[Plan]:
    return [
        Plan(cell, f"{cell.name}-sweep-{lr:g}", "sweep", lr, num_updates=cell.lengths[1], seed=seed)
        for seed, lr in enumerate(cell.lrs)
    ]


def plan_runs(cell: Cell, lr: float) -> Iterator[Plan]:
    """Yield the runs of a cell whose best LR is known, always the same ones."""
    healthy, ill = list(_plan_healthy(cell, lr)), list(_plan_ill(cell, lr))
    yield from (*ill[:2], *healthy[:3], *ill[2:4], *healthy[3:5], *ill[4:8], *healthy[5:], *ill[8:])


def _plan_healthy(cell: Cell, lr: float) -> Iterator[Plan]:
    for seed in range(8):
        draw = random.Random(f"{cell.name} {seed}")
        # Mostly as long as the sweep or longer, or the run cannot be as good.
        length = cell.lengths[(1, 2, 1, -1, 1, 0, -2, 1)[seed]]
        plan = Plan(cell, f"{cell.name}-healthy-{seed}", "healthy", lr, num_updates=length, seed=seed + 10)
        yield replace(_draw_habits(plan, draw), schedule=draw.choice(HEALTHY), num_evaluations=draw.choice(EVALUATIONS))


def _plan_ill(cell: Cell, lr: float) -> Iterator[Plan]:
    for seed in range(2):
        for cause, (factor, schedule) in CAUSES.items():
            if seed and (factor == 1 or cause == "no_warmup"):
                continue
            draw = random.Random(f"{cell.name} {cause} {seed}")
            length = draw.choice(cell.lengths[:2] if cell.corpus else cell.lengths[:3])
            plan = Plan(cell, f"{cell.name}-{cause}-{seed}", cause, lr * factor, num_updates=length, seed=seed + 100)
            schedule = schedule or draw.choice(HEALTHY[:2])
            yield replace(_draw_habits(plan, draw), schedule=schedule, num_evaluations=draw.choice(EVALUATIONS[2:]))


def _draw_habits(plan: Plan, draw: random.Random) -> Plan:
    return replace(
        plan,
        epochs=draw.choice((2, 3, 5)),
        logging_steps=draw.choice(LOGGING),
        num_validation=draw.choice((60, 100, 200)),
        # Of a contrastive loss the batch is part of the task, and Trainer's default for evaluations is 8.
        eval_batch=draw.choice((8, plan.cell.batch)) if plan.cell.is_contrastive else 200,
    )


class Tape(TrainerCallback):
    """Records what a monitor knows of a run, and its evaluations."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.evaluations: list[dict[str, Any]] = []

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, model: Any = None, **kwargs: Any
    ) -> None:
        ratio = get_step_ratio(unwrap_optimizer(optimizer)) or 0.0
        self.known = {"step_ratio": _short(ratio), "guess_loss": get_guess_loss(model)}
        self.known["has_random_weights"] = has_random_weights(model)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        row = {key: _short(value) for key, value in metrics.items() if key in ("eval_loss", "eval_accuracy")}
        if row:
            self.evaluations.append({"step": state.global_step, **row})


class TapedTrainer(ScheduledTrainer):
    """Keeps the loss of every update."""

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(*args, **kwargs)
        self.losses.append(_short(float(loss)))
        return loss


def measure_accuracy(prediction: Any) -> dict[str, float]:
    logits, labels = torch.as_tensor(prediction.predictions), torch.as_tensor(prediction.label_ids)
    return {"accuracy": float((logits.argmax(-1) == labels)[labels != -100].float().mean())}


@functools.cache
def _make_all(cell: Cell, texts: Texts) -> Rows:
    return cell.make_rows(len(texts.ids), torch.Generator().manual_seed(1), texts)


def make_data(plan: Plan, texts: Texts | None) -> tuple[Rows, Rows, Rows]:
    """Return the rows for training, validation and test."""
    cell, draw = plan.cell, torch.Generator().manual_seed(plan.seed)
    num_train = max(1, plan.num_updates // plan.epochs) * cell.batch
    if cell.corpus:
        assert texts is not None
        rows = _make_all(cell, texts)
        test = rows.part(0, NUM_TEST_TEXTS)
        others = torch.randperm(len(rows) - NUM_TEST_TEXTS, generator=draw) + NUM_TEST_TEXTS
        rest = Rows({name: values[others] for name, values in rows.columns.items()})
    else:
        test = cell.make_rows(NUM_TEST, torch.Generator().manual_seed(1000))
        rest = cell.make_rows(num_train + plan.num_validation, draw)
    validation = rest.part(0, plan.num_validation)
    if plan.cause == "shuffled_validation":
        order = torch.randperm(plan.num_validation, generator=draw)
        validation = Rows({**validation.columns, "labels": validation.columns["labels"][order]})
    if plan.cause == "tiny_validation":
        validation = validation.part(0, NUM_TINY)
    return rest.part(plan.num_validation, plan.num_validation + num_train), validation, test


def train(plan: Plan, texts: Texts | None) -> dict[str, Any]:
    """Train a run, and return its line."""
    cell, began = plan.cell, time.monotonic()
    rows, validation, test = make_data(plan, texts)
    set_seed(plan.seed)
    model = cell.make_model(texts) if cell.corpus else cell.make_model()
    tape, monitor = Tape(), LossMonitor(level="all")
    by_steps = {"eval_strategy": "steps", "eval_steps": max(1, plan.num_updates // max(1, plan.num_evaluations))}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=plan.num_updates,
            per_device_train_batch_size=cell.batch,
            per_device_eval_batch_size=plan.eval_batch,
            learning_rate=plan.lr,
            optim="sgd" if cell.optimizer == "momentum" else cell.optimizer,
            logging_steps=plan.logging_steps,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not (cell.corpus and torch.cuda.is_available()),
            seed=plan.seed,
            **(by_steps if plan.num_evaluations > 0 else {"eval_strategy": "epoch" if plan.num_evaluations else "no"}),
        )
        has_accuracy, options = cell.metric == "accuracy", {"lr": plan.lr, "momentum": 0.9}
        trainer = TapedTrainer(
            model=model,
            args=arguments,
            schedule=plan.schedule,
            train_dataset=rows,
            eval_dataset=validation,
            compute_metrics=measure_accuracy if has_accuracy else None,
            callbacks=[tape, monitor],
            **({"optimizer_cls_and_kwargs": (torch.optim.SGD, options)} if cell.optimizer == "momentum" else {}),
        )
        trainer.losses = []
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        evaluations, findings = list(tape.evaluations), monitor.findings
        arguments.per_device_eval_batch_size = cell.batch if cell.is_contrastive else 200
        trainer.callback_handler.eval_dataloader = None
        final = trainer.evaluate(test, metric_key_prefix="test")
    updates_per_epoch = max(1, len(rows) // cell.batch)
    return {
        "name": plan.name,
        "family": cell.family,
        "cell": cell.name,
        "cause": plan.cause,
        "schedule": plan.schedule,
        "lr": plan.lr,
        "optim": cell.optimizer,
        "num_updates": plan.num_updates,
        "updates_per_epoch": updates_per_epoch,
        "epochs": plan.num_updates / updates_per_epoch,
        "logging_steps": plan.logging_steps,
        "eval_batch": plan.eval_batch,
        "seed": plan.seed,
        **tape.known,
        "losses": trainer.losses,
        "evaluations": [{**each, "samples": len(validation)} for each in evaluations],
        "final": {key: _short(value) for key, value in final.items() if key in ("test_loss", "test_accuracy")},
        "key": [cell.metric, 1 if has_accuracy else -1],
        "live": [[each.kind, each.update] for each in findings],
        "seconds": round(time.monotonic() - began, 1),
    }


def judge(row: dict[str, Any], best: float) -> str:
    """Return the verdict on a run, against the best test metric of its cell."""
    name, sign = row["key"]
    behind = sign * (best - float(row["final"][f"test_{name}"]))
    behind = behind if name == "accuracy" else behind / (2 * abs(best))
    is_ill = row["cause"] in CAUSES
    if not behind <= 0.01:  # NaN is ill
        return "ill" if is_ill else "near" if behind <= 0.025 else "worse"
    if not is_ill:
        return "healthy"
    return "ill" if row["cause"] in FACTS else "harmless"


def _short(value: float) -> float | str:
    return float(f"{value:.4g}") if math.isfinite(value) else str(value)


@functools.cache
def _read(data: Path | None, corpus: str | None) -> Texts | None:
    return read_texts(data, corpus) if data and corpus else None


def work(plan: Plan, data: Path | None) -> dict[str, Any]:
    """Train a run in a process of the pool."""
    _prepare()
    return train(plan, _read(data, plan.cell.corpus))


@functools.cache
def _prepare() -> None:
    """Make small runs cheap: half of their time goes into looking through all objects, and up the versions of packages."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    gc.freeze()
    importlib.metadata.metadata = functools.cache(importlib.metadata.metadata)


class Runs:
    """The runs that are done, and the processes that train others.

    Args:
        pool (`ProcessPoolExecutor`, *optional*): The processes; without them, this one trains.
        path (`Path`): The file.
        data (`Path`, *optional*): The folder with the texts.
    """

    def __init__(self, pool: ProcessPoolExecutor | None, path: Path, data: Path | None):
        self.pool, self.path, self.data = pool, path, data
        self.rows: dict[str, dict[str, Any]] = {}
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                self.rows = {row["name"]: row for row in map(json.loads, file)}

    def add(self, plans: Iterable[Plan], best: Mapping[str, float]) -> None:
        """Train the runs that are not there; a run whose cell has no best metric yet gets its verdict later."""
        for row in self._train([plan for plan in plans if plan.name not in self.rows]):
            self.rows[row["name"]] = row
            if row["cell"] in best:
                row["verdict"] = judge(row, best[row["cell"]])
            self._write([row], "at")  # a gzip file may have several parts
            print(
                f"{row['name']}: {row['final']} {row.get('verdict', '')} {row['live']} {row['seconds']} s", flush=True
            )

    def _train(self, plans: list[Plan]) -> Iterator[dict[str, Any]]:
        if self.pool is None:
            yield from (work(plan, self.data) for plan in plans)
        else:
            yield from (
                done.result() for done in as_completed([self.pool.submit(work, plan, self.data) for plan in plans])
            )

    def judge_sweeps(self, best: Mapping[str, float]) -> None:
        """Give the runs of the sweeps their verdicts."""
        for row in self.rows.values():
            if row["cell"] in best:
                row.setdefault("verdict", judge(row, best[row["cell"]]))
        self._write(list(self.rows.values()), "wt")

    def _write(self, rows: list[dict[str, Any]], mode: str) -> None:
        with gzip.open(self.path, mode, encoding="utf-8") as file:
            file.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)

    def has_learned(self, cell: Cell) -> bool:
        """Return whether any run of a sweep learned anything: else its cell cannot tell a good LR from a bad one."""
        return any(has_learned(self.rows[plan.name]) for plan in sweep(cell))

    def choose(self, cell: Cell) -> tuple[float, float]:
        """Return the best LR of a sweep, and its metric."""
        sign = 1 if cell.metric == "accuracy" else -1
        found = {plan.lr: float(self.rows[plan.name]["final"][f"test_{cell.metric}"]) for plan in sweep(cell)}
        lr = max(found, key=lambda lr: sign * found[lr] if math.isfinite(found[lr]) else -math.inf)
        return lr, found[lr]


def advise(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what the present monitor advises in a run."""
    (run,) = describe_rows([row])
    advised = run.replay().recommendation
    return {each.setting: each.after for each in advised.changes} if advised else {}


def advise_by_mistake(row: Mapping[str, Any], *, lower: bool) -> dict[str, str]:
    """Return what the present monitor would advise in a run that it took for stuck, or for too slow."""
    (run,) = describe_rows([row])
    change = change_lr(run.info, lower=lower)
    return {change.setting: change.after} if change else {}


def follow(runs: Runs, plans: list[Plan], count: int, mistakes: int) -> None:
    """Train runs again with what is advised in them."""
    by_cause: dict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        if plan.name in runs.rows and runs.rows[plan.name]["verdict"] in ("ill", "healthy"):
            by_cause[plan.cause].append(plan)
    for plan in filter(None, chain(*zip_longest(*by_cause.values()))):
        row = runs.rows[plan.name]
        is_ill = row["verdict"] == "ill"
        if (count if is_ill else mistakes) <= 0:
            continue
        changes = advise(row) if is_ill else advise_by_mistake(row, lower=mistakes % 2 == 0)
        count, mistakes = count - (is_ill and bool(changes)), mistakes - (not is_ill)
        lr, schedule = float(changes.get("learning_rate", plan.lr)), changes.get("schedule", plan.schedule)
        if changes:
            name, cause = f"{plan.name}-followed", "followed" if is_ill else "mistaken"
            again = replace(plan, name=name, cause=cause, lr=lr, schedule=schedule)
            runs.add([again], {})
        print(f"{plan.name}: {row['verdict']}, {changes or 'words only'}", flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", type=Path, required=True, help="the file to add to: .jsonl.gz")
    arguments.add_argument("--data", type=Path, help="the folder with banking77/, for the cells of real texts")
    arguments.add_argument(
        "--fresh", action="store_true", help="the cells that the rules are scored on, not those at hand"
    )
    arguments.add_argument("--only", default="", help="only cells whose family or name holds this")
    arguments.add_argument("--most", type=int, default=10**9, help="so many runs of a cell, beside its sweep, at most")
    arguments.add_argument("--follow", type=int, default=0, help="so many ill runs are trained again as advised")
    arguments.add_argument("--mistakes", type=int, default=0, help="so many healthy runs are, too")
    arguments.add_argument("--jobs", type=int, default=1, help="runs at a time")
    args = arguments.parse_args()
    named = [cell for cell in (FRESH if args.fresh else CELLS) if args.only in f"{cell.family} {cell.name}"]
    cells = [cell for cell in named if args.data or not cell.corpus]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, spawn) if args.jobs > 1 else contextlib.nullcontext() as pool:
        runs = Runs(pool, args.output, args.data)
        runs.add((plan for cell in cells for plan in sweep(cell)), {})
        best = {cell.name: runs.choose(cell) for cell in cells}
        values = {name: value for name, (_, value) in best.items()}
        runs.judge_sweeps(values)
        learning = [cell for cell in cells if runs.has_learned(cell)]
        plans = [list(plan_runs(cell, best[cell.name][0]))[: args.most] for cell in learning]
        turns = zip_longest(*plans)  # of the cells, so that all have runs wherever this is ended
        in_turn = [plan for turn in turns for plan in turn if plan is not None]
        if args.follow or args.mistakes:
            follow(runs, in_turn, args.follow, args.mistakes)
        else:
            runs.add(in_turn, values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
