"""What the scheduler itself costs, beside transformers' and torch's in the same process.

    python benchmarks/scheduler_step.py
    python benchmarks/scheduler_step.py --smoke

Five measurements, every time a median over repeats:

1. One scheduler step with 1, 2, 28 and 200 parameter groups: `ScheduleLR("warmup(10%) >> cosine()")` against the fastest of
   `transformers.get_scheduler("cosine")` with a tenth of warmup, torch's `CosineAnnealingLR` and its `SequentialLR` of a
   warmup and a cosine. Each repeat makes the schedulers anew, each on an optimizer of its own, and steps each through a
   whole run (LRs are computed in blocks of updates: a run is several of them); each is first in turn. The optimizer does
   not step: it is only marked as torch marks one that did. Once with one LR for all groups, once with another LR in every
   group (layer-wise decay), with a plateau in the schedule, and with an absolute floor, where every group has a curve of
   its own.
2. `curve(np.arange(1_000_000))` in one call, against stepping the stock scheduler (one group) through as many updates:
   a tenth is stepped and the time scaled.
3. The same for ten million updates of a schedule of five phases, against torch's `SequentialLR` of the same five phases:
   a hundredth is stepped. Both are first checked to be the same schedule.
4. Parsing and resolving the text of five phases.
5. `import hf_lrsched.schedules` in a fresh process, with `import numpy`, which it needs, beside it. Both are compiled before.
"""

import argparse
import functools
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from report import Report, parser
from torch.optim import lr_scheduler
from transformers import get_scheduler

from hf_lrsched import ScheduleLR, parse

SCHEDULE = "warmup(10%) >> cosine()"
WITH_PLATEAU = "(warmup(10%) >> cosine()) * plateau()"
WITH_FLOOR = "warmup(10%) >> cosine(to_lr=1e-7)"
FIVE_PHASES = "warmup(10%, start=0.01) >> hold(20%) >> cosine(to=0.5, over=30%) >> hold(20%) >> linear()"
PEAK = 1e-4

OURS = "ScheduleLR"
#: The largest ratio to the fastest stock scheduler, by the number of groups.
STEP_BOUNDS = {1: 0.5, 2: 0.5, 28: 0.35, 200: 0.35}
CURVE_BOUND = 100
FIVE_PHASES_BOUND = 200
CURVE_SECONDS = 1.0
PARSE_SECONDS = 1e-3
IMPORT_BOUND = 1.4


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, default=10_240, help="steps of a run in the first measurement")
    arguments.add_argument("--repeats", type=int, default=9, help="repeats of each measurement")
    arguments.add_argument("--smoke", action="store_true", help="few repeats and short runs: does the script work?")
    args = arguments.parse_args()
    if args.smoke:
        args.steps, args.repeats = 512, 1
    torch.set_num_threads(1)
    report = Report("The scheduler's own cost", "scheduler_step.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR of torch warns of its own way of stepping
        logging.getLogger("hf_lrsched").setLevel(logging.ERROR)  # nothing drives the plateau here
        step_section(report, args)
        curve_section(report, args)
    parse_section(report, args)
    import_section(report, args)
    return report.finish(args.output)


def step_section(report: Report, args: argparse.Namespace) -> None:
    """1: a step."""
    rows = []
    cases = ((SCHEDULE, "one LR"), (SCHEDULE, "an LR each"), (WITH_PLATEAU, "an LR each"), (WITH_FLOOR, "an LR each"))
    for schedule, lrs in cases:
        for groups, bound in STEP_BOUNDS.items():
            if groups == 1 and schedule == SCHEDULE and lrs != "one LR":
                continue
            peaks = [PEAK if lrs == "one LR" else PEAK * 0.98**index for index in range(groups)]
            repeats = [step_seconds(schedule, peaks, args.steps, repeat) for repeat in range(args.repeats)]
            medians = {name: statistics.median(each[name] for each in repeats) for name in repeats[0]}
            ours = medians.pop(OURS)
            fastest = min(medians, key=lambda name: medians[name])
            ratio = ours / medians[fastest]
            ratios = [each[OURS] / min(seconds for name, seconds in each.items() if name != OURS) for each in repeats]
            verdict = report.bound(f"a step of {schedule} with {groups} groups, {lrs}", ratio <= bound)
            rows.append(
                [
                    f"`{schedule}`",
                    str(groups),
                    lrs,
                    _microseconds(ours),
                    *(_microseconds(medians[name]) for name in STOCK),
                    f"{ratio:.2f}",
                    f"{min(ratios):.2f} to {max(ratios):.2f}",
                    f"at most {bound}",
                    verdict,
                ]
            )
    report.text(
        f"## One step\n\nMicroseconds of CPU time a step: medians of {args.repeats} interleaved runs of {args.steps:,} steps. The ratio is "
        "that to the fastest of the three stock schedulers."
    )
    header = ["schedule", "groups", "peaks", OURS, *STOCK, "ratio", "over the repeats", "bound", ""]
    report.table(header, rows)


def step_seconds(schedule: str, peaks: list[float], steps: int, repeat: int) -> dict[str, float]:
    """Seconds for a step of each scheduler, by name. Each is first in turn."""
    makers: list[tuple[str, Callable[[Any], Any]]] = [
        (OURS, lambda optimizer: ScheduleLR(optimizer, schedule, steps)),
        *((name, functools.partial(make, updates=steps)) for name, make in STOCK.items()),
    ]
    seconds = {}
    for which in range(len(makers)):
        name, make = makers[(which + repeat) % len(makers)]
        optimizer = make_optimizer(peaks)
        seconds[name] = time_steps(make(optimizer), optimizer, steps) / steps
    return seconds


def transformers_cosine(optimizer: torch.optim.Optimizer, updates: int) -> Any:
    """transformers' `SCHEDULE`."""
    return get_scheduler("cosine", optimizer, num_warmup_steps=updates // 10, num_training_steps=updates)


def torch_cosine(optimizer: torch.optim.Optimizer, updates: int) -> Any:
    """torch's cosine, without a warmup."""
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=updates)


def torch_sequential(optimizer: torch.optim.Optimizer, updates: int) -> Any:
    """torch's `SCHEDULE`."""
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=1e-3, total_iters=updates // 10)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=updates - updates // 10)
    return lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[updates // 10])


STOCK = {
    'get_scheduler("cosine")': transformers_cosine,
    "CosineAnnealingLR": torch_cosine,
    "SequentialLR": torch_sequential,
}


def make_optimizer(peaks: list[float]) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": peak} for peak in peaks]
    return torch.optim.SGD(groups, lr=PEAK)


def time_steps(scheduler: Any, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Seconds of CPU time of `steps` scheduler steps, each after what marks a step of the optimizer."""
    marked: Any = optimizer
    step = scheduler.step
    start = time.process_time()
    for _ in range(steps):
        marked._opt_called = True  # as torch does around `optimizer.step()`; some 10 ns on both sides
        step()
    return time.process_time() - start


def curve_section(report: Report, args: argparse.Namespace) -> None:
    """2 and 3: whole curves."""
    stepped = 5_000 if args.smoke else 100_000
    rows = []

    updates = 1_000_000
    curve = parse(SCHEDULE).resolve(updates)
    ours = _median_seconds(lambda: curve(np.arange(updates)), args.repeats)
    warmup = {"num_warmup_steps": updates // 10, "num_training_steps": updates}
    theirs = (
        stepping_seconds(lambda optimizer: get_scheduler("cosine", optimizer, **warmup), stepped) * updates / stepped
    )
    name = f"`{SCHEDULE}`"
    faster = theirs / ours
    verdict = report.bound("the curve of a million updates", faster >= CURVE_BOUND)
    rows.append(_curve_row(name, updates, ours, 'get_scheduler("cosine")', theirs, faster, f"{CURVE_BOUND}x", verdict))

    updates = 10_000_000
    curve = parse(FIVE_PHASES).resolve(updates)
    ours = _median_seconds(lambda: curve(np.arange(updates)), min(args.repeats, 5))
    theirs = stepping_seconds(lambda optimizer: sequential(optimizer, stepped), stepped) * updates / stepped
    faster = theirs / ours
    holds = faster >= FIVE_PHASES_BOUND and ours < CURVE_SECONDS
    verdict = report.bound("the curve of ten million updates of five phases", holds)
    wanted = f"{FIVE_PHASES_BOUND}x, below {CURVE_SECONDS:g} s"
    rows.append(_curve_row(f"`{FIVE_PHASES}`", updates, ours, "SequentialLR", theirs, faster, wanted, verdict))

    report.text(
        f"## Whole curves\n\nSeconds for all updates: one call of `curve(np.arange(updates))` against steps, one group, "
        f"scaled from {stepped:,} of them. Over 10,000 updates the LRs of the five phases and those of `SequentialLR` "
        f"differ by at most {largest_difference(10_000):.0e} of the peak."
    )
    report.table(["schedule", "updates", "curve", "stock", "stock seconds", "faster", "bound", ""], rows)


def stepping_seconds(make: Callable[[Any], Any], steps: int) -> float:
    """Seconds of `steps` steps of a scheduler on one group: the median of three."""
    seconds = []
    for _ in range(3):
        optimizer = make_optimizer([PEAK])
        seconds.append(time_steps(make(optimizer), optimizer, steps))
    return statistics.median(seconds)


def sequential(optimizer: torch.optim.Optimizer, updates: int) -> lr_scheduler.SequentialLR:
    """torch's way of writing `FIVE_PHASES`."""
    ends = [updates * share // 100 for share in (10, 30, 60, 80, 100)]
    parts = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=ends[0]),
        lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=updates),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=ends[2] - ends[1], eta_min=0.5 * PEAK),
        lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=updates),
        lr_scheduler.LinearLR(optimizer, start_factor=0.5, end_factor=0.0, total_iters=ends[4] - ends[3]),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=ends[:4])


def largest_difference(updates: int) -> float:
    """Between the five phases here and in torch, as a share of the peak. More than rounding is an error."""
    optimizer = make_optimizer([PEAK])
    scheduler = sequential(optimizer, updates)
    optimizer.step()
    theirs = []
    for _ in range(updates):
        theirs.append(optimizer.param_groups[0]["lr"] / PEAK)
        scheduler.step()
    difference = float(np.abs(parse(FIVE_PHASES).resolve(updates)(np.arange(updates)) - theirs).max())
    if difference > 1e-9:
        raise RuntimeError(f"not the same schedules: {FIVE_PHASES} and SequentialLR differ by {difference:g}")
    return difference


def parse_section(report: Report, args: argparse.Namespace) -> None:
    """4: from text to curve."""
    loops = 50
    seconds = _median_seconds(lambda: [parse(FIVE_PHASES).resolve(10_000) for _ in range(loops)], args.repeats) / loops
    parsing = _median_seconds(lambda: [parse(FIVE_PHASES) for _ in range(loops)], args.repeats) / loops
    verdict = report.bound("parsing and resolving five phases", seconds < PARSE_SECONDS)
    report.text(f"## Parsing\n\n`{FIVE_PHASES}`, milliseconds.")
    header = ["", "parse", "parse and resolve", "bound", ""]
    row = ["five phases", f"{parsing * 1e3:.3f}", f"{seconds * 1e3:.3f}", f"below {PARSE_SECONDS * 1e3:g}", verdict]
    report.table(header, [row])


def import_section(report: Report, args: argparse.Namespace) -> None:
    """5: the import."""
    imports: dict[str, list[float]] = {"numpy": [], "hf_lrsched.schedules": []}
    with_torch = False
    for _ in range(args.repeats + 1):
        for module, seconds in imports.items():
            taken, torch_is_there = import_seconds(module)
            seconds.append(taken)
            with_torch = with_torch or torch_is_there
    # The first process reads the files from the disk, the others from memory.
    medians = {module: statistics.median(seconds[1:]) for module, seconds in imports.items()}
    first = imports["hf_lrsched.schedules"][0]
    ratio = medians["hf_lrsched.schedules"] / medians["numpy"]
    holds = ratio <= IMPORT_BOUND and not with_torch
    report.text(f"## Import\n\nMilliseconds in a fresh process, medians of {args.repeats}.")
    report.table(
        ["import", "median", "the first of all", "torch imported", "bound", ""],
        [
            ["numpy", f"{medians['numpy'] * 1e3:.0f}", f"{imports['numpy'][0] * 1e3:.0f}", "–", "–", "–"],
            [
                "hf_lrsched.schedules, with numpy",
                f"{medians['hf_lrsched.schedules'] * 1e3:.0f}",
                f"{first * 1e3:.0f}",
                "yes" if with_torch else "no",
                f"at most {IMPORT_BOUND} times numpy, no torch: {ratio:.2f}",
                report.bound("the import", holds),
            ],
        ],
    )


def import_seconds(module: str) -> tuple[float, bool]:
    """How long the import takes in a fresh process, and whether torch came along.

    Python keeps the compiled modules, as after an installation; without that, it compiles ours in each process, but
    not NumPy, whose compiled modules are installed.
    """
    code = (
        "import sys, time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seconds, torch_is_there = done.stdout.split()
    return float(seconds), torch_is_there == "True"


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"


def _curve_row(
    name: str, updates: int, ours: float, stock: str, theirs: float, faster: float, bound: str, verdict: str
) -> list[str]:
    numbers = [f"{ours:.4f}", f"`{stock}`", f"{theirs:.1f}", f"{faster:.0f}x"]
    return [name, f"{updates:,}", *numbers, f"at least {bound}", verdict]


if __name__ == "__main__":
    sys.exit(main())
