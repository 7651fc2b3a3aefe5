"""Apply a rule for parameter groups to a Trainer's optimizer."""

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import torch

from ..schedules import Schedule, ScheduleError
from ..schedules.errors import brief
from .layerwise import LayerwiseGroups
from .split import ParamGroup, get_parameter_names, inherit_options, replace_groups

#: What `groups=` takes: a rule, or a function that maps the model and Trainer's own groups to other groups.
GroupRule: TypeAlias = LayerwiseGroups | Callable[[Any, list[ParamGroup]], list[ParamGroup]]


def apply_rule(
    rule: GroupRule,
    optimizer: torch.optim.Optimizer,
    model: torch.nn.Module,
    schedule: Schedule,
    decayed: Collection[str],
    *,
    is_new: bool,
) -> None:
    """Split the groups of a new optimizer, and freeze groups by the schedule of the coming `train()`.

    Args:
        rule ([`LayerwiseGroups`] or `Callable`): The rule.
        optimizer (`torch.optim.Optimizer`): Trainer's optimizer; its groups are replaced in place.
        model (`torch.nn.Module`): The model.
        schedule ([`Schedule`]): The main schedule of the run.
        decayed (`Collection[str]`): The names of the parameters that have weight decay.
        is_new (`bool`): Whether the groups have yet to be split. A second `train()` keeps them.
    """
    if is_new:
        groups = [{**group, "params": [*group["params"]]} for group in optimizer.param_groups]
        if isinstance(rule, LayerwiseGroups):
            replace_groups(optimizer, rule.split(model, groups, decayed))
        else:
            copies = [{**group, "params": [*group["params"]]} for group in groups]
            replace_groups(optimizer, inherit_options(groups, rule(model, copies), get_parameter_names(model), decayed))
    if isinstance(rule, LayerwiseGroups):
        for group, frozen in zip(optimizer.param_groups, rule.freeze_by(optimizer.param_groups, schedule), strict=True):
            group.pop("schedule", None)
            if "schedule" in frozen:
                group["schedule"] = frozen["schedule"]


def check_rule(given: object, in_args: LayerwiseGroups | None, optimizer: object = None) -> Any:
    """Return the one rule of a run, or `None`.

    Args:
        given ([`LayerwiseGroups`] or `Callable`, *optional*): The Trainer's `groups=`.
        in_args ([`LayerwiseGroups`], *optional*): The rule of the training arguments.
        optimizer (`torch.optim.Optimizer`, *optional*): The optimizer in the Trainer's `optimizers=`.

    Raises:
        ScheduleError: `given` is not a rule, or the groups come from two sources.
    """
    if given is not None and not isinstance(given, LayerwiseGroups) and not callable(given):
        raise ScheduleError(
            "groups= takes LayerwiseGroups(decay=0.95, …) or a function that maps the model and Trainer's parameter groups to "
            f"other groups, got {brief(given)}."
        )
    if given is not None and in_args is not None and given != in_args:
        raise ScheduleError(
            f"two rules for parameter groups: groups={brief(given)} and {in_args} in the arguments. Give one."
        )
    rule = in_args if given is None else given
    if rule is not None and optimizer is not None:
        raise ScheduleError(
            f"parameter groups from two sources: groups= and the {type(optimizer).__name__} in optimizers=. Leave out one; "
            "layerwise_groups(model, lr=...) makes groups for your own optimizer."
        )
    return rule
