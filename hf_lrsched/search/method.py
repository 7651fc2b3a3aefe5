"""The method: which LR to probe next, and what the probes say about the whole run. NumPy only.

A probe is a run of the whole schedule, shortened to `updates`. Its held-out loss is a function of the peak LR that has one
valley. The valley lies lower for longer runs, by about a power law (Bjorck et al., 2024, arXiv 2409.19913):

    best(T) = best(h) * (h / T) ** exponent

LRs are compared in octaves, `log2(lr)`. The search has two stages, each at a horizon of its own. The first takes steps of
two octaves until the lowest loss has a higher one on both sides. The second begins at the LR that the first predicts for its
longer horizon, and takes steps of one octave. The bottom of each valley is that of a parabola. The estimate for the whole
run weighs both by their errors; the exponent is estimated with them, and is held near the one that was measured on other
tasks, since two horizons alone do not determine it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..schedules import ScheduleError

#: Shares of the run that a probe may last. The two shortest that are long enough are used.
SHARES = (1 / 16, 1 / 8, 1 / 4)
#: A probe with fewer updates would be little more than its warmup.
MIN_UPDATES = 6
#: Octaves between the LRs of each stage.
STEPS = (2.0, 1.0)
#: The first stage uses at most this share of the budget.
FIRST_SHARE = 0.5
#: The exponent of the power law, and its spread over tasks: see docs/find_lr.md.
EXPONENT, EXPONENT_STD = 0.4, 0.25
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
        horizons (`tuple[int, ...]`): The updates of the probes of each stage, the shortest first; one or two.
        start (`float`): The first LR.
        low (`float`), high (`float`): No LR outside of these is probed.
        budget (`float`, defaults to 1): The updates of all probes together are at most this multiple of `total`.
    """

    total: int
    horizons: tuple[int, ...]
    start: float
    low: float = 1e-8
    high: float = 10.0
    budget: float = 1.0

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
    """Return the updates of the probes of each stage.

    Raises:
        ScheduleError: The run is too short for probes.

    Example:
    ```python
    >>> choose_horizons(1600), choose_horizons(80), choose_horizons(30)
    ((100, 200), (10, 20), (8,))

    ```
    """
    horizons = [updates for updates in (round(total * share) for share in SHARES) if updates >= MIN_UPDATES]
    if not horizons:
        raise ScheduleError(
            f"the LR cannot be found: the run has {total} updates, and a probe of a quarter of them would be little more than "
            f"its warmup. It takes {MIN_UPDATES * 4} updates or more. Give a learning rate."
        )
    return tuple(horizons[:2])


def next_probe(points: Sequence[Point], plan: Plan) -> tuple[float, int] | None:
    """Return the peak LR and the updates of the next probe, or `None` at the end of the search.

    Args:
        points (`Sequence[Point]`): The probes so far.
        plan ([`Plan`]): The limits of the search.

    Example:
    ```python
    >>> plan = Plan(total=1600, horizons=(100, 200), start=5e-4)
    >>> next_probe([], plan)
    (0.0005, 100)
    >>> next_probe([Point(5e-4, 100, 0.6), Point(2e-3, 100, 0.9), Point(1.25e-4, 100, 0.7)], plan)[1]
    200

    ```
    """
    spent = sum(point.updates for point in points)
    for stage, updates in enumerate(plan.horizons):
        here = [point for point in points if point.updates == updates]
        is_last = updates == plan.horizons[-1]
        budget = plan.budget * plan.total * (1 if is_last else FIRST_SHARE)
        if spent + updates > budget and len(here) >= 3:
            continue
        if stage and not any(math.isfinite(point.loss) for point in points):
            return None
        start = plan.start if here or not stage else estimate(points, plan, updates).lr
        if spent + updates > plan.budget * plan.total:
            return None
        lr = _next_lr(here, start, STEPS[stage], plan)
        if lr is not None:
            return lr, updates
        if len(plan.horizons) == 1:  # a short run has no second stage: its one horizon is refined
            lr = _next_lr(here, start, STEPS[1], plan)
            return None if lr is None else (lr, updates)
    return None


def _next_lr(points: Iterable[Point], start: float, step: float, plan: Plan) -> float | None:
    """The LR that the valley at a horizon still needs: the lowest loss must have a neighbour on both sides."""
    losses = {math.log2(point.lr): point.loss for point in points}
    low, high = math.log2(plan.low), math.log2(plan.high)
    if not losses:
        return min(max(start, plan.low), plan.high)
    octaves, values = _sorted_losses(losses)
    best = octaves[int(values.argmin())]
    sides = []
    for side in (-1, 1):
        beyond = [octave for octave in octaves if (octave - best) * side > 0]
        nearest = min((abs(octave - best) for octave in beyond), default=math.inf)
        wanted = min(max(best + side * step, low), high)
        if nearest > step + _SAME and abs(wanted - best) > _SAME:
            sides.append((len(beyond) > 0, wanted))
    # A side without any neighbour first; of two, the higher LR, whose loss differs more.
    return float(2.0 ** min(sides, key=lambda each: (each[0], -each[1]))[1]) if sides else None


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


def estimate(points: Sequence[Point], plan: Plan, updates: int | None = None, start_loss: float = math.nan) -> Estimate:
    """Estimate the best peak LR for a run of `updates`.

    Args:
        points (`Sequence[Point]`): The probes, at least one of which did not diverge.
        plan ([`Plan`]): The limits of the search.
        updates (`int`, *optional*): Defaults to those of the whole run.
        start_loss (`float`, *optional*): The held-out loss before training.

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
    valleys = [find_valley(group) for group in by_horizon if any(math.isfinite(point.loss) for point in group)]
    # Bayesian linear regression: octave of a valley = octave of the whole run + exponent * octaves of the horizon.
    design = np.array([[1.0, math.log2(total / valley.updates)] for valley in valleys])
    weights = np.array([valley.std**-2.0 for valley in valleys])
    precision = design.T @ (design * weights[:, None]) + np.diag([0.0, EXPONENT_STD**-2.0])
    target = design.T @ (weights * np.log2([valley.lr for valley in valleys])) + [0.0, EXPONENT / EXPONENT_STD**2]
    octave, exponent = np.linalg.solve(precision, target)
    std = math.sqrt(np.linalg.inv(precision)[0, 0])
    if not _has_learned(points, start_loss):
        octave, std = math.log2(plan.start), UNLEARNED_STD
    # LRs whose loss is within the noise of the lowest one may be the best as well.
    longest = by_horizon[-1]
    lowest = min((point.loss for point in longest if math.isfinite(point.loss)), default=math.inf)
    limit = lowest + 2 * get_noise(longest)
    shift = exponent * math.log2(total / longest[0].updates)
    ties = [octave, *(math.log2(point.lr) - shift for point in longest if point.loss <= limit)]
    low, high = min(octave - RANGE * std, *ties), max(octave + RANGE * std, *ties)
    lr, lowest_lr, highest_lr = (float(2.0**each) for each in (octave, low, high))
    notes = tuple(_explain(by_horizon, plan, start_loss))
    return Estimate(lr, lowest_lr, highest_lr, float(exponent), tuple(valleys), notes)


def _has_learned(points: Iterable[Point], start_loss: float) -> bool:
    """Whether some probe lowered the loss from before training, where that is known."""
    lowest = min(point.loss for point in points if math.isfinite(point.loss))
    return not math.isfinite(start_loss) or start_loss - lowest >= MIN_GAIN * abs(start_loss)


def _explain(by_horizon: list[list[Point]], plan: Plan, start_loss: float) -> list[str]:
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
    if not _has_learned([point for group in by_horizon for point in group], start_loss):
        notes.append(
            f"No probe learned much: the loss before training was {start_loss:.4g}, the lowest after it {min(losses):.4g}. "
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
