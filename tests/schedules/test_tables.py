"""Tables of (update, factor), worked out by hand from the formulas: nothing here is computed by the package."""

import pytest

import hf_lrsched.schedules as schedules
from hf_lrsched.schedules import Horizon, Schedule, ScheduleError, custom, parse

SQRT_HALF = 0.7071067811865476
SQRT_3_QUARTERS = 0.8660254037844386
COSINE_1_4 = 0.8535533905932737  # (1 + cos(pi / 4)) / 2
COSINE_3_4 = 0.1464466094067263  # (1 + cos(3 pi / 4)) / 2

# text, updates of the run, factors of updates 0, 1, 2, ...: a list up to the end of the run and at it
FULL = [
    # -- warmup: shapes, starts, ends
    ("warmup(4) >> hold()", 6, [0, 0.25, 0.5, 0.75, 1, 1, 1]),
    ("warmup(1) >> hold()", 3, [0, 1, 1, 1]),
    ("warmup(4, start=0.1) >> hold()", 5, [0.1, 0.325, 0.55, 0.775, 1, 1]),
    ("warmup(4, start=0.1, to=0.5) >> hold()", 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5]),
    ("warmup(2, start=1) >> hold()", 3, [1, 1, 1, 1]),
    ("warmup(2, to=2) >> linear()", 4, [0, 1, 2, 1, 0]),
    ("warmup(4, shape=cosine) >> hold()", 5, [0, COSINE_3_4, 0.5, COSINE_1_4, 1, 1]),
    ("warmup(4, start=0.2, shape=cosine) >> hold()", 5, [0.2, 0.317157287525381, 0.6, 0.882842712474619, 1, 1]),
    ("warmup(4, shape=one_minus_sqrt) >> hold()", 5, [0, 1 - SQRT_3_QUARTERS, 1 - SQRT_HALF, 0.5, 1, 1]),
    ("warmup(2, start=0.01, shape=exponential) >> hold()", 4, [0.01, 0.1, 1, 1, 1]),
    (
        "warmup(4, start=0.0625, to=0.25, shape=exponential) >> hold()",
        5,
        [0.0625, 0.08838834764831845, 0.125, 0.1767766952966369, 0.25, 0.25],
    ),
    ("warmup(3, start=0.3, shape=constant) >> hold()", 5, [0.3, 0.3, 0.3, 1, 1, 1]),
    ("warmup(2, shape=constant) >> linear()", 4, [0, 0, 1, 0.5, 0]),
    # -- all but one update
    ("warmup(3) >> linear()", 4, [0, 1 / 3, 2 / 3, 1, 0]),
    ("warmup(3) >> hold()", 4, [0, 1 / 3, 2 / 3, 1, 1]),
    ("warmup(75%) >> cosine(to=0.5)", 4, [0, 1 / 3, 2 / 3, 1, 0.5]),
    # -- in the middle: continues from the level, or jumps to its start
    ("hold(2, to=0.2) >> warmup(4) >> hold()", 8, [0.2, 0.2, 0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
    (
        "linear(to=0.2, over=4) >> warmup(4) >> linear()",
        12,
        [1, 0.8, 0.6, 0.4, 0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25, 0],
    ),
    ("linear(over=2) >> warmup(2, start=0.5) >> linear()", 6, [1, 0.5, 0.5, 0.75, 1, 0.5, 0]),
    ("linear(to=0.5, over=2) >> warmup(2, to=0.75) >> linear()", 7, [1, 0.75, 0.5, 0.625, 0.75, 0.5, 0.25, 0]),
    # -- hold
    ("hold()", 3, [1, 1, 1, 1]),
    ("hold(to=0.3)", 2, [0.3, 0.3, 0.3]),
    ("hold(2) >> linear()", 4, [1, 1, 1, 0.5, 0]),
    ("hold(2, to=0) >> warmup(2) >> linear()", 6, [0, 0, 0, 0.5, 1, 0.5, 0]),
    ("linear(to=0.4, over=2) >> hold()", 4, [1, 0.7, 0.4, 0.4, 0.4]),
    # -- freeze: nothing, then on from where it was
    ("freeze(2) >> linear()", 4, [0, 0, 1, 0.5, 0]),
    ("freeze()", 3, [0, 0, 0, 0]),
    ("(warmup(2) >> linear()) * freeze(3)", 6, [0, 0, 0, 0.75, 0.5, 0.25, 0]),
    ("warmup(1, to=0.5) >> hold(1) >> freeze(2) >> hold()", 6, [0, 0.5, 0, 0, 0.5, 0.5, 0.5]),
    # -- on paper, plateau() is 1, and takes the length of what stands beside it
    ("(warmup(2) >> linear()) * plateau()", 6, [0, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("hold(2) * plateau() >> linear()", 4, [1, 1, 1, 0.5, 0]),
    ("warmup(2) >> plateau()", 4, [0, 0.5, 1, 1, 1]),
    # -- cooldown, in its time
    ("hold() >> cooldown(4)", 6, [1, 1, 1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("hold() >> cooldown(4, shape=linear, to=0.2)", 6, [1, 1, 1, 0.8, 0.6, 0.4, 0.2]),
    ("hold() >> cooldown(4, shape=cosine)", 6, [1, 1, 1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
    # -- linear
    ("linear()", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("linear(to=0.2)", 4, [1, 0.8, 0.6, 0.4, 0.2]),
    ("warmup(2) >> linear()", 6, [0, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("linear(over=2, to=0.5) >> linear()", 4, [1, 0.75, 0.5, 0.25, 0]),
    # -- cosine
    ("cosine()", 4, [1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
    ("cosine(to=0.2)", 4, [1, 0.882842712474619, 0.6, 0.317157287525381, 0.2]),
    ("cosine(k=2)", 4, [1, 0.990392640201615, COSINE_1_4, 0.40245483899193585, 0]),
    ("cosine(cycles=1)", 4, [1, 0.5, 0, 0.5, 0.5]),
    ("cosine(cycles=0.25)", 2, [1, COSINE_1_4, 0.5]),
    ("warmup(2) >> cosine()", 6, [0, 0.5, 1, COSINE_1_4, 0.5, COSINE_3_4, 0]),
    # -- polynomial
    ("polynomial()", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("polynomial(power=2)", 4, [1, 0.5625, 0.25, 0.0625, 0]),
    ("polynomial(power=0.5)", 4, [1, SQRT_3_QUARTERS, SQRT_HALF, 0.5, 0]),
    ("polynomial(power=2, to=0.2)", 4, [1, 0.65, 0.4, 0.25, 0.2]),
    # -- exponential: to an end, and at a rate
    ("exponential(to=0.01)", 4, [1, 0.31622776601683794, 0.1, 0.03162277660168379, 0.01]),
    ("hold(1, to=0.5) >> exponential(to=0.125)", 3, [0.5, 0.5, 0.25, 0.125]),
    (
        "exponential(rate=0.5, per=2)",
        4,
        [1, 0.7788007830714049, 0.6065306597126334, 0.4723665527410147, 0.36787944117144233],
    ),
    ("exponential(rate=0.5, per=2, to=0.5)", 4, [1, 0.7788007830714049, 0.6065306597126334, 0.5, 0.5]),
    (
        "exponential(rate=1, per=50%)",
        4,
        [1, 0.6065306597126334, 0.36787944117144233, 0.22313016014842982, 0.1353352832366127],
    ),
    # -- step: whole and broken lengths, floor, never
    ("step(every=2, factor=0.5)", 6, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ("step(every=25%, factor=0.5)", 10, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.0625]),
    ("step(every=2, factor=0.5, to=0.3)", 6, [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]),
    ("step(every=9)", 4, [1, 1, 1, 1, 1]),
    ("step(every=1, factor=1)", 3, [1, 1, 1, 1]),
    ("warmup(1) >> step(every=2)", 6, [0, 1, 1, 0.1, 0.1, 0.01, 0.01]),
    # -- multistep: counted from the start of the run
    ("multistep(at=[2, 4], factor=0.5)", 6, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ("warmup(1) >> multistep(at=[3, 6])", 8, [0, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]),
    ("multistep(at=[50%])", 7, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]),
    ("multistep(at=[1, 2], factor=0.5, to=0.4)", 3, [1, 0.5, 0.4, 0.4]),
    ("warmup(2) >> multistep(at=[2], factor=0.5)", 4, [0, 0.5, 0.5, 0.5, 0.5]),
    # -- one_minus_sqrt
    ("one_minus_sqrt()", 4, [1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("one_minus_sqrt(to=0.2)", 4, [1, 0.6, 0.43431457505076194, 0.3071796769724491, 0.2]),
    # -- rex
    ("rex()", 4, [1, 6 / 7, 2 / 3, 0.4, 0]),
    ("rex(d=0)", 4, [1, 0.75, 0.5, 0.25, 0]),
    ("rex(d=0.9)", 2, [1, 0.9090909090909091, 0]),
    ("rex(to=0.5)", 2, [1, 5 / 6, 0.5]),
    # -- tanh: starts and ends near its ends
    ("tanh(lb=-1, ub=1)", 2, [0.8807970779778823, 0.5, 0.11920292202211755]),
    ("tanh(lb=-1, ub=1, to=0.5)", 2, [0.9403985389889412, 0.75, 0.5596014610110588]),
    ("tanh()", 10, {0: 0.9999991684719722, 7: 0.5, 10: 0.0024726231566347743}),
    # -- inverse_sqrt
    ("warmup(4) >> inverse_sqrt()", 17, {3: 0.75, 4: 1, 5: 0.8944271909999159, 8: SQRT_HALF, 16: 0.5}),
    ("warmup(4) >> inverse_sqrt(timescale=2)", 11, {4: 1, 6: SQRT_HALF, 10: 0.5}),
    ("inverse_sqrt()", 3, {0: 1, 1: 0.9999500037496876}),
    ("inverse_sqrt(timescale=1, to=0.6)", 4, [1, SQRT_HALF, 0.6, 0.6, 0.6]),
    # -- power
    (
        "power(timescale=4, exponent=0.5)",
        17,
        {0: 1, 3: 1, 4: 1, 5: 0.8944271909999159, 16: 0.5, 17: 0.48507125007266594},
    ),
    ("power(timescale=1, exponent=1, to=0.3)", 5, [1, 1, 0.5, 1 / 3, 0.3, 0.3]),
    ("warmup(2) >> power(timescale=4, exponent=1)", 9, {1: 0.5, 2: 1, 4: 1, 5: 0.8, 8: 0.5}),
    # -- piecewise
    ("piecewise(points=[[0, 0], [4, 1], [8, 0.5]])", 10, [0, 0.25, 0.5, 0.75, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5]),
    ("piecewise(points=[[2, 1], [6, 0.2]])", 8, [1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]),
    (
        "piecewise(points=[[2, 1], [6, 0.2]], shape=cosine)",
        8,
        [1, 1, 1, 0.882842712474619, 0.6, 0.317157287525381, 0.2, 0.2, 0.2],
    ),
    ("piecewise(points=[[2, 1], [6, 0.2]], shape=constant)", 8, [1, 1, 1, 1, 1, 1, 0.2, 0.2, 0.2]),
    ("piecewise(points=[[0, 2], [50%, 1], [100%, 0]])", 4, [2, 1.5, 1, 0.5, 0]),
    ("hold(2) >> piecewise(points=[[2, 0.5], [4, 0]])", 4, [1, 1, 0.5, 0.25, 0]),
    # -- triangular
    ("triangular(up=2, to=0, decay=0.5)", 8, [0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25, 0]),
    ("triangular(up=2, down=1)", 7, [0.1, 0.55, 1, 0.1, 0.55, 1, 0.1, 0.1]),
    ("triangular(up=1, to=0, gamma=0.5)", 4, [0, 0.5, 0, 0.125, 0]),
    ("triangular(up=1.5ep, to=0)", Horizon(6, 1), [0, 2 / 3, 2 / 3, 0, 2 / 3, 2 / 3, 0]),
    # -- one_cycle: the peak one update before its share, the end at the last update
    ("one_cycle(peak_at=0.5, start=0.2, to=0, shape=linear)", 6, [0.2, 0.6, 1, 2 / 3, 1 / 3, 0, 0]),
    ("one_cycle()", 10, {0: 0.04, 1: 0.52, 2: 1, 5.5: 0.500002, 9: 4e-6, 10: 4e-6}),
    ("one_cycle(peak_at=0.5, start=0.2, to=0.1)", 4, [0.2, 1, 0.55, 0.1, 0.1]),
    # -- repeat: growth, decay, broken cycles, a warmup inside, a cycle that is cut off
    ("repeat(linear(), cycles=2)", 8, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=2, decay=0.5)", 8, [1, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 0]),
    ("repeat(linear(), cycles=3, growth=2)", 7, [1, 1, 0.5, 1, 0.75, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=3, growth=0.5)", 7, [1, 0.75, 0.5, 0.25, 1, 0.5, 1, 0]),
    ("repeat(linear(), cycles=2, growth=2, decay=0.5)", 6, [1, 0.5, 0.5, 0.375, 0.25, 0.125, 0]),
    ("repeat(linear(), first=2, growth=2)", 9, [1, 0.5, 1, 0.75, 0.5, 0.25, 1, 0.875, 0.75, 0.625]),
    ("repeat(linear(), cycles=3)", 10, [1, 0.7, 0.4, 0.1, 0.8, 0.5, 0.2, 0.9, 0.6, 0.3, 0]),
    ("repeat(linear(over=2), cycles=2) >> hold()", 6, [1, 0.5, 1, 0.5, 0, 0, 0]),
    ("repeat(linear(over=2))", 5, [1, 0.5, 1, 0.5, 1, 0.5]),
    ("repeat(cosine(to=0.2), cycles=2)", 4, [1, 0.6, 1, 0.6, 0.2]),
    ("repeat(step(every=1, factor=0.5), cycles=2)", 4, [1, 0.5, 1, 0.5, 0.25]),
    ("repeat(warmup(1) >> linear(to=0.4, over=2), cycles=2)", 6, [0, 1, 0.7, 0.4, 1, 0.7, 0.4]),
    ("repeat(warmup(1) >> linear(to=0.4, over=2), cycles=2, decay=0.5)", 6, [0, 1, 0.7, 0.4, 0.5, 0.35, 0.2]),
    ("repeat(warmup(1, start=0.1) >> linear(), cycles=2)", 6, [0.1, 1, 0.5, 0.1, 1, 0.5, 0]),
    ("warmup(2) >> repeat(linear(), cycles=2)", 6, [0, 0.5, 1, 0.5, 1, 0.5, 0]),
    ("repeat(repeat(linear(), cycles=2), cycles=2, decay=0.5)", 8, [1, 0.5, 1, 0.5, 0.5, 0.25, 0.5, 0.25, 0]),
    ("repeat(linear(), cycles=2, over=4) >> warmup(2) >> linear()", 8, [1, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0]),
    # -- floor: of anything, its warmup included
    ("floor(linear(), to=0.4)", 4, [1, 0.75, 0.5, 0.4, 0.4]),
    ("floor(warmup(2) >> linear(), to=0.3)", 6, [0.3, 0.5, 1, 0.75, 0.5, 0.3, 0.3]),
    ("warmup(2) >> floor(linear(), to=0.3)", 6, [0, 0.5, 1, 0.75, 0.5, 0.3, 0.3]),
    ("floor(repeat(linear(), cycles=2), to=0.6)", 4, [1, 0.6, 1, 0.6, 0.6]),
    ("floor(linear() * linear(), to=0.2)", 4, [1, 0.5625, 0.25, 0.2, 0.2]),
    ("floor(linear(over=2), to=0.5) >> linear()", 4, [1, 0.5, 0.5, 0.25, 0]),
    # -- jump: a level between two phases, without an update
    ("linear(over=4) >> jump() >> linear()", 8, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    ("linear(over=2) >> jump(0.5) >> hold()", 4, [1, 0.5, 0.5, 0.5, 0.5]),
    ("jump(0.5) >> linear()", 4, [0.5, 0.375, 0.25, 0.125, 0]),
    ("jump(0.2) >> warmup(4) >> hold()", 6, [0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
    ("hold(2) >> jump(0.1) >> jump(2) >> cosine()", 6, [1, 1, 2, 2 * COSINE_1_4, 1, 2 * COSINE_3_4, 0]),
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
    # -- a warmup over the whole run
    ("warmup(100%)", 4, [0, 0.25, 0.5, 0.75, 0.75]),
    ("warmup(100%, start=0.01, shape=exponential)", 2, [0.01, 0.1, 0.1]),
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
    # -- repeat above a floor
    ("repeat(linear(), cycles=2, decay=0.5, floor=0.2)", 4, [1, 0.5, 0.6, 0.35, 0.1]),
    ("repeat(linear(to=0.2), cycles=2, decay=0.5, floor=0.2)", 4, [1, 0.6, 0.6, 0.4, 0.2]),
    ("repeat(linear(to=0.2), cycles=2, peak_decay=0.5)", 4, [1, 0.6, 0.5, 0.35, 0.2]),
    # -- momentum: the LR is as without it
    ("one_cycle(peak_at=0.5, start=0.2, to=0, shape=linear) * momentum()", 6, [0.2, 0.6, 1, 2 / 3, 1 / 3, 0, 0]),
    ("hold(2) * momentum() >> linear()", 4, [1, 1, 1, 0.5, 0]),
    # -- polynomial of the progress
    ("polynomial(power=2, of=progress)", 4, [1, 0.9375, 0.75, 0.4375, 0]),
    ("polynomial(power=0.5, of=progress, to=0.2)", 4, [1, 0.6, 0.43431457505076194, 0.3071796769724491, 0.2]),
    # -- products: of all factors; the level goes on through the first one
    ("linear() * step(every=2, factor=0.5)", 4, [1, 0.75, 0.25, 0.125, 0]),
    ("linear() * linear() * linear()", 4, [1, 0.421875, 0.125, 0.015625, 0]),
    ("(warmup(2) >> hold()) * linear()", 4, [0, 0.375, 0.5, 0.25, 0]),
    ("linear(over=2, to=0.5) * hold()", 4, [1, 0.75, 0.5, 0.5, 0.5]),
    ("hold(2) >> linear() * hold(to=0.5)", 4, [1, 1, 0.5, 0.25, 0]),
    ("hold(2, to=0.8) >> linear() * hold()", 4, [0.8, 0.8, 0.8, 0.4, 0]),
    ("hold(2, to=0.8) >> hold() * linear()", 4, [0.8, 0.8, 0.8, 0.4, 0]),
    # -- named
    ("bert()", 10, [0, *(k / 9 for k in range(9, -1, -1))]),
    ("bert(warmup=none, to=0.5)", 2, [1, 0.75, 0.5]),
    ("wsd(warmup=10%, cooldown=40%)", 10, [0, 1, 1, 1, 1, 1, 1, 0.5, 1 - SQRT_HALF, 1 - SQRT_3_QUARTERS, 0]),
    ("wsd()", 20, {0: 0, 1: 1, 15: 1, 16: 1, 17: 0.5, 18: 1 - SQRT_HALF, 20: 0}),
    ("cosine_restarts(cycles=2, warmup=2, decay=0.5)", 6, [0, 0.5, 1, 0.5, 0.5, 0.25, 0]),
    (
        "cosine_restarts(cycles=2, warmup=none, growth=2, to=0.2)",
        6,
        [1, 0.6, 1, 0.882842712474619, 0.6, 0.317157287525381, 0.2],
    ),
    ("step_decay(every=2, warmup=none)", 4, [1, 1, 0.1, 0.1, 0.01]),
    ("step_decay()", Horizon(10, 3), [0, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]),
    (
        "exponential_decay(rate=0.5)",
        Horizon(4, 1),
        [1, 0.6065306597126334, 0.36787944117144233, 0.22313016014842982, 0.1353352832366127],
    ),
    ("exponential_decay(rate=0.5, warmup=2)", Horizon(4, 2), [0, 0.5, 1, 0.7788007830714049, 0.6065306597126334]),
    ("slanted_triangular()", 10, {0: 0.03125, 1: 1, 2: 0.8923611111111112, 9: 0.1388888888888889, 10: 0.03125}),
    ("slanted_triangular(cut=50%, ratio=2)", 4, [0.5, 0.75, 1, 0.75, 0.5]),
    ("noam(warmup=4)", 17, {0: 0, 2: 0.5, 4: 1, 16: 0.5}),
    # -- one update
    *[
        (text, 1, [1, end])
        for text, end in [
            ("linear()", 0),
            ("cosine(to=0.3)", 0.3),
            ("polynomial(power=3)", 0),
            ("exponential(to=0.5)", 0.5),
            ("one_minus_sqrt()", 0),
            ("rex()", 0),
            ("hold()", 1),
            ("step(every=1, factor=0.5)", 0.5),
            ("multistep(at=[1], factor=0.5)", 0.5),
            ("inverse_sqrt(timescale=1)", SQRT_HALF),
            ("power(timescale=1)", 1),
            ("piecewise(points=[[0, 1], [1, 0.5]])", 0.5),
            ("repeat(linear(), cycles=1)", 0),
            ("floor(linear(), to=0.1)", 0.1),
            ("linear() * cosine()", 0),
        ]
    ],
    ("one_cycle()", 1, [4e-6, 4e-6]),
    ("triangular(up=1)", 1, [0.1, 0.1]),
]


@pytest.mark.parametrize(("text", "horizon", "expected"), FULL, ids=[f"{text} over {n}" for text, n, _ in FULL])
def test_factors(text, horizon, expected):
    curve = parse(text).resolve(horizon)
    table = expected if isinstance(expected, dict) else dict(enumerate(expected))
    got = {t: curve(t) for t in table}
    assert got == pytest.approx(table, rel=0, abs=1e-12)
    end = curve.horizon.num_updates
    if not isinstance(expected, dict):
        assert len(expected) == end + 1, "the table must reach the end of the run"
    # Past the end nothing moves.
    assert [curve(end + past) for past in (0.5, 1, 2, end, 7 * end, 10**9)] == [curve(end)] * 6


def test_every_phase_and_named_schedule_has_a_table():
    public = {name for name in schedules.__all__ if name.islower() and callable(getattr(schedules, name))}
    others = {"as_length", "from_data", "from_transformers", "named", "parse", "phase", "register", "to_data"}
    in_tables = {name for name in public - others if any(f"{name}(" in text for text, _, _ in FULL)}
    assert public - others - {"custom"} == in_tables  # custom() follows


def _cubic(p):
    return 1 - p**3


def test_custom():
    curve = custom(_cubic, to=0.5).resolve(4)
    assert curve([0, 1, 2, 4, 5]) == pytest.approx([1, 0.9921875, 0.9375, 0.5, 0.5], abs=1e-15)
    curve = (schedules.warmup(2) >> custom(_cubic, over=2) >> schedules.hold()).resolve(6)
    assert curve(range(6)) == pytest.approx([0, 0.5, 1, 0.875, 0, 0], abs=1e-15)


@pytest.mark.parametrize("end", [0.0, 0.2])
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_no_warmup_starts_at_the_peak(total, end):
    for text in ("linear", "cosine", "polynomial", "rex", "one_minus_sqrt"):
        curve = parse(f"{text}(to={end})").resolve(total)
        assert (curve(0), curve(total)) == pytest.approx((1, end), abs=1e-15)


@pytest.mark.parametrize(
    ("text", "peak", "expected"),
    [
        ("linear(to_lr=1e-6)", 1e-4, [1, 0.505, 0.01]),
        ("linear(to_lr=1e-6)", 1e-5, [1, 0.55, 0.1]),
        ("linear(to_lr=0)", 1e-5, [1, 0.5, 0]),
        ("cosine(to_lr=1e-6)", 1e-5, [1, 0.55, 0.1]),
        ("polynomial(power=2, to_lr=1e-6)", 1e-5, [1, 0.325, 0.1]),
        ("exponential(to_lr=1e-6)", 1e-4, [1, 0.1, 0.01]),
        ("exponential(rate=2, per=1, to_lr=1e-6)", 1e-5, [1, 0.1353352832366127, 0.1]),
        ("step(every=1, to_lr=2e-6)", 1e-5, [1, 0.2, 0.2]),
        ("multistep(at=[1], to_lr=2e-6)", 1e-5, [1, 0.2, 0.2]),
        ("inverse_sqrt(timescale=1, to_lr=8e-6)", 1e-5, [1, 0.8, 0.8]),
        ("power(timescale=1, exponent=2, to_lr=3e-6)", 1e-5, [1, 1, 0.3]),
        ("one_minus_sqrt(to_lr=1e-6)", 1e-5, [1, 0.1 + 0.9 * (1 - SQRT_HALF), 0.1]),
        ("rex(to_lr=4e-6)", 1e-5, [1, 0.8, 0.4]),
        ("tanh(lb=-1, ub=1, to_lr=5e-6)", 1e-5, [0.9403985389889412, 0.75, 0.5596014610110588]),
        ("hold(to_lr=3e-6)", 1e-5, [0.3, 0.3, 0.3]),
        ("floor(linear(), to_lr=6e-6)", 1e-5, [1, 0.6, 0.6]),
        ("floor(linear(), to_lr=6e-6)", 1e-4, [1, 0.5, 0.06]),
    ],
)
def test_an_end_as_an_lr_holds_for_each_peak(text, peak, expected):
    assert parse(text).resolve(2, peak=peak)([0, 1, 2]) == pytest.approx(expected, rel=0, abs=1e-12)


# ---------------------------------------------------------------- lengths

RUN = Horizon(1000, updates_per_epoch=115, samples_per_update=32, tokens_per_update=4096)


@pytest.mark.parametrize(
    ("length", "updates"),
    [
        ("100", 100),
        ("1", 1),
        ("999", 999),
        ("10%", 100),
        ("0.1", 100),
        (".25", 250),
        ("1e-1", 100),
        ("0.05%", 1),  # 0.5
        ("99.9%", 999),
        ("1ep", 115),
        ("0.5ep", 58),  # 57.5
        ("8.5ep", 978),  # 977.5
        ("1e0ep", 115),
        ("3200sa", 100),
        ("1000sa", 32),  # 31.25
        ("1sa", 1),
        ("409600tok", 100),
        ("100000tok", 25),  # 24.4
        ("1e6tok", 245),  # 244.14
    ],
)
def test_lengths(length, updates):
    curve = parse(f"warmup({length}) >> hold()").resolve(RUN)
    assert [(part.start, part.end) for part in curve.parts] == [(0, updates), (updates, 1000)]
    assert curve(updates) == 1
    assert curve(updates - 1) == pytest.approx((updates - 1) / updates, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "horizon", "ends"),
    [
        ("warmup(10%) >> linear()", 345, [35, 345]),  # 34.5
        ("warmup(7%) >> linear()", 100, [7, 100]),  # not 8, as 0.07 * 100 = 7.000000000000001 is rounded up
        ("warmup(29%) >> linear()", 100, [29, 100]),  # 0.29 * 100 = 28.999999999999996
        ("warmup(0.07) >> linear()", 100, [7, 100]),
        ("hold(30%) >> hold(30%) >> linear(over=40%)", 7, [3, 5, 7]),  # 2.1, 4.2, 7: the sums are rounded, not each
        ("hold(33.3%) >> hold(33.3%) >> linear(over=33.4%)", 10, [4, 7, 10]),  # 3.33, 6.66, 10
        ("hold(10%) >> hold(20%) >> hold(30%) >> linear(over=40%)", 3, [1, 1, 2, 3]),  # 0.3, 0.9, 1.8, 3
        ("warmup(10%) >> hold() >> linear(over=10%)", 345, [35, 310, 345]),  # 345 - 34.5 rounded up
        ("hold() >> linear(to=0.5, over=25%) >> linear(over=25%)", 10, [5, 7, 10]),  # 10 - 5, 10 - 3, 10
        ("linear() >> warmup(1) >> hold(1)", 10, [8, 9, 10]),
        ("warmup(1ep) >> hold(50%) >> linear(over=64sa)", Horizon(10, 3, 32), [3, 8, 10]),
        ("warmup(1ep) >> hold() >> linear(over=0.5ep)", Horizon(10, 3), [3, 8, 10]),
        ("repeat(linear(over=2), cycles=2) >> linear()", 10, [4, 10]),
        ("(warmup(2) >> hold(2)) >> linear()", 10, [2, 4, 10]),
        ("linear(over=3) * linear(over=5, to=0.5) >> hold()", 10, [3, 5, 10]),
    ],
)
def test_boundaries(text, horizon, ends):
    parts = parse(text).resolve(horizon).parts
    assert [part.end for part in parts] == ends
    assert [part.start for part in parts] == [0, *ends[:-1]]


def test_milestones_in_mixed_units():
    run = Horizon(100, updates_per_epoch=30, samples_per_update=8, tokens_per_update=512)
    at = "[10, 20.5%, 1ep, 400sa, 30720tok, 2.5ep, 100%]"
    curve = parse(f"multistep(at={at}, factor=0.5)").resolve(run)
    drops = [t for t in range(1, 101) if curve(t) < curve(t - 1)]
    assert drops == [10, 21, 30, 50, 60, 75, 100]
    assert curve(99) == 0.5**6


def test_points_in_mixed_units():
    curve = parse("piecewise(points=[[0, 0], [10%, 1], [1ep, 0.5], [100%, 0]])").resolve(20, 10)
    assert curve([0, 1, 2, 6, 10, 15, 20]) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25, 0], abs=1e-15)


def test_a_fixed_length_in_a_longer_run_stays_and_says_so():
    curve = parse("warmup(2) >> linear(to=0.5, over=2)").resolve(8)
    assert curve(range(9)) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5], abs=1e-15)
    (note,) = curve.notes
    assert "ends at update 4 of 8" in note
    assert "0.5" in note


@pytest.mark.parametrize(
    ("text", "total", "said"),
    [
        ("step(every=9)", 4, "step(every=9) never drops"),
        ("multistep(at=[2, 4])", 4, "the milestone 4"),
        ("hold(10%) >> hold(20%) >> linear()", 3, "hold(20%) comes out as 0 updates of 3"),
        ("repeat(linear(), first=2)", 5, "the last cycle"),
        ("piecewise(points=[[8, 1], [9, 0]], over=4) >> linear()", 10, "all points"),
    ],
)
def test_what_is_doubtful_is_noted(text, total, said):
    (note,) = parse(text).resolve(total).notes
    assert said in note


@pytest.mark.parametrize(
    "text",
    ["warmup(2) >> linear()", "step(every=2)", "multistep(at=[2])", "repeat(linear(), cycles=2)", "linear(over=100%)"],
)
def test_what_is_plain_is_not(text):
    assert parse(text).resolve(8).notes == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A drop where a phase ends shows in the one after it, so nothing may say that it never comes.
        ("step(every=2, factor=0.5, over=2) >> hold()", [1, 1, 0.5, 0.5]),
        ("multistep(at=[2], factor=0.5, over=2) >> hold()", [1, 1, 0.5, 0.5]),
    ],
)
def test_a_drop_at_the_end_of_a_phase(text, expected):
    curve = parse(text).resolve(4)
    assert curve(range(4)) == pytest.approx(expected)
    assert curve.notes == ()


def test_tables_are_of_schedules():
    assert all(isinstance(parse(text), Schedule) for text, _, _ in FULL)


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
