"""Checks of schedules that follow a metric."""

import math
from collections.abc import Iterator

from ...schedules import ScheduleError
from ...schedules.families.plateau import Plateau
from ...schedules.metric_names import (
    contradicts_name,
    get_metric_direction,
    guess_greater_is_better,
    keeps_the_worst,
    resolve_direction,
)
from ...schedules.numbers import format_count
from ..expected_curve import METRIC_DRIVEN
from ..facts import Facts
from ..finding import Finding
from .format import error, warning

#: The default of torch's ReduceLROnPlateau and transformers' GreedyLR.
_PATIENCE = 10


def plateau_direction(facts: Facts) -> Iterator[Finding]:
    """A plateau that takes an improvement for a decline.

    transformers does not derive the direction from `greater_is_better`: with a rising accuracy the LR falls at every
    evaluation; https://github.com/huggingface/transformers/issues/11005, https://github.com/pytorch/pytorch/issues/68978.
    """
    for plateau in _list_plateaus(facts):
        try:
            mode = plateau.direction(facts.metric_for_best_model, facts.greater_is_better)
        except ScheduleError as problem:
            yield error(
                "the direction of plateau() is unknown or contradictory",
                str(problem).rstrip("."),
                "Set mode= to max if more is better, to min if less is better",
            )
            continue
        if contradicts_name(plateau.metric, mode):
            right = get_metric_direction(plateau.metric)
            yield _wrong_direction(plateau.metric, mode, f"plateau(metric={plateau.metric}, mode={right})")
    if facts.stock_schedule in METRIC_DRIVEN:
        metric, mode = facts.metric_for_best_model or "loss", str(facts.lr_scheduler_kwargs.get("mode", "min"))
        expected = resolve_direction(metric, facts.greater_is_better)
        if expected not in (None, mode):
            yield _wrong_direction(metric, mode, f"lr_scheduler_kwargs: {{mode: {expected}}}")


def best_metric_direction(facts: Facts) -> Iterator[Finding]:
    """A `greater_is_better` that makes Trainer keep the worst checkpoint.

    TrainingArguments sets it to True for every metric whose name does not end with `loss`, so also for `perplexity`.
    """
    metric, greater_is_better = facts.metric_for_best_model, facts.greater_is_better
    if metric is None or facts.eval_strategy == "no" or not keeps_the_worst(metric, greater_is_better):
        return
    guess = ", as Trainer does by itself" if greater_is_better == guess_greater_is_better(metric) else ""
    yield error(
        f"Trainer keeps the worst checkpoint: metric_for_best_model is {metric}, and greater_is_better is {greater_is_better}{guess}",
        f"{'Less' if greater_is_better else 'More'} {metric} is better, so the worst model counts as the best, for early stopping too",
        f"Set greater_is_better: {str(not greater_is_better).lower()}",
    )


def plateau_without_evaluation(facts: Facts) -> Iterator[Finding]:
    """A plateau without evaluations, or with too few of them to lower the LR.

    https://github.com/huggingface/transformers/issues/29417.
    """
    patience = max((plateau.patience for plateau in _list_plateaus(facts)), default=None)
    if patience is None and facts.stock_schedule in METRIC_DRIVEN:
        given = facts.lr_scheduler_kwargs.get("patience", _PATIENCE)
        patience = given if isinstance(given, int) else _PATIENCE
    if patience is None:
        return
    name = "plateau()" if facts.schedule is not None else str(facts.lr_scheduler_type)
    if facts.eval_strategy == "no":
        yield error(
            f"{name} needs evaluations, but eval_strategy is 'no'",
            "The LR never falls, or the training stops with an error",
            "Set eval_strategy: epoch, or steps with eval_steps",
        )
        return
    count = _count_evaluations(facts)
    if count is not None and count < patience + 2:
        yield warning(
            f"{name} never lowers the LR: the run has {format_count(count, 'evaluation')}, and its patience is {patience}",
            f"The first evaluation sets the best value, and the LR falls after {patience + 1} more without an improvement",
            f"Evaluate more often, or set patience={max(0, min(2, count - 3))}",
        )


def _list_plateaus(facts: Facts) -> list[Plateau]:
    return [] if facts.curve is None else [rule for rule in facts.curve.rules if isinstance(rule, Plateau)]


def _wrong_direction(metric: str, mode: str, fix: str) -> Finding:
    better, change = ("More", "rise") if mode == "min" else ("Less", "fall")
    return error(
        f"the plateau follows {metric} in the wrong direction: mode is {mode}",
        f"{better} {metric} is better, but each {change} counts as a decline, so the LR falls while the model improves",
        f"Write {fix}",
    )


def _count_evaluations(facts: Facts) -> int | None:
    total, every = facts.num_updates, facts.eval_steps or facts.logging_steps or 500
    if facts.eval_strategy == "epoch":
        if facts.num_train_epochs is not None:
            return math.ceil(facts.num_train_epochs)
        return math.ceil(total / facts.updates_per_epoch) if total and facts.updates_per_epoch else None
    if facts.eval_strategy != "steps" or total is None:
        return None
    return int(total // (every if every >= 1 else math.ceil(total * every)))


CHECKS = (plateau_direction, best_metric_direction, plateau_without_evaluation)
