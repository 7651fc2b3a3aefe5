"""Phases around a schedule, against the formulas of the libraries that have them."""

import math

import pytest

from hf_lrsched.schedules import ScheduleError, linear, parse, planned, rising, step

from ..tables import check_factors, for_each_row


def timm_cosine(t, peak, total, lr_min, warmup, warmup_lr_init):
    """timm's CosineLRScheduler with its default warmup_prefix=False: the cosine counts the warmup's updates, too."""
    if t < warmup:
        return warmup_lr_init + t * (peak - warmup_lr_init) / warmup
    return lr_min + 0.5 * (peak - lr_min) * (1 + math.cos(math.pi * t / total))


@pytest.mark.parametrize("peak", [1e-3, 2e-4, 5e-6])
def test_cosine_of_timm(peak):
    """A group whose LR is below lr_min rises to it, in timm and within rising()."""
    curve = parse("warmup(5, start_lr=1e-6) >> rising(from_start(cosine(to_lr=1e-5)))").resolve(40, peak=peak)
    expected = [timm_cosine(t, peak, 40, 1e-5, 5, 1e-6) for t in range(40)]
    assert [peak * curve(t) for t in range(40)] == pytest.approx(expected, rel=1e-12)


def test_restarts_of_keras_decay_above_a_fixed_floor():
    """Keras' CosineDecayRestarts: (1 - alpha) * m_mul ** i * (1 + cos(pi p)) / 2 + alpha, cycles of t_mul ** i."""
    alpha, m_mul, first, total = 0.1, 0.6, 4, 28
    expected = []
    for t in range(total):
        i = math.floor(math.log2(t / first + 1))  # t_mul = 2: cycles of 4, 8 and 16 updates
        p = (t - first * (2**i - 1)) / (first * 2**i)
        expected.append((1 - alpha) * m_mul**i * 0.5 * (1 + math.cos(math.pi * p)) + alpha)
    text = f"repeat(cosine(to={alpha}), first={first}, growth=2, decay={m_mul}, floor={alpha})"
    assert parse(text).resolve(total)(range(total)).tolist() == pytest.approx(expected, rel=1e-12)


def test_floor_of_restarts_as_an_lr():
    curve = parse("repeat(cosine(to_lr=1e-5), cycles=2, decay=0.5, floor_lr=1e-5)").resolve(8, peak=1e-4)
    assert [curve(t) for t in (0, 4, 8)] == pytest.approx([1, 0.1 + 0.9 * 0.5, 0.1], rel=1e-12)
    with pytest.raises(ScheduleError, match=r"the floor of repeat.* is above its peak, 1"):
        parse("repeat(cosine(), cycles=2, floor=2)").resolve(8)
    with pytest.raises(ScheduleError, match=r"repeat.. has both floor=0.1 and floor_lr=1e-06"):
        parse("repeat(cosine(), cycles=2, floor=0.1, floor_lr=1e-6)")


def test_rising_polynomial_of_optax():
    """optax's polynomial_schedule(init, end, power): (init - end) * (1 - p) ** power + end, with end above init."""
    curve = parse("rising(polynomial(power=3, to=2))").resolve(10)
    assert [curve(t) for t in range(10)] == pytest.approx(
        [(1 - 2) * (1 - t / 10) ** 3 + 2 for t in range(10)], rel=1e-12
    )


def test_a_schedule_that_the_run_cuts_off():
    schedule = parse("planned(warmup(10%) >> linear(), length=1000)")
    curve, whole = schedule.resolve(600), parse("warmup(10%) >> linear()").resolve(1000)
    assert curve(range(600)).tolist() == whole(range(600)).tolist()
    assert curve.notes == (f"{schedule} is cut off after 600 of its 1,000 updates, at 0.444 of the peak.",)
    assert schedule.resolve(1000).notes == () == schedule.resolve(2000).notes
    with pytest.raises(ScheduleError, match=r"linear\(over=20\) takes 20 updates, more than the 10"):
        planned(linear(over=20), length=10).resolve(10)


def test_the_error_of_a_rising_decay_names_rising():
    with pytest.raises(ScheduleError, match=r"or write rising\(linear\(to=2\)\)"):
        linear(to=2).resolve(4)
    with pytest.raises(ScheduleError, match="at most 1"):
        step(every=1, factor=1.1).resolve(4)
    assert str(rising(step(every=1, factor=1.1))) == "rising(step(every=1, factor=1.1))"


TABLE = [
    # -- floor: of anything, its warmup included
    ("floor(linear(), to=0.4)", 4, [1, 0.75, 0.5, 0.4, 0.4]),
    ("floor(warmup(2) >> linear(), to=0.3)", 6, [0.3, 0.5, 1, 0.75, 0.5, 0.3, 0.3]),
    ("warmup(2) >> floor(linear(), to=0.3)", 6, [0, 0.5, 1, 0.75, 0.5, 0.3, 0.3]),
    ("floor(repeat(linear(), cycles=2), to=0.6)", 4, [1, 0.6, 1, 0.6, 0.6]),
    ("floor(linear() * linear(), to=0.2)", 4, [1, 0.5625, 0.25, 0.2, 0.2]),
    ("floor(linear(over=2), to=0.5) >> linear()", 4, [1, 0.5, 0.5, 0.25, 0]),
    # -- rising: ends above the start, factors above 1
    ("rising(linear(to=2))", 4, [1, 1.25, 1.5, 1.75, 1.75]),
    ("rising(cosine(to=2))", 2, [1, 1.5, 1.5]),
    ("rising(polynomial(power=2, to=2))", 4, [1, 1.4375, 1.75, 1.9375, 1.9375]),
    ("rising(polynomial(power=2, to=2, of=progress))", 4, [1, 1.0625, 1.25, 1.5625, 1.5625]),
    ("rising(exponential(to=4))", 2, [1, 2, 2]),
    ("rising(step(every=2, factor=2))", 5, [1, 1, 2, 2, 4, 4]),
    ("rising(multistep(at=[1, 2], factor=1.5))", 3, [1, 1.5, 2.25, 2.25]),
    ("warmup(2) >> rising(linear(to=2, over=2) >> linear())", 6, [0, 0.5, 1, 1.5, 2, 1, 0]),
    ("rising(linear())", 2, [1, 0.5, 0]),
    # -- from_start: the phases before it cover its beginning
    ("warmup(2) >> from_start(linear())", 8, [0, 0.5, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    ("hold(1, to=0) >> from_start(cosine(to=0.2))", 4, [0, 0.882842712474619, 0.6, 0.317157287525381, 0.2]),
    ("warmup(1) >> from_start(linear(over=2))", 4, [0, 0.5, 0, 0, 0]),
    # -- planned: for a longer run, and for a shorter one
    ("planned(linear(), length=8)", 4, [1, 0.875, 0.75, 0.625, 0.5]),
    ("planned(warmup(25%) >> linear(), length=8)", 5, [0, 0.5, 1, 5 / 6, 4 / 6, 0.5]),
    ("planned(linear(), length=2)", 4, [1, 0.5, 0, 0, 0]),
    ("warmup(2) >> planned(linear(), length=8)", 6, [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5]),
    ("planned(linear(over=4), length=8, over=2) >> hold()", 4, [1, 0.75, 0.5, 0.5, 0.5]),
]


@for_each_row(TABLE)
def test_factors(text, horizon, expected):
    check_factors(text, horizon, expected)
