"""Runs that are drawn by hand: what each kind of trouble looks like, and what is told of it."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import Plan

UPDATES = 200
SCHEDULE = "warmup(10%) >> linear()"


def falling(update):
    """A loss that falls from ln 2 to 0.15."""
    return 0.15 + (math.log(2) - 0.15) * math.exp(-3 * update / UPDATES)


def tell(
    loss=falling,
    validation=falling,
    schedule=SCHEDULE,
    noise=0.03,
    every=20,
    seed=0,
    scale=1.0,
    samples=500,
    norm=None,
    logging_steps=1,
    **plan,
):
    """A run of 200 updates, told to a Diagnosis."""
    draw = random.Random(seed)
    horizon = Horizon(UPDATES, 50)
    curve = parse(schedule).resolve(horizon)
    plan = {
        "learning_rate": 2e-5,
        "schedule": schedule,
        "num_epochs": 4.0,
        "curve": lambda share: float(curve(share * UPDATES)),
        "horizon": horizon,
    } | plan
    diagnosis = Diagnosis(Plan(num_updates=UPDATES, **plan))
    for update in range(1, UPDATES + 1):
        diagnosis.loss(update, scale * (loss(update) + draw.gauss(0, noise)), float(curve(update - 1)))
        if norm is not None and update % logging_steps == 0:
            diagnosis.record(update, {"loss": 1.0, "grad_norm": scale * norm(update)})
        if validation is not None and update % every == 0:
            diagnosis.evaluation(update, {"eval_loss": scale * validation(update)}, samples)
    return diagnosis


def kinds(diagnosis):
    return [finding.kind for finding in diagnosis.findings]


def flat(update):
    return math.log(2)


def dip(update):
    """Learns until update 80, then is lost."""
    return falling(update) if update < 80 else 0.9


def thrown(update):
    return 0.7 + (0.15 if update % 40 else -0.15)


def learnt_by_heart(update):
    return 0.5 + max(60 - update, 0) / 400 + max(update - 60, 0) / 200


SPENT = "warmup(5%) >> linear(over=20%) >> hold()"


def test_a_healthy_run_is_left_alone():
    assert kinds(tell()) == []


@pytest.mark.parametrize(
    "schedule", ["warmup(10%) >> cosine()", "linear()", "warmup(20%) >> inverse_sqrt()", "one_cycle()"]
)
@pytest.mark.parametrize("seed", range(5))
def test_so_is_one_with_another_schedule_and_noise(schedule, seed):
    assert kinds(tell(schedule=schedule, seed=seed, noise=0.05)) == []


@pytest.mark.parametrize(
    "kind, since, changes, run",
    [
        ("too_slow", 1, ["learning_rate: 2e-05  →  0.0002"], {"loss": flat, "validation": flat}),
        ("diverging", 80, ["learning_rate: 2e-05  →  2e-06"], {"loss": dip, "validation": dip}),
        ("stuck", 1, ["learning_rate: 2e-05  →  2e-06"], {"loss": flat, "validation": thrown}),
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
            {"loss": dip, "validation": dip, "schedule": "hold(50%) >> linear(over=2ep)"},
        ),
        ("lr_spent", 51, [], {"schedule": "warmup(5%) >> cooldown(20%)"}),
        ("lr_spent", 51, [f"schedule: {SPENT}  →  warmup(5%) >> linear()"], {"schedule": SPENT}),
        ("validation_rises", 60, ["num_train_epochs: 4  →  2"], {"validation": learnt_by_heart}),
        ("validation_rises", 60, ["max_steps: 200  →  75"], {"validation": learnt_by_heart, "num_epochs": None}),
        ("unstable_validation", 20, [], {"samples": 10}),
    ],
)
def test_each_kind(kind, since, changes, run):
    diagnosis = tell(**run)
    [finding] = [each for each in diagnosis.findings if each.kind == kind]
    assert abs(finding.since - since) <= 10
    assert [str(change) for change in finding.changes] == changes
    assert finding.since <= finding.update < UPDATES and 0.5 < finding.confidence <= 1
    assert finding.seen in str(finding)


def test_what_is_there_from_the_start_is_told_before_half_of_the_run():
    for run in (
        {"loss": flat, "validation": flat},
        {"schedule": "warmup(70%) >> linear()"},
        {"schedule": SPENT},
        {"samples": 9},
    ):
        assert tell(**run).findings[0].update <= UPDATES / 2


def test_not_finite_is_told_at_once():
    diagnosis = tell(loss=lambda update: math.nan if update == 57 else falling(update))
    [finding] = diagnosis.findings
    assert (finding.kind, finding.update, finding.since, finding.confidence) == ("not_finite", 57, 57, 1.0)


def test_gradients_that_are_not_finite_where_the_loss_is():
    diagnosis = Diagnosis(Plan(num_updates=10, learning_rate=1e-3))
    assert diagnosis.record(5, {"loss": 0.0, "grad_norm": 1.0}) == []
    [finding] = diagnosis.record(6, {"loss": 0.0, "grad_norm": math.inf})
    assert finding.kind == "not_finite" and "gradients is inf" in finding.seen


def test_a_spike_that_lasts():
    diagnosis = tell(loss=lambda update: 0.9 if 120 <= update < 125 else falling(update))
    assert [(each.kind, each.since) for each in diagnosis.findings] == [("spike", 120)]
    assert 122 <= diagnosis.findings[0].update <= 124


def test_a_single_hard_batch_is_no_spike():
    """Eighty times the level, and still below where the run began: late in a run losses have a heavy tail."""

    def fitted(update):
        return 0.6 if update in (150, 170) else math.log(2) * math.exp(-6 * update / UPDATES)

    assert kinds(tell(loss=fitted, noise=0.001)) == []


def test_a_warmup_that_is_too_short():
    def jump(update):
        return falling(update) + 1.2 * math.exp(-(((update - 12) / 6) ** 2))

    diagnosis = tell(loss=jump, schedule="warmup(4%) >> linear()")
    finding = next(each for each in diagnosis.findings if each.kind == "warmup_too_short")
    assert str(finding.changes[0]) == "schedule: warmup(4%) >> linear()  →  warmup(10%) >> linear()"


@pytest.mark.parametrize("logging_steps", [1, 2, 5])
@pytest.mark.parametrize("scale", [1.0, 2.0**10])
def test_a_warmup_that_is_too_short_by_the_gradients_alone(logging_steps, scale):
    """The loss bears it, the norm of the gradients has a jump of 5 times when the LR is at its peak."""

    def jump(update):
        return 10.0 if 11 <= update <= 20 else 2.0

    diagnosis = tell(norm=jump, logging_steps=logging_steps, scale=scale, schedule="warmup(4%) >> linear()")
    [finding] = diagnosis.findings
    assert (finding.kind, finding.since) == ("warmup_too_short", 11)
    assert finding.seen.startswith(f"the norm of the gradients jumped from {2 * scale:.3g} to {10 * scale:.3g} when")
    assert str(finding.changes[0]) == "schedule: warmup(4%) >> linear()  →  warmup(10%) >> linear()"


@pytest.mark.parametrize(
    "norm",
    [
        lambda update: 0.5 * 1.02**update,  # of a pretrained model: it grows all the time
        lambda update: 20.0 / update,
        lambda update: 8.0 if update > 10 else 1.0,  # which does not pass
        lambda update: 100.0 if update == 14 else 1.0,  # one hard batch
        lambda update: 0.0,
        lambda update: 3.0 if 8 <= update <= 20 else 1.0,
    ],
)
def test_norms_of_the_gradients_that_are_no_jump(norm):
    assert kinds(tell(norm=norm, schedule="warmup(4%) >> linear()")) == []


def test_a_jump_of_the_norm_later_on_is_not_of_the_warmup():
    assert kinds(tell(norm=lambda update: 10.0 if 90 < update < 110 else 1.0)) == []


def test_a_plateau_while_the_lr_is_high():
    def levelled(update):
        return max(falling(update * 2), 0.3)

    constant = "warmup(10%) >> hold()"
    diagnosis = tell(loss=levelled, validation=levelled, schedule=constant, every=10)
    assert kinds(diagnosis) == ["plateau_at_high_lr"]
    assert str(diagnosis.findings[0].changes[0]) == f"schedule: {constant}  →  warmup(10%) >> linear()"
    planned = "warmup(10%) >> hold() >> linear(over=20%)"  # which will decay
    assert kinds(tell(loss=levelled, validation=levelled, schedule=planned)) == []


def test_a_validation_loss_that_goes_up_and_down():
    def swinging(update):
        return falling(update) + (0.3 if update % 40 else 0)

    assert kinds(tell(validation=swinging)) == ["unstable_validation"]


@given(st.integers(0, 50), st.sampled_from([2.0**-6, 4.0, 2.0**10]))
@settings(max_examples=20, deadline=None)
def test_a_loss_that_is_multiplied_says_the_same(seed, scale):
    """By accumulation x processes, as transformers 5 does with BERT; a power of 2, so that rounding plays no part."""
    for run in ({}, {"loss": dip}, {"loss": flat, "validation": flat}, {"validation": learnt_by_heart}):
        plain, scaled = tell(seed=seed, **run), tell(seed=seed, scale=scale, **run)
        assert [(f.kind, f.update, f.since) for f in plain.findings] == [
            (f.kind, f.update, f.since) for f in scaled.findings
        ]


@pytest.mark.parametrize("loss", [lambda update: 0.0, lambda update: 1.0, lambda update: -5.0])
def test_constant_losses(loss):
    assert set(kinds(tell(loss=loss, validation=loss, noise=0))) <= {"too_slow"}


def test_negative_losses_that_fall():
    assert kinds(tell(loss=lambda update: falling(update) - 3, validation=lambda update: falling(update) - 3)) == []


def test_without_evaluations():
    assert kinds(tell(validation=None)) == []
    assert kinds(tell(loss=flat, validation=None)) == ["too_slow"]


def test_one_record_only():
    diagnosis = Diagnosis(Plan(num_updates=1000, learning_rate=1e-3))
    assert diagnosis.record(500, {"loss": 0.7, "grad_norm": 1.0}, has_losses=False) == []
    assert diagnosis.evaluation(500, {"eval_loss": 0.7}) == []


def by_records(loss, schedule=SCHEDULE, every=10, updates=400, noise=0.02, seed=0):
    """A run of which the records alone are seen, each with the mean of the updates since the one before."""
    draw = random.Random(seed)
    curve = parse(schedule).resolve(Horizon(updates, 100))
    plan = Plan(updates, 2e-5, schedule, 4.0, lambda share: float(curve(share * updates)))
    diagnosis = Diagnosis(plan)
    for update in range(every, updates + 1, every):
        diagnosis.lr = float(curve(update - 1))
        diagnosis.record(update, {"loss": loss(UPDATES * update / updates) + draw.gauss(0, noise)}, has_losses=False)
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
def test_records_alone(run, expected, latest, every):
    """Where the losses of the updates are not to be had, as with label smoothing: at the same shares of the run."""
    for seed in range(5):
        found = by_records(**run, every=every, seed=seed).findings
        assert [each.kind for each in found][:1] == expected
        assert all(each.update <= latest for each in found[:1])


def test_little_is_said_by_two_records():
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
    diagnosis = Diagnosis(Plan(num_updates=10, learning_rate=1e-3, metric="report"))
    for update in range(1, 11):
        diagnosis.loss(update, 0.5)
        assert diagnosis.evaluation(update, metrics) == []


def test_an_evaluation_of_the_training_data_is_none_of_the_validation():
    """As callbacks make it: `trainer.evaluate(train_dataset, metric_key_prefix="train")`."""
    diagnosis = Diagnosis(Plan(num_updates=UPDATES, learning_rate=2e-5, num_epochs=4.0))
    for update in range(1, UPDATES + 1):
        diagnosis.loss(update, falling(update))
        if update % 20 == 0:
            diagnosis.evaluation(update, {"train_loss": falling(update), "train_accuracy": 0.9})
            diagnosis.evaluation(update, {"eval_loss": learnt_by_heart(update), "eval_accuracy": 0.5})
    assert kinds(diagnosis) == ["validation_rises"]


@pytest.mark.parametrize("missing", [float("nan"), None])
@pytest.mark.parametrize(("metric", "sign"), [("f1", 1), ("wer", -1)])
def test_a_metric_that_is_missing_once(metric, sign, missing):
    """The one that is not there is neither the best nor the worst."""
    curve = parse("warmup(10%) >> hold()").resolve(Horizon(UPDATES, 50))
    plan = Plan(UPDATES, 2e-5, "warmup(10%) >> hold()", 4.0, lambda share: float(curve(share * UPDATES)), metric=metric)
    diagnosis = Diagnosis(plan)
    for update in range(1, UPDATES + 1):
        diagnosis.loss(update, max(falling(update * 2), 0.3), float(curve(update - 1)))
        if update % 10 == 0:
            value = missing if update == 10 else sign * update / UPDATES
            metrics = {f"eval_{metric}": value} if value is not None else {}
            diagnosis.evaluation(update, {"eval_loss": max(falling(update * 2), 0.3)} | metrics)
    assert kinds(diagnosis) == []


def settling(fall, rate=8):
    """A loss of 1.8 that falls by a share of itself, at first fast: of a model that knows most already."""

    def loss(update):
        return 1.8 * (1 - fall * (1 - math.exp(-rate * update / UPDATES)))

    return loss


@pytest.mark.parametrize("fall", [0.055, 0.065, 0.075])
@pytest.mark.parametrize("seed", range(5))
def test_a_model_with_little_left_to_learn_is_not_too_slow(fall, seed):
    loss = settling(fall)
    found = tell(loss=loss, validation=loss, seed=seed, noise=0.05, step_ratio=5e-4, every=10)
    assert "too_slow" not in kinds(found)


@pytest.mark.parametrize("seed", range(5))
def test_one_that_learns_along_a_straight_line_is(seed):
    def loss(update):
        return 1.8 * (1 - 0.05 * update / UPDATES)

    found = tell(loss=loss, validation=loss, seed=seed, noise=0.05, step_ratio=5e-4, every=10)
    assert kinds(found) == ["too_slow"]


@pytest.mark.parametrize(
    ("step_ratio", "expected"), [(1.9e-3, ["too_slow"]), (2.1e-3, []), (2.4e-2, []), (2.6e-2, ["stuck"])]
)
def test_the_size_of_the_steps_decides_what_is_said_of_a_loss_that_lies_still(step_ratio, expected):
    assert kinds(tell(loss=flat, validation=flat, step_ratio=step_ratio)) == expected


@pytest.mark.parametrize("update", [30, 100])
def test_a_single_nan_in_a_run_that_learns_changes_no_lr(update):
    """A block of few losses may lie above the start by chance."""
    for seed in range(40):
        found = tell(loss=lambda u: math.nan if u == update else falling(u), seed=seed, noise=0.2, validation=None)
        [finding] = [each for each in found.findings if each.kind == "not_finite"]
        assert finding.changes == ()


def test_of_several_evaluation_sets_the_first_counts():
    diagnosis = Diagnosis(Plan(num_updates=100, learning_rate=1e-3))
    for update in range(10, 100, 10):
        diagnosis.evaluation(update, {"eval_a_loss": 1 / update, "eval_a_runtime": 1.0})
        diagnosis.evaluation(update, {"eval_b_loss": 5.0 + update % 20, "eval_b_runtime": 1.0})
    assert diagnosis.findings == []


def test_memory_does_not_grow():
    diagnosis = Diagnosis(Plan(num_updates=100_000, learning_rate=1e-3))
    seen = diagnosis._seen
    for update in range(1, 100_001):
        diagnosis.loss(update, 1 / update, 1.0)
        diagnosis.record(update, {"loss": 1 / update, "grad_norm": 1.0})
        if update % 100 == 0:
            diagnosis.evaluation(update, {"eval_loss": 1 / update})
    assert len(seen.blocks) == 40
    assert sum(map(len, seen._norms.values())) <= 40 * 64
    assert len(seen._values) + len(seen.evaluations) + len(seen.first) < 200


def slow_to_begin(update, updates):
    """A loss that stays at ln 2 for a tenth of the run."""
    return 0.15 + (math.log(2) - 0.15) * math.exp(-6 * max(0, update / updates - 0.1))


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_a_start_that_is_low_by_chance(noise):
    """In a long run a block's median is exact, and the start is still hardly more than one small batch's loss."""
    curve = parse(SCHEDULE).resolve(Horizon(1000, 250))
    for seed in range(60):
        draw = random.Random(seed)
        diagnosis = Diagnosis(Plan(num_updates=1000, learning_rate=2e-5, schedule=SCHEDULE))
        for update in range(1, 1001):
            diagnosis.loss(update, slow_to_begin(update, 1000) + draw.gauss(0, noise), float(curve(update - 1)))
        assert kinds(diagnosis) == []


def resumed(done, loss=falling, schedule=SCHEDULE, seed=0, noise=0.05, validation=falling):
    """The rest of such a run, from a checkpoint on."""
    draw = random.Random(seed)
    curve = parse(schedule).resolve(Horizon(UPDATES, 50))
    plan = Plan(
        num_updates=UPDATES,
        learning_rate=2e-5,
        schedule=schedule,
        num_epochs=4.0,
        curve=lambda share: float(curve(share * UPDATES)),
        updates_done=done,
    )
    diagnosis = Diagnosis(plan)
    for update in range(done + 1, UPDATES + 1):
        diagnosis.loss(update, loss(update) + draw.gauss(0, noise), float(curve(update - 1)))
        if update % 10 == 0:
            diagnosis.evaluation(update, {"eval_loss": validation(update) + draw.gauss(0, noise / 5)})
    return diagnosis


@pytest.mark.parametrize("done", [10, 40, 100, 160])
@pytest.mark.parametrize(
    "schedule", [SCHEDULE, "warmup(30%) >> linear()", "triangular(up=10%)", "cosine_restarts(cycles=4)"]
)
def test_a_resumed_run_is_not_blamed_for_a_start_that_was_not_seen(done, schedule):
    """Its loss is at its end already: that it falls no more, or that the LR rises, says nothing about the run."""

    def learnt(update):
        return 0.15

    def slightly_worse(update):
        return 0.3 + 0.0005 * update

    for seed in range(5):
        assert kinds(resumed(done, learnt, schedule, seed, validation=slightly_worse)) == []


def test_a_resumed_run_is_judged_by_what_is_seen():
    assert kinds(resumed(60, lambda update: math.nan if update == 90 else falling(update))) == ["not_finite"]
    assert kinds(resumed(60, lambda update: 2.0 if update >= 150 else falling(update)))[0] == "spike"
    assert kinds(resumed(20, schedule=SPENT)) == ["lr_spent"]
    assert "diverging" in kinds(resumed(20, dip, validation=dip))


@pytest.mark.parametrize("schedule", ["triangular(up=50%)", "one_cycle(peak_at=60%)"])
def test_a_rise_that_is_no_warmup_is_as_it_was_drawn(schedule):
    assert kinds(tell(schedule=schedule)) == []


@pytest.mark.parametrize(
    "schedule", ["repeat(polynomial(power=3), cycles=2)", "linear(over=20%) >> hold(25%) >> warmup(5%) >> linear()"]
)
def test_an_lr_that_rises_again_is_not_spent(schedule):
    assert kinds(tell(schedule=schedule)) == []


@pytest.mark.parametrize("updates", [2, 5, 8, 13, 21, 34, 39])
@pytest.mark.parametrize("seed", range(5))
def test_little_is_said_of_a_short_run(updates, seed):
    draw = random.Random(seed)
    curve = parse(SCHEDULE).resolve(Horizon(updates, updates))
    diagnosis = Diagnosis(Plan(num_updates=updates, learning_rate=2e-5, schedule=SCHEDULE, num_epochs=1.0))
    for update in range(1, updates + 1):
        loss = falling(update * UPDATES / updates)
        diagnosis.loss(update, loss + draw.gauss(0, 0.05), float(curve(update - 1)))
        diagnosis.evaluation(update, {"eval_loss": loss + draw.gauss(0, 0.01)})
    assert kinds(diagnosis) == []


def test_a_run_that_ends_before_it_learns_is_not_too_slow():
    """Half an epoch, to try whether all works: the loss has just begun to fall."""
    for updates, found in ((30, []), (60, ["too_slow"])):
        diagnosis = Diagnosis(Plan(num_updates=updates, learning_rate=1e-4))
        for update in range(1, updates + 1):
            diagnosis.loss(update, 1.1 - 0.04 * update / updates, 1.0)
        assert kinds(diagnosis) == found


def test_a_loss_that_has_doubled_is_by_no_lr_that_is_too_low():
    """Without a warmup all losses but the first are noise, and the validation loss falls as the LR does."""
    draw = random.Random(0)
    diagnosis = Diagnosis(Plan(num_updates=UPDATES, learning_rate=10.0))
    for update in range(1, UPDATES + 1):
        diagnosis.loss(update, 0.7 if update == 1 else draw.uniform(0, 60), 1 - update / UPDATES)
        if update % 20 == 0:
            diagnosis.evaluation(update, {"eval_loss": 30 - update / 20})
    assert kinds(diagnosis) and not {"too_slow"} & set(kinds(diagnosis))
