"""Whether the monitor's advice helps: ill runs beside the same runs with the advised change.

    python benchmarks/monitor/follow_advice.py --data DIR

Twenty ill configurations of the half that is only measured, in turn of the eight causes that a schedule, a peak LR or the number
of epochs can fix. The first right finding's changes are made, and the run is trained again with the same seed and data. Better
means: a higher accuracy on the validation split at the end of the run or, where they are the same, a lower loss.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from make_traces import train
from replay import RIGHT, replay
from report import Report, parser
from traces import Trace, read_traces

from hf_lrsched.monitor.finding import LossFinding

CAUSES = ("lr_x30", "lr_x100", "no_warmup", "lr_d30", "lr_d100", "long_warmup", "early_decay", "past_best")
COUNT, BOUND = 20, 16


def chosen() -> list[Trace]:
    """In turn of the causes, each in the order of the file; MiniLM, whose runs take long, is left out."""
    ill = [
        [trace for trace in read_traces("measure") if trace.cause == cause and trace.model != "minilm"]
        for cause in CAUSES
    ]
    turns = [traces[turn] for turn in range(max(map(len, ill))) for traces in ill if turn < len(traces)]
    return turns[:COUNT]


def apply_advice(trace: Trace) -> tuple[Trace, LossFinding | None]:
    """Apply the advised changes to a configuration; it stays the same if nothing right was advised."""
    findings = [each for each in replay(trace).findings if each.kind in RIGHT[trace.cause] and each.changes]
    if not findings:
        return trace, None
    values = {change.setting: change.after for change in findings[0].changes}
    return (
        replace(
            trace,
            schedule=values.get("schedule", trace.schedule),
            learning_rate=float(values.get("learning_rate", trace.learning_rate)),
            epochs=float(values.get("num_train_epochs", trace.epochs)),
            losses=[],
            records=[],
            evaluations=[],
        ),
        findings[0],
    )


def result(trace: Trace) -> tuple[float, float]:
    """Accuracy and loss at the end; more is better in both places."""
    last = trace.evaluations[-1]
    return float(last["eval_accuracy"]), -float(last["eval_loss"])


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="the folder with sst2/ and banking77/")
    arguments.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    args = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    report = Report("Following the monitor's advice", "monitor/follow_advice.py")
    before = chosen()
    changed = [apply_advice(trace) for trace in before]
    with ProcessPoolExecutor(args.jobs) as pool:
        after = [pool.submit(train, trace, args.data.resolve()) if finding else None for trace, finding in changed]
    rows, better = [], 0
    for trace, (_, finding), run in zip(before, changed, after, strict=True):
        then, now = result(trace), result(run.result()) if run else result(trace)
        better += now > then
        change = "; ".join(map(str, finding.changes)) if finding else "no advice"
        accuracies = [f"{value[0]:.3f}" for value in (then, now)]
        rows.append([f"`{trace.name}`", change, *accuracies, "better" if now > then else "not better"])
    report.table(["run", "change", "accuracy before", "after", ""], rows)
    verdict = report.bound("runs that got better", better >= BOUND)
    report.text(f"Better: {better} of {len(rows)}; bound: at least {BOUND}: {verdict}.")
    return report.finish(args.output)


if __name__ == "__main__":
    sys.exit(main())
