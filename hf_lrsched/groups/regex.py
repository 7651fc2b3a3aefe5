"""Parameter groups by regular expressions on the parameters' names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..schedules import ScheduleError
from ..schedules.arguments import as_factor, as_lr
from ..schedules.errors import brief, nearest
from ..schedules.parser import as_schedule
from .layers import compiled, some
from .split import NO_DECAY, Group, refuse_same_names, stock_groups

_KEYS = ("pattern", "lr", "weight_decay", "schedule")


def regex_groups(
    model: torch.nn.Module,
    rules: Mapping[str, Any] | Iterable[tuple[str, Any]],
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> list[Group]:
    """Parameter groups by regular expressions on the parameters' names.

    Every parameter with `requires_grad=True` must match one pattern and no other; a pattern is searched, not matched from
    the start. Each group is split in two, as Trainer splits: biases and norms, without weight decay, are in `…/no_decay`.

    Args:
        model (`torch.nn.Module`): The model.
        rules (`Mapping` or pairs): For each name of a group a pattern, or a dict of `pattern` and, optional, `lr`,
            `weight_decay` and `schedule`, a schedule of the group's own.
        lr (`float`, *optional*): The peak LR of groups that say none. Without it, the optimizer's.
        weight_decay (`float`, *optional*): The weight decay of groups that say none. Without it, the optimizer's.

    Returns:
        `list[dict]`: Groups with `params`, `name` and what is known of `lr`, `weight_decay` and `schedule`, in the order
        of the rules.

    Raises:
        ScheduleError: A parameter matches no pattern, or two; a pattern matches nothing or is none; a name is there twice;
            a value can't be meant.

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
    found = {name: _read(name, options) for name, options in _pairs(rules)}
    base = stock_groups(
        model,
        None if lr is None else as_lr(lr, "lr"),
        None if weight_decay is None else as_factor(weight_decay, "weight_decay"),
    )
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    matched = {name: [each for each in trained if rule["pattern"].search(each)] for name, rule in found.items()}
    _refuse_wrong_matches(model, {name: rule["pattern"].pattern for name, rule in found.items()}, matched, trained)

    parameters = dict(model.named_parameters())
    groups: list[Group] = []
    for name, rule in found.items():
        inside = {id(parameters[each]) for each in matched[name]}
        options = {key: value for key, value in rule.items() if key != "pattern"}
        for stock, end in zip(base, ("", NO_DECAY), strict=True):
            params = [parameter for parameter in stock["params"] if id(parameter) in inside]
            own = options if end == "" else {key: value for key, value in options.items() if key != "weight_decay"}
            if params:
                groups.append({**stock, **own, "params": params, "name": name + end})
    refuse_same_names(groups)
    return groups


def _pairs(rules: object) -> list[tuple[str, Any]]:
    pairs = list(rules.items() if isinstance(rules, Mapping) else rules if isinstance(rules, Iterable) else ())
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ScheduleError(
            f"the groups are a dict of names and patterns, like {{'head': 'classifier'}}, got {brief(rules)}."
        )
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or not name:
            raise ScheduleError(f"the name of a group must be a text, got {brief(name)}.")
        if names.count(name) > 1:
            raise ScheduleError(f"{names.count(name)} groups are called {brief(name)}: give each a name of its own.")
    return [(name, options) for name, options in pairs]


def _read(name: str, options: object) -> dict[str, Any]:
    """The options of a group, checked, with the pattern compiled."""
    given = {"pattern": options} if isinstance(options, str) else options
    if not isinstance(given, Mapping) or "pattern" not in given:
        raise ScheduleError(
            f"group {brief(name)} needs a pattern, like {{'pattern': 'classifier'}}, got {brief(options)}."
        )
    for key in given:
        if key not in _KEYS:
            raise ScheduleError(
                f"group {brief(name)} has the unknown option {brief(key)}; allowed are {', '.join(_KEYS)}.{nearest(str(key), _KEYS)}"
            )
    readers: dict[str, Callable[[Any], Any]] = {
        "pattern": lambda value: compiled(value, f"the pattern of group {brief(name)}"),
        "lr": lambda value: as_lr(value, f"the lr of group {brief(name)}"),
        "weight_decay": lambda value: as_factor(value, f"the weight_decay of group {brief(name)}"),
        "schedule": lambda value: str(as_schedule(value)),
    }
    return {key: readers[key](value) for key, value in given.items() if value is not None or key == "pattern"}


def _refuse_wrong_matches(
    model: torch.nn.Module, patterns: Mapping[str, str], matched: Mapping[str, Sequence[str]], trained: Sequence[str]
) -> None:
    for name, found in matched.items():
        if not found:
            others = [each for each, _ in model.named_parameters(remove_duplicate=False) if each not in trained]
            hidden = [each for each in others if compiled(patterns[name], name).search(each)]
            why = f" It matches {some(hidden)}, not trained or tied to another that has its name." if hidden else ""
            raise ScheduleError(
                f"the pattern {brief(patterns[name])} of group {brief(name)} matches no parameter that is trained.{why} Their "
                f"names are like {some(trained)}."
            )
    groups_of = {each: [name for name, found in matched.items() if each in found] for each in trained}
    twice = [each for each, groups in groups_of.items() if len(groups) > 1]
    if twice:
        both = " and ".join(map(repr, groups_of[twice[0]][:2]))
        raise ScheduleError(
            f"the groups overlap: {some(twice)} match more than one pattern, the first those of {both}."
        )
    if missed := [each for each, groups in groups_of.items() if not groups]:
        raise ScheduleError(
            f"{some(missed)} match no pattern. Each parameter that is trained must be in a group; to keep one as it is, give "
            "its group the schedule 'freeze()', or set requires_grad=False."
        )
