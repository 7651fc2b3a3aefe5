"""Optimizers whose LR a scheduler does not set: an error instead of a log that shows LRs nobody trains with."""

from typing import Any

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
    if (
        kind in _ONE_LR
        and len({(peak, str(group.get("schedule"))) for peak, group in zip(peaks, groups, strict=True)}) > 1
    ):
        raise ScheduleError(
            f"{kind} trains all groups with the LR of the first, and these groups differ (LRs {format_lrs(peaks)}). Leave out "
            "groups=, or use another optimizer."
        )
