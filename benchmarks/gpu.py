"""Prove on one GPU what a CPU cannot: no synchronisation is added, and the pack's share of a fast update is small.

    python benchmarks/gpu.py --output benchmarks/results/gpu.md
    python benchmarks/gpu.py --cpu    # a dry run of tiny size: does the script work?

One table, with a row for each claim:

- **Synchronisations per update.** The profiler counts the CUDA calls that make the host wait for the device, over 10
  updates of a `ScheduledTrainer` with everything on (LR log, record, monitor, guard, step sizes between two measurements,
  a plateau) and of the stock Trainer. Trainer itself waits at each update for its NaN filter; both also run without it.
- **The pack's share of an update** of BERT-base in bf16 at batch 32: seconds in the pack's methods (see `stopwatch.py`)
  over the time of the updates. The two trainings also run in turn, and their times per update stand side by side.
- **A compiled optimizer** with a tensor LR compiles once over 50 updates. With a number as LR, torch compiles again.
- **Skipped fp16 updates.** Losses of three updates overflow; the GradScaler skips these. The LR of every update must equal
  the schedule. The stock Trainer's schedule falls behind by the number of skips.
- **The guard on the device** drops a poisoned update: the weights stay finite. **The monitor on the device** reports the
  loss that is NaN.
- **`find_lr`** takes at most one copy of the weights more than the run itself at the peak of the device's memory, and a run
  after the search is to the bit the run with that LR given (BERT of two layers, deterministic kernels).

Nothing is downloaded: weights and data are random, and their values do not matter here.
"""

import contextlib
import gc
import hashlib
import io
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from report import Report, parser
from stopwatch import Stopwatch, watch_pack
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_lrsched import LossGuard, ScheduledTrainer, ScheduleLR, StepSizes, find_lr, parse

#: What cuBLAS needs for deterministic products; it is read when the first one is computed.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

SHARE_BOUND = 0.01
PEAK = 2e-5
SCHEDULE = "warmup(10%) >> linear()"
#: CUDA calls that return only when the device has finished something.
WAITING_CALLS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
#: What a tensor's item() calls on every device.
READING_CALL = "aten::_local_scalar_dense"
TINY = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@dataclass(frozen=True)
class Setup:
    """The size of the runs.

    Args:
        is_dry (`bool`): A tiny model on the CPU, where nothing about a GPU can be proved.
        batch_size (`int`): Sequences per update.
        length (`int`): Tokens per sequence.
        updates (`int`): Updates of a timed run.
        rounds (`int`): Timed runs of each Trainer.
        is_tiny (`bool`, defaults to `False`): Two layers of 32 instead of BERT-base.
    """

    is_dry: bool
    batch_size: int
    length: int
    updates: int
    rounds: int
    is_tiny: bool = False

    @property
    def device(self) -> str:
        return "cpu" if self.is_dry else "cuda"

    def make_model(self) -> BertForSequenceClassification:
        """Return a BERT with random weights: BERT-base, or two layers of 32."""
        set_seed(0)
        return BertForSequenceClassification(BertConfig(num_labels=2, **(TINY if self.is_dry or self.is_tiny else {})))


class RandomTokens(Dataset):  # type: ignore[type-arg]  # torch leaves it untyped
    """Sequences of random tokens, all of one length, with labels of two classes, which the first token says."""

    def __init__(self, rows: int, length: int):
        generator = torch.Generator().manual_seed(0)
        self.tokens = torch.randint(2, 100, (rows, length), generator=generator)
        self.tokens[:, 0] = torch.arange(rows) % 2

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[index], "labels": torch.tensor(index % 2)}


class Window(TrainerCallback):
    """Profile or time some updates, from the begin of one to the begin of another.

    Args:
        first (`int`): Updates before the window.
        last (`int`): Updates up to its end. The run must have one more.
        watch ([`Stopwatch`], *optional*): Takes the pack's own time.
        profiles (`bool`): Count calls, which slows the run.
    """

    def __init__(self, first: int, last: int, watch: Stopwatch | None = None, profiles: bool = False):
        self.first, self.last, self.watch = first, last, watch or Stopwatch()
        self.seconds = self.seconds_of_pack = math.nan
        self.calls: dict[str, int] = {}
        self._profile = profile(activities=_activities()) if profiles else None

    def on_step_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.global_step == self.first:
            _wait()
            self._start, self._pack_start = time.perf_counter(), self.watch.total()
            if self._profile is not None:
                self._profile.start()
        elif state.global_step == self.last:
            if self._profile is not None:
                self._profile.stop()
                self.calls = {each.key: each.count for each in self._profile.key_averages()}
            _wait()
            self.seconds = time.perf_counter() - self._start
            self.seconds_of_pack = self.watch.total() - self._pack_start


class UsedLRs(TrainerCallback):
    """Remember the LR of each update, and which updates the scaler skipped."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.skipped: list[int] = []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):  # type: ignore[no-untyped-def]
        self.lrs.append(float(optimizer.param_groups[0]["lr"]))

    def on_optimizer_step(self, args, state, control, optimizer=None, **kwargs):  # type: ignore[no-untyped-def]
        if optimizer.step_was_skipped:
            self.skipped.append(state.global_step + 1)


class BreakLoss(TrainerCallback):
    """Multiply what the model returns as loss at some updates, from within a forward hook.

    Args:
        updates (`set[int]`): The updates that are broken.
        factor (`float`): What their loss is multiplied by.
    """

    def __init__(self, updates: set[int], factor: float):
        self.updates, self.factor = updates, factor

    def on_train_begin(self, args, state, control, model=None, **kwargs):  # type: ignore[no-untyped-def]
        def after_forward(module: Any, inputs: Any, outputs: Any) -> None:
            if state.global_step + 1 in self.updates:
                outputs["loss"] = outputs["loss"] * self.factor

        model.register_forward_hook(after_forward)


def make_trainer(
    setup: Setup, updates: int, folder: str, schedule: str | None, callbacks: list[TrainerCallback], **settings: Any
) -> Trainer:
    """Return a Trainer over random data: the stock one where there is no schedule."""
    defaults = {"logging_steps": 50, "bf16": not setup.is_dry, "accelerator_config": {"non_blocking": True}}
    training = TrainingArguments(
        output_dir=folder,
        max_steps=updates,
        per_device_train_batch_size=setup.batch_size,
        per_device_eval_batch_size=setup.batch_size,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=setup.is_dry,
        **({"learning_rate": PEAK} | defaults | settings),
    )
    common = {
        "model": setup.make_model(),
        "args": training,
        "train_dataset": RandomTokens(setup.batch_size * 8, setup.length),
        "eval_dataset": RandomTokens(setup.batch_size, setup.length),
        "callbacks": callbacks,
    }
    trainer = Trainer(**common) if schedule is None else ScheduledTrainer(schedule=schedule, **common)
    trainer.remove_callback(PrinterCallback)
    return trainer


def train(
    setup: Setup, updates: int, schedule: str | None, callbacks: list[TrainerCallback], **settings: Any
) -> Trainer:
    """Train in silence, and return the Trainer."""
    with tempfile.TemporaryDirectory() as folder, _silence():
        trainer = make_trainer(setup, updates, folder, schedule, callbacks, **settings)
        trainer.train()
    return trainer


def everything_on(every: int) -> list[TrainerCallback]:
    """Return what a user can add to a `ScheduledTrainer`, which has the LR log, the record and the monitor by itself."""
    return [LossGuard("lower"), StepSizes(every=every)]


def count_waits(setup: Setup, has_nan_filter: bool) -> list[list[str]]:
    """Count the calls per update that wait for the device, with and without the pack."""
    first, last = (2, 4) if setup.is_dry else (5, 15)
    names = (READING_CALL,) if setup.is_dry else WAITING_CALLS
    found = {}
    for name, schedule, callbacks in (
        ("stock", None, []),
        ("pack", f"({SCHEDULE}) * plateau(metric=eval_loss)", everything_on(every=last + 1)),
    ):
        window = Window(first, last, profiles=True)
        updates = last + 1
        at_the_end = {"logging_steps": updates, "eval_strategy": "steps", "eval_steps": updates}
        train(setup, updates, schedule, [*callbacks, window], logging_nan_inf_filter=has_nan_filter, **at_the_end)
        found[name] = sum(window.calls.get(call, 0) for call in names) / (last - first)
    what = "item() calls" if setup.is_dry else "synchronisations"
    condition = "Trainer's defaults" if has_nan_filter else "without Trainer's NaN filter"
    holds = None if setup.is_dry else found["pack"] <= found["stock"]
    return [[f"{what} per update, {condition}", f"{found['stock']:.1f}", f"{found['pack']:.1f}", "none added", holds]]


def measure_share(setup: Setup) -> list[list[Any]]:
    """Time updates of the stock Trainer and of ours in turn; and the seconds in the pack's own methods."""
    first, last = setup.updates // 5, setup.updates - 1
    times: dict[str, list[float]] = {"stock": [], "pack": []}
    shares = []
    for _ in range(setup.rounds):
        for name in times:
            watch = watch_pack()
            window = Window(first, last, watch)
            callbacks = [] if name == "stock" else everything_on(every=2 * setup.updates)
            with watch:
                train(setup, setup.updates, None if name == "stock" else SCHEDULE, [*callbacks, window])
            times[name].append(window.seconds / (last - first))
            if name == "pack":
                shares.append(window.seconds_of_pack / window.seconds)
                laps = sorted((lap for lap in watch.laps if lap.counted), key=lambda lap: -lap.seconds)[:12]
                print(*(f"{1e6 * lap.seconds / setup.updates:7.1f} µs an update  {lap.name}" for lap in laps), sep="\n")
    stock, pack = (1e3 * statistics.median(times[name]) for name in ("stock", "pack"))
    share = statistics.median(shares)
    holds = None if setup.is_dry else share <= SHARE_BOUND
    spread = f"{1e3 * min(times['stock']):.2f} to {1e3 * max(times['stock']):.2f}"
    size = f"batch {setup.batch_size} × {setup.length}, bf16"
    return [
        [f"ms per update, {size}", f"{stock:.2f} ({spread})", f"{pack:.2f}", "–", None],
        ["the pack's own time, share of the updates", "–", f"{share:.2%}", "at most 1%", holds],
    ]


def count_compilations(setup: Setup, updates: int = 50) -> list[list[Any]]:
    """Count how often torch compiles an optimizer's step while a schedule drives its LR."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counts = []
    for lr in (PEAK, torch.tensor(PEAK, device=setup.device)):
        torch._dynamo.reset()
        weights = [torch.nn.Parameter(torch.zeros(64, 64, device=setup.device)) for _ in range(4)]
        optimizer = torch.optim.AdamW(weights, lr=lr, capturable=not setup.is_dry)
        scheduler = ScheduleLR(optimizer, "warmup(10) >> cosine()", updates)
        counter = CompileCounterWithBackend("eager" if setup.is_dry else "inductor")
        step = torch.compile(optimizer.step, backend=counter)
        for _ in range(updates):
            for weight in weights:
                weight.grad = torch.ones_like(weight)
            step()
            scheduler.step()
        counts.append(counter.frame_count)
    with_number, with_tensor = counts
    what = f"compilations of an optimizer's step in {updates} updates"
    return [[what, f"{with_number} (LR a number)", f"{with_tensor} (LR a tensor)", "1", with_tensor == 1]]


def trace_skipped_updates(setup: Setup, updates: int = 20) -> list[list[Any]]:
    """Compare the LR of each update with the schedule while the GradScaler skips three of them."""
    what, broken = f"LR of {updates} fp16 updates, 3 of them skipped: updates off the schedule", {6, 7, 12}
    if setup.is_dry:
        return [[what, "–", "–", "0", None]]
    expected = [PEAK * parse(SCHEDULE).resolve(updates)(t) for t in range(updates)]
    off = []
    for schedule in (None, SCHEDULE):
        used = UsedLRs()
        stock = {} if schedule else {"lr_scheduler_type": "linear", "warmup_steps": math.ceil(updates / 10)}
        # A fused optimizer skips within its kernel, where neither the GradScaler nor accelerate reports it.
        precision = {"bf16": False, "fp16": True, "optim": "adamw_torch"}
        train(setup, updates, schedule, [BreakLoss(broken, 1e30), used], **precision, **stock)
        wrong = sum(not math.isclose(lr, curve, rel_tol=1e-9) for lr, curve in zip(used.lrs, expected, strict=True))
        off.append((wrong, len(used.skipped)))
    (stock_wrong, _), (wrong, skipped) = off
    return [[what, str(stock_wrong), f"{wrong} ({skipped} skipped)", "0", wrong == 0 and skipped >= len(broken)]]


def watch_poisoned_run(setup: Setup, updates: int = 20) -> list[list[Any]]:
    """Poison one update: with the guard the weights stay finite, and the monitor reports the NaN."""
    finite, kinds = [], []
    for schedule in (None, SCHEDULE):
        callbacks = [BreakLoss({8}, math.nan), *([LossGuard("lower")] if schedule else [])]
        trainer = train(setup, updates, schedule, callbacks)
        finite.append(all(bool(weight.isfinite().all()) for weight in trainer.model.parameters()))
        if schedule:
            kinds = [finding.kind for finding in trainer.monitor.findings]
    words = {True: "finite", False: "NaN"}
    return [
        ["weights after one poisoned update (guard)", words[finite[0]], words[finite[1]], "finite", finite[1]],
        ["what the monitor reports of it", "–", ", ".join(kinds) or "nothing", "not_finite", "not_finite" in kinds],
    ]


def measure_search(setup: Setup, updates: int = 120) -> list[list[Any]]:
    """Compare the device's memory at the peak of a search with that of the run: stock, and with the pack."""
    if setup.is_dry:
        return [
            ["peak of the device's memory in MiB: the run, the search", "–", "–", "one copy of the weights more", None]
        ]
    peaks = []
    for work in (None, "run", "search"):
        with tempfile.TemporaryDirectory() as folder, _silence():
            trainer = make_trainer(setup, updates, folder, SCHEDULE if work else None, [], logging_steps=updates)
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            find_lr(trainer) if work == "search" else trainer.train()
            peaks.append(torch.cuda.max_memory_allocated() / 2**20)
            weights = sum(each.numel() * each.element_size() for each in trainer.model.parameters()) / 2**20
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
    stock, run, search = peaks
    what = "peak of the device's memory in MiB: the run, the search"
    bound = f"{weights:,.0f} more than the run"
    return [[what, f"{stock:,.0f}", f"{run:,.0f}, {search:,.0f}", bound, search <= run + weights]]


def compare_run_after_search(setup: Setup, updates: int = 60) -> list[list[Any]]:
    """Train after a search, and with the LR that it found: are the weights the same to the bit?"""
    small = replace(setup, batch_size=8, length=16, is_tiny=True)
    digests, lr = [], PEAK
    torch.use_deterministic_algorithms(True)
    try:
        for searches in (True, False):
            with tempfile.TemporaryDirectory() as folder, _silence():
                trainer = make_trainer(small, updates, folder, SCHEDULE, [], learning_rate=lr, bf16=False)
                if searches:
                    lr = find_lr(trainer).suggestion or PEAK
                    trainer.args.learning_rate = lr
                trainer.train()
            digest = hashlib.sha256()
            for weight in trainer.model.state_dict().values():
                digest.update(weight.cpu().numpy().tobytes())
            digests.append(digest.hexdigest()[:12])
    finally:
        torch.use_deterministic_algorithms(False)
    same = digests[0] == digests[1]
    what = f"weights after a search and {updates} updates at LR {lr:.2g}; with that LR given"
    return [[what, "–", "the same to the bit" if same else "different", "the same", same]]


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--cpu", action="store_true", help="a dry run of tiny size: does the script work?")
    args = arguments.parse_args()
    if not args.cpu and not torch.cuda.is_available():
        raise SystemExit("no CUDA device found. Use --cpu for a dry run of tiny size.")
    if args.cpu:
        torch.set_num_threads(1)
    setup = Setup(True, 2, 8, 6, 1) if args.cpu else Setup(False, 32, 128, 150, 2)
    card = "no GPU: a dry run on the CPU, which proves nothing" if args.cpu else torch.cuda.get_device_name()
    report = Report("One GPU", "gpu.py")
    rows: list[list[str]] = []
    start = time.perf_counter()
    for found in measure_all(setup):
        for *cells, holds in found:
            rows.append([*cells, "–" if holds is None else report.bound(cells[0], holds)])
            print(f"{time.perf_counter() - start:5.0f} s  {rows[-1]}", flush=True)
    report.table([card, "stock Trainer", "hf_lrsched", "bound", ""], rows)
    return report.finish(args.output)


def measure_all(setup: Setup) -> Iterator[list[list[Any]]]:
    """Yield the rows of each measurement."""
    yield count_waits(setup, has_nan_filter=True)
    yield count_waits(setup, has_nan_filter=False)
    yield measure_share(setup)
    yield count_compilations(setup)
    yield trace_skipped_updates(setup)
    yield watch_poisoned_run(setup)
    yield measure_search(setup)
    yield compare_run_after_search(setup)


def _activities() -> list[ProfilerActivity]:
    return [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


if __name__ == "__main__":
    sys.exit(main())
