"""Plan: the curve that a run's settings ask for, this package's or the stock Trainer's."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..schedules import Curve, Horizon, Phase, Schedule, ScheduleError, from_transformers, parse
from ..schedules.curve import Rule
from ..schedules.schedule import Product, Sequence
from ..schedules.shapes import Array
from ..trajectory.clocks import Time, Tokens, as_clock
from .facts import Facts

#: Where the length of the run is not known: so long that only shares and epochs weigh in it.
NOMINAL = 10_000_000
#: A curve is looked at in so many places at most.
_POINTS = 200_000

#: transformers' names that follow a metric.
METRIC_DRIVEN = ("reduce_lr_on_plateau", "greedy")
#: Those that do without `lr_scheduler_kwargs`, and without an error where there are some.
WITHOUT_ARGUMENTS = ("constant", "constant_with_warmup")
#: Those that do without a warmup.
WITHOUT_WARMUP = ("constant", *METRIC_DRIVEN)


@dataclass(frozen=True)
class Plan:
    """The LRs that a run's settings ask for, as factors of the peak.

    Args:
        text (`str`): The schedule.
        total (`int`): Updates of the run, or what else its clock counts.
        unit (`str`): What is counted.
        is_nominal (`bool`): Is the run's length unknown, so that only shares of it have a meaning?
        factor (`Callable`): Update, counted from 0, -> factor.
        climb (`int`): Updates before the highest factor is reached.
        top (`float`): The highest factor.
        notes (`tuple[str, ...]`): What is doubtful about the schedule.
        rules (`tuple[Rule, ...]`): What in it follows the run, such as `plateau()`'s.
    """

    text: str
    total: int
    unit: str
    is_nominal: bool
    factor: Callable[[Array], Array]
    climb: int
    top: float
    notes: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def at(self, update: float) -> float:
        """The factor of one update."""
        return float(self.factor(np.array([float(update)]))[0])

    @property
    def points(self) -> Array:
        """Updates to look at: all, or so many spread evenly."""
        return points_of(self.total)


def plan_of(facts: Facts) -> Plan | None:
    """The curve, or None where it is not known or can't be meant."""
    return _outcome(facts)[0]


def trouble_of(facts: Facts) -> ScheduleError | None:
    """Why the settings can't be meant, or None."""
    return _outcome(facts)[1]


def stock_text(facts: Facts) -> str:
    """The stock schedule's settings, as they are written."""
    settings: dict[str, Any] = {
        "lr_scheduler_type": facts.lr_scheduler_type,
        "warmup_steps": facts.warmup_steps,
        "warmup_ratio": facts.warmup_ratio,
        "lr_scheduler_kwargs": dict(facts.lr_scheduler_kwargs),
    }
    return ", ".join(f"{name}={value}" for name, value in settings.items() if value)


def stock_warmup(facts: Facts, total: int) -> int:
    """Updates of the stock schedule's warmup, as Trainer counts them; below 1, `warmup_steps` is a share (transformers 5)."""
    if facts.lr_scheduler_type in WITHOUT_WARMUP:
        return 0
    if facts.warmup_steps >= 1:
        return int(facts.warmup_steps)
    return math.ceil(total * (facts.warmup_steps or facts.warmup_ratio))


def our_warmup(facts: Facts) -> int | None:
    """Updates of the warmups with which this package's schedule begins; None where that can't be told."""
    try:
        schedule = parse(facts.schedule or "")
        parts = schedule.parts if isinstance(schedule, Sequence) else (schedule,)
        updates = 0.0
        for part in parts:
            if not (isinstance(part, Phase) and part.name == "warmup"):
                break
            updates += float(part.length(_horizon(facts)) or 0)
    except ScheduleError:
        return None
    return math.ceil(updates)


def phases_of(schedule: Schedule) -> Iterator[Phase]:
    """The phases of a schedule, those within others included."""
    if isinstance(schedule, Sequence | Product):
        for part in schedule.parts:
            yield from phases_of(part)
    elif isinstance(schedule, Phase):
        yield schedule
        for _, value in schedule.arguments:
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, Schedule):
                    yield from phases_of(each)


def _outcome(facts: Facts) -> tuple[Plan | None, ScheduleError | None]:
    """Worked out once for the same facts, as a cached property would be: many checks ask for it."""
    if "_outcome" not in facts.__dict__:
        try:
            found: tuple[Plan | None, ScheduleError | None] = _plan(facts), None
        except ScheduleError as error:
            found = None, error
        facts.__dict__["_outcome"] = found
    outcome: tuple[Plan | None, ScheduleError | None] = facts.__dict__["_outcome"]
    return outcome


def _plan(facts: Facts) -> Plan | None:
    if facts.schedule is not None:
        return _our_plan(facts.schedule, facts)
    if facts.lr_scheduler_type in (None, *METRIC_DRIVEN):
        return None
    return _stock_plan(str(facts.lr_scheduler_type), facts)


def _our_plan(text: str, facts: Facts) -> Plan | None:
    schedule = parse(text)
    horizon, peak = _horizon(facts), _usable(facts.learning_rate)
    if peak is None and _names_lrs(schedule):
        return None
    curve = schedule.resolve(horizon, peak=peak)
    is_nominal = facts.num_updates is None and horizon.unit == "updates"
    return _made(str(schedule), horizon, curve, is_nominal, curve.notes)


def _horizon(facts: Facts) -> Horizon:
    clock = as_clock(facts.clock)
    if isinstance(clock, Tokens | Time):
        return clock.horizon(Horizon(1))
    total, per_epoch = facts.num_updates or NOMINAL, facts.updates_per_epoch
    if facts.num_updates is None:
        per_epoch = updates_per_epoch(NOMINAL, facts.num_train_epochs)
    return Horizon(total, per_epoch, facts.samples_per_update)


def updates_per_epoch(total: int, epochs: float | None) -> int | None:
    """Of so many updates in so many epochs, where that can be told."""
    if epochs is None or not 1e-9 < epochs < 1e9:  # without a length of its data Trainer counts endless epochs
        return None
    return max(1, math.ceil(total / epochs))


def _usable(lr: float | None) -> float | None:
    return lr if lr is not None and math.isfinite(lr) and lr > 0 else None


def _names_lrs(schedule: Schedule) -> bool:
    """Does it need the peak LR, for it has an end that is an LR?"""
    return any("to_lr" in dict(phase.arguments) for phase in phases_of(schedule))


def _stock_plan(name: str, facts: Facts) -> Plan | None:
    total, peak = facts.num_updates or NOMINAL, _usable(facts.learning_rate)
    warmup = stock_warmup(facts, total)
    kwargs = {} if name in WITHOUT_ARGUMENTS else dict(facts.lr_scheduler_kwargs)
    is_nominal, text = facts.num_updates is None, stock_text(facts)
    if warmup >= total:  # the language refuses it; transformers climbs as far as it gets
        return Plan(text, total, "updates", is_nominal, lambda t: t / warmup, warmup, (total - 1) / warmup)
    schedule = from_transformers(name, warmup, total, **kwargs)
    if peak is None and _names_lrs(schedule):
        return None
    return _made(text, Horizon(total), schedule.resolve(total, peak=peak), is_nominal)


def _made(text: str, horizon: Horizon, curve: Curve, is_nominal: bool, notes: tuple[str, ...] = ()) -> Plan:
    points = points_of(horizon.num_updates)
    factors = curve(points)
    top = float(factors.max())
    climb = int(points[np.argmax(factors >= 0.999 * top)])
    rules = tuple(reaction.rule for reaction in curve.reactions)
    return Plan(text, horizon.num_updates, horizon.unit, is_nominal, curve, climb, top, notes, rules)


def points_of(total: int) -> Array:
    """Updates of a run, from the first to the last: all, or so many spread evenly."""
    if total <= _POINTS:
        return np.arange(total, dtype=np.float64)
    return np.unique(np.floor(np.linspace(0, total - 1, _POINTS)))
