"""Optimizers whose LR a scheduler does not set: an error instead of a log that shows LRs nobody trains with."""

from typing import Any

import torch

from ..groups.layers import list_some
from ..optim.wrappers import unwrap_optimizer
from ..schedules import ScheduleError
from ..trajectory.settings import format_lrs

# They step within the backward pass, with one LR for all parameters: that of the first group.
_ONE_LR = ("Lomo", "AdaLomo")


def check_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer that would not train at the LRs of its groups.

    Raises:
        ScheduleError: The optimizer hides others (layer-wise GaLore and APOLLO), has one LR for groups that differ (LOMO), or
            makes its own LR (`Adafactor(lr=None)`).
    """
    groups, kind = optimizer.param_groups, type(unwrap_optimizer(optimizer)).__name__
    if kind == "LayerWiseDummyOptimizer":
        raise ScheduleError(
            "a layer-wise optimizer (galore_adamw_layerwise, apollo_adamw_layerwise) hides one optimizer for each parameter: "
            "they would train at a constant LR, whatever the schedule says. Use the optim without _layerwise."
        )
    if any(group["lr"] is None for group in groups):
        raise ScheduleError(
            f"{kind} has lr=None, so there is no peak LR for the schedule. Give it an LR; for Adafactor, "
            "Adafactor(parameters, lr=1e-3, relative_step=False, scale_parameter=False)."
        )
    peaks = [float(group.get("initial_lr", group["lr"])) for group in groups]
    curves = {(peak, str(group.get("schedule"))) for peak, group in zip(peaks, groups, strict=True)}
    if kind in _ONE_LR and len(curves) > 1:
        raise ScheduleError(
            f"{kind} trains all groups with the LR of the first, but these groups have different LRs or schedules (LRs "
            f"{format_lrs(peaks)}). Leave out groups=, or use another optimizer."
        )


def explain_left_out(model: torch.nn.Module, optimizer: Any) -> str | None:
    """Name the parameters that require gradients but are in no group of the optimizer, if there are any.

    Sharded optimizers hold other tensors than the model does. With them nothing is known.
    """
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    trained = {name: id(each) for name, each in model.named_parameters() if each.requires_grad}
    left_out = [name for name, identity in trained.items() if identity not in held]
    if not left_out or len(left_out) == len(trained):
        return None
    return (
        f"{len(left_out)} of {len(trained)} parameters with requires_grad=True are in no group of the optimizer, so they keep their "
        f"values: {list_some(left_out)}. Add them to the optimizer; or set requires_grad=False, which saves their gradients."
    )


def find_hidden_groups(optimizer: Any) -> list[dict[str, Any]]:
    """Return the groups of optimizers within this one that are not its own groups: a scheduler does not write their LRs.

    Example:
    ```python
    >>> inner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    >>> outer = torch.optim.SGD([*inner.param_groups[0]["params"]], lr=0.1)
    >>> outer.base = inner
    >>> find_hidden_groups(outer) == inner.param_groups
    True

    ```
    """
    known = {id(group) for group in optimizer.param_groups}
    hidden, found = [], [optimizer]
    for each in found:  # it grows
        for held in vars(each).values():
            parts = held if isinstance(held, list | tuple) else held.values() if isinstance(held, dict) else (held,)
            found += [part for part in parts if isinstance(part, torch.optim.Optimizer) and part not in found]
        hidden += [group for group in each.param_groups if id(group) not in known and group["params"]]
    return hidden
