"""explain_groups: the parameter groups of a run as a table."""

from collections.abc import Sequence
from typing import Any

import torch

from ..schedules import ScheduleError
from .layers import Places, find_places
from .split import Group, names_of


def explain_groups(groups: Sequence[Group] | torch.optim.Optimizer, model: torch.nn.Module | None = None) -> str:
    """The groups as a table: name, number of tensors and of parameters, peak LR, weight decay, own schedule.

    Args:
        groups (`Sequence[dict]` or `torch.optim.Optimizer`): The groups, or an optimizer that has them.
        model (`torch.nn.Module`, *optional*): The model whose parameters they hold: adds which layers a group is of.

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
    columns: dict[str, list[str]] = {
        "name": [str(group.get("name", f"group_{index}")) for index, group in enumerate(listed)],
        "layers": _layers(listed, model),
        "tensors": [f"{len(group['params']):,}" for group in listed],
        "parameters": [f"{_count(group):,}" for group in listed],
        "peak LR": [_number(group.get("initial_lr", group.get("lr"))) for group in listed],
        "weight decay": [_number(group.get("weight_decay")) for group in listed],
        "schedule": [str(group.get("schedule") or "") for group in listed],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    lines = []
    for row in zip(*([title, *cells] for title, cells in shown.items()), strict=True):
        aligned = []
        for (title, cells), cell in zip(shown.items(), row, strict=True):
            width = max(map(len, [title, *cells]))
            aligned.append(cell.ljust(width) if title in ("name", "layers", "schedule") else cell.rjust(width))
        lines.append(f"  {'  '.join(aligned)}".rstrip())
    noun = "group" if len(listed) == 1 else "groups"
    total = sum(_count(group) for group in listed)
    return "\n".join([f"{len(listed)} parameter {noun}, {total:,} parameters", *lines])


def _count(group: Group) -> int:
    return sum(parameter.numel() for parameter in group["params"])


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4g}"


def _layers(groups: Sequence[Group], model: torch.nn.Module | None) -> list[str]:
    """The numbers of the layers that each group has parameters of, where the model's names tell them."""
    if model is None:
        return []
    try:
        places = find_places(model)
    except ScheduleError:
        return []
    names, number_of = names_of(model), _numbers(places)
    cells = []
    for group in groups:
        found = {places.of.get(names.get(id(parameter), "")) for parameter in group["params"]}
        cells.append(_ranges(sorted({number for place in found if place in number_of for number in number_of[place]})))
    return cells


def _numbers(places: Places) -> dict[str | None, list[int]]:
    """The layers of each place: one, or those that share its weights, in the way of ALBERT's code."""
    layers = [place for place in places.order if place.startswith("layer_")]
    if places.passes is None:
        return {place: [int(place.removeprefix("layer_"))] for place in layers}
    share = places.passes / len(layers)
    return {
        place: [each for each in range(places.passes) if int(each / share) == int(place.removeprefix("layer_"))]
        for place in layers
    }


def _ranges(numbers: Sequence[int]) -> str:
    """`0-2, 5` for 0, 1, 2, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
