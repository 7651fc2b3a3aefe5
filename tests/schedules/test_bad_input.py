"""What can't be meant is refused before the first update: where it is made, or where it is resolved."""

import copy
import decimal
import fractions
import json
import re
import sys

import numpy as np
import pytest

import hf_lrsched.schedules as ls
from hf_lrsched import (
    ScheduleError,
    cosine,
    custom,
    hold,
    linear,
    multistep,
    parse,
    piecewise,
    register,
    repeat,
    step,
    warmup,
)
from hf_lrsched.schedules import FactorArgument, Horizon, LengthArgument, as_length, floor, from_data, named, phase

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def own_names():
    """Names that a test adds are gone after it."""
    module = sys.modules["hf_lrsched.schedules.registry"]
    custom_family = sys.modules["hf_lrsched.schedules.families.custom"]
    kept = (module.NAMES, module._DEFINITIONS, custom_family._FUNCTIONS)
    before = [dict(names) for names in kept]
    yield
    for names, then in zip(kept, before, strict=True):
        names.clear()
        names.update(then)


def refused(make, *said):
    with pytest.raises(ScheduleError) as caught:
        make()
    for words in said:
        assert words in str(caught.value)


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0, "over of warmup() must be above 0, got 0"),
        (-1, "must be above 0, got -1"),
        (0.0, "must be above 0, got 0.0"),
        (-0.1, "must be above 0, got -0.1"),
        ("0", "must be above 0, got '0'"),
        ("0%", "must be above 0, got '0%'"),
        ("-3ep", "must be above 0, got '-3ep'"),
        ("0sa", "must be above 0"),
        (1.0, "ambiguous: 1.0"),
        (1.5, "ambiguous: 1.5"),
        (500.0, "write 500 (a whole number)"),
        ("2.0", "ambiguous"),
        ("101%", "at most 100%"),
        (NAN, "must be finite, got nan"),
        (INF, "must be finite, got inf"),
        (-INF, "must be finite, got -inf"),
        ("nan", "must be a length like 500, 10%, 0.1 or 2ep, got 'nan'"),
        ("inf", "must be a length"),
        ("1e999", "out of range"),
        ("1e999ep", "out of range"),
        ("1e-999", "1e-999"),
        ("1e-999999999", "1e-999999999"),
        ("0e999999999", "0e999999999"),
        (1e-300, "out of range"),
        (10**40, "out of range"),
        ("9" * 61, "must be a length"),
        ("1" * 10**6, "must be a length"),
        (True, "got True of type bool"),
        (False, "got False of type bool"),
        (np.bool_(True), "type bool"),
        (None, "over of warmup() cannot be None"),
        ([5], "got [5] of type list"),
        ((5,), "type tuple"),
        ({}, "type dict"),
        (b"5", "type bytes"),
        (1j, "type complex"),
        (np.array([5]), "type ndarray"),
        (decimal.Decimal(5), "type Decimal"),
        (linear(), "type Phase"),
        ("", "must be a length"),
        ("ep", "must be a length"),
        ("5 6", "must be a length"),
        ("1/2", "must be a length"),
        ("10%%", "must be a length"),
        ("10% of it", "must be a length"),
        ("2epochs", "Did you mean '2ep'?"),
        ("2EP", "Did you mean 'ep'?"),
        ("2Epochs", "Did you mean '2ep'?"),
        ("500steps", "Did you mean '500'?"),
        ("10percent", "Did you mean '10%'?"),
        ("5 samples", "Did you mean '5sa'?"),
        ("5tk", "unknown unit 'tk'"),
        ("5zzz", "unknown unit 'zzz'"),
    ],
)
def test_lengths(length, said):
    refused(lambda: warmup(length), said)


@pytest.mark.parametrize(
    ("length", "same"),
    [
        (np.int64(5), 5),
        (np.uint8(5), 5),
        (np.float64(0.25), "25%"),
        (np.float32(0.25), "25%"),
        (fractions.Fraction(1, 4), "25%"),
        ("  5  ", 5),
        ("5 ep", "5ep"),
        ("10 %", "10%"),
        ("1e3ep", "1000ep"),
        ("100%", "100%"),
        (as_length("2ep"), "2ep"),
    ],
)
def test_lengths_that_are_right(length, same):
    assert warmup(length) == warmup(same)
    assert hash(warmup(length)) == hash(warmup(same))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: warmup("2ep").resolve(100), "2ep has no meaning here: updates_per_epoch is not known"),
        (lambda: (hold() >> linear(over="1ep")).resolve(100), "1ep has no meaning"),
        (lambda: step(every="1ep").resolve(100), "1ep has no meaning"),
        (lambda: multistep(at=["1ep"]).resolve(100), "1ep has no meaning"),
        (lambda: piecewise(points=[[0, 1], ["1ep", 0]]).resolve(100), "1ep has no meaning"),
        (lambda: ls.exponential(rate=0.1).resolve(100), "1ep has no meaning"),
        (lambda: repeat(linear(), first="1ep").resolve(100), "1ep has no meaning"),
        (lambda: hold("5sa").resolve(100, 10), "samples_per_update is not known"),
        (lambda: hold("5tok").resolve(100, 10), "tokens_per_update is not known"),
    ],
)
def test_lengths_without_a_meaning(make, said):
    refused(make, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("warmup(10) >> linear()", "nothing is left for linear()"),
        ("warmup(100%) >> linear()", "nothing is left for linear()"),
        ("warmup(11) >> linear()", "nothing is left for linear()"),
        ("warmup(91%) >> linear()", "nothing is left for linear()"),
        ("hold(5) >> linear() >> hold(5)", "nothing is left for linear()"),
        ("warmup(10)", "never reaches its end"),
        ("warmup(99%)", "or write warmup(100%) for a climb over the whole run"),
        ("hold(5) >> warmup(5)", "never reaches its end"),
        ("warmup(5) >> warmup(50%)", "never reaches its end"),
        ("warmup(11)", "takes 11 updates, but only 10 are there"),
        ("hold(6) >> linear(over=5)", "takes 11 updates, but only 10 are there"),
        ("hold(60%) >> linear(over=50%)", "takes 11 updates"),
        ("linear(over=11) * hold()", "takes 11 updates"),
        ("linear(over=1000000000000)", "takes 1,000,000,000,000 updates"),
        ("repeat(linear(over=6), cycles=2)", "takes 12 updates"),
        ("hold() >> linear()", "two phases without a length, hold() and linear()"),
        ("hold() >> warmup(1) >> linear()", "two phases without a length"),
        ("(hold() >> linear()) * hold()", "two phases without a length"),
        ("hold() >> repeat(linear(), cycles=2)", "two phases without a length"),
        ("repeat(hold() >> linear(), cycles=2)", "two phases without a length"),
        ("repeat(linear())", "the length of a cycle of"),
        ("repeat(linear(over=5), cycles=2, growth=2)", "has a length of its own"),
        ("repeat(linear(over=5), first=5)", "has a length of its own"),
        ("repeat(linear(), cycles=11)", "shorter than an update"),
        ("repeat(linear(), cycles=10, growth=0.5)", "shorter than an update"),
        ("repeat(linear(), first=5%)", "shorter than an update"),
        ("repeat(linear(), cycles=10000, growth=1e300)", "too long or too short"),
        ("repeat(warmup(4) >> linear(), cycles=3)", "nothing is left for linear()"),
        ("repeat(warmup(1) >> linear(to=0.9, over=2), cycles=2, decay=0.5)", "would fall"),
        ("step(every=0.00000001)", "less than a millionth of an update"),
        ("triangular(up=0.00000001)", "less than a millionth of an update"),
        # ends above the start
        ("linear(to=2)", "would rise, from 1 to 2; a decay falls"),
        ("cosine(to=1.1)", "would rise"),
        ("polynomial(to=1.1)", "would rise"),
        ("exponential(to=1.1)", "would rise"),
        ("one_minus_sqrt(to=1.1)", "would rise"),
        ("rex(to=1.1)", "would rise"),
        ("tanh(to=1.1)", "would rise"),
        ("step(every=1, to=1.1)", "would rise"),
        ("multistep(at=[1], to=1.1)", "would rise"),
        ("inverse_sqrt(to=1.1)", "would rise"),
        ("power(timescale=1, to=1.1)", "would rise"),
        ("linear(to=0.2, over=5) >> cosine(to=0.3)", "would rise, from 0.2 to 0.3"),
        ("hold(5, to=0) >> linear(to=0.1)", "would rise, from 0 to 0.1"),
        ("triangular(up=2, to=1.1)", "above its peak"),
        ("hold(2) >> warmup(2, to=0.5) >> hold()", "would fall, from 1 to 0.5; a warmup climbs"),
        ("warmup(2, start=0.5, to=0.4) >> hold()", "would fall, from 0.5 to 0.4"),
        ("warmup(2, shape=exponential) >> hold()", "cannot climb exponentially from 0"),
        # milestones and points
        ("multistep(at=[6, 50%])", "out of order"),
        ("multistep(at=[5, 50%])", "out of order"),
        ("multistep(at=[91%, 99%])", "out of order: updates 10 and 10"),
        ("warmup(5) >> multistep(at=[4])", "lies at update 4, before its phase, which starts at 5"),
        ("piecewise(points=[[0, 1], [5, 0.5], [50%, 0]])", "out of order"),
        # a group's LR
        ("linear(to_lr=1e-6)", "needs the peak LR"),
        ("floor(linear(), to_lr=1e-6)", "needs the peak LR"),
        ("hold(to_lr=1e-6)", "needs the peak LR"),
    ],
)
def test_what_does_not_fit_into_a_run_of_10_updates(text, said):
    refused(lambda: parse(text).resolve(10), said)


def test_an_end_as_an_lr_above_the_peak():
    refused(lambda: linear(to_lr=1e-3).resolve(10, peak=1e-4), "from 1 to 10 (to_lr=0.001 of a peak LR of 0.0001)")
    refused(lambda: linear(to_lr=1e-6).resolve(10, peak=0.0), "a group with a peak LR of 0 cannot reach it")


@pytest.mark.parametrize("name", ["num_updates", "updates_per_epoch", "samples_per_update", "tokens_per_update"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 10.0, True, "10", NAN, [10]])
def test_horizons(name, value):
    refused(lambda: Horizon(**{"num_updates": 10, name: value}), f"{name} must be a whole number of at least 1, got ")


def test_horizons_that_are_right_or_doubled():
    assert Horizon(np.int64(10), np.int32(5)) == Horizon(10, 5)
    assert type(Horizon(np.int64(10)).num_updates) is int
    refused(lambda: Horizon(None), "num_updates must be a whole number")
    refused(lambda: linear().resolve(Horizon(10), 5), "given twice")


# ---------------------------------------------------------------- factors and numbers


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-300,
        NAN,
        INF,
        -INF,
        "nan",
        "inf",
        "1e999",
        "x",
        "",
        "%",
        "1%%",
        True,
        None,
        [1],
        1j,
        "1ep",
        10**400,
        decimal.Decimal(1),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda v: linear(to=v),
        lambda v: cosine(to=v),
        lambda v: floor(linear(), to=v),
        lambda v: warmup(5, to=v),
        lambda v: piecewise(points=[[0, 1], [5, v]]),
    ],
)
def test_factors(make, value):
    refused(lambda: make(value), " of ", "()")


@pytest.mark.parametrize("value", [1.5, 1.0000001, 0, -0.5, NAN, INF, "150%", True, None])
@pytest.mark.parametrize(
    "make",
    [
        lambda v: step(every=1, factor=v).resolve(4),
        lambda v: multistep(at=[1], factor=v).resolve(4),
        lambda v: repeat(linear(), cycles=2, decay=v),
        lambda v: ls.triangular(up=1, gamma=v),
    ],
)
def test_decay_factors(make, value):
    refused(lambda: make(value))


def test_decay_factors_name_the_argument():
    refused(
        lambda: step(every=1, factor=1.5).resolve(4),
        "factor of step(every=1, factor=1.5) must be above 0 and at most 1, got 1.5",
        "write rising(step(every=1, factor=1.5))",
    )
    refused(lambda: repeat(linear(), cycles=2, decay=2), "decay of repeat() must be above 0 and at most 1, got 2")


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, True, "2", None, NAN, 10_001, 10**30])
def test_cycles(value):
    if value is None:
        refused(lambda: repeat(linear(), cycles=None).resolve(10), "the length of a cycle of")
    else:
        refused(lambda: repeat(linear(), cycles=value), "cycles of repeat() must be")


@pytest.mark.parametrize("value", [0, -1, NAN, INF, "x", True])
def test_growth(value):
    refused(
        lambda: repeat(linear(), cycles=2, growth=value), "growth of repeat() must be a finite number above 0, got "
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: linear(to=0.1, to_lr=1e-6), "linear() has both to=0.1 and to_lr=1e-06; give one"),
        (lambda: cosine(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.polynomial(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.exponential(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: step(every=1, to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: multistep(at=[1], to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.inverse_sqrt(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.power(timescale=1, to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.one_minus_sqrt(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.rex(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: ls.tanh(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: hold(to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: floor(linear(), to=0.1, to_lr=1e-6), "has both to=0.1 and to_lr=1e-06"),
        (lambda: linear(to_lr="1%"), "to_lr of linear() must be a finite learning rate"),
        (lambda: linear(to_lr=-1e-6), "at least 0"),
        (lambda: linear(to_lr=NAN), "finite"),
        (lambda: ls.exponential(), "needs a rate, or an end above 0"),
        (lambda: ls.exponential(rate=0), "rate of exponential() must be a finite number above 0"),
        (lambda: ls.exponential(rate=-1), "above 0"),
        (lambda: cosine(cycles=0), "cycles of cosine()"),
        (lambda: cosine(k=-1), "k of cosine()"),
        (lambda: ls.polynomial(power=0), "power of polynomial()"),
        (lambda: ls.rex(d=1), "d of rex() must be at least 0 and below 1, got 1"),
        (lambda: ls.rex(d=-0.1), "d of rex()"),
        (lambda: ls.rex(d=NAN), "d of rex() must be a finite number"),
        (lambda: ls.tanh(lb=3, ub=3), "lb of tanh() must be below ub"),
        (lambda: ls.one_cycle(peak_at=0), "peak_at of one_cycle() must be above 0 and below 1"),
        (lambda: ls.one_cycle(peak_at=1), "peak_at"),
        (lambda: ls.one_cycle(start=2), "at most 1"),
        (lambda: ls.slanted_triangular(ratio=0.5), "ratio of slanted_triangular() must be at least 1"),
        (lambda: warmup(5, shape="cosin"), "Did you mean 'cosine'?"),
        (lambda: warmup(5, shape=5), "shape of warmup() must be one of linear"),
        (lambda: piecewise(points=[[0, 1]]), "2 points or more"),
        (lambda: piecewise(points=[[5, 1], [4, 0]]), "must rise from each milestone to the next, got 5 before 4"),
        (lambda: piecewise(points=[[0, 1], [0, 0]]), "the time of points of piecewise(), point 2 must be above 0"),
        (lambda: piecewise(points=[[0, 1], [5, 0, 3]]), "point 2 must be [time, factor]"),
        (lambda: piecewise(points=[[-1, 1], [5, 0]]), "the time of points of piecewise(), point 1 must be above 0"),
        (lambda: piecewise(points="0 1"), "points of piecewise() must be a list"),
        (lambda: multistep(at=[]), "at of multistep() must be a list"),
        (lambda: multistep(at="5"), "at of multistep() must be a list"),
        (lambda: multistep(at=[0]), "at of multistep(), item 1 must be above 0"),
        (lambda: multistep(at=[5, 3]), "5 before 3"),
        (lambda: multistep(at=["2ep", "1ep"]), "2ep before 1ep"),
        (lambda: repeat("linear()", cycles=2), "schedule of repeat() must be a schedule like cosine(), got 'linear()'"),
        (lambda: repeat(linear, cycles=2), "schedule of repeat() must be a schedule"),
        (lambda: floor(0.1), "schedule of floor() must be a schedule"),
    ],
)
def test_arguments(make, said):
    refused(make, said)


# ---------------------------------------------------------------- names of arguments


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: linear(too=1), "linear() has no argument 'too'; allowed are to, to_lr, over. Did you mean 'to'?"),
        (lambda: linear(end=1), "linear() has no argument 'end'; allowed are"),
        (lambda: warmup(5, shpae="cosine"), "Did you mean 'shape'?"),
        (lambda: warmup(stpes=5), "warmup() has no argument 'stpes'"),
        (lambda: repeat(linear(), cylces=2), "Did you mean 'cycles'?"),
        (lambda: ls.bert(warmpu=5), "bert() has no argument 'warmpu'; allowed are warmup, to. Did you mean 'warmup'?"),
        (lambda: ls.wsd(cool_down=5), "Did you mean 'cooldown'?"),
        (lambda: warmup(), "warmup() needs 'over'"),
        (lambda: step(), "step() needs 'every'"),
        (lambda: warmup(5, over=6), "warmup() got 'over' twice"),
        (lambda: warmup(5, 0.1), "warmup(): only over goes without a name, got 0.1"),
        (lambda: linear(0.1), "linear(): no argument goes without a name, got 0.1"),
        (lambda: ls.bert(5), "bert(): no argument goes without a name"),
    ],
)
def test_names_of_arguments(make, said):
    refused(make, said)


def test_only_schedules_are_joined():
    for make in (
        lambda: linear() >> 5,
        lambda: 5 >> linear(),
        lambda: linear() * 0.5,
        lambda: linear() >> "cosine()",
        lambda: linear() + linear(),
    ):
        with pytest.raises(TypeError, match="unsupported operand"):
            make()


# ---------------------------------------------------------------- data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "a schedule as data is a dict"),
        ([], "a schedule as data is a dict"),
        ("linear()", "a schedule as data is a dict"),
        ({}, "a schedule as data is a dict"),
        ({"phase": 5}, "a schedule as data is a dict"),
        ({"phase": "lineer"}, "unknown schedule 'lineer'. Did you mean 'linear'?"),
        ({"phase": "linear", "too": 1}, "linear() has no argument 'too'"),
        ({"phase": "linear", "to": -1}, "to of linear()"),
        ({"phase": "linear", "to": None}, "to of linear() cannot be None"),
        ({"phase": "warmup"}, "warmup() needs 'over'"),
        ({"phase": "warmup", "over": 1.5}, "ambiguous"),
        ({"sequence": []}, "'sequence' must be a list of schedules, got []"),
        ({"product": 5}, "'product' must be a list of schedules"),
        ({"sequence": [5]}, "a schedule as data is a dict"),
        ({"sequence": [{"phase": "linear"}], "product": []}, "a schedule as data is a dict"),
        ({"phase": "repeat", "schedule": {"phase": "x"}, "cycles": 2}, "unknown schedule 'x'"),
        ({"phase": "__import__"}, "unknown schedule '__import__'"),
    ],
)
def test_data(data, said):
    refused(lambda: from_data(data), said)
    refused(lambda: from_data(json.loads(json.dumps(data))), said)


# ---------------------------------------------------------------- names of one's own


def test_registered_names(own_names):
    register("house", "warmup(6%) >> linear()")
    assert parse("house()") == warmup("6%") >> linear()
    assert parse("house() * hold(to=0.5)") == (warmup("6%") >> linear()) * hold(to=0.5)
    register("house2", warmup(5) >> cosine())
    assert from_data({"phase": "house2"}) == warmup(5) >> cosine()

    @named
    def house3(*, climb: LengthArgument = "6%", low: FactorArgument = 0.0):
        return warmup(climb) >> linear(to=low)

    assert parse("house3(climb=1ep, low=1%)") == warmup("1ep") >> linear(to=0.01)
    refused(
        lambda: parse("house3(clim=5)"),
        "house3() has no argument 'clim'; allowed are climb, low. Did you mean 'climb'?",
    )
    refused(lambda: parse("house3(low=-1)"), "low of house3() must be a finite factor")
    refused(lambda: parse("hose()"), "Did you mean 'house'?")


def test_registered_phases(own_names):
    @phase
    def bowl(*, depth: FactorArgument = 1.0, over: LengthArgument | None = None):
        return lambda span: lambda u: span.level * (1 - depth * (u / span.size) ** 2)

    schedule = warmup(2) >> bowl(depth="75%")
    assert schedule.resolve(6)([0, 1, 2, 4, 6]) == pytest.approx([0, 0.5, 1, 0.8125, 0.25])
    assert str(schedule) == "warmup(2) >> bowl(depth=0.75)"
    assert parse(str(schedule)) == schedule == copy.deepcopy(schedule)
    refused(lambda: bowl(depht=1), "Did you mean 'depth'?")


@pytest.mark.parametrize("name", ["linear", "bert", "repeat"])
def test_names_that_are_taken(own_names, name):
    refused(lambda: register(name, "cosine()"), f"the name {name!r} is taken")
    assert str(parse("linear()")) == "linear()"


@pytest.mark.parametrize("name", ["", "a b", "1st", "a-b", "naïve", "a.b", "a()", "x" * 3 + "\n"])
def test_names_that_no_text_could_have(own_names, name):
    refused(lambda: register(name, "cosine()"), "a schedule's name must be letters, digits and '_'")


def test_what_a_name_can_not_stand_for(own_names):
    refused(lambda: register("house", "lineer()"), "Did you mean 'linear'?")
    refused(lambda: register("house", 5), "must stand for a text, a schedule or a function")
    refused(lambda: parse("house()"), "unknown schedule 'house'")


# ---------------------------------------------------------------- custom functions


def test_custom_functions_need_a_name(own_names):
    refused(lambda: custom(lambda p: 1 - p), "must be a function with a name of its own (def)")
    refused(lambda: custom(5), "function of custom() must be a function")
    refused(lambda: custom("nowhere"), "got 'nowhere'")
    refused(lambda: custom(None), "cannot be None")


def test_custom_functions_of_one_name(own_names):
    def make(power):
        def falls(p):
            return 1 - p**power

        return falls

    first = make(1)
    assert custom(first) == custom(first) == parse("custom(falls)")
    refused(lambda: custom(make(2)), "another function has the name 'falls' already")


@pytest.mark.parametrize(
    "value",
    [
        lambda p: p * NAN,
        lambda p: np.where(p > 0.9, NAN, 1.0),
        lambda p: np.where(p > 0.9, INF, 1.0),
        lambda p: 0.5 - p,
        lambda p: 1.0,
        lambda p: p[:1],
        lambda p: np.stack([p, p]),
    ],
)
def test_custom_functions_that_return_what_is_no_factor(own_names, value):
    def falls(p):
        return value(p)

    schedule = custom(falls)
    refused(lambda: schedule.resolve(10), "the function falls must return an array like its argument")


def test_a_function_that_is_bad_only_between_its_ends(own_names):
    def falls(p):
        return np.where((p > 0.2) & (p < 0.3), NAN, 1 - p)

    curve = custom(falls).resolve(100)
    assert curve(10) == pytest.approx(0.9)
    refused(lambda: curve(25), "finite factors of at least 0")


def test_errors_stay_readable(own_names):
    for make in (
        lambda: linear(to="x" * 10**6),
        lambda: warmup("9" * 10**6),
        lambda: multistep(at=list(range(10**5))),
        lambda: from_data({"phase": "x" * 10**6}),
        lambda: linear(**{"y" * 10**6: 1}),
    ):
        with pytest.raises(ScheduleError) as caught:
            make()
        assert len(str(caught.value)) < 500
        assert re.search(r"\w", str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "cosine(cycles=1e308)",
        "hold(to=1e308) * hold(to=1e308)",
        "warmup(2, to=1e308) * warmup(2, to=1e308) >> linear()",
    ],
)
def test_factors_that_are_not_finite_are_refused_at_resolve(text):
    with np.errstate(all="ignore"):
        refused(lambda: parse(text).resolve(10), "not finite")


@pytest.mark.parametrize("peak", [NAN, float("inf"), -1e-4, "2e-5"])
def test_a_peak_that_can_not_be_one(peak):
    refused(lambda: parse("linear()").resolve(10, peak=peak), "the peak LR must be")


def test_repeats_within_repeats_are_bounded():
    inner = parse("repeat(linear(over=1), cycles=10000)")
    refused(lambda: repeat(repeat(inner, cycles=10000), cycles=10000).resolve(10**13), "cycles in all")


def test_what_could_not_be_read_back_can_not_be_built():
    long = parse("linear()")
    with pytest.raises(ScheduleError, match="10,000 characters"):
        for _ in range(1500):
            long = long >> parse("hold(1)")
    deep = parse("linear()")
    with pytest.raises(ScheduleError, match="32 deep"):
        for _ in range(40):
            deep = ls.floor(deep)
    data = {"phase": "linear"}
    for _ in range(2000):
        data = {"phase": "floor", "schedule": data}
    refused(lambda: ls.from_data(data), "32 deep")
    refused(lambda: ls.from_data({"phase": "linear", 3: 1}), "a schedule as data")


def test_a_registered_function_must_return_a_schedule(own_names):
    register("five", lambda: 5)
    refused(lambda: parse("five()"), "must return a schedule")
    register("house", lambda *, climb="6%": warmup(climb) >> parse("linear()"))
    assert parse("house(climb=3)") == parse("warmup(3) >> linear()")
    refused(lambda: parse("house(clim=3)"), "Did you mean 'climb'?")
    refused(lambda: register(5, "linear()"), "a schedule's name")


def test_the_same_definition_again_as_in_a_notebook(own_names):
    register("house", "warmup(6%) >> linear()")
    register("house", "warmup(6%) >> linear()")
    refused(lambda: register("house", "linear()"), "is taken")


@pytest.mark.parametrize("text", ["triangular(up=2, to=0)", "cosine(cycles=1)", "piecewise(points=[[0, 0], [10, 1]])"])
@pytest.mark.parametrize("updates", [5, 6, 7, 8])
def test_past_the_end_nothing_rises(text, updates):
    curve = parse(text).resolve(updates)
    last = curve(updates - 1)
    assert all(curve(t) <= last for t in (updates, updates + 1, 10 * updates))


def test_a_phase_whose_lr_is_0_throughout_is_told():
    (note,) = parse("linear(over=5) >> cosine()").resolve(20).notes
    assert note.startswith("the LR is 0 for updates 6 to 20")
    assert parse("linear(over=5) >> hold()").resolve(20).notes == ()


def test_digits_of_other_alphabets_and_underscores():
    refused(lambda: parse("warmup(\u0665)"), "no meaning")
    refused(lambda: ls.linear(to="1_0"), "factor")
    assert str(warmup(np.float32(0.1))) == "warmup(10%)"
