"""Writing the momentum of a schedule with `momentum()` into an optimizer's groups."""

from collections.abc import Sequence
from typing import Any

from ..optim.wrappers import unwrap_optimizer
from ..schedules import ScheduleError


def check_momentum(optimizer: Any, momenta: Sequence[float | None]) -> None:
    """Refuse an optimizer without momentum for a schedule that sets it.

    Raises:
        ScheduleError: A group has a momentum to be set, and neither `momentum` nor `betas`.
    """
    for group, momentum in zip(optimizer.param_groups, momenta, strict=True):
        if momentum is not None and "momentum" not in group and "betas" not in group:
            raise ScheduleError(
                f"momentum() needs an optimizer with momentum, as SGD has it, or with betas, as Adam has them; "
                f"{type(unwrap_optimizer(optimizer)).__name__} has neither. Use another optimizer, or delete momentum() from the "
                "schedule."
            )


def write_momenta(optimizer: Any, momenta: Sequence[float | None]) -> None:
    """Write the momentum of each group: SGD's `momentum`, or the first of Adam's `betas`.

    A group without one gets back the momentum that it had before a `momentum()` changed it: the checkpoint of a resumed run may
    hold a changed one.
    """
    for group, momentum in zip(optimizer.param_groups, momenta, strict=True):
        if momentum is None:
            momentum = group.pop("initial_momentum", None)
        else:
            group.setdefault("initial_momentum", group["momentum"] if "momentum" in group else group["betas"][0])
        if momentum is not None and "momentum" in group:
            group["momentum"] = momentum
        elif momentum is not None:
            group["betas"] = (momentum, *group["betas"][1:])
