"""plateau(): a scale that falls when a metric stops improving."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import numpy as np

from ..arguments import DecayFactorArgument, FactorArgument, as_metric, as_not_negative, as_whole, one_of
from ..curve import ReactiveShape, Span
from ..errors import ScheduleError, nearest
from ..metric_names import get_metric_direction, resolve_direction
from ..numbers import is_number
from ..registry import phase
from ..schedule import Shape
from ..shapes import Function

# As torch's `eps`: the scale never becomes 0.
_MIN_SCALE = 1e-8
# How near a name is to another one to be its misspelling: acuracy to accuracy (0.93), but not diversity to density (0.75).
_MISSPELLED = 0.8


class PlateauState(TypedDict):
    """The state of one `plateau()`, named as in torch: the best value, evaluations without improvement, cooldown, scale."""

    best: float | None
    num_bad_epochs: int
    cooldown_counter: int
    scale: float


@dataclass(frozen=True)
class Plateau(ReactiveShape):
    """The shape of `plateau()`, which is 1 before the run, and its rule."""

    metric: str
    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    to: float

    only_scales = True

    def __call__(self, span: Span) -> Function:
        return lambda u: np.full_like(u, span.level)

    def initial_state(self) -> PlateauState:
        """Return the state before the first evaluation."""
        return PlateauState(best=None, num_bad_epochs=0, cooldown_counter=0, scale=1.0)

    def next_state(self, state: PlateauState, value: float, mode: str) -> PlateauState:
        """Return the state after one more evaluation, counted as by torch's `ReduceLROnPlateau`.

        Args:
            state (`PlateauState`): The state before it.
            value (`float`): The metric; NaN and infinity are no improvement.
            mode (`str`): `min` or `max`.
        """
        best, num_bad, scale = state["best"], state["num_bad_epochs"], state["scale"]
        cooldown = state["cooldown_counter"]
        gain = math.inf if best is None else (best - value if mode == "min" else value - best)
        needed = self.threshold * (abs(best or 0.0) if self.threshold_mode == "rel" else 1.0)
        if gain > needed and math.isfinite(value):
            best, num_bad = value, 0
        else:
            num_bad += 1
        if cooldown:
            cooldown, num_bad = cooldown - 1, 0
        if num_bad > self.patience:
            scale, cooldown, num_bad = max(scale * self.factor, min(max(self.to, _MIN_SCALE), scale)), self.cooldown, 0
        return PlateauState(best=best, num_bad_epochs=num_bad, cooldown_counter=cooldown, scale=scale)

    def direction(self, best_metric: str | None = None, greater_is_better: bool | None = None) -> str:
        """Return `min` or `max`: from `mode`, else from the Trainer's `greater_is_better` and the metric's name.

        Args:
            best_metric (`str`, *optional*): The Trainer's `metric_for_best_model`.
            greater_is_better (`bool`, *optional*): The Trainer's setting for that metric.

        Raises:
            ScheduleError: None of them shows the direction.

        Example:
        ```python
        >>> plateau_of = lambda **kwargs: plateau(**kwargs).shape
        >>> plateau_of(metric="eval_loss").direction(), plateau_of(metric="eval_f1_macro").direction()
        ('min', 'max')

        ```
        """
        if self.mode != "auto":
            return self.mode
        is_best = best_metric is not None and as_metric(best_metric, "") == self.metric
        if found := resolve_direction(self.metric, greater_is_better if is_best else None):
            return found
        raise ScheduleError(
            f"the name {self.metric} does not show whether more or less is better. Give plateau() mode=max or mode=min."
            f"{self.suggest_name(best_metric)}"
        )

    def suggest_name(self, best_metric: str | None = None) -> str:
        """Return ` Did you mean 'loss'?` where the metric's name looks like a misspelling; else nothing.

        Which metrics a run has is known at its first evaluation. Before, only the loss and the metric of the best model are.

        Args:
            best_metric (`str`, *optional*): The Trainer's `metric_for_best_model`.

        Example:
        ```python
        >>> plateau(metric="acuracy", mode="max").shape.suggest_name("accuracy")
        " Did you mean 'accuracy'?"

        ```
        """
        name, *known = (each.removeprefix("eval_") for each in (self.metric, "loss", best_metric or "loss"))
        is_known = name in known or get_metric_direction(self.metric) is not None
        return "" if is_known else nearest(name, known, cutoff=_MISSPELLED)

    def read(self, metrics: dict[str, Any]) -> float:
        """Return the metric's value in an evaluation's metrics.

        Raises:
            ScheduleError: It is missing, or no number.
        """
        if self.metric not in metrics:
            found = [name for name in metrics if is_number(_as_python(metrics[name]))]
            raise ScheduleError(
                f"plateau(metric={self.metric}): the evaluation has no such metric; it has {', '.join(found) or 'none'}."
                f"{nearest(self.metric, found)}"
            )
        value = _as_python(metrics[self.metric])
        if not is_number(value):
            raise ScheduleError(f"plateau(metric={self.metric}): {metrics[self.metric]!r} is not a number.")
        return float(value)


def _as_python(value: Any) -> Any:
    """Return numpy's and torch's scalars as Python's."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


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
    """Multiply the LR by `factor` when a metric has stopped improving: `factor(t) = scale`, 1 at first.

    Multiply a whole schedule by it, `(warmup(10%) >> linear()) * plateau(...)`, or one phase,
    `warmup(10%) >> linear() * plateau(...)`. It then counts the evaluations within that phase; the scale stays for the rest
    of the run. After `patience` evaluations in a row without an improvement, the next one without lowers the scale. Each
    evaluation counts once, with any number of evaluation sets. An evaluation before the first update, or one called by
    hand, does not count.

    Args:
        metric (`str`, defaults to `eval_loss`): As in the evaluation's record; `eval_` may be left out.
        factor (above 0, below 1, defaults to 0.1): What the scale is multiplied by.
        patience (`int`, defaults to 10): Evaluations without improvement that are ignored.
        threshold (`float`, defaults to 1e-4): An improvement is a gain of more than this.
        threshold_mode (`str`, defaults to `rel`): The threshold is a share of the best value's size (`rel`: 1 % better
            with `threshold=1%`), or has the metric's units (`abs`).
        cooldown (`int`, defaults to 0): Evaluations after a drop that do not count.
        to (factor, defaults to 0): The scale never falls below this, nor below 1e-8.
        mode (`str`, defaults to `auto`): `min` if less is better, `max` if more is. `auto` takes the direction
            that your `greater_is_better` gives this metric, else the one that its name shows.

    Raises:
        ScheduleError: `factor` is 1; the direction is not known; there are no evaluations, or they lack the metric.

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
        raise ScheduleError(f"factor of plateau() must be below 1, got {factor:g}: 1 changes nothing.")
    if to > 1:
        raise ScheduleError(f"to of plateau() must be at most 1, where the scale starts, got {to:g}.")
    return Plateau(metric, mode, factor, patience, threshold, threshold_mode, cooldown, to)
