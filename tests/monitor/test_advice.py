"""Advised schedules can be parsed, fit into the run, and make the intended change."""

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from hf_lrsched import Horizon, ScheduleError, parse
from hf_lrsched.monitor import advice

RUN = Horizon(1000, updates_per_epoch=100)


def advise(function, schedule, run=RUN):
    change = function(schedule, run, 1e-3)
    return None if change is None else change.after


@pytest.mark.parametrize(
    "schedule, longer",
    [
        ("warmup(4%) >> linear()", "warmup(10%) >> linear()"),
        ("warmup(12%) >> cosine(to=1%)", "warmup(24%) >> cosine(to=0.01)"),
        ("linear()", "warmup(10%) >> linear()"),
        ("(warmup(2%) >> linear()) * plateau()", "(warmup(10%) >> linear()) * plateau()"),
        ("linear() * triangular(up=5)", None),  # which of the two would it be?
        ("no_such_name()", None),
        # twice, in the unit that it has; 10 to 30 %
        ("warmup(80, start=0.1) >> linear()", "warmup(160, start=0.1) >> linear()"),
        ("warmup(1ep) >> linear()", "warmup(2ep) >> linear()"),
        ("warmup(20) >> linear()", "warmup(10%) >> linear()"),
        ("warmup(2ep) >> linear()", "warmup(30%) >> linear()"),
        ("warmup(300) >> linear()", None),
        # lengths that fill the run
        ("hold(50%) >> linear(over=50%)", "warmup(10%) >> hold(50%) >> linear()"),
        ("warmup(5%) >> hold(95%)", "warmup(10%) >> hold()"),
        ("warmup(5%) >> hold(75%) >> cooldown(20%)", "warmup(10%) >> hold() >> cooldown(20%)"),
        ("warmup(5%) >> linear(over=75%) >> freeze(20%)", "warmup(10%) >> linear() >> freeze(20%)"),
        ("warmup(5%) >> linear(over=95%) * plateau()", "warmup(10%) >> linear() * plateau()"),
        ("warmup(5%) >> hold(92%) >> linear()", None),
        ("warmup(5%) >> multistep(at=[7%, 50%])", None),
        # behind what is frozen, and not before a climb
        ("freeze(10%) >> warmup(4%) >> linear()", "freeze(10%) >> warmup(10%, start=0) >> linear()"),
        ("freeze(1ep) >> warmup(8%, start=0.1) >> linear()", "freeze(1ep) >> warmup(16%, start=0.1) >> linear()"),
        ("hold(1ep, to=0) >> warmup(4%) >> linear()", "hold(1ep, to=0) >> warmup(10%, start=0) >> linear()"),
        ("freeze(30%) >> linear(over=70%)", "freeze(30%) >> warmup(10%, start=0) >> linear()"),
        ("freeze(10%) >> warmup(40%) >> linear()", None),
        ("one_cycle()", None),
        ("triangular(up=500)", None),
        ("repeat(warmup(4%) >> linear(), cycles=3)", None),
        ("repeat(linear(), cycles=3)", "warmup(10%) >> repeat(linear(), cycles=3)"),
        ("piecewise(points=[[0, 0.1], [10%, 1], [100%, 0]])", None),
        ("hold(50%, to=0.5) >> warmup(5%) >> linear()", None),
        ("warmup(5%, to=0.5) >> hold(50%) >> warmup(5%) >> linear()", None),
    ],
)
def test_longer_warmup(schedule, longer):
    assert advise(advice.longer_warmup, schedule) == longer == (longer and str(parse(longer)))


def test_a_warmup_of_one_epoch_in_five_and_in_three():
    assert advise(advice.longer_warmup, "warmup(1ep) >> linear()", Horizon(500, 100)) == "warmup(30%) >> linear()"
    assert advise(advice.longer_warmup, "warmup(1ep) >> linear()", Horizon(300, 100)) is None


def test_a_run_by_time():
    minutes = Horizon(1800, unit="seconds")
    assert advise(advice.longer_warmup, "warmup(2min) >> linear()", minutes) == "warmup(4min) >> linear()"


@pytest.mark.parametrize(
    "schedule, shorter",
    [
        ("warmup(70%) >> linear()", "warmup(10%) >> linear()"),
        ("warmup(600) >> hold()", "warmup(10%) >> hold()"),
        ("warmup(70%) >> linear(over=30%)", "warmup(10%) >> linear()"),
        ("warmup(70%) >> linear(to=1%, over=30%)", "warmup(10%) >> linear(to=0.01)"),
        ("warmup(70%) >> hold(10%) >> linear(over=20%)", "warmup(10%) >> hold(10%) >> linear()"),
        ("warmup(70%) >> linear(over=30%) * plateau()", "warmup(10%) >> linear() * plateau()"),
        (
            "freeze(10%) >> warmup(60%, start=0) >> linear(over=30%)",
            "freeze(10%) >> warmup(10%, start=0) >> linear()",
        ),
        ("freeze(10%) >> warmup(60%) >> linear()", None),  # it goes on from its peak at once
        ("warmup(70%) >> linear(over=10%) >> hold()", None),  # the LR would be 0 for most of the run
        ("warmup(70%) >> linear(to=1%, over=10%) >> hold()", None),
        ("warmup(10%) >> linear()", None),
        ("warmup(5%) >> linear()", None),
        ("cosine()", None),
    ],
)
def test_shorter_warmup(schedule, shorter):
    assert advise(advice.shorter_warmup, schedule) == shorter


@pytest.mark.parametrize(
    "schedule, is_long",
    [
        ("warmup(70%) >> linear()", True),
        ("freeze(10%) >> warmup(2ep) >> linear()", True),
        ("warmup(1ep) >> linear()", False),
        ("triangular(up=50%)", False),
        ("no_such_name()", False),
    ],
)
def test_has_long_warmup(schedule, is_long):
    assert advice.has_long_warmup(schedule, RUN) is is_long


@pytest.mark.parametrize(
    "schedule, longer",
    [
        ("warmup(5%) >> linear(over=20%) >> hold()", "warmup(5%) >> linear()"),
        ("warmup(5%) >> cosine(to=1%, over=20%)", "warmup(5%) >> cosine(to=0.01)"),
        ("warmup(5%) >> hold(over=10%) >> linear(over=10%) >> freeze()", "warmup(5%) >> hold(10%) >> linear()"),
        ("exponential(rate=9)", "linear()"),
        ("exponential(rate=9, over=50%) >> hold()", "linear()"),
        ("(warmup(5%) >> linear(over=20%) >> hold()) * plateau()", "(warmup(5%) >> linear()) * plateau()"),
        ("warmup(5%) >> linear(over=20%) * plateau()", "warmup(5%) >> linear() * plateau()"),
        ("freeze(10%) >> step(every=1%)", "freeze(10%) >> linear()"),
        ("freeze(10%) >> warmup(5%) >> step(every=1%)", "freeze(10%) >> warmup(5%) >> linear()"),
        (
            "warmup(5%) >> linear(over=20%) >> warmup(5%) >> step(every=1%)",
            "warmup(5%) >> linear(over=20%) >> warmup(5%) >> linear()",
        ),
        ("warmup(5%) >> cooldown(20%)", None),  # what begins it early would be lost
        ("warmup(5%) >> cooldown(20%) >> hold()", None),
        ("hold(20%) >> freeze()", "linear()"),
        ("linear()", None),
        ("cosine()", None),
    ],
)
def test_longer_decay(schedule, longer):
    assert advise(advice.longer_decay, schedule) == longer


@pytest.mark.parametrize(
    "schedule, decayed",
    [
        ("warmup(10%) >> hold()", "warmup(10%) >> linear()"),
        ("hold()", "linear()"),
        ("warmup(10%) >> linear(to=80%)", "warmup(10%) >> linear()"),
        ("freeze(10%) >> warmup(10%) >> hold()", "freeze(10%) >> warmup(10%) >> linear()"),
        ("hold(50%) >> warmup(10%) >> hold()", "hold(50%) >> warmup(10%) >> linear()"),
        ("warmup(10%) >> hold() * plateau()", "warmup(10%) >> linear() * plateau()"),
        ("warmup(10%) >> hold() >> cooldown(20%, to=60%)", None),
        ("triangular(up=50%, to=60%)", None),  # its climb would be lost
        ("linear()", None),
        ("wsd()", None),
    ],
)
def test_decay_instead(schedule, decayed):
    assert advise(advice.decay_instead, schedule) == decayed


HEADS = ["", "freeze(10%) >> ", "freeze(1ep) >> ", "hold(5%, to=0) >> "]
CLIMBS = [
    "",
    "warmup(4%) >> ",
    "warmup(70%) >> ",
    "warmup(9) >> ",
    "warmup(1ep) >> ",
    "warmup(8%, start=0.1, shape=cosine) >> ",
]
MIDDLES = ["", "", "hold(10%) >> ", "hold() >> ", "linear(over=20%) >> warmup(5%) >> ", "freeze(5%) >> "]
DECAYS = [
    *(
        "hold({})",
        "linear({})",
        "linear(to=80%, {})",
        "cosine(to=1%, {})",
        "polynomial(power=3, {})",
        "one_minus_sqrt({})",
    ),
    *(
        "exponential(rate=2, {})",
        "exponential(to=1%, {})",
        "step(every=4%, {})",
        "multistep(at=[10%, 50%], {})",
        "rex({})",
    ),
    *("inverse_sqrt({})", "power(timescale=20%, {})", "tanh({})", "piecewise(points=[[0, 1], [50%, 0.2]], {})"),
    *(
        "triangular(up=10%, {})",
        "one_cycle({})",
        "repeat(linear(), cycles=3, {})",
        "repeat(linear(over=10%), cycles=2)",
    ),
    *("floor(linear({}), to=5%)", "linear({}) * cosine()", "linear({}) * plateau()", "hold({}) * plateau()"),
]
LENGTHS = ["", "over=20%", "over=26%", "over=30%", "over=96%", "over=2ep"]
TAILS = ["", "", " >> hold()", " >> freeze()", " >> freeze(20%)", " >> cooldown(20%)", " >> linear()"]
WHOLES = ["{}", "{}", "({}) * plateau()"]
RUNS = [Horizon(41, 10), Horizon(200, 40), Horizon(1000, 100), Horizon(5 * 10**6, 10**6)]


def levels(schedule, run):
    """The factors of a run at up to 10,000 updates and where its phases meet, its end included."""
    curve = parse(schedule).resolve(run, peak=1e-3)
    bounds = [bound for part in curve.parts for bound in (part.start, part.end)]
    return curve(np.unique([*np.linspace(0, run.num_updates, 10_001).astype(int), *bounds]))


def climb(levels):
    """The share of the run that it takes to come near the peak."""
    return int(np.argmax(levels >= 0.95 * levels.max())) / len(levels)


def idle(levels):
    """The share of the run, at its end, that has LR 0."""
    return int(np.argmax(levels[::-1] > 0)) / len(levels)


@given(*map(st.sampled_from, [HEADS, CLIMBS, MIDDLES, DECAYS, LENGTHS, TAILS, WHOLES, RUNS]))
@settings(max_examples=300, deadline=None)
def test_advised_schedules_run_and_keep_the_phases(head, begin, middle, decay, length, tail, whole, run):
    text = whole.format(head + begin + middle + decay.format(length).replace(", )", ")") + tail)
    try:
        before = levels(text, run)
    except ScheduleError:
        assume(False)
    for function in (advice.longer_warmup, advice.shorter_warmup, advice.longer_decay, advice.decay_instead):
        change = function(text, run, 1e-3)
        if change is None:
            continue
        event(function.__name__)
        after = levels(change.after, run)
        assert change.before == text and str(parse(change.after)) == change.after
        assert change.after.removeprefix("(").startswith(head)
        assert [change.after.count(name) for name in ("plateau", "cooldown")] == [
            text.count(name) for name in ("plateau", "cooldown")
        ]
        assert after.max() == pytest.approx(before.max(), rel=0.05)
        assert idle(after) <= idle(before) + 0.11
        if function is advice.longer_warmup:
            assert climb(after) > climb(before) and climb(after) < 0.56
            assert (np.diff(after[: int(climb(after) * len(after)) + 1]) >= 0).all()
        elif function is advice.shorter_warmup:
            assert climb(after) < climb(before) and climb(before) > 0.1
        else:
            assert climb(after) > climb(before) - 0.02
            assert after[-1] < after.max() / 2
        if function is advice.longer_decay:
            assert before[int(0.6 * len(before)) + 1] <= 0.03 * before.max()
            assert after[int(0.6 * len(after))] > 0.03 * after.max()
        if function is advice.decay_instead:
            last = parse(change.after).resolve(run, peak=1e-3).parts[-1]
            assert last.text.startswith("linear()") and last.end == run.num_updates
            assert before[-1] >= before.max() / 2 and after[-1] == 0


@pytest.mark.parametrize(
    ("lr", "ratio", "lower", "is_new", "after"),
    [
        (2e-3, 20 * advice.STEP_RATIO, True, False, "0.0001"),
        (3e-3, 500 * advice.STEP_RATIO, True, False, "0.0001"),  # 30 at most
        (1e-6, advice.STEP_RATIO / 20, False, False, "2e-05"),
        (1e-6, 5 * advice.STEP_RATIO, False, False, "1e-05"),  # the losses decide the direction
        (0.1, 5.0, True, True, "0.002"),  # 50
        (0.1, 500.0, True, True, "0.001"),  # 100 at most
        (1e-4, 0.005, False, True, "0.002"),  # 20
        (1e-4, 1e-4, False, True, "0.003"),  # 30 at most
        (1e-4, 0.03, False, True, "0.001"),  # 10 at least
        (1e-4, 0.05, False, True, None),  # the usual size of a step
        (1e-4, 0.2, True, True, None),
        (1e-4, 2 * advice.STEP_RATIO, True, False, None),
    ],
)
def test_change_lr(lr, ratio, lower, is_new, after):
    change = advice.change_lr(lr, ratio, lower=lower, is_new=is_new)
    assert change is None if after is None else change.after == after
