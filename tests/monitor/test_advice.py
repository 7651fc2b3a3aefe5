"""What is advised is a schedule that can be read, and the change that was meant."""

import pytest

from hf_lrsched import parse
from hf_lrsched.monitor import advice


@pytest.mark.parametrize(
    "schedule, longer",
    [
        ("warmup(4%) >> linear()", "warmup(10%) >> linear()"),
        ("warmup(12%) >> cosine(to=1%)", "warmup(24%) >> cosine(to=0.01)"),
        ("warmup(500, start=0.1) >> linear()", "warmup(20%, start=0.1) >> linear()"),
        ("linear()", "warmup(10%) >> linear()"),
        ("(warmup(2%) >> linear()) * plateau()", "(warmup(10%) >> linear()) * plateau()"),
        ("linear() * triangular(up=5)", None),  # which of the two would it be?
        ("no_such_name()", None),
    ],
)
def test_longer_warmup(schedule, longer):
    change = advice.longer_warmup(schedule)
    assert (None if change is None else change.after) == longer == (longer and str(parse(longer)))


def test_shorter_warmup():
    assert advice.shorter_warmup("warmup(70%) >> linear()").after == "warmup(10%) >> linear()"
    assert advice.shorter_warmup("warmup(600) >> hold()").after == "warmup(10%) >> hold()"
    assert advice.shorter_warmup("cosine()") is None


@pytest.mark.parametrize(
    "schedule, longer",
    [
        ("warmup(5%) >> linear(over=20%) >> hold()", "warmup(5%) >> linear()"),
        ("warmup(5%) >> cosine(to=1%, over=20%)", "warmup(5%) >> cosine(to=0.01)"),
        ("warmup(5%) >> hold(over=10%) >> linear(over=10%) >> freeze()", "warmup(5%) >> hold(10%) >> linear()"),
        ("exponential(rate=9)", "linear()"),
        ("(warmup(5%) >> linear(over=20%) >> hold()) * plateau()", "(warmup(5%) >> linear()) * plateau()"),
    ],
)
def test_longer_decay(schedule, longer):
    change = advice.longer_decay(schedule)
    assert (None if change is None else change.after) == longer


def test_decay_instead():
    assert advice.decay_instead("warmup(10%) >> hold()").after == "warmup(10%) >> linear()"
    assert advice.decay_instead("linear()") is None


def test_other_lr():
    assert advice.other_lr(2e-3, None, lower=True).after == "0.0002"
    assert advice.other_lr(2e-3, 20 * advice.STEP_RATIO, lower=True).after == "0.0001"
    assert advice.other_lr(3e-3, 500 * advice.STEP_RATIO, lower=True).after == "0.0001"  # 30 at most
    assert advice.other_lr(1e-6, advice.STEP_RATIO / 20, lower=False).after == "2e-05"
    assert advice.other_lr(1e-6, 5 * advice.STEP_RATIO, lower=False).after == "1e-05"  # the losses tell the direction
    assert advice.other_lr(9e-4, 1.0, lower=True, factor=3).after == "0.0003"


def test_shorter_run():
    assert advice.shorter_run(20, 3.4).after == "5"
    assert advice.shorter_run(3, 2.9) is None
    assert advice.shorter_run(20, 0.2).after == "1"
    assert str(advice.shorter_run(2_000_000, 400_000, "max_steps")) == "max_steps: 2000000  →  500000"
