"""Split an optimizer's parameter groups into finer ones that inherit every option."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from transformers import Trainer

from ..schedules import ScheduleError
from ..schedules.arguments import as_lr
from ..schedules.errors import brief
from .layers import list_some

ParamGroup: TypeAlias = dict[str, Any]

#: The end of the name of a group without weight decay.
NO_DECAY = "/no_decay"

# What a finer group does not inherit: its own identity, and what a scheduler wrote.
_NOT_INHERITED = ("params", "param_names", "name", "initial_lr")


def make_stock_groups(model: torch.nn.Module, lr: float | None, weight_decay: float | None) -> list[ParamGroup]:
    """Make the two groups that Trainer would make. An LR or a weight decay of `None` is left to the optimizer."""
    decayed = get_decayed_names(model)
    groups: list[ParamGroup] = [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():  # a tied parameter comes once
        if parameter.requires_grad:
            groups[name not in decayed]["params"].append(parameter)
    if not any(group["params"] for group in groups):
        raise ScheduleError(f"{type(model).__name__} has nothing to train: all parameters have requires_grad=False.")
    if weight_decay is not None:
        groups[0]["weight_decay"] = weight_decay
    return groups if lr is None else [{**group, "lr": lr} for group in groups]


def get_decayed_names(model: torch.nn.Module) -> set[str]:
    """Return the names of the parameters that have weight decay in Trainer: all except biases and norms."""
    unbound: Any = Trainer.get_decay_parameter_names
    return set(unbound(None, model))


def get_parameter_names(model: torch.nn.Module) -> dict[int, str]:
    """Return the names of a model's parameters, by their `id`."""
    return {id(parameter): name for name, parameter in model.named_parameters()}


def split_groups(
    groups: Sequence[ParamGroup],
    names: Mapping[int, str],
    part_of: Callable[[str | None], str],
    parts: Sequence[str],
    part_lr: Callable[[str, float], float],
    decayed: Collection[str],
) -> list[ParamGroup]:
    """Split groups by the names of their parameters. Every other option is inherited; empty groups are left out.

    Args:
        groups (`Sequence[dict]`): The groups to split.
        names (`Mapping[int, str]`): The parameters' names, by `id`.
        part_of (`Callable`): Maps a name to its part; gets `None` for a parameter outside the model, such as one of a loss.
        parts (`Sequence[str]`): The parts, in the order of the new groups.
        part_lr (`Callable`): Maps a part and the LR of the group that is split to the part's LR.
        decayed (`Collection[str]`): The names that have weight decay. A group without any of them is called `no_decay`.
    """
    groups = [group for group in groups if group["params"]]
    suffixes = _suffixes(groups, names, decayed)
    finer: list[ParamGroup] = []
    for part in parts:
        for group, suffix in zip(groups, suffixes, strict=True):
            inside = [parameter for parameter in group["params"] if part_of(names.get(id(parameter))) == part]
            if inside:
                lr = _same_type(group["lr"], part_lr(part, float(group["lr"])))
                finer.append({"params": inside, **_options(group), "lr": lr, "name": part + suffix})
    return finer


def inherit_options(
    groups: Sequence[ParamGroup], wanted: object, names: Mapping[int, str], decayed: Collection[str]
) -> list[ParamGroup]:
    """Complete a user's groups with the options of the groups that their parameters come from.

    A group whose parameters come from groups that differ in an option that it does not set itself, such as the weight
    decay, is split accordingly.

    Args:
        groups (`Sequence[dict]`): Trainer's own groups.
        wanted (`list[dict]`): The user's groups.
        names (`Mapping[int, str]`): The parameters' names, by `id`.
        decayed (`Collection[str]`): The names that have weight decay.

    Raises:
        ScheduleError: `wanted` is not a list of groups, or does not hold each parameter exactly once.
    """
    groups = [group for group in groups if group["params"]]
    suffixes = _suffixes(groups, names, decayed)
    finer: list[ParamGroup] = []
    for group in _check_groups(groups, wanted, names):
        inside = {id(parameter) for parameter in group["params"]}
        own = {key: value for key, value in group.items() if key != "params"}
        pieces = []
        for before, suffix in zip(groups, suffixes, strict=True):
            parameters = [parameter for parameter in before["params"] if id(parameter) in inside]
            if parameters:
                pieces.append(({"params": parameters, **_options(before), **own}, suffix))
        if all(_options(piece) == _options(pieces[0][0]) for piece, _ in pieces):
            pieces = [({**pieces[0][0], "params": group["params"]}, "")]
        if "name" in group:
            pieces = [({**piece, "name": f"{group['name']}{suffix}"}, suffix) for piece, suffix in pieces]
        finer += [piece for piece, _ in pieces]
    check_unique_names(finer)
    return finer


def replace_groups(optimizer: torch.optim.Optimizer, groups: Sequence[ParamGroup]) -> None:
    """Replace the groups of an optimizer that has not stepped yet by other groups of the same parameters."""
    named = {
        id(parameter): name
        for group in optimizer.param_groups
        for parameter, name in zip(group["params"], group.get("param_names", []), strict=False)
    }
    optimizer.param_groups.clear()
    for group in groups:
        params = [(named[id(each)], each) if named else each for each in group["params"]]
        optimizer.add_param_group({**group, "params": params})


def check_unique_names(groups: Iterable[ParamGroup]) -> None:
    """Refuse two groups with the same name: a log could not distinguish them."""
    for name, count in Counter(group["name"] for group in groups if "name" in group).items():
        if count > 1:
            raise ScheduleError(f"{count} parameter groups are called {brief(name)}: give each its own name.")


def _suffixes(groups: Sequence[ParamGroup], names: Mapping[int, str], decayed: Collection[str]) -> list[str]:
    """Return the end of a finer group's name, which says which group it comes from."""
    suffixes: list[str] = []
    for index, group in enumerate(groups):
        has_decay = any(names.get(id(parameter)) in decayed for parameter in group["params"])
        suffix = f"/{group['name']}" if "name" in group else "" if has_decay else NO_DECAY
        suffixes.append(f"/group_{index}" if suffix in suffixes else suffix)
    return suffixes


def _options(group: ParamGroup) -> ParamGroup:
    return {key: value for key, value in group.items() if key not in _NOT_INHERITED}


def _same_type(lr: Any, value: float) -> Any:
    """Return the value as the LR's type: an optimizer with tensor LRs gets a new tensor."""
    return torch.full_like(lr, value) if isinstance(lr, torch.Tensor) else value


def _check_groups(groups: Sequence[ParamGroup], wanted: object, names: Mapping[int, str]) -> list[ParamGroup]:
    if not isinstance(wanted, list | tuple) or not all(isinstance(each, dict) and "params" in each for each in wanted):
        raise ScheduleError(
            f"groups= must return a list of parameter groups, which are dicts with 'params', got {brief(wanted)}."
        )
    checked: list[ParamGroup] = []
    for index, group in enumerate(wanted):
        params = group["params"]
        checked.append({**group, "params": [params] if isinstance(params, torch.Tensor) else list(params)})
        if "lr" in group and not isinstance(group["lr"], torch.Tensor):
            checked[-1]["lr"] = as_lr(group["lr"], f"the lr of group {group.get('name', index)!r}")

    before = dict.fromkeys(id(parameter) for group in groups for parameter in group["params"])
    after = Counter(id(parameter) for group in checked for parameter in group["params"])
    faults = {
        "leaves out": [each for each in before if each not in after],
        "adds": [each for each in after if each not in before],
        "puts into two groups:": [each for each, count in after.items() if count > 1],
    }
    for fault, ids in faults.items():
        if ids:
            found = list_some([names.get(each, "(not a parameter of the model)") for each in ids])
            raise ScheduleError(
                f"groups= {fault} {found}. Each parameter that Trainer trains must be in exactly one group; to keep one "
                "unchanged, give its group the schedule 'freeze()', or set requires_grad=False before the optimizer is made."
            )
    return [group for group in checked if group["params"]]
