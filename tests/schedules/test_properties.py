"""What holds for every schedule, over random ones."""

import copy
import dataclasses
import json
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hf_lrsched import ScheduleError, cosine, hold, linear, multistep, parse, repeat, warmup
from hf_lrsched.schedules import Horizon, Phase, from_data, to_data

from .strategies import _climbs, _falls, factors, fitting, sentences, smooth

quick = settings(max_examples=60, deadline=None, derandomize=True)
totals = st.integers(60, 400)


def resolved(schedule, total):
    """The curve of a sentence of `fitting`; a few of them climb from where a jump has left them too high."""
    try:
        return schedule.resolve(Horizon(total, 30, 8, 512), peak=1e-5)
    except ScheduleError as error:
        assume("would fall" not in str(error) and "would rise" not in str(error))
        raise


def bits(array):
    return np.asarray(array, dtype=np.float64).tobytes()


@quick
@given(fitting, totals, st.randoms(use_true_random=False))
def test_an_array_is_the_loop_over_it_bit_for_bit(schedule, total, random):
    curve = resolved(schedule, total)
    t = np.arange(total + 20)
    loop = np.array([curve(int(i)) for i in t])
    assert bits(curve(t)) == bits(loop)
    assert bits(curve(t.astype(float))) == bits(loop)
    assert bits(curve(t.astype(np.uint16))) == bits(loop)
    assert bits([curve(float(i)) for i in t]) == bits(loop)
    assert bits(curve(t.tolist())) == bits(loop)
    assert bits(curve(range(total))) == bits(loop[:total])
    order = np.array(random.sample(range(len(t)), len(t)))
    assert bits(curve(t[order])) == bits(loop[order])
    assert bits(curve(t[::-1])) == bits(loop[::-1])
    for stride in (2, 3, 7):
        assert bits(curve(t[1::stride])) == bits(loop[1::stride])
    even = t[: len(t) // 6 * 6]
    for shape in ((-1, 2), (3, -1), (2, 3, -1)):
        assert bits(curve(even.reshape(shape))) == bits(loop[: len(even)].reshape(shape))
    assert bits(curve(even.reshape(2, -1).T)) == bits(loop[: len(even)].reshape(2, -1).T)
    assert curve(even.reshape(2, -1)).shape == (2, len(even) // 2)


@quick
@given(fitting, totals, st.lists(st.floats(0, 1.2), min_size=1, max_size=30))
def test_also_between_updates(schedule, total, shares):
    curve = resolved(schedule, total)
    t = np.array(shares) * total
    assert bits(curve(t)) == bits([curve(i) for i in t])


def test_also_in_arrays_of_several_blocks():
    curve = parse(
        "warmup(7%) >> hold(10%) >> cosine(over=30%, to=0.3) >> repeat(rex(), cycles=5) >> linear(over=5%)"
    ).resolve(100_000)
    whole = curve(np.arange(100_010))
    assert bits(np.concatenate([curve(np.arange(i, min(i + 977, 100_010))) for i in range(0, 100_010, 977)])) == bits(
        whole
    )
    some = np.random.default_rng(0).integers(0, 100_010, 3000)
    assert bits([curve(int(t)) for t in some]) == bits(whole[some])


@quick
@given(fitting, totals)
def test_factors_are_between_0_and_the_peak(schedule, total):
    factors = resolved(schedule, total)(np.arange(0, 2 * total, 0.5))
    assert np.isfinite(factors).all()
    assert factors.min() >= 0
    assert factors.max() <= 1 + 1e-12


@pytest.mark.parametrize(
    "shape", ["polynomial(power=1.5)", "linear()", "one_minus_sqrt()", "rex(d=0.9)", "polynomial(power=0.5)"]
)
def test_cycles_of_broken_length_end_at_0(shape):
    # Their ends are rounded; the last one must not come out beyond its shape: below 0, or NaN.
    for total in range(20, 200):
        factors = parse(f"repeat({shape}, cycles=3, growth=0.7)").resolve(total)([total - 1, total, total + 1])
        assert np.isfinite(factors).all()
        assert factors[1] == factors[2] == 0
        assert factors[0] > 0


@quick
@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=4), totals)
def test_factors_are_at_most_the_highest_end(ends, total):
    schedule = hold(1, to=0)
    highest = level = 0.0
    for to, climbs in ends:
        if climbs != (to >= level):
            to = level
        highest, level = max(highest, to), to
        schedule = schedule >> (warmup(10, to=to) if climbs else linear(over=10, to=to))
    factors = (schedule >> hold()).resolve(total)(range(total))
    assert factors.min() >= 0
    assert factors.max() <= highest * (1 + 1e-12)


@quick
@given(fitting, totals)
def test_past_the_end_nothing_moves(schedule, total):
    curve = resolved(schedule, total)
    end = curve(total)
    assert (curve([total + 0.25, total + 1, 2 * total, 10 * total + 3, 10**15]) == end).all()


@quick
@given(_falls(None), totals)
def test_decays_never_rise(schedule, total):
    factors = resolved(schedule, total)(np.arange(0, total + 5, 0.25))
    assert factors[0] == 1
    assert np.diff(factors).max() <= 1e-15


@quick
@given(
    st.sampled_from(
        [parse(f"{name}(to=0.2)") for name in ("tanh", "linear", "cosine")]
        + [parse("step(every=3%)"), parse("multistep(at=[20%, 50%])"), parse("power(timescale=10%)")]
    ),
    totals,
)
def test_nor_do_those_that_drop(schedule, total):
    assert np.diff(resolved(schedule, total)(range(total + 5))).max() <= 1e-15


@quick
@given(
    _climbs,
    st.floats(0.001, 0.9),
    st.sampled_from(["linear", "cosine", "one_minus_sqrt", "exponential", "constant"]),
    totals,
)
def test_warmups_never_fall(climb, start, shape, total):
    over = dict(climb.arguments)["over"]
    curve = resolved(warmup(over, start=start, shape=shape) >> hold(), total)
    factors = curve(np.arange(0, total + 5, 0.25))
    assert np.diff(factors).min() >= -1e-15
    assert (factors[0], factors[-1]) == pytest.approx((start, 1), rel=1e-15)


@quick
@given(smooth, totals)
def test_each_phase_begins_where_the_one_before_it_ended(schedule, total):
    curve = resolved(schedule, total)
    for part in curve.parts[:-1]:
        # Just before the boundary and at it. No shape here is steeper at its end than a square root: 1e-9 ** 0.5 = 3e-5.
        assert abs(curve(part.end - 1e-9) - curve(part.end)) < 1e-4


@quick
@given(sentences)
def test_text_and_back(schedule):
    text = str(schedule)
    again = parse(text)
    assert again == schedule
    assert str(again) == text
    assert repr(again) == text


@quick
@given(sentences)
def test_data_and_back(schedule):
    data = json.loads(json.dumps(to_data(schedule), allow_nan=False))
    assert from_data(data) == schedule
    assert to_data(from_data(data)) == data


@quick
@given(sentences)
def test_copies_are_equal_and_hash_alike(schedule):
    for other in (
        pickle.loads(pickle.dumps(schedule)),
        copy.copy(schedule),
        copy.deepcopy(schedule),
        parse(str(schedule)),
    ):
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert {schedule: 1}[other] == 1
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(schedule, protocol)) == schedule


@quick
@given(sentences, sentences)
def test_different_texts_are_different_schedules(a, b):
    assert (a == b) == (str(a) == str(b))


@quick
@given(sentences, sentences, sentences)
def test_joins_and_products_are_associative(a, b, c):
    assert (a >> b) >> c == a >> (b >> c)
    assert (a * b) * c == a * (b * c)
    assert hash((a >> b) >> c) == hash(a >> (b >> c))


@quick
@given(sentences)
def test_immutable(schedule):
    name = dataclasses.fields(schedule)[0].name
    before = str(schedule)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, name, "cosine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(schedule, name)
    _ = schedule >> linear(), schedule * linear(), linear() >> schedule
    assert str(schedule) == before


def test_arguments_are_not_shared_with_the_caller():
    at = [2, 4]
    schedule = parse("multistep(at=[2, 4])")
    from_list = multistep(at=at)
    at.append(6)
    assert from_list == schedule
    assert hash(from_list) == hash(schedule)


@quick
@given(fitting, totals)
def test_resolving_twice_gives_the_same(schedule, total):
    first, second = resolved(schedule, total), resolved(parse(str(schedule)), total)
    t = np.arange(total + 3)
    assert bits(first(t)) == bits(second(t))
    assert first.parts == second.parts
    assert first.notes == second.notes
    assert first.explain() == second.explain()


@quick
@given(fitting, totals)
def test_parts_cover_the_run_in_order(schedule, total):
    parts = resolved(schedule, total).parts
    assert parts[0].start == 0
    assert parts[-1].end == total
    assert all(a.end == b.start for a, b in pairwise(parts))


@quick
@given(sentences, st.integers(1, 400))
def test_what_does_not_fit_is_a_schedule_error_and_what_fits_has_factors(schedule, total):
    try:
        curve = schedule.resolve(Horizon(total, 30, 8, 512), peak=1e-5)
    except ScheduleError as error:
        assert str(error)
        return
    factors = curve(range(total + 5))
    assert np.isfinite(factors).all()
    assert (factors >= 0).all()
    assert (factors[total:] == factors[total]).all()
    assert curve.explain().startswith(str(schedule))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (linear(to=0), linear()),
        (linear(to=0.0), linear()),
        (linear(to=-0.0), linear()),
        (linear(to="1%"), linear(to=0.01)),
        (linear(to=1), linear(to=1.0)),
        (warmup("10%"), warmup(0.1)),
        (warmup("0.1"), warmup(0.1)),
        (warmup("10.0%"), warmup("10%")),
        (warmup("1e1%"), warmup("10%")),
        (warmup(500), warmup("500")),
        (warmup(over=500), warmup(500)),
        (warmup(500, to=1), warmup(500)),
        (warmup(" 2 ep "), warmup("2.0ep")),
        (warmup(np.int64(500)), warmup(500)),
        (warmup(np.float64(0.1)), warmup(0.1)),
        (cosine(cycles=0.5), cosine()),
        (repeat(linear(), cycles=2, growth=1), repeat(linear(), cycles=2)),
        (hold(None), hold()),
    ],
)
def test_equal_by_meaning(one, other):
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == str(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (linear(), cosine()),
        (linear(), linear(to=0.1)),
        (warmup("10%"), warmup(10)),
        (warmup("100%"), warmup(1)),
        (warmup(2, start=0), warmup(2)),  # the second starts where the phase before it ended
        (hold(), hold(to=1)),
        (linear() >> hold(1), hold(1) >> linear()),
        (linear() * hold(), hold() * linear()),  # the level goes on through the first
        (linear(), "linear()"),
        ((hold(1) >> linear()) * hold(), hold(1) >> linear() * hold()),
    ],
)
def test_different_by_meaning(one, other):
    assert one != other


@quick
@given(factors)
def test_a_factor_keeps_its_last_bit_in_text(to):
    schedule = linear(to=to)
    ((_, kept),) = parse(str(schedule)).arguments or (("to", 0.0),)
    assert math.copysign(1, kept) == 1
    assert kept == to


def test_a_phase_is_plain_data():
    phase = parse("warmup(10%, start=0.1)")
    assert isinstance(phase, Phase)
    assert phase.name == "warmup"
    assert [name for name, _ in phase.arguments] == ["over", "start"]
