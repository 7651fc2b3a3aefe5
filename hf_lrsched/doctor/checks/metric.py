"""Checks of schedules that follow a metric."""

import math
from collections.abc import Iterator

from ...schedules import ScheduleError
from ...schedules.families.plateau import Plateau
from ...schedules.metric_names import metric_direction
from ..expected_curve import METRIC_DRIVEN, plan_of
from ..facts import Facts
from ..finding import Finding
from .format import error, warning

#: torch's ReduceLROnPlateau and transformers' GreedyLR, where nothing is set.
_PATIENCE = 10


def plateau_direction(facts: Facts) -> Iterator[Finding]:
    """A plateau that takes improvement for decline.

    transformers does not derive the direction from `greater_is_better`: with a rising accuracy the LR falls at every
    evaluation; https://github.com/huggingface/transformers/issues/11005, https://github.com/pytorch/pytorch/issues/68978.
    """
    for plateau in _plateaus(facts):
        try:
            mode = plateau.direction(facts.metric_for_best_model, facts.greater_is_better)
        except ScheduleError as trouble:
            yield error(
                "the direction of plateau() can't be meant",
                str(trouble).rstrip("."),
                "Write mode=max where more is better, mode=min where less is",
            )
            continue
        if (told := metric_direction(plateau.metric)) not in (None, mode):
            yield _backwards(plateau.metric, mode, f"plateau(metric={plateau.metric}, mode={told})")
    if facts.schedule is not None or facts.lr_scheduler_type not in METRIC_DRIVEN:
        return
    metric, mode = facts.metric_for_best_model or "loss", str(facts.lr_scheduler_kwargs.get("mode", "min"))
    wanted = None if facts.greater_is_better is None else "max" if facts.greater_is_better else "min"
    if wanted not in (None, mode):
        yield _backwards(metric, mode, f"lr_scheduler_kwargs: {{mode: {wanted}}}")


def plateau_without_evaluation(facts: Facts) -> Iterator[Finding]:
    """A plateau without evaluations, or with too few for it to act.

    https://github.com/huggingface/transformers/issues/29417.
    """
    patience = max((plateau.patience for plateau in _plateaus(facts)), default=None)
    if patience is None and facts.schedule is None and facts.lr_scheduler_type in METRIC_DRIVEN:
        given = facts.lr_scheduler_kwargs.get("patience", _PATIENCE)
        patience = given if isinstance(given, int) else _PATIENCE
    if patience is None:
        return
    name = "plateau()" if facts.schedule is not None else str(facts.lr_scheduler_type)
    if facts.eval_strategy == "no":
        yield error(
            f"{name} follows evaluations, and there are none: eval_strategy is 'no'",
            "The LR can't fall, or the training stops with an error",
            "Set eval_strategy: epoch, or steps with eval_steps",
        )
        return
    count = _evaluations(facts)
    if count is not None and count < patience + 2:
        yield warning(
            f"{name} can never act: the run has {count} evaluations, and its patience is {patience}",
            f"The first sets the best value, and the LR falls after {patience + 1} more without an improvement",
            f"Evaluate more often, or set patience={max(0, min(2, count - 3))}",
        )


def _plateaus(facts: Facts) -> list[Plateau]:
    plan = plan_of(facts)
    return [rule for rule in plan.rules if isinstance(rule, Plateau)] if plan is not None else []


def _backwards(metric: str, mode: str, mend: str) -> Finding:
    rises = mode == "min"
    return error(
        f"the plateau follows {metric} in the wrong direction: its mode is {mode}",
        f"{'More' if rises else 'Less'} {metric} is better, and it takes each {'rise' if rises else 'fall'} for a decline: while "
        "the model learns, the LR falls",
        f"Write {mend}",
    )


def _evaluations(facts: Facts) -> int | None:
    """How many evaluations the run has."""
    total, every = facts.num_updates, facts.eval_steps or facts.logging_steps or 500
    if facts.eval_strategy == "epoch":
        if facts.num_train_epochs is not None:
            return math.ceil(facts.num_train_epochs)
        return math.ceil(total / facts.updates_per_epoch) if total and facts.updates_per_epoch else None
    if facts.eval_strategy != "steps" or total is None:
        return None
    return int(total // (every if every >= 1 else math.ceil(total * every)))
