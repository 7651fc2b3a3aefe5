"""Where a rule for parameter groups meets a Trainer's optimizer."""

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import torch

from ..schedules import Schedule, ScheduleError
from ..schedules.errors import brief
from .layerwise import LayerwiseGroups
from .split import Group, inherit, names_of, replace_groups

#: What `groups=` takes: a rule, or a function of the model and Trainer's own groups that returns others.
Rule: TypeAlias = LayerwiseGroups | Callable[[Any, list[Group]], list[Group]]


def apply_rule(
    rule: Rule,
    optimizer: torch.optim.Optimizer,
    model: torch.nn.Module,
    schedule: Schedule,
    decayed: Collection[str],
    *,
    is_new: bool,
) -> None:
    """Splits the groups of an optimizer that is new. What is frozen follows from the schedule of each `train()`."""
    if is_new:
        groups = [{**group, "params": [*group["params"]]} for group in optimizer.param_groups]
        if isinstance(rule, LayerwiseGroups):
            replace_groups(optimizer, rule.split(model, groups, decayed))
        else:
            copies = [{**group, "params": [*group["params"]]} for group in groups]
            replace_groups(optimizer, inherit(groups, rule(model, copies), names_of(model), decayed))
    if isinstance(rule, LayerwiseGroups):
        for group, frozen in zip(optimizer.param_groups, rule.frozen(optimizer.param_groups, schedule), strict=True):
            group.pop("schedule", None)
            group.update({key: value for key, value in frozen.items() if key == "schedule"})


def check_rule(given: object, in_args: LayerwiseGroups | None, optimizer: object = None) -> Any:
    """The one rule of a run, or `None`.

    Raises:
        ScheduleError: Not a rule; or the groups would come from two sources.
    """
    if given is not None and not isinstance(given, LayerwiseGroups) and not callable(given):
        raise ScheduleError(
            "groups= takes LayerwiseGroups(decay=0.95, …) or a function of the model and Trainer's parameter groups that "
            f"returns others, got {brief(given)}."
        )
    if given is not None and in_args is not None and given != in_args:
        raise ScheduleError(
            f"two rules for parameter groups: groups={brief(given)} and {in_args} in the arguments. Give one."
        )
    rule = in_args if given is None else given
    if rule is not None and optimizer is not None:
        raise ScheduleError(
            f"parameter groups from two sources: groups= and the {type(optimizer).__name__} in optimizers=. Leave out one; "
            "layerwise_groups(model, lr=...) makes groups for an optimizer of your own."
        )
    return rule
