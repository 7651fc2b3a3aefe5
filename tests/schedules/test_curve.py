"""Curves: what they return, and how they explain themselves."""

import pytest

from hf_lrsched.schedules import (
    Horizon,
    ScheduleError,
    as_length,
    linear,
    parse,
    warmup,
)


def test_an_update_before_the_first_is_refused():
    curve = parse("linear()").resolve(4)
    for t in (-1, [0, -1], float("nan"), [1.0, float("nan")]):
        with pytest.raises(ScheduleError, match="counted from 0"):
            curve(t)


def test_empty_and_scalar_arguments():
    curve = parse("warmup(2) >> linear()").resolve(4)
    assert curve([]).shape == (0,)
    assert isinstance(curve(3), float)
    assert curve([[1], [3]]).tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize("text", ["triangular(up=2, to=0)", "cosine(cycles=1)", "piecewise(points=[[0, 0], [10, 1]])"])
@pytest.mark.parametrize("updates", [5, 6, 7, 8])
def test_past_the_end_nothing_rises(text, updates):
    curve = parse(text).resolve(updates)
    last = curve(updates - 1)
    assert all(curve(t) <= last for t in (updates, updates + 1, 10 * updates))


RUN = Horizon(345, updates_per_epoch=115, samples_per_update=32, tokens_per_update=4096)


@pytest.mark.parametrize(
    ("length", "arithmetic"),
    [
        (500, "500 updates"),
        (1, "1 update"),
        ("10%", "10% of 345 updates = 35"),
        (0.1, "10% of 345 updates = 35"),
        ("2.5%", "2.5% of 345 updates = 9"),  # 8.625
        ("100%", "100% of 345 updates = 345"),
        ("1ep", "1ep = 1 x 115 = 115 updates"),
        ("2ep", "2ep = 2 x 115 = 230 updates"),
        ("0.5ep", "0.5ep = 0.5 x 115 = 58 updates"),  # 57.5
        ("1000sa", "1000sa = 1,000 / 32 = 32 updates"),  # 31.25
        ("1e6tok", "1000000tok = 1,000,000 / 4,096 = 245 updates"),  # 244.14
    ],
)
def test_arithmetic(length, arithmetic):
    assert as_length(length).explain(RUN) == arithmetic


@pytest.mark.parametrize(
    ("text", "horizon", "explained"),
    [
        (
            "warmup(10%) >> linear()",
            345,
            """
            warmup(10%) >> linear() over 345 updates
              warmup(10%)  updates   1 to  35  factor 0 to 1  10% of 345 updates = 35
              linear()     updates  36 to 345  factor 1 to 0  what is left: 310 updates
            """,
        ),
        (
            "warmup(0.5ep) >> step(every=1ep, factor=0.5)",
            RUN,
            """
            warmup(0.5ep) >> step(every=1ep, factor=0.5) over 345 updates, 115 per epoch
              warmup(0.5ep)                updates   1 to  58  factor 0 to 1     0.5ep = 0.5 x 115 = 58 updates
              step(every=1ep, factor=0.5)  updates  59 to 345  factor 1 to 0.25  what is left: 287 updates; 1ep = 1 x 115 = 115 updates
            """,
        ),
        (
            "linear()",
            1,
            """
            linear() over 1 updates
              linear()  updates 1 to 1  factor 1 to 0  what is left: 1 update
            """,
        ),
        (
            "hold(2) >> linear(to=0.5, over=2)",
            8,
            """
            hold(2) >> linear(to=0.5, over=2) over 8 updates
              hold(2)                 updates 1 to 2  factor 1 to 1    2 updates
              linear(to=0.5, over=2)  updates 3 to 4  factor 1 to 0.5  2 updates
              warning: the schedule ends at update 4 of 8; the LR then stays at 0.5 of its peak. Leave out the length of one phase to let it take what is left.
            """,
        ),
        (
            "(warmup(2) >> hold()) * linear(over=4)",
            6,
            """
            (warmup(2) >> hold()) * linear(over=4) over 6 updates
              warmup(2) * linear(over=4)  updates 1 to 2  factor 0 to 0.5  2 updates; 4 updates
              hold() * linear(over=4)     updates 3 to 4  factor 0.5 to 0  what is left: 4 updates
              hold()                      updates 5 to 6  factor 0 to 0
            """,
        ),
    ],
)
def test_explained(text, horizon, explained):
    lines = parse(text).resolve(horizon).explain().splitlines()
    assert lines == [line.removeprefix(" " * 12) for line in explained.strip("\n ").splitlines()]
    assert parse(text).explain(horizon).splitlines() == lines


def test_milestones_and_points_have_their_arithmetic_too():
    explained = parse("multistep(at=[25, 1ep, 50%]) ").resolve(RUN).explain()
    assert "25 updates; 1ep = 1 x 115 = 115 updates; 50% of 345 updates = 173" in explained
    explained = parse("piecewise(points=[[0, 1], [1ep, 0.5], [50%, 0.1]])").resolve(RUN).explain()
    assert explained.endswith("what is left: 345 updates; 1ep = 1 x 115 = 115 updates; 50% of 345 updates = 173")


def test_updates_line_up():
    lines = (warmup("1ep") >> linear()).resolve(10_000, 5).explain().splitlines()[1:]
    assert [line.index("updates") for line in lines] == [lines[0].index("updates")] * 2
    assert "updates      1 to      5" in lines[0]
    assert "updates      6 to 10,000" in lines[1]


def test_warnings_come_last():
    explained = parse("step(every=9, factor=0.5)").resolve(4).explain()
    assert explained.splitlines()[-1].startswith("  warning: step(every=9, factor=0.5) never drops: 9 updates")


def test_explain_refuses_what_does_not_fit():
    with pytest.raises(ScheduleError, match="nothing is left for linear"):
        (warmup(10) >> linear()).explain(10)
