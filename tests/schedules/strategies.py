"""Random schedules, for hypothesis."""

from hypothesis import strategies as st

from hf_lrsched import schedules as ls

factors = st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1)
above_0 = st.floats(0.01, 1)
lrs = st.sampled_from([0.0, 1e-7, 1e-6, 3e-5]) | st.floats(0, 1e-5)
shares = st.integers(1, 99).map(lambda n: f"{n}%") | st.floats(0.001, 0.999)
lengths = st.one_of(
    st.integers(1, 10**6),
    shares,
    st.decimals("0.001", "100", places=3).map(lambda amount: f"{amount}ep"),
    st.integers(1, 10**9).map(lambda n: f"{n}sa"),
    st.integers(1, 10**12).map(lambda n: f"{n}tok"),
)


def _phase(name, /, *args, over=lengths, **kwargs):
    """A phase with some of its optional arguments; `to` or `to_lr`, never both."""
    ends = [st.just({})]
    if "to" in kwargs:
        to = kwargs.pop("to")
        ends += [st.fixed_dictionaries({"to": to}), st.fixed_dictionaries({"to_lr": lrs})]
    optional = st.fixed_dictionaries({}, optional={**kwargs, **({} if over is None else {"over": over})})
    return st.builds(lambda a, e, o: getattr(ls, name)(*a, **{**e, **o}), st.tuples(*args), st.one_of(ends), optional)


def _with(name, required, **kwargs):
    """The same, with named arguments that it needs."""
    keys = list(required)
    return st.builds(
        lambda values, end, over: getattr(ls, name)(**dict(zip(keys, values, strict=True)), **end, **over),
        st.tuples(*required.values()),
        st.one_of(st.just({}), *[st.fixed_dictionaries({key: value}) for key, value in kwargs.items()]),
        st.fixed_dictionaries({}, optional={"over": lengths}),
    )


_whole_milestones = st.sets(st.integers(1, 10**4), min_size=1, max_size=4).map(sorted)
_share_milestones = st.sets(st.integers(1, 100), min_size=1, max_size=4).map(lambda at: [f"{n}%" for n in sorted(at)])
_points = st.tuples(
    st.sets(st.integers(0, 10**4), min_size=2, max_size=4), st.lists(factors, min_size=4, max_size=4)
).map(lambda drawn: [[time, factor] for time, factor in zip(sorted(drawn[0]), drawn[1], strict=False)])

#: Any phase, with any arguments, whether or not it fits into a run.
phases = st.one_of(
    st.builds(ls.warmup, lengths),
    st.builds(
        ls.warmup,
        lengths,
        start=factors,
        to=factors,
        shape=st.sampled_from(["linear", "cosine", "one_minus_sqrt", "exponential", "constant"]),
    ),
    _phase("hold", to=factors),
    _phase("linear", to=factors),
    _phase("cosine", to=factors, cycles=above_0, k=st.floats(0.1, 5)),
    _phase("polynomial", to=factors, power=st.floats(0.1, 5)),
    _with("exponential", {"rate": above_0}, per=lengths, to=factors),
    _phase("one_minus_sqrt", to=factors),
    _phase("rex", to=factors, d=st.floats(0, 0.99)),
    _phase("tanh", to=factors, lb=st.floats(-9, 0), ub=st.floats(0.1, 9)),
    _phase("inverse_sqrt", to=factors, timescale=lengths),
    _with("step", {"every": lengths, "factor": above_0}, to=factors, to_lr=lrs),
    _with("multistep", {"at": _whole_milestones | _share_milestones, "factor": above_0}, to=factors),
    _with("power", {"timescale": lengths, "exponent": st.floats(0.1, 2)}, to=factors),
    _with("piecewise", {"points": _points, "shape": st.sampled_from(["linear", "cosine", "constant"])}),
    st.builds(ls.freeze) | st.builds(ls.freeze, lengths),
    st.builds(
        ls.plateau,
        metric=st.sampled_from(["eval_loss", "f1", "eval_mnli-mm_accuracy"]),
        factor=st.floats(0.01, 0.99),
        patience=st.integers(0, 9),
        threshold=factors,
        threshold_mode=st.sampled_from(["rel", "abs"]),
        cooldown=st.integers(0, 9),
        to=factors,
        mode=st.sampled_from(["auto", "min", "max"]),
    ),
    st.builds(
        ls.cooldown,
        lengths,
        shape=st.sampled_from(["linear", "cosine", "one_minus_sqrt"]),
        to=factors,
        on=st.lists(st.sampled_from(["early_stopping", "sigterm"])),
        time_limit=st.none() | st.sampled_from(["90s", "30min", "1.5h"]),
    ),
    _with("triangular", {"up": lengths, "to": factors, "decay": above_0, "gamma": above_0}, down=lengths),
    st.builds(ls.momentum) | st.builds(ls.momentum, st.floats(0.5, 0.99), st.floats(0, 0.5)),
    _with("one_cycle", {"peak_at": st.floats(0.01, 0.99), "start": factors, "to": factors}),
)


def _grow(inner):
    unmoved = inner.filter(
        lambda schedule: not any(f"{name}(" in str(schedule) for name in ("plateau", "cooldown", "momentum"))
    )
    return st.one_of(
        st.builds(lambda a, b: a >> b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(ls.repeat, unmoved, cycles=st.none() | st.integers(1, 9), growth=st.floats(0.1, 4), decay=above_0),
        st.builds(ls.repeat, unmoved, cycles=st.integers(1, 9), peak_decay=above_0),
        st.builds(ls.repeat, unmoved, first=lengths, over=st.none() | lengths),
        st.builds(ls.floor, unmoved, to=factors),
        st.builds(ls.floor, unmoved, to_lr=lrs),
    )


#: Any sentence.
sentences = st.recursive(phases, _grow, max_leaves=6)


# ---- sentences that fit into a run, by construction: every length is a share that its neighbours leave free

_low = st.sampled_from([0.0, 0.05, 0.1]) | st.floats(0, 0.1)


def _falls(over):
    """A decay that starts anywhere above 0.1: smooth ones."""
    length = {"over": st.just(over)} if over else {}
    return st.one_of(
        st.builds(ls.linear, to=_low, **length),
        st.builds(ls.cosine, to=_low, k=st.floats(0.5, 3), **length),
        st.builds(ls.polynomial, to=_low, power=st.floats(1, 3), **length),
        st.builds(ls.one_minus_sqrt, to=_low, **length),
        st.builds(ls.rex, to=_low, d=st.floats(0, 0.9), **length),
        st.builds(ls.exponential, to=st.floats(0.01, 0.1), **length),
        st.builds(ls.exponential, rate=st.floats(0.1, 3), per=st.just("20%"), to=_low, **length),
        st.builds(ls.inverse_sqrt, timescale=st.sampled_from(["5%", 3, 50]), to=_low, **length),
        st.builds(ls.hold, **length),
    )


def _drops(over):
    length = {"over": st.just(over)} if over else {}
    return st.one_of(
        st.builds(ls.step, every=st.sampled_from([1, 3, "7%", "2.5%"]), factor=above_0, to=_low, **length),
        st.builds(ls.multistep, at=st.just(["96%", "99%"]), factor=above_0, **length),
        st.builds(ls.triangular, up=st.sampled_from([1, 3, "4%"]), down=st.sampled_from([2, "3%"]), to=_low, **length),
        st.builds(ls.one_cycle, peak_at=st.floats(0.1, 0.9), start=_low, to=_low, **length),
        st.builds(ls.power, timescale=st.sampled_from([3, "5%"]), to=_low, **length),
        st.builds(ls.tanh, to=_low, **length),
        st.builds(
            ls.piecewise,
            points=st.just([[0, 0.5], ["30%", 1], ["60%", 0.2]]),
            shape=st.sampled_from(["linear", "cosine", "constant"]),
            **length,
        ),
        st.builds(
            ls.repeat,
            _falls(None),
            cycles=st.integers(1, 3),
            growth=st.sampled_from([0.7, 1.0, 1.5]),
            decay=st.floats(0.3, 1),
            **length,
        ),
    )


_climbs = st.builds(
    ls.warmup, st.sampled_from(["5%", "12.5%", 7]), shape=st.sampled_from(["linear", "cosine", "one_minus_sqrt"])
)

#: Sentences in which each phase begins where the one before it ended.
smooth = st.one_of(
    _falls(None),
    st.builds(lambda a, b: a >> b, _climbs, _falls(None)),
    st.builds(lambda a, b, c, d: a >> b >> c >> d, _climbs, _falls("30%"), _climbs, _falls(None)),
    st.builds(lambda a, b, c: a >> b >> c, _falls("15%"), _climbs, _falls(None)),
)

_any = st.one_of(_falls(None), _drops(None), smooth)

#: Sentences that fit into every run of 60 updates or more, nested two deep, with factors of at most 1.
fitting = st.one_of(
    _any,
    st.builds(lambda a, b: a >> b, _climbs, _any),
    st.builds(lambda a, b: a * b, _any, _any),
    st.builds(lambda a, b, c: a >> b * c, _climbs, _falls(None), _drops(None)),
    st.builds(ls.floor, _any, to=factors),
    st.builds(lambda a, b: a >> ls.floor(b, to=0.05), _climbs, _any),
    st.builds(lambda a, b, c: a >> b >> ls.repeat(c, cycles=2), _climbs, _drops("40%"), _falls(None)),
    st.builds(lambda a, n, d: ls.repeat(a, cycles=n, decay=d), _falls(None), st.integers(1, 3), st.floats(0.5, 1)),
)
