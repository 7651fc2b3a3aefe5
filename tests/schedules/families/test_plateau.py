"""What follows the run: the rules, handed what they see."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hf_lrsched.schedules import ScheduleError, hold, parse, plateau

from ..tables import check_factors, for_each_row


def rule(**kwargs):
    (reaction,) = (hold() * plateau(**kwargs)).resolve(10).reactive_parts
    return reaction.shape


def scales(values, mode, **kwargs):
    made, state = rule(**kwargs), rule(**kwargs).initial_state()
    found = []
    for value in values:
        state = made.next_state(state, value, mode)
        found.append(state["scale"])
    return found


@pytest.mark.parametrize(
    "values, kwargs, expected",
    [
        # patience 0: every evaluation that is no improvement
        ([5, 4, 4, 5, 3], {"patience": 0}, [1, 1, 0.5, 0.25, 0.25]),
        # patience 2: the third in a row, then counted anew
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 2}, [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        ([5, 6, 6, 4, 6, 6, 6], {"patience": 2}, [1, 1, 1, 1, 1, 1, 0.5]),
        # an improvement is more than the threshold, in the metric's units
        ([5, 4.9, 4.8, 3.9], {"patience": 0, "threshold": 1, "threshold_mode": "abs"}, [1, 0.5, 0.25, 0.25]),
        ([5, 4, 3], {"patience": 0, "threshold": 1, "threshold_mode": "abs"}, [1, 0.5, 0.5]),
        # or as a share of the best value: 4.4 is not below 5 - 20%, 3.9 is; then 3.2 is not, 3.1 is
        ([5, 4.4, 3.9, 3.2, 3.1], {"patience": 0, "threshold": 0.2}, [1, 0.5, 0.5, 0.25, 0.25]),
        ([1, 0.9998, 0.99975], {"patience": 0}, [1, 1, 0.5]),
        # after a drop, two evaluations rest
        ([5, 5, 5, 5, 5, 5], {"patience": 0, "cooldown": 2}, [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        # never below `to`
        ([5, 5, 5, 5], {"patience": 0, "to": 0.3}, [1, 0.5, 0.3, 0.3]),
        # NaN is no improvement, and is never the best
        ([math.nan, 5, math.nan, 4], {"patience": 0}, [0.5, 0.5, 0.25, 0.25]),
        # nor is infinity, which nothing could ever be better than
        ([5, -math.inf, 4, math.inf, 3], {"patience": 0}, [1, 0.5, 0.5, 0.25, 0.25]),
    ],
)
def test_plateau_by_hand(values, kwargs, expected):
    assert scales(values, "min", factor=0.5, **kwargs) == expected
    assert scales([-value for value in values], "max", factor=0.5, **kwargs) == expected


@settings(deadline=None)
@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5]), min_size=1, max_size=40),
    factor=st.floats(0.1, 0.9),
    patience=st.integers(0, 4),
    threshold=st.sampled_from([0.0, 1e-4, 0.06, 0.2]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    rest=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]),
    to=st.sampled_from([0.0, 0.01, 0.4]),
)
def test_plateau_beside_torch(values, factor, patience, threshold, threshold_mode, rest, mode, to):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = ReduceLROnPlateau(
        optimizer,
        mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=rest,
        min_lr=to,
        eps=0.0,
    )
    expected = []
    for value in values:
        oracle.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    kwargs = {"threshold": threshold, "threshold_mode": threshold_mode, "cooldown": rest, "to": to}
    found = scales(values, mode, factor=factor, patience=patience, **kwargs)
    assert found == pytest.approx([max(lr, 1e-8) for lr in expected], rel=1e-12)


def test_defaults_are_those_of_torch():
    values = [0.5] * 30 + [0.5 - 0.00004] * 3 + [0.4] + [0.39997] * 12
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle, expected = ReduceLROnPlateau(optimizer), []
    for value in values:
        oracle.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    assert scales(values, "min") == pytest.approx(expected, rel=1e-12)
    assert expected[-1] < expected[20] < 1


def test_relative_threshold_of_a_metric_below_0():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(5):
        oracle.step(-1.0)  # a constant loss: torch takes -1.0 for better than -1.0 * (1 - threshold)
    assert optimizer.param_groups[0]["lr"] == 1.0
    assert scales([-1.0] * 5, "min", patience=0) == pytest.approx([1, 0.1, 0.01, 0.001, 0.0001])


def test_the_scale_stays_above_0():
    assert scales([1.0] * 1000, "min", factor=0.1, patience=0)[-1] == 1e-8


@pytest.mark.parametrize(
    "metric, mode, best_metric, greater_is_better, expected",
    [
        ("loss", "auto", None, None, "min"),
        ("eval_mnli_loss", "auto", None, None, "min"),
        ("eval_perplexity", "auto", None, None, "min"),
        ("eval_wer", "auto", None, None, "min"),
        ("accuracy", "auto", None, None, "max"),
        ("eval_mnli-mm_accuracy", "auto", None, None, "max"),
        ("eval_f1_macro", "auto", None, None, "max"),
        ("matthews_correlation", "auto", None, None, "max"),
        ("eval_flow", "min", None, None, "min"),
        # the Trainer's word on the same metric counts, on another it does not
        ("eval_flow", "auto", "flow", True, "max"),
        ("eval_flow", "auto", "eval_flow", False, "min"),
        ("accuracy", "auto", "eval_loss", False, "max"),
        ("eval_loss", "max", "accuracy", True, "max"),
        # Trainer guesses True for each name that does not end with loss, so the name counts before it
        ("eval_perplexity", "auto", "perplexity", True, "min"),
        ("eval_wer", "auto", "eval_wer", True, "min"),
        ("eval_anomaly_score", "auto", "anomaly_score", True, "max"),
        # any other value is the user's, and counts before the name; mode counts before all
        ("eval_anomaly_score", "auto", "anomaly_score", False, "min"),
        ("eval_accuracy_drop", "auto", "accuracy_drop", False, "min"),
        ("eval_accuracy_lost", "auto", "accuracy_lost", False, "min"),
        ("eval_f1", "auto", "f1", False, "min"),
        ("eval_contrast_loss", "auto", "contrast_loss", True, "max"),
        ("eval_perplexity", "min", "perplexity", True, "min"),
        ("eval_perplexity", "max", "perplexity", False, "max"),
        ("eval_flow", "min", "flow", True, "min"),
    ],
)
def test_direction(metric, mode, best_metric, greater_is_better, expected):
    assert rule(metric=metric, mode=mode).direction(best_metric, greater_is_better) == expected


@pytest.mark.parametrize(
    "metric, mode, best_metric, greater_is_better, message",
    [
        (
            "eval_flow",
            "auto",
            None,
            None,
            "eval_flow does not show whether more or less is better. Give plateau.. mode=max or mode=min",
        ),
        ("eval_flow", "auto", "eval_loss", False, "does not show"),
        ("eval_los", "auto", None, None, "or mode=min. Did you mean 'loss'"),
        ("eval_acuracy", "auto", "eval_accuracy", True, "or mode=min. Did you mean 'accuracy'"),
    ],
)
def test_direction_refused(metric, mode, best_metric, greater_is_better, message):
    with pytest.raises(ScheduleError, match=message):
        rule(metric=metric, mode=mode).direction(best_metric, greater_is_better)


def test_a_metric_that_is_not_there():
    metrics = {"eval_loss": 0.5, "eval_accuracy": np.float64(0.9), "eval_note": "good"}
    assert rule(metric="accuracy").read(metrics) == 0.9
    with pytest.raises(ScheduleError, match=r"it has eval_loss, eval_accuracy. Did you mean 'eval_accuracy'?"):
        rule(metric="acuracy", mode="max").read(metrics)
    with pytest.raises(ScheduleError, match="'good' is not a number"):
        rule(metric="note", mode="max").read(metrics)
    assert rule(metric="accuracy").read({"eval_accuracy": np.float32(0.5)}) == 0.5
    assert rule(metric="accuracy").read({"eval_accuracy": torch.tensor(0.5)}) == 0.5


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("(warmup(10) >> linear()) * plateau()", 0, 100),
        ("warmup(10) >> linear() * plateau()", 10, 100),
        ("warmup(10) >> hold(50) * plateau() >> linear()", 10, 60),
        ("warmup(10) >> plateau()", 10, 100),
        ("hold(60%) * plateau()", 0, 60),
    ],
)
def test_where_a_plateau_watches(text, start, end):
    (reaction,) = parse(text).resolve(100).reactive_parts
    assert (reaction.start, reaction.end) == (start, end)
    assert str(reaction.phase) == "plateau()"


@pytest.mark.parametrize(
    "text, message",
    [
        ("hold() >> cooldown(10) >> hold(5)", r"must be last; hold\(5\) follows"),
        ("(hold() >> cooldown(10)) * step(every=3, factor=0.5)", r"can be multiplied by plateau.. only"),
        ("cooldown(10) >> cooldown(10)", "must be last"),
        ("hold(to=0.1) >> cooldown(10, to=0.5)", "would rise"),
        ("warmup(30min) >> linear()", "follow the time"),
    ],
)
def test_refused_in_a_run(text, message):
    with pytest.raises(ScheduleError, match=message):
        parse(text).resolve(100)


@pytest.mark.parametrize(
    "text, message",
    [
        ("plateau(factor=1)", "below 1"),
        ("plateau(factor=0)", "above 0"),
        ("plateau(to=2)", "at most 1"),
        ("plateau(patience=-1)", "patience of plateau.. must be a whole number of at least 0"),
        ("plateau(patience=1.5)", "patience of plateau.. must be a whole number"),
        ("plateau(threshold=-0.1)", "threshold of plateau.. must be a finite number of at least 0"),
        ("plateau(metric=3)", "the name of a metric, like eval_loss"),
        ("plateau(mode=mni)", "Did you mean 'min'"),
        ("plateau(patiense=3)", "Did you mean 'patience'"),
        ("cooldown()", "needs 'over'"),
        ("cooldown(5%, on=sigtrm)", "Did you mean 'sigterm'"),
        ("cooldown(5%, time_limit=7200)", "a time like 90s, 30min or 2h"),
        ("cooldown(5%, time_limit=10%)", "a time like 90s, 30min or 2h"),
        ("cooldown(5%, time_limit=0h)", "above 0"),
        ("cooldown(5%, to=0.1, to_lr=1e-6)", "has both to=0.1 and to_lr=1e-06"),
        ("floor(hold() * plateau(), to=1%)", "does more than scale the LR. Write it outside"),
        ("repeat(hold() >> cooldown(5), cycles=2)", "does more than scale the LR. Write it outside"),
        ("freeze(0)", "above 0"),
    ],
)
def test_refused_when_made(text, message):
    with pytest.raises(ScheduleError, match=message):
        parse(text)


TABLE = [
    # -- on paper, plateau() is 1, and takes the length of what stands beside it
    ("(warmup(2) >> linear()) * plateau()", 6, [0, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("hold(2) * plateau() >> linear()", 4, [1, 1, 1, 0.5, 0]),
    ("warmup(2) >> plateau()", 4, [0, 0.5, 1, 1, 1]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)
