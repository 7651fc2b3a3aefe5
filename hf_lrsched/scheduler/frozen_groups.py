"""Frozen groups: groups whose own schedule is at 0 keep their weights and the optimizer's moments."""

from typing import Any

from ..optim.wrappers import unwrap_optimizer
from ..trajectory.settings import RunSettings


def drop_frozen_gradients(optimizer: Any) -> None:
    """Drop the gradients of groups whose own schedule is at 0. The optimizer then skips their parameters.

    A group is recognised by what it holds, not by its place: ZeRO of DeepSpeed shows the optimizer one group at a time.

    Args:
        optimizer (`torch.optim.Optimizer`): Groups with a `"schedule"` follow that; the others are never frozen.
    """
    for group in optimizer.param_groups:
        if group.get("schedule") is not None and float(group["lr"]) == 0:
            for parameter in group["params"]:
                parameter.grad = None


def add_freezing_hook(optimizer: Any) -> list[Any]:
    """Drop the gradients of frozen groups before each step of the optimizer, if a group has a schedule of its own.

    Returns the hook's handle, in a list.
    """
    inner = unwrap_optimizer(optimizer)
    if all(group.get("schedule") is None for group in inner.param_groups):
        return []
    return [inner.register_step_pre_hook(lambda optimizer, *_: drop_frozen_gradients(optimizer))]


def restore_groups(groups: list[dict[str, Any]], settings: RunSettings) -> None:
    """Give the groups of an optimizer that has loaded a checkpoint the peaks and own schedules that the run follows."""
    own_schedules = settings.own_schedules or (None,) * len(settings.peaks)
    for group, peak, schedule in zip(groups, settings.peaks, own_schedules, strict=True):
        group["initial_lr"] = peak
        group.pop("schedule", None)
        if schedule is not None:
            group["schedule"] = schedule
