"""momentum(): the momentum beside a curve."""

import pytest

from hf_lrsched.schedules import ScheduleError, cosine, momentum, one_cycle, parse, repeat
from hf_lrsched.schedules.families.momentum import get_momentum

from ..tables import check_factors, for_each_row


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(warmup(2) >> linear()) * momentum(0.9, 0.8)", [0.9, 0.85, 0.8, 0.825, 0.85, 0.875]),
        ("(warmup(2, start=0.5) >> hold(2) >> linear()) * momentum(0.9, 0.8)", [0.9, 0.85, 0.8, 0.8, 0.8, 0.85]),
        ("linear() * momentum(0.9, 0.6)", [0.6, 0.65, 0.7, 0.75, 0.8, 0.85]),
        ("hold() * momentum()", [0.85] * 6),
        ("triangular(up=2, to=0.2) * momentum(0.9, 0.8)", [0.9, 0.85, 0.8, 0.85, 0.9, 0.85]),
        ("hold(2) >> linear() * momentum(0.9, 0.8)", [0.8, 0.8, 0.8, 0.825, 0.85, 0.875]),
    ],
)
def test_momentum_is_low_at_the_peak_and_high_at_the_lowest_lr(text, expected):
    curve = parse(text).resolve(6)
    assert get_momentum(curve)(range(6)) == pytest.approx(expected)


def test_lr_does_not_change():
    plain, cycled = one_cycle().resolve(50), (one_cycle() * momentum()).resolve(50)
    assert cycled(range(50)).tolist() == plain(range(50)).tolist()
    assert get_momentum(plain) is None


def test_long_runs_are_sampled():
    curve = (one_cycle() * momentum()).resolve(50_000_000)
    assert get_momentum(curve)([0, 15_000_000 - 1, 50_000_000 - 1]) == pytest.approx([0.95, 0.85, 0.95], abs=1e-9)


def test_text_is_read_back():
    assert str(one_cycle() * momentum(0.9, low=0.8)) == "one_cycle() * momentum(0.9, 0.8)"
    assert parse("one_cycle() * momentum(0.9, 0.8)") == one_cycle() * momentum(0.9, 0.8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: momentum(0.8, 0.9), r"must fall from high, below 1, to low, got high=0.8 and low=0.9"),
        (lambda: momentum(1, 0.9), "got high=1 and low=0.9"),
        (lambda: momentum(max_momentum=0.9), "Did you mean high="),
        (lambda: momentum(base_momentum=0.9), "Did you mean low="),
        (lambda: repeat(cosine() * momentum(), cycles=2), "does more than scale the LR. Write it outside"),
        (lambda: get_momentum((momentum() * cosine() * momentum()).resolve(100)), "at most one momentum"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ScheduleError, match=message):
        make()


TABLE = [
    # -- momentum: the LR is as without it
    ("one_cycle(peak_at=0.5, start=0.2, to=0, shape=linear) * momentum()", 6, [0.2, 0.6, 1, 2 / 3, 1 / 3, 0, 0]),
    ("hold(2) * momentum() >> linear()", 4, [1, 1, 1, 0.5, 0]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)
