"""Live searches: what each method finds on a task, what it costs, and the accuracy of the run with it.

    python benchmarks/find_lr/live.py --data DATA --model MODEL --settings sst2/minilm/adamw/1ep --output live.jsonl
    python benchmarks/find_lr/live.py --table benchmarks/find_lr/live.jsonl > benchmarks/results/find_lr_live.md

Methods: `find_lr`; Trainer's default; the range test with the suggestions of Lightning and of fastai; and the optimizers
Prodigy and D-Adaptation, which need no LR, where `pip install --target FOLDER prodigyopt dadaptation` made them known
(give FOLDER in PYTHONPATH). Each run is whole, and scored on the same held-out data as the grid's. Settings, data and
models are those of grid.py. A search is done anew for each seed, with the data order of that seed.

The range test follows Lightning's documentation of `Tuner.lr_find` (100 updates, LRs from 1e-8 to 1, exponential, the
training loss smoothed with 0.98 and corrected, an end at four times the lowest loss, the first 10 and the last point left
out, the steepest descent), and fastai's of `Learner.lr_find` (100 updates, 1e-7 to 10, smoothed with 0.98, the first and
the last five left out; `valley`: of the longest falling stretch of losses, the point two thirds along). Both are
implemented here anew. Each begins with the weights of the run.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grid
import numpy as np
import torch
from grid import BATCH, SCHEDULE, SETTINGS, Job, Setting, Worker, batches, make_optimizer
from split import read_grid
from transformers import TrainingArguments, set_seed

from hf_lrsched import ScheduledTrainer, find_lr

RANGE_UPDATES = 100
DEFAULT = "Trainer's default"


class GridTrainer(ScheduledTrainer):
    """A Trainer with the loss, the batches and the optimizer of the grid's runs."""

    def __init__(self, worker: Worker, setting: Setting, **kwargs: Any):
        self.worker, self.setting = worker, setting
        super().__init__(**kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        if self.optimizer is None:
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            self.optimizer = make_optimizer(self.setting.optimizer, trained, self.args.learning_rate)
        return self.optimizer

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        train, held_out, _ = self.worker.load(self.setting.task.removesuffix("-mlm"))
        texts, generator = (train if inputs["is_train"][0] else held_out), torch.Generator(self.worker.device)
        generator.manual_seed(int(inputs["row"][0]))
        loss, _, _ = self.worker.score(model, self.setting, texts, inputs["row"].cpu().numpy(), generator)
        return (loss, {}) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None


def make_trainer(worker: Worker, setting: Setting, seed: int, folder: str) -> GridTrainer:
    train, held_out, labels = worker.load(setting.task.removesuffix("-mlm"))
    set_seed(seed)
    model = worker.make_model(setting, labels).to(worker.device)
    args = TrainingArguments(
        folder,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=128,
        num_train_epochs=setting.epochs,
        weight_decay=0.0,
        save_strategy="no",
        report_to="none",
        seed=seed,
        use_cpu=worker.device.type == "cpu",
        remove_unused_columns=False,
    )
    rows = [
        [{"row": row, "is_train": part == 0} for row in range(len(each.lengths))]
        for part, each in enumerate((train, held_out))
    ]
    return GridTrainer(
        worker, setting, model=model, args=args, train_dataset=rows[0], eval_dataset=rows[1], schedule=SCHEDULE
    )


def range_test(worker: Worker, setting: Setting, seed: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Train with an LR that rises exponentially; return the LRs and the training losses, as far as they are finite."""
    train, _, labels = worker.load(setting.task.removesuffix("-mlm"))
    set_seed(seed)
    model = worker.make_model(setting, labels).to(worker.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(setting.optimizer, trained, low)
    lrs, losses = np.geomspace(low, high, RANGE_UPDATES), []
    generator = torch.Generator(worker.device).manual_seed(seed)
    model.train()
    for lr, chosen in zip(lrs, batches(len(train.lengths), np.random.default_rng(seed)), strict=False):
        optimizer.param_groups[0]["lr"] = float(lr)
        loss, _, _ = worker.score(model, setting, train, chosen, generator)
        losses.append(float(loss))
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
            break
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    kept = np.isfinite(losses)
    return lrs[: len(losses)][kept], np.array(losses)[kept]


def smooth(losses: np.ndarray, beta: float = 0.98) -> np.ndarray:
    """An exponential mean, corrected for its start."""
    mean, smoothed = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = beta * mean + (1 - beta) * loss
        smoothed.append(mean / (1 - beta**count))
    return np.array(smoothed)


def suggest_as_lightning(lrs: np.ndarray, losses: np.ndarray) -> float:
    """The LR of the steepest descent of the smoothed loss."""
    smoothed = smooth(losses)[10:-1]
    return float(lrs[10:-1][np.gradient(smoothed).argmin()]) if len(smoothed) > 1 else float("nan")


def suggest_as_fastai(lrs: np.ndarray, losses: np.ndarray) -> float:
    """The `valley` of the smoothed loss: two thirds along the longest falling subsequence."""
    lrs, losses = lrs[: len(losses) - 5], smooth(losses)[:-5]
    if len(losses) < 2:
        return float("nan")
    lengths, start = [1] * len(losses), 0
    end = 0
    for last in range(1, len(losses)):
        lengths[last] = 1 + max((lengths[i] for i in range(last) if losses[last] < losses[i]), default=0)
        end = last if lengths[last] > lengths[end] else end
    start = end - lengths[end]
    sections = (end - start) / 3
    return float(lrs[max(start + int(sections) + int(sections / 2), 0)])


def free_optimizers() -> dict[str, Any]:
    """The learning-rate-free optimizers that are installed: each with LR 1, as their authors recommend."""
    found: dict[str, Any] = {}
    try:
        from prodigyopt import Prodigy

        found["Prodigy"] = lambda parameters: Prodigy(parameters, lr=1.0)
    except ImportError:
        pass
    try:
        from dadaptation import DAdaptAdam

        found["D-Adaptation"] = lambda parameters: DAdaptAdam(parameters, lr=1.0)
    except ImportError:
        pass
    return found


def measure(
    worker: Worker, setting: Setting, seed: int, folder: str, wanted: list[str], done: set[str]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each method that is not done: its LR, its cost in full runs, and the loss and the accuracy of the run with it."""

    total = max(
        round(setting.epochs * math.ceil(len(worker.load(setting.task.removesuffix("-mlm"))[0].lengths) / BATCH)), 1
    )

    def run(method: str, lr: float, cost: float, **more: Any) -> dict[str, Any]:
        row = worker.run(Job(setting, lr, seed, 1.0)) if math.isfinite(lr) else {"setting": str(setting), "seed": seed}
        return {**row, "method": method, "lr": lr, "cost": cost, "device": str(worker.device), **more}

    if "find_lr" in wanted and "find_lr" not in done:
        search = find_lr(make_trainer(worker, setting, seed, folder))
        more = {"low": search.low, "high": search.high, "search_seconds": search.seconds, "notes": search.notes}
        yield run("find_lr", search.suggestion or float("nan"), search.cost, **more)
    if "default" in wanted and DEFAULT not in done:
        yield run(DEFAULT, 5e-5, 0.0)
    if "range" in wanted:
        for name, low, high, suggest in (
            ("range test, Lightning", 1e-8, 1.0, suggest_as_lightning),
            ("range test, fastai valley", 1e-7, 10.0, suggest_as_fastai),
        ):
            if name in done:
                continue
            lrs, losses = range_test(worker, setting, seed, low, high)
            yield run(name, suggest(lrs, losses), len(losses) / total)
    if "free" in wanted:
        kept = grid.make_optimizer
        for name, make in free_optimizers().items():
            if name in done:
                continue
            grid.make_optimizer = lambda _, parameters, lr, make=make: make(parameters)
            try:
                yield run(name, 1.0, 0.0)
            finally:
                grid.make_optimizer = kept


def print_table(path: Path) -> None:
    """Print the accuracies by setting and method, with the best one of the grid."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    truth = read_grid()
    methods = [
        *("find_lr", DEFAULT, "range test, Lightning", "range test, fastai valley"),
        *("Prodigy", "D-Adaptation"),
    ]
    known = {(row["setting"], row["method"]): row for row in rows}
    devices = sorted({"CPU" if row["device"] == "cpu" else "H100" for row in rows})
    print("# Live searches\n")
    print(
        f"Made by `python benchmarks/find_lr/live.py`, on: {', '.join(devices)}. One seed, so a point or two is noise.\n"
    )
    print(
        "Accuracy in points of the whole run with what each method suggests; in brackets the LR, and what the search cost in"
    )
    print("full runs. The last column has the best of the grid's eight LRs, by the mean of the seeds where")
    print("there are several. A range test takes 100 updates, however short the run.")
    print("Prodigy and D-Adaptation run at LR 1 with their defaults and the same schedule.\n")
    if any(row.get("is_before") for row in rows):
        print("†: the version of find_lr before this one, whose long probes lasted 1/8 of the run.\n")
    print(f"| task / model / optimizer / epochs | {' | '.join(methods)} | best of the grid |")
    print(f"|---{'|---:' * (len(methods) + 1)}|")
    for setting in dict.fromkeys(str(each) for each in SETTINGS if any(row["setting"] == str(each) for row in rows)):
        cells = []
        for method in methods:
            row = known.get((setting, method))
            if row is None:
                cells.append("not run")
            elif "accuracy" not in row:
                cells.append("no suggestion")
            elif row["cost"] or method == DEFAULT:
                cost = f", {row['cost']:.2f}" if row["cost"] else ""
                mark = " †" if row.get("is_before") else ""
                cells.append(f"{100 * row['accuracy']:.1f} ({row['lr']:.2g}{cost}){mark}")
            else:
                cells.append(f"{100 * row['accuracy']:.1f}")
        full = [run for run in truth.get(setting, []) if run.share == 1.0]
        best = max(full, key=lambda run: run.accuracy, default=None)
        cells.append("–" if best is None else f"{100 * best.accuracy:.1f} ({best.lr:.2g})")
        print(f"| {setting} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="print the table of such a file, and do nothing else")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", type=Path, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, help="JSON lines; rows that it has are not made again")
    parser.add_argument("--settings", default="", help="only settings whose name contains this")
    parser.add_argument("--methods", default="find_lr,default,range,free")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no method after these")
    parser.add_argument(
        "--folder", default="/tmp/find_lr_live", help="an output folder for Trainer; nothing is saved in it"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.table:
        print_table(args.table)
        return
    known = (
        [json.loads(line) for line in args.output.read_text(encoding="utf-8").splitlines()]
        if args.output.exists()
        else []
    )
    worker, deadline = Worker(args.data, args.model, args.device), time.monotonic() + 60 * args.minutes
    for seed in range(args.seeds):
        for setting in (each for each in SETTINGS if args.settings in str(each)):
            done = {row["method"] for row in known if (row["setting"], row["seed"]) == (str(setting), seed)}
            for row in measure(worker, setting, seed, args.folder, args.methods.split(","), done):
                with args.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
                if time.monotonic() > deadline:
                    return


if __name__ == "__main__":
    main()
