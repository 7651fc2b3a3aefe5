"""What follows the run and not the updates alone: plateau() and cooldown(). Pure: what they see is handed to them."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict

import numpy as np

from .. import shapes
from ..arguments import (
    DecayFactorArgument,
    DurationArgument,
    FactorArgument,
    LengthArgument,
    LRArgument,
    as_metric,
    as_not_negative,
    as_whole,
    one_of,
    words_of,
)
from ..curve import Curve, Reaction, Rule
from ..errors import ScheduleError, nearest
from ..registry import phase
from ..schedule import Shape, Span
from ..shapes import Function
from ..units import Duration
from .decays import _checked_end, _refuse_two_ends

#: The last part of a metric's name, where it tells which way is better.
LOWER_IS_BETTER = ("loss", "perplexity", "ppl", "error", "wer", "cer", "mse", "mae", "rmse")
HIGHER_IS_BETTER = (
    *(
        "accuracy",
        "acc",
        "f1",
        "precision",
        "recall",
        "auc",
        "auroc",
        "matthews",
        "mcc",
        "correlation",
        "pearson",
        "r2",
    ),
    *("pearsonr", "spearman", "spearmanr", "bleu", "rouge", "rouge1", "rouge2", "rougel", "em", "match", "map", "mrr"),
    *("ndcg", "iou", "score", "kappa"),
)


def direction_by_name(metric: str) -> str | None:
    """`min` or `max`, where a metric's name tells which way is better.

    Example:
    ```python
    >>> direction_by_name("eval_loss"), direction_by_name("eval_f1_macro"), direction_by_name("eval_x")
    ('min', 'max', None)

    ```
    """
    words = metric.lower().replace("-", "_").replace("/", "_").split("_")
    if any(word in LOWER_IS_BETTER for word in words):
        return "min"
    return "max" if any(word in HIGHER_IS_BETTER for word in words) else None


# As torch's `eps`: a run of a million evaluations must not get to what is 0 for a float.
_LEAST = 1e-8


class PlateauState(TypedDict):
    """What `plateau()` remembers: the best value, evaluations without improvement, those left to rest, the scale."""

    best: float | None
    bad: int
    resting: int
    scale: float


@dataclass(frozen=True)
class Plateau(Rule):
    """The rule of `plateau()`, and its shape: 1 on paper."""

    metric: str
    mode: str
    factor: float
    patience: int
    min_delta: float
    cooldown: int
    to: float

    #: It scales what it stands beside and has no length of its own.
    neutral = True

    def __call__(self, span: Span) -> Function:
        return lambda u: np.full_like(u, span.height)

    def start(self) -> PlateauState:
        """The state before the first evaluation."""
        return PlateauState(best=None, bad=0, resting=0, scale=1.0)

    def after(self, state: PlateauState, value: float, mode: str) -> PlateauState:
        """The state after one more evaluation; the counting is that of torch's `ReduceLROnPlateau`.

        Args:
            state (`PlateauState`): The one before.
            value (`float`): The metric; NaN and infinity are no improvement.
            mode (`str`): `min` or `max`.
        """
        best, bad, resting, scale = state["best"], state["bad"], state["resting"], state["scale"]
        gain = math.inf if best is None else (best - value if mode == "min" else value - best)
        if gain > self.min_delta and math.isfinite(value):
            best, bad = value, 0
        else:
            bad += 1
        if resting:
            resting, bad = resting - 1, 0
        if bad > self.patience:
            scale, resting, bad = max(scale * self.factor, min(max(self.to, _LEAST), scale)), self.cooldown, 0
        return PlateauState(best=best, bad=bad, resting=resting, scale=scale)

    def direction(self, best_metric: str | None = None, greater_is_better: bool | None = None) -> str:
        """`min` or `max`: from `mode`, from the Trainer's `greater_is_better`, or from the metric's name.

        Args:
            best_metric (`str`, *optional*): The Trainer's `metric_for_best_model`.
            greater_is_better (`bool`, *optional*): The Trainer's, which speaks of that metric.

        Raises:
            ScheduleError: They contradict each other, or nothing tells.

        Example:
        ```python
        >>> plateau_of = lambda **kwargs: plateau(**kwargs)._shape()
        >>> plateau_of(metric="eval_loss").direction(), plateau_of(metric="eval_f1_macro").direction()
        ('min', 'max')

        ```
        """
        told = None
        if greater_is_better is not None and best_metric is not None and as_metric(best_metric, "") == self.metric:
            told = "max" if greater_is_better else "min"
        if self.mode != "auto":
            if told not in (None, self.mode):
                raise ScheduleError(
                    f"plateau(metric={self.metric}, mode={self.mode}) contradicts greater_is_better={greater_is_better}, "
                    "which the training arguments say of the same metric. Delete one of them."
                )
            return self.mode
        if told is not None:
            return told
        by_name = direction_by_name(self.metric)
        if by_name is not None:
            return by_name
        raise ScheduleError(
            f"whether {self.metric} is better when it is high or low can't be told from its name. Write "
            f"plateau(metric={self.metric}, mode=max) or mode=min."
        )

    def value(self, metrics: dict[str, Any]) -> float:
        """The metric's value in an evaluation's metrics.

        Raises:
            ScheduleError: It is not there, or no number.
        """
        if self.metric not in metrics:
            there = [name for name in metrics if _is_number(metrics[name])]
            raise ScheduleError(
                f"plateau(metric={self.metric}): the evaluation has no such metric; it has {', '.join(there) or 'none'}."
                f"{nearest(self.metric, there)}"
            )
        if not _is_number(metrics[self.metric]):
            raise ScheduleError(f"plateau(metric={self.metric}): {metrics[self.metric]!r} is not a number.")
        return float(metrics[self.metric])


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str)


@phase
def plateau(
    *,
    metric: Annotated[Any, as_metric] = "eval_loss",
    factor: DecayFactorArgument = 0.1,
    patience: Annotated[Any, as_whole] = 10,
    min_delta: Annotated[Any, as_not_negative] = 0.0,
    cooldown: Annotated[Any, as_whole] = 0,
    to: FactorArgument = 0.0,
    mode: Annotated[str, one_of("auto", "min", "max")] = "auto",
) -> Shape:
    """Multiplies the LR by `factor` whenever a metric has stopped to improve: `factor(t) = scale`, 1 at first.

    Write it as a factor of what it scales: `(warmup(10%) >> linear()) * plateau(...)` of a whole schedule, or of one phase,
    `warmup(10%) >> linear() * plateau(...)`; it then counts the evaluations within that phase, and what it took away stays
    taken. After `patience` evaluations in a row without an improvement, the next one without lowers the scale. Each
    evaluation counts once, with any number of evaluation sets; one before the first update or called by hand does not.

    Args:
        metric (`str`, defaults to `eval_loss`): As in the evaluation's record; `eval_` may be left out.
        factor (above 0, below 1, defaults to 0.1): What the scale is multiplied by.
        patience (`int`, defaults to 10): Evaluations without improvement that pass unpunished.
        min_delta (`float`, defaults to 0): An improvement is more than this, in the metric's units.
        cooldown (`int`, defaults to 0): Evaluations after a drop that do not count.
        to (factor, defaults to 0): The scale never falls below; nor, whatever this says, below 1e-8.
        mode (`str`, defaults to `auto`): `min` or `max`: is less or more better? `auto` takes the Trainer's
            `greater_is_better` where it speaks of this metric, else the metric's name.

    Raises:
        ScheduleError: `factor` is 1; the direction can't be told; there are no evaluations, or they lack the metric.

    When: long runs with frequent evaluations on a validation set that is large enough to be stable. When not: short
    fine-tuning, where a drop comes too late to help, and noisy metrics.

    Source: torch's `ReduceLROnPlateau` with `threshold_mode="abs"`, whose counting this has; its defaults too, but for
    the threshold.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, warmup
    >>> print((warmup("10%") >> linear()) * plateau(metric="loss", factor=0.5, patience=2))
    (warmup(10%) >> linear()) * plateau(factor=0.5, patience=2)

    ```
    """
    if factor >= 1:
        raise ScheduleError(f"factor of plateau() must be below 1, got {factor:g}: else nothing would change.")
    if to > 1:
        raise ScheduleError(f"to of plateau() must be at most 1, where the scale starts, got {to:g}.")
    return Plateau(metric, mode, factor, patience, min_delta, cooldown, to)


@dataclass(frozen=True)
class Cooldown(Rule):
    """The rule of `cooldown()`, and its shape."""

    shape: str
    to: float
    to_lr: float | None
    on: tuple[str, ...]
    time_limit: Duration | None

    def __post_init__(self) -> None:
        _refuse_two_ends(self.to, self.to_lr, "cooldown")

    def __call__(self, span: Span) -> Function:
        end = _checked_end(span, self.to, self.to_lr)
        return lambda u: end + (span.height - end) * shapes.BY_NAME[self.shape](u / span.size)


@phase
def cooldown(
    over: LengthArgument,
    *,
    shape: Annotated[str, one_of(*shapes.BY_NAME)] = "one_minus_sqrt",
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    on: Annotated[Any, words_of("early_stopping", "sigterm")] = ("early_stopping", "sigterm"),
    time_limit: DurationArgument | None = None,
) -> Shape:
    """The last phase of a run, which also begins when the run is about to be ended: it then ends annealed, not cut off.

    With D updates, from the factor h where it begins: `factor(u) = to + (h - to) * shape(u / D)`, the shape being
    `1 - sqrt(p)`, `1 - p` or `(1 + cos(pi p)) / 2`. If nothing happens, these are the last D updates of the run. If
    something does, it begins at once, and the run ends D updates later, with an evaluation and a checkpoint.

    Args:
        over (length): How long.
        shape (`str`, defaults to `one_minus_sqrt`): `one_minus_sqrt`, `linear` or `cosine`.
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        on (list, defaults to `[early_stopping, sigterm]`): What begins it. `early_stopping`: a callback asks at an
            evaluation that training stops, as `EarlyStoppingCallback` does. `sigterm`: the signal; at a second one the run
            saves and stops at once. `[]`: neither. A file called `start_cooldown` in the output folder, and
            `scheduler.start_cooldown()`, always do.
        time_limit (duration, *optional*): `2h`, `30min`: it begins so early that the run is over by then; the time of a
            run that was resumed is counted together.

    Raises:
        ScheduleError: It is not the last phase, or it would rise.

    When: a run that holds its LR (`warmup(2%) >> hold() >> cooldown(20%)`) and whose end is open: early stopping, a
    queue's time limit. When not: after a decay that is low at its end already.

    Source: Hägele et al. 2024, https://arxiv.org/abs/2405.18392, for the shape and for 10 to 20 % of the run.

    Example:
    ```python
    >>> from hf_lrsched.schedules import hold
    >>> (hold() >> cooldown(4)).resolve(8)([3, 4, 5, 8])
    array([1. , 1. , 0.5, 0. ])

    ```
    """
    return Cooldown(shape, to, to_lr, on, time_limit)


def cooldown_of(curve: Curve) -> Reaction | None:
    """Where a curve has its cooldown, if it has one."""
    return next((reaction for reaction in curve.reactions if isinstance(reaction.rule, Cooldown)), None)


def cooled(curve: Curve, at: float, level: float, peak: float) -> Curve:
    """The curve's cooldown, begun at update `at` from a factor; what the curve has before that is left out."""
    planned = cooldown_of(curve)
    if planned is None:
        return curve
    size = planned.end - planned.start
    horizon = replace(curve.horizon, num_updates=math.ceil(at) + size)
    span = Span(at, at + size, level, horizon, peak)  # type: ignore[arg-type]  # a clock's position is no whole number
    try:
        piece = planned.phase.place(span)
    except ScheduleError:  # it would rise: the run is told to end in its warmup, below the end of the cooldown
        piece = replace(planned.phase.place(replace(span, level=1.0)), values=lambda t: np.full_like(t, level))
    return Curve(curve.schedule, horizon, piece)
