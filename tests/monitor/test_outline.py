"""Outline: the phases of a schedule, and shares of the run by hand."""

import pytest

from hf_lrsched import Horizon, ScheduleError, parse
from hf_lrsched.monitor.outline import Outline, is_frozen, is_warmup

SCHEDULES = [
    "linear()",
    "warmup(10%) >> cosine()",
    "freeze(10) >> warmup(20) >> hold() >> cooldown(20)",
    "(warmup(10%) >> linear()) * plateau(factor=0.5)",
]


def outline(text, updates=200):
    return Outline.parse(text, Horizon(updates))


@pytest.mark.parametrize("text", SCHEDULES)
def test_the_phases_make_the_schedule_again(text):
    assert str(outline(text).schedule) == text


def test_a_product_of_curves_has_no_phases():
    with pytest.raises(ScheduleError, match="product of several curves"):
        outline("linear() * cosine()")


def test_phases_that_do_not_fit_are_refused():
    read = outline("warmup(10) >> linear()")
    with pytest.raises(ScheduleError):
        read.with_parts([parse("warmup(300)"), *read.parts[1:]])
    assert str(read.with_parts([*read.parts[:1], parse("cosine()")]).schedule) == "warmup(10) >> cosine()"


@pytest.mark.parametrize(
    ("text", "climb", "spent", "idle"),
    [
        ("warmup(100) >> hold()", 0.475, 0, 0),  # 95% of the peak after 95 of 200 updates
        ("hold()", 0, 0, 0),
        ("linear(over=50%) >> hold()", 0, 0.515, 0.5),  # below 3% for the last 3 of 100 updates before
        ("linear()", 0, 0.03, 0),
        ("freeze(50) >> hold()", 0.25, 0, 0),
    ],
)
def test_shares_by_hand(text, climb, spent, idle):
    read = outline(text)
    assert (read.climb, read.spent, read.idle) == pytest.approx((climb, spent, idle), abs=0.011)


@pytest.mark.parametrize(
    ("text", "highest", "last"),
    [
        ("linear()", 1.0, 0.0),
        ("linear(to=0.25)", 1.0, 0.25),
        ("hold(to=0.5)", 0.5, 0.5),
        ("warmup(1) >> linear()", 1.0, 0.0),
    ],
)
def test_the_highest_and_the_last_factor(text, highest, last):
    read = outline(text, updates=10_000)  # where a warmup of one update lies between two of the points
    assert (read.highest, read.last) == pytest.approx((highest, last))


@pytest.mark.parametrize(
    ("text", "frozen", "warmup", "end", "peaks"),
    [
        ("linear()", 0, None, 0, True),
        ("warmup(10%) >> linear()", 0, "warmup(10%)", 20, True),
        ("freeze(10) >> hold(5, to=0) >> warmup(20) >> hold()", 2, "warmup(20)", 35, True),
        ("warmup(20, to=0.1) >> warmup(20) >> linear()", 0, "warmup(20, to=0.1)", 20, False),
        ("freeze(10) >> linear()", 1, None, 10, True),
    ],
)
def test_frozen_phases_and_the_warmup_after_them(text, frozen, warmup, end, peaks):
    read = outline(text)
    found = None if read.warmup is None else str(read.warmup)
    assert (read.num_frozen, found, read.warmup_end, read.peaks_after_warmup) == (frozen, warmup, end, peaks)


def test_which_phases_are_frozen_and_which_are_warmups():
    texts = ("freeze(5)", "hold(5, to=0)", "hold(5)", "warmup(5)", "linear() * plateau()")
    phases = [parse(text) for text in texts]
    assert [is_frozen(phase) for phase in phases] == [True, True, False, False, False]
    assert [is_warmup(phase) for phase in phases] == [False, False, False, True, False]
