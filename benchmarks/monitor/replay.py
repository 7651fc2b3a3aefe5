"""What the monitor finds in a trace: the same Diagnosis gets the same numbers in the same order."""

from typing import Any

from traces import Trace

from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from hf_lrsched.schedules import Horizon, parse

#: Which kinds of findings are right for a cause.
RIGHT = {
    "lr_x30": {"diverging", "stuck", "warmup_too_short"},
    "lr_x100": {"diverging", "stuck", "warmup_too_short"},
    "lr_d30": {"too_slow"},
    "lr_d100": {"too_slow"},
    "no_warmup": {"diverging", "stuck", "warmup_too_short"},
    "long_warmup": {"warmup_too_long"},
    "shuffled_validation": {"validation_rises"},
    "tiny_validation": {"unstable_validation"},
    "corrupt_batches": {"spike"},
    "overflow": {"not_finite"},
    "past_best": {"validation_rises"},
    "early_decay": {"lr_spent"},
}
#: Those that are there before the first update, and by when they are found in time: an evaluation after half of the run.
FROM_THE_START = set(RIGHT) - {"corrupt_batches", "overflow", "past_best"}
IN_TIME = 0.6


def replay(trace: Trace) -> Diagnosis:
    """Replay a trace into a Diagnosis."""
    horizon = Horizon(trace.num_updates, trace.updates_per_epoch)
    curve = parse(trace.schedule).resolve(horizon, peak=trace.learning_rate)
    run = RunInfo(
        num_updates=trace.num_updates,
        learning_rate=trace.learning_rate,
        schedule=trace.schedule,
        num_epochs=trace.epochs,
        curve=lambda share: float(curve(share * trace.num_updates)),
        horizon=horizon,
        step_ratio=trace.learning_rate / trace.weight_rms,
    )
    diagnosis = Diagnosis(run)
    records = {record["step"]: record for record in trace.records}
    evaluations: dict[int, list[dict[str, Any]]] = {}
    for evaluation in trace.evaluations:
        evaluations.setdefault(evaluation["step"], []).append(evaluation)
    for update, (loss, lr) in enumerate(zip(trace.losses, curve(range(trace.num_updates)), strict=True), 1):
        diagnosis.add_loss(update, float(loss), float(lr))
        if update in records:
            diagnosis.add_record(update, {"grad_norm": _numbers(records[update])["grad_norm"]})
        for evaluation in evaluations.get(update, ()):
            metrics = _numbers(evaluation)
            samples = round(metrics["eval_runtime"] * metrics["eval_samples_per_second"])
            diagnosis.add_evaluation(update, metrics, samples)
    diagnosis.look()
    return diagnosis


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in row.items()}
