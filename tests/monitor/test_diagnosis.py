"""Diagnosis: which kinds it finds in which runs, and when it is silent."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from tests.monitor.example_runs import (
    SCHEDULE,
    SPENT,
    UPDATES,
    diagnose,
    dip,
    falling,
    flat,
    kinds,
    memorized,
    resumed,
    swinging,
)


def test_a_healthy_run_is_left_alone():
    assert kinds(diagnose()) == []


@pytest.mark.parametrize(
    "schedule", ["warmup(10%) >> cosine()", "linear()", "warmup(20%) >> inverse_sqrt()", "one_cycle()"]
)
@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_run_with_another_schedule_and_noise(schedule, seed):
    assert kinds(diagnose(schedule=schedule, seed=seed, noise=0.05)) == []


@pytest.mark.parametrize(
    "kind, since, changes, run",
    [
        ("too_slow", 1, ["learning_rate: 2e-05  →  0.0002"], {"loss": flat, "validation": flat, "step_ratio": 2e-3}),
        ("diverging", 80, ["learning_rate: 2e-05  →  2e-06"], {"loss": dip, "validation": dip, "step_ratio": 0.01}),
        ("stuck", 1, ["learning_rate: 2e-05  →  2e-06"], {"loss": flat, "validation": swinging, "step_ratio": 0.01}),
        (
            "warmup_too_long",
            1,
            ["schedule: warmup(70%) >> linear()  →  warmup(10%) >> linear()"],
            {"schedule": "warmup(70%) >> linear()"},
        ),
        (
            "warmup_too_long",
            1,
            ["schedule: warmup(70%) >> linear(over=1.2ep)  →  warmup(10%) >> linear()"],
            {"schedule": "warmup(70%) >> linear(over=1.2ep)"},
        ),
        ("warmup_too_long", 1, [], {"schedule": "warmup(70%) >> linear(over=10%) >> hold()"}),
        (
            "diverging",
            80,
            [
                "learning_rate: 2e-05  →  2e-06",
                "schedule: hold(50%) >> linear(over=2ep)  →  warmup(10%) >> hold(50%) >> linear()",
            ],
            {"loss": dip, "validation": dip, "schedule": "hold(50%) >> linear(over=2ep)", "step_ratio": 0.01},
        ),
        ("lr_spent", 51, [], {"schedule": "warmup(5%) >> cooldown(20%)"}),
        ("lr_spent", 51, [f"schedule: {SPENT}  →  warmup(5%) >> linear()"], {"schedule": SPENT}),
        ("validation_rises", 60, [], {"validation": memorized}),
        ("unstable_validation", 20, [], {"samples": 10}),
    ],
)
def test_each_kind(kind, since, changes, run):
    diagnosis = diagnose(**run)
    [finding] = [each for each in diagnosis.findings if each.kind == kind]
    assert abs(finding.since - since) <= 10
    assert [str(change) for change in finding.changes] == changes
    assert finding.since <= finding.update < UPDATES
    assert finding.evidence in str(finding)


def test_causes_from_the_start_are_found_before_half_of_the_run():
    for run in (
        {"loss": flat, "validation": flat},
        {"schedule": "warmup(70%) >> linear()"},
        {"schedule": SPENT},
        {"samples": 9},
    ):
        assert diagnose(**run).findings[0].update <= UPDATES / 2


def test_not_finite_is_reported_at_once():
    diagnosis = diagnose(loss=lambda update: math.nan if update == 57 else falling(update))
    [finding] = diagnosis.findings
    assert (finding.kind, finding.update, finding.since) == ("not_finite", 57, 57)


def test_gradients_that_are_not_finite_beside_a_finite_loss():
    diagnosis = Diagnosis(RunInfo(num_updates=10, learning_rate=1e-3))
    assert diagnosis.add_record(5, {"loss": 0.0, "grad_norm": 1.0}) == []
    [finding] = diagnosis.add_record(6, {"loss": 0.0, "grad_norm": math.inf})
    assert finding.kind == "not_finite" and "gradients is inf" in finding.evidence


@given(st.integers(0, 50), st.sampled_from([2.0**-6, 4.0, 2.0**10]))
@settings(max_examples=20, deadline=None)
def test_findings_do_not_depend_on_the_scale_of_the_loss(seed, scale):
    """By accumulation x processes, as transformers 5 does with BERT; a power of 2, so that rounding plays no part."""
    for run in ({}, {"loss": dip}, {"loss": flat, "validation": flat}, {"validation": memorized}):
        plain, scaled = diagnose(seed=seed, **run), diagnose(seed=seed, scale=scale, **run)
        assert [(f.kind, f.update, f.since) for f in plain.findings] == [
            (f.kind, f.update, f.since) for f in scaled.findings
        ]


def test_negative_losses_that_fall():
    assert kinds(diagnose(loss=lambda update: falling(update) - 3, validation=lambda update: falling(update) - 3)) == []


def test_without_evaluations():
    assert kinds(diagnose(validation=None)) == []
    assert kinds(diagnose(loss=flat, validation=None)) == ["too_slow"]


def test_one_record_only():
    diagnosis = Diagnosis(RunInfo(num_updates=1000, learning_rate=1e-3))
    assert diagnosis.add_record(500, {"loss": 0.7, "grad_norm": 1.0}) == []
    assert diagnosis.add_evaluation(500, {"eval_loss": 0.7}) == []


def by_records(loss, schedule=SCHEDULE, every=10, updates=400, noise=0.02, seed=0):
    """A run with records alone, each with the mean loss since the record before."""
    draw = random.Random(seed)
    curve = parse(schedule).resolve(Horizon(updates, 100))
    plan = RunInfo(updates, 2e-5, schedule, 4.0, lambda share: float(curve(share * updates)))
    diagnosis = Diagnosis(plan)
    for update in range(every, updates + 1, every):
        diagnosis.lr = float(curve(update - 1))
        diagnosis.add_record(update, {"loss": loss(UPDATES * update / updates) + draw.gauss(0, noise)})
    return diagnosis


@pytest.mark.parametrize(
    ("run", "expected", "latest"),
    [
        ({"loss": falling}, [], 0),
        ({"loss": flat}, ["too_slow"], 200),
        ({"loss": falling, "schedule": SPENT}, ["lr_spent"], 180),
        ({"loss": falling, "schedule": "warmup(70%) >> linear()"}, ["warmup_too_long"], 180),
        ({"loss": lambda update: 0.7 + update / 50}, ["diverging"], 200),
    ],
)
@pytest.mark.parametrize("every", [5, 10, 20])
def test_without_losses_of_updates_the_records_count(run, expected, latest, every):
    """Where the losses of the updates are not to be had, as with label smoothing; two looks take two records."""
    latest = latest + 20 if every == 20 else latest
    for seed in range(5):
        found = by_records(**run, every=every, seed=seed).findings
        first = [each.kind for each in found][:1]
        assert first == expected or (every == 20 and (first, expected) == (["stuck"], ["diverging"]))  # the same advice
        assert all(each.update <= latest for each in found[:1])


def test_two_records_are_not_enough():
    assert kinds(by_records(flat, every=200)) == []


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"eval_loss": "0.3"},
        {"eval_loss": None},
        {"eval_confusion": [[1, 2]]},
        {"eval_loss": 0.5, "eval_report": {"f1": 1}},
    ],
)
def test_metrics_that_are_not_numbers(metrics):
    diagnosis = Diagnosis(RunInfo(num_updates=10, learning_rate=1e-3, metric="report"))
    for update in range(1, 11):
        diagnosis.add_loss(update, 0.5)
        assert diagnosis.add_evaluation(update, metrics) == []


def test_an_evaluation_of_the_training_data_is_ignored():
    """As callbacks make it: `trainer.evaluate(train_dataset, metric_key_prefix="train")`."""
    diagnosis = Diagnosis(RunInfo(num_updates=UPDATES, learning_rate=2e-5, num_epochs=4.0))
    for update in range(1, UPDATES + 1):
        diagnosis.add_loss(update, falling(update))
        if update % 20 == 0:
            diagnosis.add_evaluation(update, {"train_loss": falling(update), "train_accuracy": 0.9})
            diagnosis.add_evaluation(update, {"eval_loss": memorized(update), "eval_accuracy": 0.5})
    assert kinds(diagnosis) == ["validation_rises"]


def test_of_several_evaluation_sets_the_first_counts():
    diagnosis = Diagnosis(RunInfo(num_updates=100, learning_rate=1e-3))
    for update in range(10, 100, 10):
        diagnosis.add_evaluation(update, {"eval_a_loss": 1 / update, "eval_a_runtime": 1.0})
        diagnosis.add_evaluation(update, {"eval_b_loss": 5.0 + update % 20, "eval_b_runtime": 1.0})
    assert diagnosis.findings == []


def test_memory_does_not_grow():
    diagnosis = Diagnosis(RunInfo(num_updates=100_000, learning_rate=1e-3))
    history = diagnosis.history
    for update in range(1, 100_001):
        diagnosis.add_loss(update, 1 / update, 1.0)
        diagnosis.add_record(update, {"grad_norm": 1.0})
        if update % 100 == 0:
            diagnosis.add_evaluation(update, {"eval_loss": 1 / update})
    assert len(history.blocks) == 40
    assert len(history._losses) + len(history.evaluations) + len(history.first) < 200


@pytest.mark.parametrize("done", [10, 40, 100, 160])
@pytest.mark.parametrize(
    "schedule", [SCHEDULE, "warmup(30%) >> linear()", "triangular(up=10%)", "cosine_restarts(cycles=4)"]
)
def test_a_resumed_run_is_not_judged_by_its_start(done, schedule):
    """Its loss is at its end already: that it falls no more, or that the LR rises, says nothing about the run."""

    def learnt(update):
        return 0.15

    def slightly_worse(update):
        return 0.3 + 0.0005 * update

    for seed in range(5):
        assert kinds(resumed(done, learnt, schedule, seed, validation=slightly_worse)) == []


def test_a_resumed_run_is_judged_by_its_own_losses():
    assert kinds(resumed(60, lambda update: math.nan if update == 90 else falling(update))) == ["not_finite"]
    assert kinds(resumed(60, lambda update: 2.0 if update >= 150 else falling(update)))[0] == "spike"
    assert kinds(resumed(20, schedule=SPENT)) == ["lr_spent"]
    assert "diverging" in kinds(resumed(20, dip, validation=dip))


@pytest.mark.parametrize("updates", [2, 5, 8, 13, 21, 34, 39])
@pytest.mark.parametrize("seed", range(5))
def test_short_runs_have_no_findings(updates, seed):
    draw = random.Random(seed)
    curve = parse(SCHEDULE).resolve(Horizon(updates, updates))
    diagnosis = Diagnosis(RunInfo(num_updates=updates, learning_rate=2e-5, schedule=SCHEDULE, num_epochs=1.0))
    for update in range(1, updates + 1):
        loss = falling(update * UPDATES / updates)
        diagnosis.add_loss(update, loss + draw.gauss(0, 0.05), float(curve(update - 1)))
        diagnosis.add_evaluation(update, {"eval_loss": loss + draw.gauss(0, 0.01)})
    assert kinds(diagnosis) == []


@pytest.mark.parametrize("run", [{}, {"loss": dip}, {"loss": flat, "validation": swinging}, {"validation": memorized}])
def test_a_warning_needs_two_looks_an_evaluation_apart(run):
    for every in (10, 20, 40):
        seen = []
        diagnosis = diagnose(every=every, **run)
        for finding in diagnosis.findings:
            if finding.kind not in ("spike", "not_finite"):
                seen.append(finding.update)
        assert all(update >= 2 * every for update in seen)


def test_only_the_strongest_finding_advises_a_change():
    diagnosis = diagnose(loss=dip, validation=dip, schedule=SPENT, step_ratio=0.01)
    assert len(diagnosis.findings) > 1
    assert diagnosis.recommendation.kind == "diverging"
    assert [each.kind for each in diagnosis.findings if each.changes][-1] == "diverging"


def test_only_the_chosen_kinds_are_reported():
    diagnosis = Diagnosis(RunInfo(UPDATES, 1e-3), kinds={"spike"})
    assert diagnosis.add_loss(1, math.nan) == [] and diagnosis.findings == []


@pytest.mark.parametrize(("every", "by"), [(20, 100), (85, 85), (90, 90), (60, 100), (150, 90), (500, 90)])
def test_the_second_look_does_not_wait_for_a_rare_evaluation(every, by):
    """The first look that shows it is at update 80: before the first evaluation, or after one that the next is far from."""
    (finding,) = diagnose(loss=flat, validation=flat, step_ratio=1e-3, every=every).findings
    assert (finding.kind, finding.update) == ("too_slow", by)


def test_what_evaluations_show_waits_for_another_evaluation():
    found = diagnose(samples=10, every=50)
    assert [(each.kind, each.update) for each in found.findings] == [("unstable_validation", 200)]
