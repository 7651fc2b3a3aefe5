"""Symptoms of a decay."""

import pytest

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from tests.monitor.example_runs import UPDATES, diagnose, falling, kinds


def test_plateau_at_high_lr():
    def levelled(update):
        return max(falling(update * 2), 0.3)

    constant = "warmup(10%) >> hold()"
    diagnosis = diagnose(loss=levelled, validation=levelled, schedule=constant, every=10)
    assert kinds(diagnosis) == ["plateau_at_high_lr"]
    assert str(diagnosis.findings[0].changes[0]) == f"schedule: {constant}  →  warmup(10%) >> linear()"
    planned = "warmup(10%) >> hold() >> linear(over=20%)"  # which will decay
    assert kinds(diagnose(loss=levelled, validation=levelled, schedule=planned)) == []


@pytest.mark.parametrize(
    "schedule", ["repeat(polynomial(power=3), cycles=2)", "linear(over=20%) >> hold(25%) >> warmup(5%) >> linear()"]
)
def test_an_lr_that_rises_again_is_not_spent(schedule):
    assert kinds(diagnose(schedule=schedule)) == []


@pytest.mark.parametrize("missing", [float("nan"), None])
@pytest.mark.parametrize(("metric", "sign"), [("f1", 1), ("wer", -1)])
def test_a_metric_that_is_missing_once(metric, sign, missing):
    """The one that is not there is neither the best nor the worst."""
    curve = parse("warmup(10%) >> hold()").resolve(Horizon(UPDATES, 50))
    plan = RunInfo(
        UPDATES, 2e-5, "warmup(10%) >> hold()", 4.0, lambda share: float(curve(share * UPDATES)), metric=metric
    )
    diagnosis = Diagnosis(plan)
    for update in range(1, UPDATES + 1):
        diagnosis.add_loss(update, max(falling(update * 2), 0.3), float(curve(update - 1)))
        if update % 10 == 0:
            value = missing if update == 10 else sign * update / UPDATES
            metrics = {f"eval_{metric}": value} if value is not None else {}
            diagnosis.add_evaluation(update, {"eval_loss": max(falling(update * 2), 0.3)} | metrics)
    assert kinds(diagnosis) == []
