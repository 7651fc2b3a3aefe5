"""Choose the parameter group whose learning rate is shown where there is room for one."""

from collections.abc import Sequence
from typing import Any

from .split import ParamGroup


def find_main_group(groups: Sequence[ParamGroup] | Any) -> int:
    """Return the index of the group with the most trained parameters among those that follow the main schedule.

    A group with its own `schedule`, such as a frozen one, is chosen only if all groups have one. Of equal groups the first
    is chosen. Trainer itself shows the first group, which may be a head of a few parameters.

    Args:
        groups (`Sequence[dict]` or `torch.optim.Optimizer`): The groups, or an optimizer that has them.

    Returns:
        `int`: The index; 0 if no group has trained parameters.

    Example:
    ```python
    >>> import torch
    >>> head, body, frozen = (torch.nn.Parameter(torch.zeros(size)) for size in (2, 30, 500))
    >>> find_main_group([{"params": [head]}, {"params": [body]}, {"params": [frozen], "schedule": "freeze()"}])
    1

    ```
    """
    found = getattr(groups, "param_groups", groups)
    return max(range(len(found)), key=lambda index: ("schedule" not in found[index], _count(found[index])), default=0)


def _count(group: ParamGroup) -> int:
    return sum(parameter.numel() for parameter in group["params"] if parameter.requires_grad)
