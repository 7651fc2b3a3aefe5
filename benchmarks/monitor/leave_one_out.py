"""How the monitor does on kinds of runs that its defaults were chosen without.

    python benchmarks/monitor/leave_one_out.py --traces FILE.jsonl.gz

Reads traces of real runs (a line of JSON each: settings, the losses and LRs of all updates, evaluations, a verdict) and the ones
stored here, groups them by family of tasks and models, and replays each into a Diagnosis that reports all kinds. For each
family in turn, the kinds that are on by default are chosen from the other families: those with at most 1 % false alarms there.
The family left out is then scored with these. The thresholds within the rules are the same for all families; they were set by
hand, with all of these runs at hand, so that they are not held out.

A healthy run with any finding that stands at its end is a false alarm. An ill run is found if a finding of a right kind was made
before 60 % of the run, where the cause was there from its start, and stands at its end.
"""

import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from replay import FROM_THE_START, IN_TIME, RIGHT
from report import Report, parser
from traces import HALVES, read_traces

from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.monitor.symptoms.table import ALL_KINDS
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
WRONG_LR = ("lr_x30", "lr_x100", "lr_d30", "lr_d100", "no_warmup")


@dataclass
class Run:
    """A real run, as a Diagnosis reads it.

    Args:
        name, family, cause (`str`): Its name, its family of tasks and models, and what made it ill.
        verdict (`str`): `healthy`, `ill`, or something between.
        info ([`RunInfo`]): What is known at its start.
        losses, lrs (`list[float]`): Of every update; the LRs as shares of the peak.
        evaluations (`list[dict]`): Each with its `step`.
        found (`list[tuple[str, float]]`): What was found and stood at the end: kind and share of the run.
    """

    name: str
    family: str
    cause: str
    verdict: str
    info: RunInfo
    losses: list[float]
    lrs: list[float]
    evaluations: list[dict[str, Any]]
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


def read_runs(path: Path) -> Iterator[Run]:
    """Read a file of traces."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["verdict"] not in ("healthy", "ill", "near", "worse") or row.get("family") is None:
                continue
            horizon = Horizon(row["num_updates"], row["updates_per_epoch"])
            evaluations = [each for each in row["evaluations"] if "eval_loss" in each]
            family = f"{row['family']}: {row['cell']}" if row["family"] in ("scratch", "regression") else row["family"]
            metric = row["key"][0] if row["key"][0] != "loss" else None
            yield Run(
                row["name"],
                family,
                CAUSES.get(row["cause"], row["cause"]),
                row["verdict"],
                _describe(row["schedule"], horizon, row["lr"], row.get("step_ratio") or 0.0, row.get("epochs"), metric),
                [float(loss) for loss in row["losses"]],
                [lr / row["lr"] for lr in row["lrs"]],
                evaluations,
            )


def read_stored() -> Iterator[Run]:
    """Read the traces that are stored here."""
    for trace in (trace for half in HALVES for trace in read_traces(half)):
        horizon = Horizon(trace.num_updates, trace.updates_per_epoch)
        ratio = trace.learning_rate / trace.weight_rms
        info = _describe(trace.schedule, horizon, trace.learning_rate, ratio, trace.epochs, "accuracy")
        curve = info.curve
        assert curve is not None
        for each in trace.evaluations:
            each["samples"] = round(float(each["eval_runtime"]) * float(each["eval_samples_per_second"]))
        yield Run(
            trace.name,
            f"stored: {trace.model}",
            trace.cause,
            "healthy" if trace.is_healthy else "ill",
            info,
            [float(loss) for loss in trace.losses],
            [curve(update / trace.num_updates) for update in range(trace.num_updates)],
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
    """Return the kinds with at most 1 % false alarms in these runs."""
    healthy = [run for run in runs if run.verdict == "healthy"]
    return {kind for kind in ALL_KINDS if sum(run.has_alarm({kind}) for run in healthy) <= MAX_ALARMS * len(healthy)}


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--traces", type=Path, help="more traces: a .jsonl.gz file")
    arguments.add_argument("--each", action="store_true", help="name the runs that were judged wrongly")
    args = arguments.parse_args()
    report = Report(
        "What the monitor finds in families of runs that its defaults were chosen without", "monitor/leave_one_out.py"
    )
    runs = [*(read_runs(args.traces) if args.traces else ()), *read_stored()]
    for run in runs:
        run.replay()
    by_family: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_family[run.family].append(run)
    rows, alarms, found, by_cause = [], [], [], defaultdict(list)
    for family, those in sorted(by_family.items()):
        kinds = choose_kinds([run for run in runs if run.family != family])
        healthy = [run for run in those if run.verdict == "healthy"]
        ill = [run for run in those if run.verdict == "ill" and run.cause in RIGHT]
        alarms += [(run, run.has_alarm(kinds)) for run in healthy]
        found += [(run, run.is_found(kinds)) for run in ill]
        wrong = [run for run in ill if run.cause in WRONG_LR]
        for run in ill:
            by_cause[run.cause].append(run.is_found(kinds))
        rows.append(
            [
                family,
                f"{sum(run.has_alarm(kinds) for run in healthy)} of {len(healthy)}",
                f"{sum(run.is_found(kinds) for run in ill)} of {len(ill)}",
                f"{sum(run.is_found(kinds) for run in wrong)} of {len(wrong)}",
                ", ".join(sorted(set(ALL_KINDS) - kinds)) or "–",
            ]
        )
    report.text(f"{len(runs)} runs of {len(by_family)} families.")
    report.table(
        ["family left out", "false alarms", "ill runs found", "of these with a wrong LR", "kinds switched off"], rows
    )
    report.table(
        ["cause", "found"], [[f"`{cause}`", f"{sum(each)} of {len(each)}"] for cause, each in sorted(by_cause.items())]
    )
    healthy = [run for run in runs if run.verdict == "healthy"]
    report.table(
        ["kind", "false alarms", "in"],
        [
            [f"`{kind}`", str(len(those)), ", ".join(sorted({run.family for run in those})) or "–"]
            for kind in ALL_KINDS
            for those in [[run for run in healthy if run.has_alarm({kind})]]
        ],
    )
    number = sum(is_alarm for _, is_alarm in alarms)
    low, high = _wilson(number, len(alarms))
    report.text(
        f"Healthy runs with a finding: {number} of {len(alarms)} ({number / len(alarms):.1%}, 95 % interval {low:.1%} to {high:.1%})."
    )
    wrong = [(run, was) for run, was in found if run.cause in WRONG_LR]
    for what, those in (("Ill runs found", found), ("Of these with a wrong LR", wrong)):
        number = sum(was for _, was in those)
        report.text(f"{what}: {number} of {len(those)} ({number / len(those):.1%}).")
    if args.each:
        for run in [run for run, was in alarms if was] + [run for run, was in found if not was]:
            report.text(
                f"`{run.name}`, {run.verdict}: {', '.join(f'{kind} at {share:.0%}' for kind, share in run.found) or 'nothing'}."
            )
    return report.finish(args.output)


def _wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    z, p = 1.96, count / total
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


if __name__ == "__main__":
    sys.exit(main())
