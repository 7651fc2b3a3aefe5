"""How the monitor does on kinds of runs that its defaults were chosen without.

    python benchmarks/monitor/leave_one_out.py --traces FILE.jsonl.gz

Reads traces of real runs (a line of JSON each: settings, the losses of all updates, evaluations, a verdict) and the ones stored
here, groups them by family of tasks and models, and replays each into a Diagnosis that reports all kinds. For each family in
turn, the kinds that are on are chosen from the other families: those of the default level with at most 1 % false alarms there. The
family left out is then scored with these. The thresholds within the rules are the same for all families; they were set by hand with the
older runs at hand. The runs of `make_families.py --fresh` were scored once, after the rules were made: they are new to them.

A healthy run with any finding that stands at its end is a false alarm. An ill run is found if a finding of a right kind was made
before 60 % of the run, where the cause was there from its start, and stands at its end.
"""

import gzip
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from replay import FROM_THE_START, IN_TIME, RIGHT
from report import Report, parser
from traces import FOLDER, HALVES, read_traces

from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.monitor.spikes import SpikeTest
from hf_lrsched.monitor.symptoms.table import ALL_KINDS, DEFAULT_KINDS
from hf_lrsched.schedules import Horizon, parse

MAX_ALARMS = 0.01
#: Other names of the same causes.
CAUSES = {
    "warmup60": "long_warmup",
    "shuffled_val": "shuffled_validation",
    "tiny_val": "tiny_validation",
    "tiny_val30": "tiny_validation",
    "corrupt": "corrupt_batches",
    "nan_batch": "overflow",
}
#: The runs of `make_families.py`: those at hand when the rules were made, and those that are new to them.
FAMILIES, FRESH = FOLDER / "families.jsonl.gz", FOLDER / "fresh.jsonl.gz"
#: Families in which a pretrained model is trained further.
PRETRAINED = ("pretrained", "LoRA", "stored: minilm")
WRONG_LR = ("lr_x30", "lr_x100", "lr_d30", "lr_d100", "no_warmup")


@dataclass
class Run:
    """A real run, as a Diagnosis reads it.

    Args:
        name, family, cell, cause (`str`): Its name, its family of tasks and models, which of them it is, and what made it ill.
        verdict (`str`): `healthy`, `ill`, or something between.
        info ([`RunInfo`]): What is known at its start.
        losses, lrs (`list[float]`): Of every update; the LRs as shares of the peak.
        evaluations (`list[dict]`): Each with its `step`.
        is_new (`bool`): Whether it was trained after the rules were made.
        found (`list[tuple[str, float]]`): What was found and stood at the end: kind and share of the run.
    """

    name: str
    family: str
    cell: str
    cause: str
    verdict: str
    info: RunInfo
    losses: list[float]
    lrs: list[float]
    evaluations: list[dict[str, Any]]
    is_new: bool = False
    found: list[tuple[str, float]] = field(default_factory=list)

    def replay(self) -> Diagnosis:
        """Put its losses and evaluations into a Diagnosis."""
        diagnosis = Diagnosis(self.info)
        evaluations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for evaluation in self.evaluations:
            evaluations[evaluation["step"]].append(evaluation)
        for update, (loss, lr) in enumerate(zip(self.losses, self.lrs, strict=True), 1):
            diagnosis.add_loss(update, loss, lr)
            for evaluation in evaluations.get(update, ()):
                metrics = {key: float(value) for key, value in evaluation.items() if _is_number(value)}
                diagnosis.add_evaluation(update, metrics, evaluation.get("samples"))
        diagnosis.look()
        self.found = [(each.kind, each.update / self.info.num_updates) for each in diagnosis.findings]
        return diagnosis

    def would_guard_act(self) -> bool:
        """Return whether the test of the losses with which LossGuard acts would have found a spike."""
        test = SpikeTest()
        return any(test.add(update, loss) is not None for update, loss in enumerate(self.losses, 1))

    def has_alarm(self, kinds: set[str]) -> bool:
        return any(kind in kinds for kind, _ in self.found)

    def is_found(self, kinds: set[str]) -> bool:
        latest = IN_TIME if self.cause in FROM_THE_START else 1.0
        return any(kind in kinds & RIGHT[self.cause] and share <= latest for kind, share in self.found)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of traces."""
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def describe_rows(rows: list[Mapping[str, Any]], is_new: bool = False) -> Iterator[Run]:
    """Return the runs of rows, but those that followed an advice."""
    # A cell of `make_families.py` in whose sweep no run learned anything has no healthy one.
    swept = {row["cell"] for row in rows if row["cause"] == "sweep" and "optim" in row}
    learning = {row["cell"] for row in rows if row["cause"] == "sweep" and has_learned(row)}
    for row in rows:
        verdicts = ("healthy", "ill", "near", "worse", "harmless")
        if row.get("verdict") not in verdicts or row.get("family") is None or row["cause"] in ("followed", "mistaken"):
            continue
        if row["cell"] in swept - learning:
            continue
        horizon = Horizon(row["num_updates"], row["updates_per_epoch"])
        evaluations = [each for each in row["evaluations"] if "eval_loss" in each]
        family = f"{row['family']}: {row['cell']}" if row["family"] in ("scratch", "regression") else row["family"]
        metric = row["key"][0] if row["key"][0] != "loss" else None
        info = _describe(row["schedule"], horizon, row["lr"], row.get("step_ratio") or 0.0, row.get("epochs"), metric)
        is_random = row.get("has_random_weights", row["family"] != "continued")
        info = replace(info, guess_loss=row.get("guess_loss"), has_random_weights=is_random)
        lrs = [lr / row["lr"] for lr in row["lrs"]] if "lrs" in row else _get_lrs(info)
        cause = CAUSES.get(row["cause"], row["cause"])
        losses = [float(loss) for loss in row["losses"]]
        yield Run(row["name"], family, row["cell"], cause, row["verdict"], info, losses, lrs, evaluations, is_new)


def has_learned(row: dict[str, Any]) -> bool:
    """Return whether a run brought its loss down by 6 %."""
    return float(row["final"]["test_loss"]) < 0.94 * float(row["losses"][0])


def _get_lrs(info: RunInfo) -> list[float]:
    assert info.schedule is not None and info.horizon is not None
    curve = parse(info.schedule).resolve(info.horizon, peak=info.learning_rate)
    lrs: list[float] = curve(range(info.num_updates)).tolist()
    return lrs


def read_stored() -> Iterator[Run]:
    """Read the traces that are stored here."""
    for trace in (trace for half in HALVES for trace in read_traces(half)):
        horizon = Horizon(trace.num_updates, trace.updates_per_epoch)
        ratio = trace.learning_rate / trace.weight_rms
        info = _describe(trace.schedule, horizon, trace.learning_rate, ratio, trace.epochs, "accuracy")
        for each in trace.evaluations:
            each["samples"] = round(float(each["eval_runtime"]) * float(each["eval_samples_per_second"]))
        yield Run(
            trace.name,
            f"stored: {trace.model}",
            trace.task,
            trace.cause,
            "healthy" if trace.is_healthy else "ill",
            info,
            [float(loss) for loss in trace.losses],
            _get_lrs(info),
            trace.evaluations,
        )


def _describe(schedule: str, horizon: Horizon, lr: float, ratio: float, epochs: Any, metric: str | None) -> RunInfo:
    curve = parse(schedule).resolve(horizon, peak=lr)
    return RunInfo(
        num_updates=horizon.num_updates,
        learning_rate=lr,
        schedule=schedule,
        num_epochs=epochs,
        curve=lambda share: float(curve(share * horizon.num_updates)),
        horizon=horizon,
        step_ratio=ratio or None,
        metric=metric,
    )


def choose_kinds(runs: list[Run]) -> set[str]:
    """Return the kinds of the default level with at most 1 % false alarms in these runs."""
    healthy = [run for run in runs if run.verdict == "healthy"]
    return {
        kind for kind in DEFAULT_KINDS if sum(run.has_alarm({kind}) for run in healthy) <= MAX_ALARMS * len(healthy)
    }


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--traces", type=Path, help="more traces: a .jsonl.gz file")
    arguments.add_argument("--new", type=Path, default=FRESH, help="traces of runs that are new to the rules")
    arguments.add_argument("--each", action="store_true", help="name the runs that were judged wrongly")
    args = arguments.parse_args()
    report = Report(
        "What the monitor finds in families of runs that its defaults were chosen without", "monitor/leave_one_out.py"
    )
    known = [*(read_rows(args.traces) if args.traces else ()), *read_rows(FAMILIES)]
    runs = [*describe_rows(known), *read_stored(), *describe_rows(read_rows(args.new), is_new=True)]
    for run in runs:
        run.replay()
    by_family: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_family[run.family].append(run)
    rows, alarms, found = [], [], []
    for family, those in sorted(by_family.items()):
        kinds = choose_kinds([run for run in runs if run.family != family])
        healthy = [(run, run.has_alarm(kinds)) for run in those if run.verdict == "healthy"]
        ill = [(run, run.is_found(kinds)) for run in those if run.verdict == "ill" and run.cause in RIGHT]
        alarms += healthy
        found += ill
        off = ", ".join(sorted(DEFAULT_KINDS - kinds)) or "–"
        rows.append([family, _count(healthy), _count(ill), _count(_with_wrong_lr(ill)), off])
    report.text(
        f"{len(runs)} runs of {len(by_family)} families, {sum(run.is_new for run in runs)} of them new to the rules."
    )
    header = [
        "family left out",
        "healthy runs with a finding",
        "ill runs found",
        "of these with a wrong LR",
        "kinds switched off",
    ]
    report.table(header, rows)
    causes = sorted({run.cause for run, _ in found})
    new_found = [each for each in found if each[0].is_new]
    report.table(
        ["cause", "found", "of these new"],
        [
            [f"`{cause}`", *(_count([e for e in those if e[0].cause == cause]) for those in (found, new_found))]
            for cause in causes
        ],
    )
    healthy_runs = [run for run, _ in alarms]
    report.table(
        ["kind", "healthy runs with it", "in"],
        [
            [f"`{kind}`", str(len(those)), ", ".join(sorted({run.family for run in those})) or "–"]
            for kind in ALL_KINDS
            for those in [[run for run in healthy_runs if run.has_alarm({kind})]]
        ],
    )
    new_alarms = [each for each in alarms if each[0].is_new]
    if new_alarms:
        report.text("## Runs that are new to the rules")
        _summarize(report, new_alarms, new_found)
        cells = sorted({run.cell for run, _ in new_alarms + new_found})
        header = ["task and model", "healthy runs with a finding", "ill runs found", "of these with a wrong LR"]
        by_cell = []
        for cell in cells:
            healthy, ill = ([each for each in those if each[0].cell == cell] for those in (new_alarms, new_found))
            by_cell.append([f"`{cell}`", _count(healthy), _count(ill), _count(_with_wrong_lr(ill))])
        report.table(header, by_cell)
        report.text("## All runs")
    _summarize(report, alarms, found)
    _compare_followed(report, read_rows(args.new))
    if args.each:
        for run in [run for run, was in alarms if was] + [run for run, was in found if not was]:
            report.text(
                f"`{run.name}`, {run.verdict}: {', '.join(f'{kind} at {share:.0%}' for kind, share in run.found) or 'nothing'}."
            )
    return report.finish(args.output)


def _count(those: list[tuple[Run, bool]]) -> str:
    return f"{sum(was for _, was in those)} of {len(those)}"


def _with_wrong_lr(those: list[tuple[Run, bool]]) -> list[tuple[Run, bool]]:
    return [(run, was) for run, was in those if run.cause in WRONG_LR]


def _summarize(report: Report, alarms: list[tuple[Run, bool]], found: list[tuple[Run, bool]]) -> None:
    """Add the shares beside what is asked of them."""
    number = sum(was for _, was in alarms)
    low, high = _wilson(number, len(alarms))
    name = "healthy runs with a finding at most 2 %, upper end of the interval below 5 %"
    verdict = report.bound(name, number <= 0.02 * len(alarms) and high < 0.05)
    share = f"{number / len(alarms):.1%}, 95 % interval {low:.1%} to {high:.1%}"
    report.text(f"Healthy runs with a finding: {number} of {len(alarms)} ({share}): {verdict}.")
    acts = [(run, run.would_guard_act()) for run, _ in alarms]
    verdict = report.bound("the guard does not act in healthy runs", not any(was for _, was in acts))
    report.text(f"Healthy runs in which the guard would act on a spike of the loss: {_count(acts)}: {verdict}.")
    pretrained = [each for each in alarms if each[0].family in PRETRAINED]
    verdict = report.bound("pretrained at most 1 %", sum(was for _, was in pretrained) <= 0.01 * len(pretrained))
    report.text(f"Of these with a pretrained model: {_count(pretrained)}: {verdict}.")
    for what, those, least in (
        ("Ill runs found", found, 0.85),
        ("Of these with a wrong LR", _with_wrong_lr(found), 0.8),
    ):
        number = sum(was for _, was in those)
        verdict = report.bound(f"{what.lower()} at least {least:.0%}", number >= least * len(those))
        report.text(f"{what}: {number} of {len(those)} ({number / max(1, len(those)):.1%}): {verdict}.")
    for cause in WRONG_LR[:4]:
        those = [each for each in found if each[0].cause == cause]
        verdict = report.bound(f"`{cause}` at least 70 %", sum(was for _, was in those) >= 0.7 * len(those))
        report.text(f"`{cause}`: {_count(those)}: {verdict}.")


def _compare_followed(report: Report, rows: list[dict[str, Any]]) -> None:
    """Add the runs that were trained again with the advised change, beside the first ones."""
    by_name = {row["name"]: row for row in rows}
    table, counts = [], Counter[tuple[str, str]]()
    for row in (row for row in rows if row["cause"] in ("followed", "mistaken")):
        before, (name, sign) = by_name[row["name"].removesuffix("-followed")], row["key"]
        values = [float(each["final"][f"test_{name}"]) for each in (before, row)]
        # In points of accuracy, or percent of the loss.
        gain = 100 * sign * (values[1] - values[0]) / (1 if name == "accuracy" else abs(values[0]))
        word = "better" if gain > 1 else "worse" if gain < -1 else "the same"
        settings = (
            (setting, before[key], row[key]) for setting, key in (("learning_rate", "lr"), ("schedule", "schedule"))
        )
        change = "; ".join(f"{setting}: {_short(old)} → {_short(new)}" for setting, old, new in settings if old != new)
        table.append([f"`{before['name']}`", before["verdict"], change, *(f"{value:.4g}" for value in values), word])
        counts[before["verdict"], word] += 1
    if table:
        report.text("## Advice followed")
        report.text(
            "Each run was trained again with the change that is advised in it; its test metric before and after."
        )
        report.table(["run", "verdict", "change", "before", "after", ""], table)
        for kind in ("ill", "healthy"):
            words = ", ".join(f"{counts[kind, word]} {word}" for word in ("better", "the same", "worse"))
            report.text(f"Of {sum(counts[each] for each in counts if each[0] == kind)} {kind} runs: {words}.")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    z, p = 1.96, count / total
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


if __name__ == "__main__":
    sys.exit(main())
