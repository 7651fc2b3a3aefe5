"""The method: which LR to probe next, and what the probes say about the whole run. NumPy only.

A probe is a run of the whole schedule, shortened to `updates`. Its held-out loss is a function of the peak LR that has one
valley. The valley lies lower for longer runs, by about a power law (Bjorck et al., 2024, arXiv 2409.19913):

    best(T) = best(h) * (h / T) ** exponent

The exponent differs between tasks, and the lowest losses show how. If the loss is `a * (lr * T) ** -c + b * lr`, a part that
falls with the distance that is travelled and a part of noise, then the best LR falls by the exponent `c / (c + 1)`, and the
lowest loss falls by the same power of `T`. For SGD on a convex loss both are 1/2.

LRs are compared in octaves, `log2(lr)`. The search has two stages. Short probes take steps of two octaves until the lowest
loss has a higher one on both sides. Long probes begin at the LR that the short ones predict for them, and take steps of one
octave. While no probe has learned anything, steps are of two octaves, to both sides in turn. The bottom of each valley is
that of a parabola. Each valley predicts the best LR of the whole run by the power law, and the estimate is the mean of the
predictions, weighed by their errors.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..schedules import ScheduleError

#: Shares of the run that a short and a long probe last.
SHARES = (1 / 16, 1 / 4)
#: A probe with fewer updates would be little more than its warmup.
MIN_UPDATES = 6
#: Octaves between the LRs of the short and of the long probes.
STEPS = (2.0, 1.0)
#: The short probes use at most this share of the budget; half of it while none has learned anything.
SHORT_SHARE = 0.5
#: The exponent is the mean of this one and of that of the lowest losses; its error. See docs/find_lr.md.
EXPONENT, EXPONENT_STD = 0.5, 0.25
#: The error of a valley's bottom as a share of the distance between LRs, where it lies between them.
BOTTOM_STD = 0.35
#: Standard deviations on each side of the suggestion that the range holds.
RANGE = 1.3
#: A probe that lowers the loss by less than this share has hardly learned anything.
MIN_GAIN = 0.01
#: Then the losses say nothing, and the suggestion is the first LR, with this error in octaves.
UNLEARNED_STD = 2.0
_SAME = 0.05  # octaves


class Point(NamedTuple):
    """The held-out loss of a run.

    Args:
        lr (`float`): Its peak LR.
        updates (`int`): Its length.
        loss (`float`): The loss after it. One that is not finite stands for a run that diverged.
        std (`float`, defaults to 0): The standard error of the loss, where it is a mean over seeds.
    """

    lr: float
    updates: int
    loss: float
    std: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The limits of a search.

    Args:
        total (`int`): The updates of the whole run.
        horizons (`tuple[int, ...]`): The updates of a short and of a long probe; one number if there is no short one.
        start (`float`): The first LR.
        low (`float`), high (`float`): No LR outside of these is probed.
        budget (`float`, defaults to 1): The updates of all probes together are at most this multiple of `total`.
        start_loss (`float`, *optional*): The held-out loss before training.
    """

    total: int
    horizons: tuple[int, ...]
    start: float
    low: float = 1e-8
    high: float = 10.0
    budget: float = 1.0
    start_loss: float = math.nan

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise ScheduleError(
                f"low and high must be learning rates above 0 with low below high, got low={self.low:g}, high={self.high:g}."
            )
        if not self.low <= self.start <= self.high:
            raise ScheduleError(f"start={self.start:g} must lie between low={self.low:g} and high={self.high:g}.")


class Valley(NamedTuple):
    """The LR with the lowest loss at a horizon.

    Args:
        updates (`int`): The horizon.
        lr (`float`): The LR.
        std (`float`): Its error in octaves.
        edge (`int`): -1 or 1 if the lowest loss was at the lowest or the highest LR, else 0.
    """

    updates: int
    lr: float
    std: float
    edge: int


@dataclass(frozen=True)
class Estimate:
    """What the probes say about the whole run.

    Args:
        lr (`float`): The best peak LR.
        low (`float`), high (`float`): The best LR lies between these in about four of five cases.
        exponent (`float`): That of the power law.
        valleys (`tuple[Valley, ...]`): The best LR of each horizon.
        notes (`tuple[str, ...]`): What makes the estimate uncertain, as sentences.
    """

    lr: float
    low: float
    high: float
    exponent: float
    valleys: tuple[Valley, ...] = ()
    notes: tuple[str, ...] = field(default=())


def choose_horizons(total: int) -> tuple[int, ...]:
    """Return the updates of a short and of a long probe. Short runs have only long probes.

    Raises:
        ScheduleError: The run is too short for probes.

    Example:
    ```python
    >>> choose_horizons(1600), choose_horizons(80), choose_horizons(30)
    ((100, 400), (6, 20), (8,))

    ```
    """
    short, long = (round(total * share) for share in SHARES)
    if long < MIN_UPDATES:
        raise ScheduleError(
            f"the LR cannot be found: the run has {total} updates, and a probe of a quarter of them would be little more than "
            f"its warmup. It takes {MIN_UPDATES * 4} updates or more. Give a learning rate."
        )
    short = max(short, MIN_UPDATES)
    return (short, long) if 2 * short <= long else (long,)


def next_probe(points: Sequence[Point], plan: Plan) -> tuple[float, int] | None:
    """Return the peak LR and the updates of the next probe, or `None` at the end of the search.

    Args:
        points (`Sequence[Point]`): The probes so far.
        plan ([`Plan`]): The limits of the search.

    Example:
    ```python
    >>> plan = Plan(total=1600, horizons=(100, 400), start=5e-4)
    >>> next_probe([], plan)
    (0.0005, 100)
    >>> next_probe([Point(5e-4, 100, 0.6), Point(2e-3, 100, 0.9), Point(1.25e-4, 100, 0.7)], plan)[1]
    400

    ```
    """
    budget, spent = plan.budget * plan.total, sum(point.updates for point in points)
    short, long = plan.horizons[0], plan.horizons[-1]
    for updates, step in zip((short, long), STEPS, strict=True):
        here = [point for point in points if point.updates == updates]
        has_learned = _has_learned(points, plan.start_loss)
        share = SHORT_SHARE if has_learned else SHORT_SHARE / 2  # long probes learn more
        is_enough = updates < long and len(here) >= 3 and spent + updates > share * budget
        if is_enough or spent + updates > budget:
            continue
        if here:
            lr = _next_lr(here, step if has_learned else STEPS[0], plan)
        elif not points:
            lr = plan.start
        elif any(math.isfinite(point.loss) for point in points):
            lr = min(max(estimate(points, plan, updates).lr, plan.low), plan.high)
        else:
            lr = None
        if lr is not None:
            return lr, updates
    return None


def _next_lr(points: Sequence[Point], step: float, plan: Plan) -> float | None:
    """The LR that the valley at a horizon still needs: the lowest loss must have a neighbour on both sides.

    While no probe learned, the losses do not show on which side the valley lies: LRs on both sides then, in turn.
    """
    octaves, values = _sorted_losses({math.log2(point.lr): point.loss for point in points})
    ends = [octaves[int(values.argmin())]] * 2
    finite = [math.log2(point.lr) for point in points if math.isfinite(point.loss)]
    is_unlearned = len(finite) > 0 and not _has_learned(points, plan.start_loss)
    if is_unlearned:
        ends = [min(finite), max(finite)]
    wanted = []
    for side, end in zip((-1, 1), ends, strict=True):
        distances = (octaves - end) * side
        nearest = min(distances[distances > 0], default=math.inf)
        octave = min(max(end + side * step, math.log2(plan.low)), math.log2(plan.high))
        from_first = round(abs(octave - math.log2(points[0].lr))) if is_unlearned else 0
        if nearest > step + _SAME and abs(octave - end) > _SAME:
            wanted.append((math.isfinite(nearest), from_first, -octave))
    # A side without any neighbour first; of two, the higher LR, whose loss differs more.
    return float(2.0 ** -min(wanted)[2]) if wanted else None


def _sorted_losses(losses: dict[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Octaves in order and their losses. A run that diverged counts as worse than all others, but not by how much."""
    octaves = np.array(sorted(losses))
    values = np.array([losses[octave] for octave in octaves], dtype=float)
    finite = values[np.isfinite(values)]
    ceiling = finite.max() + max(float(np.ptp(finite)), 1e-6) if finite.size else 0.0
    return octaves, np.where(np.isfinite(values), values, ceiling)


def find_valley(points: Sequence[Point]) -> Valley:
    """Return the bottom of the parabola through the lowest loss and its two neighbours.

    Args:
        points (`Sequence[Point]`): Probes of one horizon with different LRs.

    Example:
    ```python
    >>> valley = find_valley([Point(2e-4, 100, 0.6), Point(4e-4, 100, 0.5), Point(8e-4, 100, 0.6)])
    >>> round(valley.lr, 6), valley.edge
    (0.0004, 0)

    ```
    """
    octaves, values = _sorted_losses({math.log2(point.lr): point.loss for point in points})
    at, last = int(values.argmin()), len(octaves) - 1
    updates = points[0].updates
    if at in (0, last):
        return Valley(updates, float(2.0 ** octaves[at]), 1.0, 0 if last == 0 else -1 if at == 0 else 1)
    left, right = octaves[at] - octaves[at - 1], octaves[at + 1] - octaves[at]
    rise_left, rise_right = values[at - 1] - values[at], values[at + 1] - values[at]
    curvature = rise_left / left + rise_right / right
    shift = 0.0
    if curvature > 0:
        shift = (rise_left * right / left - rise_right * left / right) / (2 * curvature)
    shift = float(np.clip(shift, -left / 2, right / 2))
    return Valley(updates, float(2.0 ** (octaves[at] + shift)), float(BOTTOM_STD * (left + right) / 2), 0)


def estimate(points: Sequence[Point], plan: Plan, updates: int | None = None) -> Estimate:
    """Estimate the best peak LR for a run of `updates`.

    Args:
        points (`Sequence[Point]`): The probes, at least one of which did not diverge.
        plan ([`Plan`]): The limits of the search.
        updates (`int`, *optional*): Defaults to those of the whole run.

    Raises:
        ScheduleError: All probes diverged, or there are none.
    """
    if not any(math.isfinite(point.loss) for point in points):
        lowest = min((point.lr for point in points), default=plan.start)
        raise ScheduleError(
            f"the LR cannot be found: all {len(points)} probes ended with a loss that is not finite, down to an LR of {lowest:.3g}. "
            "Check the data and the model for NaN, or search lower LRs with low=."
        )
    total = plan.total if updates is None else updates
    by_horizon = [[point for point in points if point.updates == each] for each in sorted({p.updates for p in points})]
    by_horizon = [group for group in by_horizon if any(math.isfinite(point.loss) for point in group)]
    valleys = [find_valley(group) for group in by_horizon]
    exponent = estimate_exponent(by_horizon)
    distances = np.log2([total / valley.updates for valley in valleys])
    octaves = np.log2([valley.lr for valley in valleys]) - exponent * distances
    learned = [_has_learned(group, plan.start_loss) for group in by_horizon]  # the others say nothing
    stds = np.where(learned, [valley.std for valley in valleys], UNLEARNED_STD)
    precisions = 1 / (stds**2 + (EXPONENT_STD * distances) ** 2)
    octave, std = float(np.average(octaves, weights=precisions)), float(precisions.sum() ** -0.5)
    if total == plan.total and not _has_learned(points, plan.start_loss):
        octave, std = math.log2(plan.start), UNLEARNED_STD
    # LRs whose loss is within the noise of the lowest one may be the best as well.
    longest = by_horizon[-1]
    lowest = min((point.loss for point in longest if math.isfinite(point.loss)), default=math.inf)
    limit = lowest + 2 * get_noise(longest)
    shift = exponent * math.log2(total / longest[0].updates)
    ties = [octave, *(math.log2(point.lr) - shift for point in longest if point.loss <= limit)]
    low, high = min(octave - RANGE * std, *ties), max(octave + RANGE * std, *ties)
    lr, lowest_lr, highest_lr = (float(2.0**each) for each in (octave, low, high))
    notes = tuple(_explain(by_horizon, plan))
    return Estimate(lr, lowest_lr, highest_lr, exponent, tuple(valleys), notes)


def estimate_exponent(by_horizon: Sequence[Sequence[Point]]) -> float:
    """Return the mean of the usual exponent and of that by which the lowest loss falls; the usual one of a single horizon.

    Args:
        by_horizon (`Sequence[Sequence[Point]]`): The probes of each horizon, the shortest first.

    Example:
    ```python
    >>> round(estimate_exponent([[Point(1e-3, 100, 2.0)], [Point(5e-4, 400, 1.5)]]), 2)
    0.35

    ```
    """
    lowest = [min(point.loss for point in group if math.isfinite(point.loss)) for group in by_horizon]
    if len(lowest) < 2 or min(lowest) <= 0:
        return EXPONENT
    decay = math.log(lowest[0] / lowest[-1]) / math.log(by_horizon[-1][0].updates / by_horizon[0][0].updates)
    return (EXPONENT + min(max(decay, 0.0), 1.0)) / 2


def _has_learned(points: Iterable[Point], start_loss: float) -> bool:
    """Whether some probe lowered the loss from before training, where that is known."""
    lowest = min((point.loss for point in points if math.isfinite(point.loss)), default=math.inf)
    return not math.isfinite(start_loss) or start_loss - lowest >= MIN_GAIN * abs(start_loss)


def _explain(by_horizon: list[list[Point]], plan: Plan) -> list[str]:
    """What makes an estimate uncertain."""
    longest = by_horizon[-1]
    valley = find_valley(longest)
    notes = []
    if valley.edge and len({find_valley(group).edge for group in by_horizon}) == 1:
        side, end, name = ("below", plan.low, "low") if valley.edge < 0 else ("above", plan.high, "high")
        is_bound = abs(math.log2(valley.lr / end)) < _SAME
        advice = f"widen it with {name}=" if is_bound else f"raise budget= or give start={valley.lr:.2g}"
        notes.append(f"The best LR may be {side} the searched range, which ends at {valley.lr:.3g}: {advice}.")
    losses = [point.loss for point in longest if math.isfinite(point.loss)]
    if not _has_learned([point for group in by_horizon for point in group], plan.start_loss):
        notes.append(
            f"No probe learned much: the loss before training was {plan.start_loss:.4g}, the lowest after it {min(losses):.4g}. "
            f"The probes say nothing about the LR, so {plan.start:.3g}, where the search began, is suggested: it is uncertain."
        )
    elif len(longest) >= 3 and np.ptp(losses) <= 2 * get_noise(longest):
        notes.append(
            f"The losses of the probes of {longest[0].updates} updates differ by {np.ptp(losses):.2g}, which is no more than their "
            "noise: any of these LRs may be as good."
        )
    return notes


def get_noise(points: Sequence[Point]) -> float:
    """Return the noise of the losses at a horizon, as far as it shows.

    That is the largest step in the wrong direction, since without noise there is one valley; or the mean error over seeds.

    Example:
    ```python
    >>> get_noise([Point(1e-4, 9, 0.5), Point(2e-4, 9, 0.75), Point(4e-4, 9, 0.25), Point(8e-4, 9, 0.9)])
    0.25

    ```
    """
    _, values = _sorted_losses({math.log2(point.lr): point.loss for point in points})
    at = int(values.argmin())
    wrong = np.concatenate([np.diff(values[: at + 1]), -np.diff(values[at:])])
    return float(max(wrong.max(initial=0.0), np.mean([point.std for point in points])))
