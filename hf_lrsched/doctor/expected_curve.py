"""The LR curve that a run's settings ask for, of this package's Trainer or the stock Trainer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..schedules import Horizon, from_transformers, parse
from ..schedules.curve import ReactiveShape
from ..schedules.shapes import Array
from ..trajectory.clocks import Time, Tokens, as_clock

if TYPE_CHECKING:
    from .facts import Facts

#: The length of a run whose length is unknown: so long that only shares and epochs matter.
NOMINAL = 10_000_000
#: A curve is evaluated at so many updates at most.
_MAX_POINTS = 200_000

#: Schedules of transformers that follow a metric.
METRIC_DRIVEN = ("reduce_lr_on_plateau", "greedy")
#: Schedules of transformers for which `lr_scheduler_kwargs` are dropped without an error.
WITHOUT_ARGUMENTS = ("constant", "constant_with_warmup")
#: Schedules of transformers that ignore a warmup.
WITHOUT_WARMUP = ("constant", *METRIC_DRIVEN)


@dataclass(frozen=True)
class ExpectedCurve:
    """The LRs that a run's settings ask for, as factors of the peak.

    Args:
        text (`str`): The schedule.
        num_updates (`int`): Updates of the run, or what else its clock counts.
        unit (`str`): What is counted.
        is_nominal (`bool`): Whether the length of the run is unknown, so that only shares of it have a meaning.
        factor (`Callable`): Update, counted from 0, → factor.
        peak_update (`int`): Updates before the highest factor is reached.
        peak_factor (`float`): The highest factor.
        notes (`tuple[str, ...]`): What is doubtful about the schedule.
        rules (`tuple[ReactiveShape, ...]`): Parts of it that react to the run, such as `plateau()`.
    """

    text: str
    num_updates: int
    unit: str
    is_nominal: bool
    factor: Callable[[Array], Array]
    peak_update: int
    peak_factor: float
    notes: tuple[str, ...] = ()
    rules: tuple[ReactiveShape, ...] = ()

    def at(self, update: float) -> float:
        """Return the factor of one update."""
        return float(self.factor(np.array([float(update)]))[0])

    @property
    def has_no_peak(self) -> bool:
        """Whether the run ends within its warmup."""
        return self.peak_update >= self.num_updates

    def matches(self, steps: Array, factors: Array, tolerance: float) -> NDArray[np.bool_]:
        """Return for each factor that a log has at a step whether it is this curve's.

        transformers 5 logs the last update's LR, 4.57 the next one's.
        """
        next_lr, lr = (np.abs(self.factor(np.maximum(steps - shift, 0)) - factors) for shift in (0, 1))
        return np.minimum(next_lr, lr) <= tolerance

    def find_lowest_after_peak(self) -> float:
        """Return the lowest factor from the peak to the end of the run."""
        points = _sample_updates(self.num_updates)
        return float(self.factor(points[points >= self.peak_update]).min())


def resolve_curve(facts: "Facts") -> ExpectedCurve | None:
    """Resolve the schedule of a run.

    Returns:
        [`ExpectedCurve`], *optional*: None where the schedule is unknown or follows a metric.

    Raises:
        ScheduleError: The schedule is invalid in this run.
    """
    if facts.schedule is not None:
        schedule, horizon = parse(facts.schedule), _horizon(facts)
        text, is_nominal = str(schedule), facts.num_updates is None and horizon.unit == "updates"
    elif facts.lr_scheduler_type in (None, *METRIC_DRIVEN):
        return None
    else:
        name, total = str(facts.lr_scheduler_type), facts.num_updates or NOMINAL
        text, horizon, is_nominal = describe_stock_schedule(facts), Horizon(total), facts.num_updates is None
        warmup = count_stock_warmup(facts, total)
        if warmup >= total:  # an error for this package; transformers climbs as far as it gets
            return ExpectedCurve(text, total, "updates", is_nominal, lambda t: t / warmup, warmup, (total - 1) / warmup)
        kwargs = {} if name in WITHOUT_ARGUMENTS else facts.lr_scheduler_kwargs
        schedule = from_transformers(name, warmup, total, **kwargs)
    lr = facts.learning_rate
    # Beside the peak of 1 of an unknown or invalid LR an absolute floor is next to 0.
    curve = schedule.resolve(horizon, peak=lr if lr is not None and 0 < lr < math.inf else 1.0)
    points = _sample_updates(horizon.num_updates)
    factors = curve(points)
    peak_factor = float(factors.max())
    return ExpectedCurve(
        text,
        horizon.num_updates,
        horizon.unit,
        is_nominal,
        curve,
        peak_update=int(points[np.argmax(factors >= 0.999 * peak_factor)]),
        peak_factor=peak_factor,
        notes=curve.notes,
        rules=tuple(reaction.shape for reaction in curve.reactive_parts),
    )


def describe_stock_schedule(facts: "Facts") -> str:
    """Write the stock schedule's settings as they are written in a configuration."""
    settings: dict[str, Any] = {
        "lr_scheduler_type": facts.lr_scheduler_type,
        "warmup_steps": facts.warmup_steps,
        "warmup_ratio": facts.warmup_ratio,
        "lr_scheduler_kwargs": dict(facts.lr_scheduler_kwargs),
    }
    return ", ".join(f"{name}={value}" for name, value in settings.items() if value)


def count_stock_warmup(facts: "Facts", total: int) -> int:
    """Count the warmup updates as Trainer does; below 1, `warmup_steps` is a share of the run (transformers 5)."""
    if facts.lr_scheduler_type in WITHOUT_WARMUP:
        return 0
    if facts.warmup_steps >= 1:
        return int(facts.warmup_steps)
    return math.ceil(total * (facts.warmup_steps or facts.warmup_ratio))


def count_updates_per_epoch(total: int | None, epochs: float | None) -> int | None:
    """Divide updates by their epochs, or return None where either is unknown."""
    if not total or epochs is None or not 1e-9 < epochs < 1e9:  # Trainer counts endless epochs of data without a length
        return None
    return max(1, math.ceil(total / epochs))


def _horizon(facts: "Facts") -> Horizon:
    clock = as_clock(facts.clock)
    if isinstance(clock, Tokens | Time):
        return clock.horizon(Horizon(1))
    per_epoch = facts.updates_per_epoch
    if facts.num_updates is None:
        per_epoch = count_updates_per_epoch(NOMINAL, facts.num_train_epochs)
    return Horizon(facts.num_updates or NOMINAL, per_epoch, facts.samples_per_update)


def _sample_updates(total: int) -> Array:
    """Updates of a run, from the first to the last: all, or so many spread evenly."""
    if total <= _MAX_POINTS:
        return np.arange(total, dtype=np.float64)
    return np.unique(np.floor(np.linspace(0, total - 1, _MAX_POINTS)))
