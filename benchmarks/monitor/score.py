"""How well the monitor distinguishes ill runs from healthy ones, on the half of the traces that it was not tuned on.

    python benchmarks/monitor/score.py
    python benchmarks/monitor/score.py --half tune --each

Each trace is replayed into the monitor. An ill run counts as found if one of the findings is right for its
cause (`replay.py`), before 60 % of the run is over where the cause was there from its start. A healthy run is a false alarm if
there is any finding at all.
"""

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from replay import FROM_THE_START, IN_TIME, RIGHT, replay
from report import Report, parser
from traces import HALVES, Trace, read_traces

from hf_lrsched.monitor.finding import LossFinding

FOUND_BOUND, ALARM_BOUND = 0.95, 0.02


def is_found(trace: Trace, findings: list[LossFinding]) -> bool:
    """Whether one of the findings is right for the cause, and in time."""
    latest = IN_TIME * trace.num_updates if trace.cause in FROM_THE_START else trace.num_updates
    return any(finding.kind in RIGHT[trace.cause] and finding.update <= latest for finding in findings)


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--half", choices=HALVES, default="measure", help="which half of the traces")
    arguments.add_argument("--each", action="store_true", help="also name the traces that were judged wrongly")
    args = arguments.parse_args()
    report = Report("What the monitor finds", "monitor/score.py")
    traces = read_traces(args.half)
    by_trace = {trace.name: replay(trace).findings for trace in traces}
    by_cause: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_cause[trace.cause].append(trace)
    healthy, rows, found = by_cause.pop("healthy"), [], 0
    for cause, ill in sorted(by_cause.items()):
        right = [trace for trace in ill if is_found(trace, by_trace[trace.name])]
        first = [t for t in ill if by_trace[t.name] and by_trace[t.name][0].kind in RIGHT[cause]]
        found += len(right)
        whens = sorted(
            next(each.update for each in by_trace[t.name] if each.kind in RIGHT[cause]) / t.num_updates for t in right
        )
        when = f"{whens[len(whens) // 2]:.0%}" if whens else "–"
        rows.append(
            [f"`{cause}`", ", ".join(sorted(RIGHT[cause])), f"{len(right)} of {len(ill)}", str(len(first)), when]
        )
    report.text(
        f"{len(traces)} real runs of the half `{args.half}`: {len(healthy)} healthy ones and {sum(map(len, by_cause.values()))} made "
        "ill by one cause. *first*: the first finding of the run was right; *when*: the median share of the run that was over."
    )
    report.table(["cause", "what is right", "found", "first", "when"], rows)
    alarms = [trace for trace in healthy if by_trace[trace.name]]
    count = sum(map(len, by_cause.values()))
    verdicts = (
        report.bound("ill runs that are found", found >= FOUND_BOUND * count),
        report.bound("healthy runs with a false alarm", len(alarms) <= ALARM_BOUND * len(healthy)),
    )
    report.text(f"Found: {found} of {count} ({found / count:.1%}); bound: at least {FOUND_BOUND:.0%}: {verdicts[0]}.")
    report.text(
        f"False alarms: {len(alarms)} of {len(healthy)} ({len(alarms) / len(healthy):.1%}); bound: at most {ALARM_BOUND:.0%}: "
        f"{verdicts[1]}."
    )
    if args.each:
        for trace in traces:
            findings = by_trace[trace.name]
            if findings if trace.is_healthy else not is_found(trace, findings):
                kinds = ", ".join(f"{each.kind} at {each.update}" for each in findings) or "nothing"
                report.text(f"`{trace.name}`, {trace.num_updates} updates, `{trace.schedule}`: {kinds}.")
    return report.finish(args.output)


if __name__ == "__main__":
    sys.exit(main())
