"""What the record of a run costs: bytes and time for each update, memory, the size of a checkpoint.

    python benchmarks/record.py
    python benchmarks/record.py --smoke

`RunRecorder` is driven by a loop that calls it as Trainer does, around a real `ScheduleLR` with 28 parameter groups of their
own peaks (a BERT with layer-wise decay) and a schedule with a `plateau()`, for a million updates: with a training record
each 10 updates (the bounds are for this one), at each update, and each 500 (Trainer's default); an evaluation each 10,000
updates, of which some end in a drop of the LR.

1. Bytes: all files of the record, over the updates.
2. Time: of the recorder's methods, with all that they write; two reads of the clock around each are in it.
3. Memory: what the process has more at the end than after a twentieth of the updates.
4. The record is read again: the LRs of all groups at 10,000 updates, those at the drops among them, must be those that the
   optimizer had, to the bit.
5. The checkpoint of a small real run with and without the recorder, file by file.
"""

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from report import Report, parser
from transformers import PrinterCallback, TrainerControl, TrainerState, TrainingArguments

from hf_lrsched import RunRecorder, ScheduledTrainer, ScheduleLR, read_run
from hf_lrsched.callbacks.run_context import get_context

SCHEDULE = "(warmup(6%) >> cosine(to=1%)) * plateau(factor=0.9, patience=1)"
GROUPS = 28
EVERY = (10, 1, 500)  # the first one has the bounds
BYTES_BOUND = 20
MICROSECONDS_BOUND = 10
GROWTH_BOUND = 2**20


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--updates", type=int, default=1_000_000)
    arguments.add_argument("--eval-steps", type=int, default=10_000, help="updates between two evaluations")
    arguments.add_argument("--smoke", action="store_true", help="20,000 updates: does the script work?")
    args = arguments.parse_args()
    if args.smoke:
        args.updates, args.eval_steps = 20_000, 1_000
    report = Report("The record of a run", "record.py")
    with tempfile.TemporaryDirectory() as folder:
        record_section(report, args, Path(folder))
        checkpoint_section(report, Path(folder))
    return report.finish(args.output)


def record_section(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """1 to 4: a long run."""
    rows = []
    for every in EVERY:
        name = f"a record each {every} updates" if every > 1 else "a record at each update"
        run = Loop(folder / f"every-{every}", args.updates, every, args.eval_steps)
        microseconds = run.go(RunRecorder()) / args.updates * 1e6
        sizes = {path.name: path.stat().st_size for path in (run.folder / "record").iterdir()}
        size = sum(sizes.values()) / args.updates
        run.compare()
        is_bound = every == EVERY[0]
        verdicts = ["–"] * 3
        if is_bound:
            verdicts = [
                report.bound("bytes an update", size < BYTES_BOUND),
                report.bound("microseconds an update", microseconds < MICROSECONDS_BOUND),
                report.bound("constant memory", run.growth < GROWTH_BOUND),
            ]
        told = [f"{size:.2f}", verdicts[0], f"{microseconds:.2f}", verdicts[1], f"{run.growth / 1024:.0f}", verdicts[2]]
        rows.append([name, f"{sum(sizes.values()) / 1e6:.2f}", *told])
        shutil.rmtree(run.folder)
    report.text(
        f"## {args.updates:,} updates with {GROUPS} groups\n\n`{SCHEDULE}`, an evaluation each {args.eval_steps:,} updates. "
        f"Bounds: below {BYTES_BOUND} bytes and {MICROSECONDS_BOUND} µs an update, memory that grows by less than "
        f"{GROWTH_BOUND // 1024} KiB. The LRs that were read from it are those of the optimizer, to the bit."
    )
    report.table(["", "MB", "bytes an update", "", "µs an update", "", "growth, KiB", ""], rows)


class Loop:
    """Trainer's loop without its training."""

    def __init__(self, folder: Path, updates: int, every: int, eval_steps: int):
        self.folder, self.updates, self.every, self.eval_steps = folder, updates, every, eval_steps
        self.args = TrainingArguments(str(folder), report_to=[], use_cpu=True)
        self.growth = 0
        source = random.Random(0)
        watched = {min(at + more, updates - 1) for at in range(0, updates, eval_steps) for more in (0, 1)}
        watched |= {source.randrange(updates) for _ in range(10_000)}
        self._watched = {update: row for row, update in enumerate(sorted(watched))}
        self._used = np.full((len(watched), GROUPS), np.nan)  # filled at once: it must not look like growth

    def go(self, recorder: RunRecorder) -> float:
        """The seconds that the recorder's own methods took in a run."""
        model = torch.nn.ModuleList([torch.nn.Linear(1, 1, bias=False) for _ in range(GROUPS)])
        parameters = [
            {"params": list(each.parameters()), "lr": 2e-5 * 0.95**index, "name": f"layer_{index}"}
            for index, each in enumerate(model)
        ]
        optimizer: Any = torch.optim.AdamW(parameters)
        scheduler = ScheduleLR(optimizer, SCHEDULE, self.updates, updates_per_epoch=self.updates // 10)
        scheduler.declare_driven("plateau")
        state, control = TrainerState(max_steps=self.updates, epoch=0.0), TrainerControl()
        state.is_world_process_zero, state.is_hyper_param_search = True, False
        process, source = psutil.Process(), random.Random(0)
        given = {"model": model, "optimizer": optimizer, "lr_scheduler": scheduler, "train_dataloader": range(10)}
        early, seconds = 0, 0.0

        def record(method: Callable[..., None], **more: Any) -> None:
            nonlocal seconds
            start = time.perf_counter()
            method(self.args, state, control, **given, **more)
            seconds += time.perf_counter() - start

        def log(logs: dict[str, float]) -> None:
            # The history of a real run grows: that is Trainer's, and not measured here.
            logs["epoch"] = state.epoch
            state.log_history = [{**logs, "step": state.global_step}]
            record(recorder.on_log, logs=logs)

        record(recorder.on_train_begin)
        for update in range(self.updates):
            record(recorder.on_step_begin)
            if update in self._watched:
                self._used[self._watched[update]] = [group["lr"] for group in optimizer.param_groups]
            record(recorder.on_pre_optimizer_step)
            record(recorder.on_optimizer_step)
            optimizer._opt_called = True
            scheduler.step()
            state.global_step += 1
            state.epoch = state.global_step / (self.updates // 10)
            record(recorder.on_step_end)
            if state.global_step % self.every == 0:
                loss, norm = source.random(), source.random()
                log({"loss": loss, "grad_norm": norm, "learning_rate": optimizer.param_groups[0]["lr"]})
            if state.global_step % self.eval_steps == 0:
                logs = {"eval_loss": source.random(), "eval_accuracy": source.random(), "eval_runtime": 12.3456}
                logs |= get_context(state).used_lrs.make_evaluation_entries(logs)
                log(logs)
                scheduler.observe(logs)
                record(recorder.on_evaluate)
            if update == self.updates // 20:
                early = process.memory_info().rss
        self.growth = process.memory_info().rss - early
        record(recorder.on_train_end)
        return seconds

    def compare(self) -> None:
        """The LRs that follow from the record against those that were used."""
        lrs = read_run(self.folder).lrs([*self._watched])
        if lrs is None or not np.array_equal(np.column_stack([*lrs.values()]), self._used):
            raise RuntimeError("the LRs of the record are not those of the optimizer")


def checkpoint_section(report: Report, folder: Path) -> None:
    """5: a checkpoint with and without."""
    sizes = {}
    for name in ("with", "without"):
        torch.manual_seed(0)
        args = TrainingArguments(
            str(folder / name),
            report_to=[],
            use_cpu=True,
            max_steps=200,
            logging_steps=1,
            save_steps=200,
            disable_tqdm=True,
        )
        data = [{"x": torch.tensor([float(n)]), "labels": torch.tensor([0.0])} for n in range(64)]
        trainer = ScheduledTrainer(Line(), args, train_dataset=data, schedule="warmup(10%) >> linear()")
        trainer.remove_callback(PrinterCallback)
        if name == "without":
            trainer.remove_callback(RunRecorder)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
        files = [path for path in (folder / name / "checkpoint-200").iterdir() if path.name != "training_args.bin"]
        sizes[name] = {path.name: path.stat().st_size for path in sorted(files)}
    rows = [[f"`{name}`", f"{size:,}", f"{sizes['without'][name]:,}"] for name, size in sizes["with"].items()]
    verdict = report.bound("the checkpoint", sizes["with"] == sizes["without"])
    report.text(
        "## A checkpoint\n\nBytes after 200 updates with a record at each; without `training_args.bin`, which holds the output "
        f"folder's name. Bound: the same. {verdict}"
    )
    report.table(["file", "with", "without"], rows)


class Line(torch.nn.Module):
    """A model of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        return {"loss": ((self.weight * x - labels) ** 2).mean()}


if __name__ == "__main__":
    sys.exit(main())
