"""Make parameter groups by regular expressions on the parameters' names."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ..schedules import ScheduleError
from ..schedules.arguments import as_factor, as_lr
from ..schedules.errors import brief, nearest
from ..schedules.parser import as_schedule
from .layers import compile_pattern, list_some
from .split import NO_DECAY, ParamGroup, check_unique_names, make_stock_groups


def regex_groups(
    model: torch.nn.Module,
    rules: Mapping[str, Any] | Iterable[tuple[str, Any]],
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> list[ParamGroup]:
    """Make parameter groups by regular expressions on the parameters' names.

    Every parameter with `requires_grad=True` must match exactly one pattern. A pattern is searched in the name; it need not
    match from the start. Each group is split in two, as in Trainer: biases and norms, without weight decay, are in
    `…/no_decay`.

    Args:
        model (`torch.nn.Module`): The model.
        rules (`Mapping` or pairs): For each group's name a pattern, or a dict of `pattern` and, optionally, `lr`,
            `weight_decay` and `schedule`, which then replaces the main schedule for this group.
        lr (`float`, *optional*): The peak LR of groups that set none. Without it, the optimizer's.
        weight_decay (`float`, *optional*): The weight decay of groups that set none. Without it, the optimizer's.

    Returns:
        `list[dict]`: Groups with `params`, `name` and, where they are set, `lr`, `weight_decay` and `schedule`, in the order
        of the rules.

    Raises:
        ScheduleError: A parameter matches no pattern or several, a pattern is invalid or matches nothing, a name is
            repeated, or a value is invalid.

    Example:
    ```python
    >>> model = torch.nn.ModuleDict({"body": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    >>> rules = {"head": {"pattern": r"^head\\.", "lr": 1e-3}, "rest": {"pattern": r"^body\\.", "schedule": "freeze(1ep)"}}
    >>> for group in regex_groups(model, rules, lr=1e-4, weight_decay=0.01):
    ...     print({key: value for key, value in group.items() if key != "params"})
    {'weight_decay': 0.01, 'lr': 0.001, 'name': 'head'}
    {'weight_decay': 0.0, 'lr': 0.001, 'name': 'head/no_decay'}
    {'weight_decay': 0.01, 'lr': 0.0001, 'schedule': 'freeze(1ep)', 'name': 'rest'}
    {'weight_decay': 0.0, 'lr': 0.0001, 'schedule': 'freeze(1ep)', 'name': 'rest/no_decay'}

    ```
    """
    options_of = {name: _read_options(name, options) for name, options in _read_pairs(rules)}
    base = make_stock_groups(
        model,
        None if lr is None else as_lr(lr, "lr"),
        None if weight_decay is None else as_factor(weight_decay, "weight_decay"),
    )
    patterns = {name: options.pop("pattern") for name, options in options_of.items()}
    matches = _match_once(model, patterns)
    groups: list[ParamGroup] = []
    for name, options in options_of.items():
        for stock, suffix in zip(base, ("", NO_DECAY), strict=True):
            params = [parameter for parameter in stock["params"] if matches[id(parameter)] == name]
            # The second of Trainer's groups keeps its weight decay, which is 0.
            own = {key: value for key, value in options.items() if not (suffix and key == "weight_decay")}
            if params:
                groups.append({**stock, **own, "params": params, "name": name + suffix})
    check_unique_names(groups)
    return groups


def _read_pairs(rules: object) -> list[tuple[str, Any]]:
    pairs = list(rules.items() if isinstance(rules, Mapping) else rules if isinstance(rules, Iterable) else ())
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ScheduleError(
            f"rules must be a dict of names and patterns, like {{'head': 'classifier'}}, got {brief(rules)}."
        )
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or not name:
            raise ScheduleError(f"the name of a group must be a non-empty string, got {brief(name)}.")
        if names.count(name) > 1:
            raise ScheduleError(f"{names.count(name)} groups are called {brief(name)}: give each its own name.")
    return [(name, options) for name, options in pairs]


def _read_options(name: str, options: object) -> dict[str, Any]:
    """Check the options of a group, and compile its pattern."""
    given = {"pattern": options} if isinstance(options, str) else options
    if not isinstance(given, Mapping) or "pattern" not in given:
        raise ScheduleError(
            f"group {brief(name)} needs a pattern, like {{'pattern': 'classifier'}}, got {brief(options)}."
        )
    readers: dict[str, Callable[[Any], Any]] = {
        "pattern": lambda value: compile_pattern(value, f"the pattern of group {brief(name)}"),
        "lr": lambda value: as_lr(value, f"the lr of group {brief(name)}"),
        "weight_decay": lambda value: as_factor(value, f"the weight_decay of group {brief(name)}"),
        "schedule": lambda value: str(as_schedule(value)),
    }
    for key in given:
        if key not in readers:
            raise ScheduleError(
                f"group {brief(name)} has the unknown option {brief(key)}; allowed are {', '.join(readers)}."
                f"{nearest(str(key), readers)}"
            )
    return {key: readers[key](value) for key, value in given.items() if value is not None or key == "pattern"}


def _match_once(model: torch.nn.Module, patterns: Mapping[str, re.Pattern[str]]) -> dict[int, str]:
    """Return the name of the one group that each trained parameter belongs to, by the parameter's `id`."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups_of = {each: [name for name, pattern in patterns.items() if pattern.search(each)] for each in trained}
    for name, pattern in patterns.items():
        if not any(name in groups for groups in groups_of.values()):
            others = [each for each, _ in model.named_parameters(remove_duplicate=False) if each not in trained]
            hidden = [each for each in others if pattern.search(each)]
            why = ""
            if hidden:
                why = f" It matches {list_some(hidden)}: not trained, or tied to a parameter of another name."
            raise ScheduleError(
                f"the pattern {brief(pattern.pattern)} of group {brief(name)} matches no trained parameter.{why} Examples of "
                f"their names: {list_some([*trained])}."
            )
    if repeated := [each for each, groups in groups_of.items() if len(groups) > 1]:
        both = " and ".join(map(repr, groups_of[repeated[0]][:2]))
        raise ScheduleError(
            f"the groups overlap: {list_some(repeated)} match more than one pattern. {repeated[0]!r} matches those of {both}."
        )
    if missed := [each for each, groups in groups_of.items() if not groups]:
        raise ScheduleError(
            f"{list_some(missed)} match no pattern. Each trained parameter must be in a group; to keep one unchanged, give its "
            "group the schedule 'freeze()', or set requires_grad=False."
        )
    return {id(trained[each]): groups[0] for each, groups in groups_of.items()}
