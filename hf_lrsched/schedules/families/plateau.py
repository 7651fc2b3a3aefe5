"""What follows the run and not the updates alone: plateau() and cooldown(). Pure: what they see is handed to them."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import numpy as np

from ..arguments import (
    DecayFactorArgument,
    FactorArgument,
    as_metric,
    as_not_negative,
    as_whole,
    one_of,
)
from ..curve import Rule, Span
from ..errors import ScheduleError, nearest
from ..metric_names import metric_direction
from ..registry import phase
from ..schedule import Shape
from ..shapes import Function

# As torch's `eps`: a run of a million evaluations must not get to what is 0 for a float.
_LEAST = 1e-8


class PlateauState(TypedDict):
    """The state of one `plateau()`, named as in torch: the best value, evaluations without improvement, cooldown, scale."""

    best: float | None
    num_bad_epochs: int
    cooldown_counter: int
    scale: float


@dataclass(frozen=True)
class Plateau(Rule):
    """The rule of `plateau()`, and its shape: 1 on paper."""

    metric: str
    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    to: float

    #: It scales what it stands beside and has no length of its own.
    neutral = True

    def __call__(self, span: Span) -> Function:
        return lambda u: np.full_like(u, span.height)

    def start(self) -> PlateauState:
        """The state before the first evaluation."""
        return PlateauState(best=None, num_bad_epochs=0, cooldown_counter=0, scale=1.0)

    def after(self, state: PlateauState, value: float, mode: str) -> PlateauState:
        """The state after one more evaluation; the counting is that of torch's `ReduceLROnPlateau`.

        Args:
            state (`PlateauState`): The one before.
            value (`float`): The metric; NaN and infinity are no improvement.
            mode (`str`): `min` or `max`.
        """
        best, bad, resting, scale = state["best"], state["num_bad_epochs"], state["cooldown_counter"], state["scale"]
        gain = math.inf if best is None else (best - value if mode == "min" else value - best)
        needed = self.threshold * (abs(best or 0.0) if self.threshold_mode == "rel" else 1.0)
        if gain > needed and math.isfinite(value):
            best, bad = value, 0
        else:
            bad += 1
        if resting:
            resting, bad = resting - 1, 0
        if bad > self.patience:
            scale, resting, bad = max(scale * self.factor, min(max(self.to, _LEAST), scale)), self.cooldown, 0
        return PlateauState(best=best, num_bad_epochs=bad, cooldown_counter=resting, scale=scale)

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
        by_name = metric_direction(self.metric)
        if by_name is not None:
            return by_name
        raise ScheduleError(
            f"the name {self.metric} does not show whether more or less is better. Write plateau(metric={self.metric}, "
            "mode=max) or mode=min."
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
    threshold: Annotated[Any, as_not_negative] = 1e-4,
    threshold_mode: Annotated[str, one_of("rel", "abs")] = "rel",
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
        threshold (`float`, defaults to 1e-4): An improvement is a gain of more than this.
        threshold_mode (`str`, defaults to `rel`): The threshold is a share of the best value's size (`rel`: 1 % better
            with `threshold=1%`), or has the metric's units (`abs`).
        cooldown (`int`, defaults to 0): Evaluations after a drop that do not count.
        to (factor, defaults to 0): The scale never falls below; nor, whatever this says, below 1e-8.
        mode (`str`, defaults to `auto`): `min` or `max`: is less or more better? `auto` takes the Trainer's
            `greater_is_better` where it speaks of this metric, else the metric's name.

    Raises:
        ScheduleError: `factor` is 1; the direction can't be told; there are no evaluations, or they lack the metric.

    When: long runs with frequent evaluations on a validation set that is large enough to be stable. When not: short
    fine-tuning, where a drop comes too late to help, and noisy metrics.

    Source: torch's `ReduceLROnPlateau`, with its counting and its defaults. One difference: of a metric below 0 torch
    takes a relative threshold on the wrong side, so that a value like the best counts as an improvement; here it does not.

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
    return Plateau(metric, mode, factor, patience, threshold, threshold_mode, cooldown, to)
