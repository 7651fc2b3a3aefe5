"""Trains the runs that the monitor is tuned and measured on, and stores what a monitor reads of each.

    python benchmarks/monitor/make_traces.py --data DIR
    python benchmarks/monitor/make_traces.py --data DIR --only narrow2-sst2 --jobs 1

Real trainings with `ScheduledTrainer`: the package registry's BERT with 6 layers, a BERT of 2 narrow layers
and an averaging network on its word embeddings; four tasks (`small_models.py`); healthy ones, and ones made ill by one of twelve causes
(`configurations.py`). They go into `traces/tune.jsonl.gz` and `traces/measure.jsonl.gz`. About an hour on 2 cores.

`DIR` holds `sst2/` (`train.csv` of 6,920 sentences, `validation.csv` of 872, columns `sentence` and `label`) and `banking77/`
(`train.csv` and `test.csv`, columns `text` and `label`).
"""

import argparse
import contextlib
import functools
import io
import math
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from configurations import configurations
from small_models import Task, collate, load_task, make_model
from traces import FOLDER, HALVES, Trace, read_traces, write_traces
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging

from hf_lrsched import ScheduledTrainer
from hf_lrsched.optim.update_losses import UpdateLosses

EVALUATIONS = 12
LOGGING_STEPS = 5
VALIDATION_SAMPLES = 240
TINY_VALIDATION_SAMPLES = 10
EVALUATION_BATCH = 80


class Tape(TrainerCallback):
    """Records what a monitor reads, in the same order."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.losses = UpdateLosses()

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.trace.num_updates = state.max_steps
        self.losses.attach(model)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.losses.end_update(state.global_step)
        self.trace.losses += [_short(loss) for _, loss in self.losses.get()]

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            row = {key: logs[key] for key in ("loss", "grad_norm") if key in logs}
            self.trace.records.append({"step": state.global_step, **{k: _short(v) for k, v in row.items()}})

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        keys = ("eval_loss", "eval_accuracy", "eval_runtime", "eval_samples_per_second")
        row = {key: _short(metrics[key]) for key in keys if key in metrics}
        self.trace.evaluations.append({"step": state.global_step, **row})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.losses.detach()


class CorruptBatches:
    """A collator that gives the samples of some batches the label of another class, as a join gone wrong does."""

    def __init__(self, batches: Sequence[int], num_labels: int, batch_size: int):
        self.batches, self.num_labels, self.batch_size = set(batches), num_labels, batch_size
        self.count = 0

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate(samples)
        if len(samples) > self.batch_size:
            return batch  # of an evaluation
        self.count += 1
        if self.count in self.batches:
            batch["labels"] = (batch["labels"] + 1) % self.num_labels
        return batch


class Overflow(TrainerCallback):
    """At some updates the forward pass overflows and the step is skipped, as with fp16 and a loss scaler."""

    def __init__(self, updates: Sequence[int]):
        self.updates = set(updates)
        self.now = False

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        model.classifier.register_forward_hook(lambda module, inputs, logits: logits * math.inf if self.now else logits)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.now = state.global_step + 1 in self.updates

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self.now:
            model.zero_grad()
        self.now = False


@functools.cache
def load_named_task(name: str, data: Path) -> Task:
    return load_task(name, data)


def train(trace: Trace, data: Path) -> Trace:
    """Trains a configuration and fills in its trace."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    task = load_named_task(trace.task, data)
    draw = random.Random(trace.name)
    samples = draw.sample(task.train, min(trace.samples, len(task.train)))
    if trace.cause == "past_best":  # a quarter of the labels are wrong: to learn them by heart does harm
        for index in draw.sample(range(len(samples)), len(samples) // 4):
            wrong = (samples[index]["labels"] + draw.randrange(1, task.num_labels)) % task.num_labels
            samples[index] = {**samples[index], "labels": wrong}
    validation = validation_of(trace, task, draw)
    set_seed(trace.seed)
    model = make_model(trace.model, task)
    model.accepts_loss_kwargs = False  # its loss is the mean over the batch
    matrices = [parameter.detach().flatten() for parameter in model.parameters() if parameter.ndim > 1]
    trace.weight_rms = float(torch.cat(matrices).square().mean().sqrt())
    trace.updates_per_epoch = math.ceil(len(samples) / trace.batch_size)
    updates = round(trace.updates_per_epoch * trace.epochs)
    tape, collator, callbacks = Tape(trace), collate, []
    if trace.cause == "corrupt_batches":  # when there is something to forget
        start = draw.randint(round(0.4 * updates), round(0.8 * updates))
        collator = CorruptBatches(range(start, start + 4), task.num_labels, trace.batch_size)
    elif trace.cause == "overflow":
        callbacks.append(Overflow(draw.sample(range(round(0.15 * updates), round(0.6 * updates)), 3)))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = ScheduledTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=trace.epochs,
                per_device_train_batch_size=trace.batch_size,
                per_device_eval_batch_size=EVALUATION_BATCH,
                learning_rate=trace.learning_rate,
                weight_decay=0.01,
                eval_strategy="steps",
                eval_steps=max(1, updates // EVALUATIONS),
                logging_steps=LOGGING_STEPS,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                seed=trace.seed,
            ),
            schedule=trace.schedule,
            train_dataset=samples,
            eval_dataset=validation,
            data_collator=collator,
            compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
            callbacks=[tape, *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trace


def validation_of(trace: Trace, task: Task, draw: random.Random) -> list[dict[str, Any]]:
    """The validation split, with what the cause makes of it."""
    size = TINY_VALIDATION_SAMPLES if trace.cause == "tiny_validation" else VALIDATION_SAMPLES
    found = draw.sample(task.validation, min(size, len(task.validation)))
    if trace.cause == "shuffled_validation":
        labels = [sample["labels"] for sample in found]
        draw.shuffle(labels)
        found = [{**sample, "labels": label} for sample, label in zip(found, labels, strict=True)]
    return found


def _short(value: float) -> float | str:
    """Five digits; what is not finite as text, for JSON has no number for it."""
    return float(f"{value:.5g}") if math.isfinite(value) else str(value).lstrip("-")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with sst2/ and banking77/")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--only", default="", help="only the traces whose name holds this; the others stay as they are")
    parser.add_argument("--missing", action="store_true", help="only those that the files do not have")
    args = parser.parse_args()
    known = {t.name: t for half in HALVES if (FOLDER / f"{half}.jsonl.gz").exists() for t in read_traces(half)}
    order = [trace.name for trace in configurations()]
    wanted = [t for t in configurations() if args.only in t.name and not (args.missing and t.name in known)]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(args.jobs) as pool:
        running = [pool.submit(train, trace, args.data.resolve()) for trace in wanted]
        for count, done in enumerate(as_completed(running), 1):
            trace = done.result()
            known[trace.name] = trace
            last = trace.evaluations[-1] if trace.evaluations else {}
            print(f"{count}/{len(wanted)} {trace.name}: {trace.num_updates} updates, {last}", flush=True)
            if count % 20 == 0 or count == len(wanted):
                for half in HALVES:
                    traces = sorted((t for t in known.values() if t.half == half), key=lambda t: order.index(t.name))
                    write_traces(traces, half)
    return 0


if __name__ == "__main__":
    sys.exit(main())
