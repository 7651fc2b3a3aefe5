"""Show the parameter groups of a run as a table."""

from collections.abc import Sequence
from typing import Any

import torch

from ..console import format_table
from ..schedules import ScheduleError
from ..schedules.numbers import format_count
from .layers import find_layers
from .split import ParamGroup, get_parameter_names

_LEFT_ALIGNED = ("name", "layers", "schedule")


def explain_groups(groups: Sequence[ParamGroup] | torch.optim.Optimizer, model: torch.nn.Module | None = None) -> str:
    """Show groups as a table: name, numbers of tensors and parameters, peak LR, weight decay, own schedule.

    Args:
        groups (`Sequence[dict]` or `torch.optim.Optimizer`): The groups, or an optimizer that has them.
        model (`torch.nn.Module`, *optional*): The model that has the parameters. Adds a column with each group's layers.

    Returns:
        `str`: The table. A column without entries is left out.

    Example:
    ```python
    >>> from hf_lrsched import freeze_groups, regex_groups
    >>> model = torch.nn.ModuleDict({"body": torch.nn.Linear(99, 50), "head": torch.nn.Linear(50, 2)})
    >>> groups = regex_groups(model, {"head": "^head", "body": "^body"}, lr=2e-5, weight_decay=0.01)
    >>> print(explain_groups(freeze_groups(groups, ["body"])))
    4 parameter groups, 5,102 parameters
      name           tensors  parameters  peak LR  weight decay  schedule
      head                 1         100    2e-05          0.01
      head/no_decay        1           2    2e-05             0
      body                 1       4,950    2e-05          0.01  freeze()
      body/no_decay        1          50    2e-05             0  freeze()

    ```
    """
    listed: Any = getattr(groups, "param_groups", groups)
    counts = [sum(parameter.numel() for parameter in group["params"]) for group in listed]
    columns: dict[str, list[str]] = {
        "name": [str(group.get("name", f"group_{index}")) for index, group in enumerate(listed)],
        "layers": _layer_ranges(listed, model),
        "tensors": [f"{len(group['params']):,}" for group in listed],
        "parameters": [f"{count:,}" for count in counts],
        "peak LR": [_number(group.get("initial_lr", group.get("lr"))) for group in listed],
        "weight decay": [_number(group.get("weight_decay")) for group in listed],
        "schedule": [str(group.get("schedule") or "") for group in listed],
    }
    shown = [(title, *cells) for title, cells in columns.items() if any(cells)]
    left = {index for index, (title, *_) in enumerate(shown) if title in _LEFT_ALIGNED}
    lines = [f"{format_count(len(listed), 'parameter group')}, {format_count(sum(counts), 'parameter')}"]
    return "\n  ".join([*lines, *format_table([*zip(*shown, strict=True)], left)])


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4g}"


def _layer_ranges(groups: Sequence[ParamGroup], model: torch.nn.Module | None) -> list[str]:
    """Return the numbers of the layers whose parameters each group has, such as `0-2, 5`, where the model's names show them."""
    if model is None:
        return []
    try:
        layers = find_layers(model)
    except ScheduleError:
        return []
    names, cells = get_parameter_names(model), []
    for group in groups:
        parts = {layers.part_of.get(names.get(id(parameter), "")) for parameter in group["params"]}
        numbers = sorted({number for part in parts for number in layers.layer_numbers(part)})
        firsts = [number for number in numbers if number - 1 not in numbers]
        lasts = [number for number in numbers if number + 1 not in numbers]
        runs = zip(firsts, lasts, strict=True)
        cells.append(", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs))
    return cells
