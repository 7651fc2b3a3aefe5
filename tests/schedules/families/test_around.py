"""Phases around a schedule, against the formulas of the libraries that have them."""

import math

import pytest

from hf_lrsched.schedules import ScheduleError, linear, parse, planned, rising, step


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


def test_what_would_rise_says_how_to_let_it():
    with pytest.raises(ScheduleError, match=r"or write rising\(linear\(to=2\)\)"):
        linear(to=2).resolve(4)
    with pytest.raises(ScheduleError, match="at most 1"):
        step(every=1, factor=1.1).resolve(4)
    assert str(rising(step(every=1, factor=1.1))) == "rising(step(every=1, factor=1.1))"
