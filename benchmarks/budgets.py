"""Compare budgets from one trunk with separate runs: cost, accuracy, and which budget is recommended.

    nice -n 5 python benchmarks/budgets.py --data DATA --rows budgets.jsonl --work WORK --output benchmarks/results/budgets.md
    python benchmarks/budgets.py --rows budgets.jsonl --output benchmarks/results/budgets.md   # the page alone

DATA holds `sst2/` and `banking77/` as CSV files; the messages are those of the demo. Each line of the rows is one budget of
one seed: of `train_budgets` with one peak LR of the trunk, or of a separate run with `warmup(10%) >> linear()`. The separate
runs have the peak LR with the lowest loss in `benchmarks/results/lr_grid.md`; the trunk has a share of it. What a stopped
benchmark has done stays: the same command goes on.

Every run: MiniLM-L6 from `recipes/common/package_model.py`, a new head for each seed, batches of 32 in random order, texts of at
most 32 tokens, AdamW without weight decay, one thread. Cost is counted in updates, and on a CPU in processor seconds, which
hardly depend on what else the machine does; evaluations and checkpoints count. `--device cuda` trains on a GPU, in full float32.

The recommendation compares budgets seed by seed since these runs were seen. Before, it compared means as if the seeds of two budgets
had nothing in common, and was that of the separate runs in one of three tasks.
"""

import argparse
import csv
import itertools
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import numpy as np
import torch
from common.package_model import NAME, find_package_model
from report import Report, parser
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainingArguments,
)

from hf_lrsched import ScheduledTrainer, train_budgets
from hf_lrsched.budgets import Branch, Budgets

ROOT = Path(__file__).resolve().parents[1]
SCHEDULE = "warmup(10%) >> linear()"
BUDGETS = [f"{epochs}ep" for epochs in range(1, 9)]
SEEDS, MAX_LENGTH, BATCH = (0, 1, 2), 32, 32
MAX_COST, MAX_DIFFERENCE = 0.45, 0.5


@dataclass(frozen=True)
class Task:
    """A task: its files and their column of texts, how many rows of each are used, and the peak LR of the separate runs."""

    train: str
    evaluation: str
    column: str
    sizes: tuple[int, int]
    lr: float


TASKS = {
    "messages": Task("messages/train.csv", "messages/validation.csv", "text", (900, 225), 2.4e-4),
    "sst2": Task("sst2/train.csv", "sst2/validation.csv", "sentence", (3000, 872), 2.4e-4),
    "banking77": Task("banking77/train.csv", "banking77/test.csv", "text", (3000, 1000), 9.6e-4),
}


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--data", type=Path, help="folder with sst2/ and banking77/; without it, only the page is made"
    )
    arguments.add_argument("--rows", type=Path, required=True, help="the JSON lines of what is done")
    arguments.add_argument("--work", type=Path, default=Path("runs/budgets"), help="folder for checkpoints")
    arguments.add_argument("--tasks", nargs="+", default=[*TASKS], choices=[*TASKS])
    arguments.add_argument("--seeds", nargs="+", type=int, default=[*SEEDS])
    arguments.add_argument(
        "--ratios", nargs="+", type=float, default=[0.5, 1.0], help="peak LRs of the trunk, as shares"
    )
    arguments.add_argument("--budgets", nargs="+", default=BUDGETS)
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = arguments.parse_args()
    torch.set_num_threads(1)
    if args.data is not None:
        # A ratio at a time, and all sides of a seed together: a benchmark that is stopped has complete comparisons.
        for ratio, task, seed in itertools.product(args.ratios, args.tasks, args.seeds):
            for side in (ratio, None):
                measure(args, task, seed, side)
    return write(args)


def measure(args: argparse.Namespace, name: str, seed: int, ratio: float | None) -> None:
    """Train the branches of a trunk, or, where the ratio is `None`, the separate runs, that are not in the rows yet."""
    known = {
        row["budget"] for row in read(args.rows) if (row["task"], row["seed"], row["ratio"]) == (name, seed, ratio)
    }
    wanted = [budget for budget in args.budgets if budget not in known]
    if not wanted:
        return
    print(f"{name}, seed {seed}, {'separate' if ratio is None else f'trunk at {ratio:g}'}", file=sys.stderr, flush=True)
    folder = args.work / f"{name}-{seed}-{ratio}"
    begin = time.process_time()
    is_timed = args.device == "cpu"

    def add(branch: Branch, seconds: float) -> None:
        row = {"task": name, "seed": seed, "ratio": ratio, "budget": branch.budget, "updates": branch.updates}
        row |= {"cooldown": branch.cooldown, "seconds": seconds if is_timed else None}
        row["device"] = "CPU" if args.device == "cpu" else torch.cuda.get_device_name()
        row |= {key: branch.metrics[f"eval_{key}"] for key in ("loss", "accuracy")}
        with args.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    if ratio is not None:
        is_new = not folder.exists()
        found = train_budgets(make_trainer(args, name, seed, folder, TASKS[name].lr), args.budgets, peak=ratio)
        is_timed &= is_new
        seconds = time.process_time() - begin
        for branch in found.branches:
            add(branch, seconds / len(found.branches))
        shutil.rmtree(folder)
        return
    for budget in wanted:
        begin, of_budget = time.process_time(), folder / budget
        epochs = float(budget.removesuffix("ep"))
        trainer = make_trainer(args, name, seed, of_budget, TASKS[name].lr, num_train_epochs=epochs)
        trainer.train()
        metrics = trainer.evaluate()
        trainer.save_model()  # as a branch does
        updates = trainer.state.global_step
        add(Branch(budget, updates, updates, metrics), time.process_time() - begin)
        shutil.rmtree(of_budget)


def make_trainer(args: argparse.Namespace, name: str, seed: int, folder: Path, lr: float, **settings: Any) -> Any:
    task, model = TASKS[name], find_package_model(NAME)
    root = {"messages": ROOT / "examples" / "data"}.get(name, args.data)
    tokenizer = AutoTokenizer.from_pretrained(model)
    splits = [list(read_csv(root / path, task.column)) for path in (task.train, task.evaluation)]
    labels = sorted({label for _, label in splits[0]})
    rows = []
    for split, size in zip(splits, task.sizes, strict=True):
        chosen = [split[index] for index in np.random.default_rng(0).permutation(len(split))[:size]]
        encoded = tokenizer([text for text, _ in chosen], truncation=True, max_length=MAX_LENGTH)["input_ids"]
        rows.append(
            [{"input_ids": ids, "labels": labels.index(label)} for ids, (_, label) in zip(encoded, chosen, strict=True)]
        )
    return ScheduledTrainer(
        model_init=lambda: AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels)),
        args=TrainingArguments(
            str(folder),
            learning_rate=lr,
            seed=seed,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            use_cpu=args.device == "cpu",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_steps=50,
            **settings,
        ),
        train_dataset=rows[0],
        eval_dataset=rows[1],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda each: {"accuracy": float((each.predictions.argmax(-1) == each.label_ids).mean())},
        schedule=SCHEDULE,
    )


def read_csv(path: Path, column: str) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row[column], row["label"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def write(args: argparse.Namespace) -> int:
    """Write the page of what is in the rows."""
    report = Report("Budgets from one trunk", "budgets.py")
    found = read(args.rows)
    report.text(f"The runs were made on: {', '.join(sorted({row['device'] for row in found}))}.")
    for ratio in sorted({row["ratio"] for row in found} - {None}):
        report.text(f"## Trunk at {ratio:g} of the peak LR of the separate runs")
        write_ratio(report, found, ratio)
    return report.finish(args.output)


def write_ratio(report: Report, found: list[dict[str, Any]], ratio: float) -> None:
    rows, costs, agree = [], [], []
    for task in TASKS:
        sides = [
            {(row["seed"], row["budget"]): row for row in found if (row["task"], row["ratio"]) == (task, side)}
            for side in (ratio, None)
        ]
        both = {key for key in sides[0] if key in sides[1]}
        seeds = sorted({seed for seed, _ in both})
        if not seeds:
            continue
        # Of each side only what the other one has, too.
        branches, separate = ({key: side[key] for key in sorted(both)} for side in sides)
        names = [name for name in BUDGETS if all((seed, name) in both for seed in seeds)]
        results, by_loss = (
            [judge(task, side, names, seeds, metric) for side in (branches, separate)]
            for metric in ("accuracy", "loss")
        )
        differences = []
        for name in names:
            points = [[100 * side[seed, name]["accuracy"] for seed in seeds] for side in (branches, separate)]
            means = [*map(statistics.mean, points)]
            differences.append(means[0] - means[1])
            spread = [first - second for first, second in zip(*points, strict=True)]
            error = statistics.stdev(spread) / len(seeds) ** 0.5 if len(seeds) > 1 else float("nan")
            bound = report.bound(f"{task}, {name} at {ratio:g}", means[1] - means[0] <= MAX_DIFFERENCE)
            updates = branches[seeds[0], name]["updates"]
            rows.append(
                [
                    task,
                    name,
                    f"{updates:,}",
                    f"{means[0]:.1f}",
                    f"{means[1]:.1f}",
                    f"{differences[-1]:+.1f} ± {error:.1f}",
                    bound,
                ]
            )
        # The cost is that of all budgets of the trunk, also of those whose separate runs are still missing.
        all_names = [name for name in BUDGETS if all((seed, name) in sides[0] for seed in seeds)]
        updates = judge(task, sides[0], all_names, seeds, "accuracy").cost
        timed = [[row["seconds"] for row in side.values()] for side in (branches, separate)]
        is_timed = names == all_names and all(all(side) for side in timed)
        cpu = f"{sum(timed[0]) / sum(timed[1]):.2f}" if is_timed else "–"
        chosen, chosen_by_loss = (
            [result.recommended.budget if result.recommended else "none" for result in each]
            for each in (results, by_loss)
        )
        agree.append([len({*each}) == 1 for each in (chosen, chosen_by_loss)])
        costs.append(
            [task, str(len(seeds)), f"{len(names)} of {len(all_names)}", f"{updates:.2f}", cpu, *chosen, f"{statistics.mean(differences):+.1f}",
             report.bound(f"cost of {task} at {ratio:g}", updates <= MAX_COST)]
        )  # fmt: skip
    header = [
        "task",
        "seeds",
        "budgets with separate runs",
        "cost in updates",
        "cost in CPU seconds",
        "recommended",
        "by separate runs",
    ]
    report.table([*header, "mean difference in points", f"cost at most {MAX_COST}"], costs)
    report.text("The difference has its standard error over the seeds, which are paired.")
    by_accuracy, by_loss = (sum(each) for each in zip(*agree, strict=True))
    report.text(
        f"The recommendation is that of separate runs in {by_accuracy} of {len(agree)} tasks; where the loss is the metric, "
        f"in {by_loss}."
    )
    header = ["task", "budget", "updates", "branch", "separate", "difference"]
    report.table([*header, f"at most {MAX_DIFFERENCE} points below"], rows)


def judge(
    task: str, side: dict[tuple[int, str], dict[str, Any]], names: list[str], seeds: list[int], metric: str
) -> Budgets:
    """What `train_budgets` would say of these results."""
    branches = [
        Branch(name, row["updates"], row["cooldown"], {f"eval_{metric}": row[metric]}, row["seconds"] or 0.0, seed=seed)
        for seed in seeds
        for name in names
        if (row := side[seed, name])
    ]
    return Budgets(f"eval_{metric}", "min" if metric == "loss" else "max", tuple(branches), task, 0.0)


if __name__ == "__main__":
    sys.exit(main())
