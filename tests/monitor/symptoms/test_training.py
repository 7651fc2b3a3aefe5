"""Symptoms of the training loss."""

import math
import random

import pytest

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo
from tests.monitor.example_runs import SCHEDULE, UPDATES, diagnose, falling, flat, kinds


def settling(fall, rate=8):
    """A loss of 1.8 that falls by a share of itself, at first fast: of a model that knows most already."""

    def loss(update):
        return 1.8 * (1 - fall * (1 - math.exp(-rate * update / UPDATES)))

    return loss


def slow_to_begin(update, updates):
    """A loss that stays at ln 2 for a tenth of the run."""
    return 0.15 + (math.log(2) - 0.15) * math.exp(-6 * max(0, update / updates - 0.1))


def test_a_spike():
    diagnosis = diagnose(loss=lambda update: 0.9 if 120 <= update < 125 else falling(update))
    assert [(each.kind, each.since) for each in diagnosis.findings] == [("spike", 120)]
    assert 122 <= diagnosis.findings[0].update <= 124


def test_a_single_hard_batch_is_no_spike():
    """Eighty times the level, and still below where the run began: late in a run losses have a heavy tail."""

    def fitted(update):
        return 0.6 if update in (150, 170) else math.log(2) * math.exp(-6 * update / UPDATES)

    assert kinds(diagnose(loss=fitted, noise=0.001)) == []


@pytest.mark.parametrize("update", [30, 100])
def test_a_single_nan_in_a_run_that_learns_changes_no_lr(update):
    """A block of few losses may lie above the start by chance."""
    for seed in range(40):
        found = diagnose(loss=lambda u: math.nan if u == update else falling(u), seed=seed, noise=0.2, validation=None)
        [finding] = [each for each in found.findings if each.kind == "not_finite"]
        assert finding.changes == ()


@pytest.mark.parametrize("loss", [lambda update: 0.0, lambda update: 1.0, lambda update: -5.0])
def test_constant_losses(loss):
    assert set(kinds(diagnose(loss=loss, validation=loss, noise=0))) <= {"too_slow"}


@pytest.mark.parametrize("fall", [0.055, 0.065, 0.075])
@pytest.mark.parametrize("seed", range(5))
def test_a_model_with_little_left_to_learn_is_not_too_slow(fall, seed):
    loss = settling(fall)
    found = diagnose(loss=loss, validation=loss, seed=seed, noise=0.05, step_ratio=5e-4, every=10)
    assert "too_slow" not in kinds(found)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_learns_along_a_straight_line_is_too_slow(seed):
    def loss(update):
        return 1.8 * (1 - 0.05 * update / UPDATES)

    found = diagnose(loss=loss, validation=loss, seed=seed, noise=0.05, step_ratio=5e-4, every=10)
    assert kinds(found) == ["too_slow"]


@pytest.mark.parametrize(
    ("step_ratio", "expected"),
    [(1.9e-3, ["too_slow"]), (5.9e-3, ["too_slow"]), (6.1e-3, []), (2.6e-2, []), (1.9, []), (2.1, ["stuck"])],
)
def test_the_size_of_the_steps_decides_about_a_constant_loss(step_ratio, expected):
    assert kinds(diagnose(loss=flat, validation=flat, step_ratio=step_ratio)) == expected


def test_where_the_size_of_the_steps_is_unknown_no_lr_is_advised():
    """With Adafactor, a run of 30 times the best LR was found to be too slow; 30 times more of it ruined the run."""
    (finding,) = diagnose(loss=flat, validation=flat, step_ratio=None).findings
    assert finding.kind == "too_slow" and "far too low or far too high" in finding.advice and not finding.changes
    (finding,) = diagnose(loss=flat, validation=flat, step_ratio=1e-3).findings
    assert [change.setting for change in finding.changes] == ["learning_rate"]


@pytest.mark.parametrize(("step_ratio", "to"), [(1e-3, 1.0), (1e-3, 0.5), (1e-3, 0.2), (4.2, 0.5)])
def test_a_run_whose_schedule_stays_below_the_peak_is_judged_at_its_own_highest_lr(step_ratio, to):
    """The trunk of a search of budgets."""
    found = diagnose(loss=flat, validation=flat, step_ratio=step_ratio, schedule=f"warmup(10, to={to}) >> hold()")
    assert kinds(found) == ["too_slow" if step_ratio < 1 else "stuck"]


def test_a_run_is_not_judged_before_its_schedule_has_reached_its_highest_lr():
    found = diagnose(loss=flat, validation=flat, step_ratio=1e-3, schedule="warmup(80%, to=0.5) >> hold()")
    (finding,) = (each for each in found.findings if each.kind == "too_slow")
    assert finding.update > 0.9 * 0.8 * UPDATES


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_a_start_that_is_low_by_chance(noise):
    """In a long run a block's median is exact, and the start is still hardly more than one small batch's loss."""
    curve = parse(SCHEDULE).resolve(Horizon(1000, 250))
    for seed in range(60):
        draw = random.Random(seed)
        diagnosis = Diagnosis(RunInfo(num_updates=1000, learning_rate=2e-5, schedule=SCHEDULE))
        for update in range(1, 1001):
            diagnosis.add_loss(update, slow_to_begin(update, 1000) + draw.gauss(0, noise), float(curve(update - 1)))
        assert kinds(diagnosis) == []


def test_a_run_that_ends_before_it_learns_is_not_too_slow():
    """Half an epoch, to try whether all works: the loss has just begun to fall."""
    for updates, found in ((30, []), (60, ["too_slow"])):
        diagnosis = Diagnosis(RunInfo(num_updates=updates, learning_rate=1e-4))
        for update in range(1, updates + 1):
            diagnosis.add_loss(update, 1.1 - 0.04 * update / updates, 1.0)
        assert kinds(diagnosis) == found


def test_a_loss_that_has_doubled_is_not_too_slow():
    """Without a warmup all losses but the first are noise, and the validation loss falls as the LR does."""
    draw = random.Random(0)
    diagnosis = Diagnosis(RunInfo(num_updates=UPDATES, learning_rate=10.0))
    for update in range(1, UPDATES + 1):
        diagnosis.add_loss(update, 0.7 if update == 1 else draw.uniform(0, 60), 1 - update / UPDATES)
        if update % 20 == 0:
            diagnosis.add_evaluation(update, {"eval_loss": 30 - update / 20})
    assert kinds(diagnosis) and not {"too_slow"} & set(kinds(diagnosis))


def falls_by(share):
    """A loss that falls from ln 2 along a straight line, by such a share until the end."""
    return lambda update: math.log(2) * (1 - share * update / UPDATES)


@pytest.mark.parametrize(
    ("step_ratio", "share", "is_new", "expected"),
    [
        # 200 updates under this schedule are 109 steps of the peak LR.
        (0.01, 0.5, True, ["too_slow"]),
        (0.01, 0.9, True, ["too_slow"]),  # it has fallen by a third when it is found
        (0.01, 0.5, False, []),  # a pretrained model at its best LR
        (0.02, 0.5, True, []),  # the steps together are 2.2 times as large as the weights
        (2.1, 0.5, True, ["stuck"]),
        (2.1, 0.5, False, []),
        (1.7, 0.5, True, []),  # as a small GPT-2 with its best LR
    ],
)
def test_how_far_random_weights_can_move_decides_about_a_loss_that_falls(step_ratio, share, is_new, expected):
    """Real runs at 1/30 and 30 times the best LR; their validation losses neither swing nor stand still."""
    loss = falls_by(share)
    found = diagnose(loss=loss, validation=loss, step_ratio=step_ratio, has_random_weights=is_new, learning_rate=1e-3)
    assert kinds(found) == expected
    assert all(each.update < 0.6 * UPDATES and "as large as the weights" in each.evidence for each in found.findings)


@pytest.mark.parametrize("step_ratio", [0.01, 2.1])
def test_random_weights_that_learn_fast_all_the_same_are_left_alone(step_ratio):
    def loss(update):
        return 0.05 + (math.log(2) - 0.05) * math.exp(-10 * update / UPDATES)

    assert kinds(diagnose(loss=loss, validation=loss, step_ratio=step_ratio, has_random_weights=True)) == []


def test_a_task_that_is_solved_needs_no_further_steps():
    found = {}
    for accuracy in (0.8, 0.95):
        diagnosis = Diagnosis(RunInfo(UPDATES, 1e-3, step_ratio=0.005, has_random_weights=True, metric="accuracy"))
        for update in range(1, UPDATES + 1):
            diagnosis.add_loss(update, falls_by(0.4)(update))
            if update % 20 == 0:
                diagnosis.add_evaluation(update, {"eval_loss": falls_by(0.4)(update), "eval_accuracy": accuracy})
        found[accuracy] = kinds(diagnosis)
    assert found == {0.8: ["too_slow"], 0.95: []}


def test_random_weights_that_have_not_begun_to_learn_are_not_stuck():
    """A BERT of two layers at its best LR, 0.15 of the weights: the metric is that of the most frequent class until it begins."""
    losses = [1.0, 1.01] * 5
    scores = [0.5, 0.5, 0.52, 0.5, 0.5] * 2
    for step_ratio, expected in ((0.15, []), (0.5, ["stuck"])):
        run = RunInfo(UPDATES, 1e-3, SCHEDULE, step_ratio=step_ratio, has_random_weights=True)
        draw, diagnosis = random.Random(0), Diagnosis(run)
        for update in range(1, UPDATES + 1):
            diagnosis.add_loss(update, 1.0 + draw.gauss(0, 0.02), 1.0)
            if update % 20 == 0:
                index = update // 20 - 1
                diagnosis.add_evaluation(update, {"eval_loss": losses[index], "eval_accuracy": scores[index]})
        assert kinds(diagnosis) == expected


def evaluated(
    scores, losses, step_ratio=0.03, guess_loss=None, is_contrastive=False, level=0.693, name="accuracy", others=None
):
    """A run whose training loss goes from ln 2 to a level within 20 updates and stays there, with these evaluations."""
    run = RunInfo(UPDATES, 1e-3, SCHEDULE, step_ratio=step_ratio, guess_loss=guess_loss, is_contrastive=is_contrastive)
    diagnosis = Diagnosis(run)
    draw, every = random.Random(0), UPDATES // len(losses)
    for update in range(1, UPDATES + 1):
        share = min(update / 20, 1)
        diagnosis.add_loss(update, 0.693 + share * (level - 0.693) + draw.gauss(0, 0.02), 1 - 0.5 * update / UPDATES)
        if update % every == 0:
            index = update // every - 1
            diagnosis.add_evaluation(
                update, {"eval_loss": losses[index], f"eval_{name}": scores[index], **(others or (lambda _: {}))(index)}
            )
    return diagnosis


def test_one_answer_at_each_evaluation_is_a_collapsed_model():
    losses = [0.69, 0.70, 0.69, 0.70, 0.69, 0.70, 0.69, 0.70, 0.69, 0.70]
    assert "stuck" in kinds(evaluated([0.71] * 10, losses))
    assert kinds(evaluated([0.5 + 0.01 * i for i in range(10)], losses)) == []  # small swings, and a score that changes


def test_one_answer_and_a_loss_that_falls_steadily_is_no_collapse():
    losses = [0.70 - 0.001 * i for i in range(10)]
    assert "stuck" not in kinds(evaluated([0.71] * 10, losses))


def test_a_model_that_always_gives_the_most_frequent_answer_is_stuck_though_its_loss_fell():
    """71 % of the labels are of one class: the loss falls from ln 2 to their entropy, 0.60, and stays there."""
    losses = [0.60, 0.61] * 5
    diagnosis = evaluated([0.7125] * 10, losses, level=0.60)
    (finding,) = diagnosis.findings
    assert finding.kind == "stuck" and "the metric is 0.7125 at each of" in finding.evidence
    assert kinds(evaluated([0.7 + 0.01 * i for i in range(10)], losses, level=0.60)) == []  # the score changes
    assert kinds(evaluated([0.97] * 10, losses, level=0.60)) == []  # solved


@pytest.mark.parametrize(
    ("name", "score", "others"),
    [
        ("accuracy", 0.7125, {"eval_f1": 0.0, "eval_matthews": 0.0}),
        ("f1", 0.0, {"eval_accuracy": 0.7125}),
    ],
)
def test_a_model_of_one_answer_is_found_by_any_of_its_metrics(name, score, others):
    def add(index):  # the perplexity moves as the loss does, and the time means nothing
        return {**others, "eval_perplexity": 1.8 + 0.01 * (index % 2), "eval_runtime": 0.1 * index}

    (finding,) = evaluated([score] * 10, [0.60, 0.61] * 5, level=0.60, name=name, others=add).findings
    assert finding.kind == "stuck" and "the metric is 0.7125 at each of" in finding.evidence


@pytest.mark.parametrize(
    ("name", "score", "others"),
    [
        ("exact_match", 0.0, lambda index: {}),
        ("exact_match", 0.0, lambda index: {"eval_gen_len": 20.0}),
        ("exact_match", 0.0, lambda index: {"eval_f1": 0.3 + 0.04 * index}),
        ("exact_match", 0.02, lambda index: {"eval_f1": 0.3 + 0.04 * index}),
        ("wer", 1.0, lambda index: {}),
        ("toxicity", 0.0, lambda index: {}),
    ],
)
def test_a_model_that_learns_while_one_metric_stays_is_not_stuck(name, score, others):
    losses = [0.40, 0.41] * 5
    assert kinds(evaluated([score] * 10, losses, level=0.40, name=name, others=others)) == []


def test_a_loss_far_below_that_of_guesses_is_not_that_of_one_answer():
    losses = [0.60, 0.61] * 5
    assert kinds(evaluated([0.3] * 10, losses, level=0.60, guess_loss=math.log(2))) == ["stuck"]
    assert kinds(evaluated([0.3] * 10, [each / 3 for each in losses], level=0.20, guess_loss=math.log(2))) == []


def test_one_answer_by_small_steps_has_one_finding_and_one_direction():
    losses = [0.69, 0.70] * 5
    assert kinds(evaluated([0.71] * 10, losses, step_ratio=1e-3)) == ["too_slow"]
    assert kinds(evaluated([0.71] * 10, losses, step_ratio=0.03)) == ["stuck"]


def test_nothing_is_said_of_the_lr_for_a_contrastive_loss():
    assert kinds(evaluated([0.71] * 10, [0.69, 0.70] * 5, is_contrastive=True)) == []


def test_a_solved_task_has_nothing_left_to_learn():
    losses = [0.69, 0.75] * 5
    assert "stuck" in kinds(evaluated([0.3, 0.2] * 5, losses))
    assert kinds(evaluated([0.97, 0.96] * 5, losses)) == []


@pytest.mark.parametrize(("guess_loss", "expected"), [(math.log(2), ["stuck"]), (math.log(1000), [])])
def test_a_model_that_was_trained_before_is_not_judged(guess_loss, expected):
    assert kinds(evaluated([0.71] * 10, [0.69, 0.70] * 5, guess_loss=guess_loss)) == expected


def test_a_run_that_learns_later_takes_the_finding_back():
    """A transformer from scratch may stay at its first loss for half of the run."""

    def late(update):
        return 0.69 if update < 0.55 * UPDATES else 0.69 - 0.6 * (update / UPDATES - 0.55) / 0.45

    diagnosis = diagnose(loss=late, validation=late, step_ratio=1e-3)
    assert kinds(diagnosis) == []
    [finding] = diagnosis.withdrawn
    assert finding.kind == "too_slow" and finding.update < finding.withdrawn <= UPDATES
    assert "is withdrawn" in str(finding)
