"""The core: an optimizer's parameter groups, split into finer ones that inherit every option."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from transformers import Trainer

from ..schedules import ScheduleError
from ..schedules.arguments import as_lr
from ..schedules.errors import brief
from .layers import some

Group: TypeAlias = dict[str, Any]

#: The end of the name of a group without weight decay.
NO_DECAY = "/no_decay"

# What a finer group does not inherit: what it is itself, and what a scheduler wrote.
_OWN = ("params", "param_names", "name", "initial_lr")


def stock_groups(model: torch.nn.Module, lr: float | None, weight_decay: float | None) -> list[Group]:
    """The two groups that Trainer would make. An LR or a weight decay of `None` is left to the optimizer."""
    decayed = decayed_names(model)
    groups: list[Group] = [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():  # a tied parameter comes once
        if parameter.requires_grad:
            groups[name not in decayed]["params"].append(parameter)
    if not any(group["params"] for group in groups):
        raise ScheduleError(
            f"{type(model).__name__} has nothing to train: all its parameters have requires_grad=False."
        )
    if weight_decay is not None:
        groups[0]["weight_decay"] = weight_decay
    return groups if lr is None else [{**group, "lr": lr} for group in groups]


def decayed_names(model: torch.nn.Module) -> set[str]:
    """The names of the parameters that have weight decay in Trainer: all but biases and norms."""
    unbound: Any = Trainer.get_decay_parameter_names
    return set(unbound(None, model))


def names_of(model: torch.nn.Module) -> dict[int, str]:
    """The names of a model's parameters, by their identity."""
    return {id(parameter): name for name, parameter in model.named_parameters()}


def refine(
    groups: Sequence[Group],
    names: Mapping[int, str],
    part_of: Callable[[str | None], str],
    lr_of: Mapping[str, Callable[[float], float]],
    decayed: Collection[str],
) -> list[Group]:
    """Splits groups by the names of their parameters. Every other option is inherited; empty groups are left out.

    Args:
        groups (`Sequence[dict]`): The groups to split.
        names (`Mapping[int, str]`): The parameters' names, by identity.
        part_of (`Callable`): The part that a name belongs to; it gets `None` for a parameter that the model does not
            have, such as a loss's own.
        lr_of (`Mapping[str, Callable]`): The parts, in the order in which they are to come, and what makes a part's LR
            of the group's.
        decayed (`Collection[str]`): The names that have weight decay. A group without any of them is called `no_decay`.
    """
    groups = [group for group in groups if group["params"]]
    ends = _ends(groups, names, decayed)
    finer: list[Group] = []
    for part, lr in lr_of.items():
        for group, end in zip(groups, ends, strict=True):
            inside = [parameter for parameter in group["params"] if part_of(names.get(id(parameter))) == part]
            if inside:
                new_lr = _like(group["lr"], lr(float(group["lr"])))
                finer.append({"params": inside, **_options(group), "lr": new_lr, "name": part + end})
    return finer


def inherit(groups: Sequence[Group], wanted: object, names: Mapping[int, str], decayed: Collection[str]) -> list[Group]:
    """Groups of a user's making, with what they do not say from the groups that their parameters were in.

    A group whose parameters come from several that differ in what it does not say itself, such as the weight decay, is
    split as they were.

    Raises:
        ScheduleError: Not groups; or a parameter is in none of them, in two, or was in no group before; or two groups have
            one name.
    """
    groups = [group for group in groups if group["params"]]
    ends = _ends(groups, names, decayed)
    finer: list[Group] = []
    for group in _checked(groups, wanted, names):
        inside = {id(parameter) for parameter in group["params"]}
        own = {key: value for key, value in group.items() if key != "params"}
        pieces = []
        for before, end in zip(groups, ends, strict=True):
            parameters = [parameter for parameter in before["params"] if id(parameter) in inside]
            if parameters:
                pieces.append(({"params": parameters, **_options(before), **own}, end))
        if all(_options(piece) == _options(pieces[0][0]) for piece, _ in pieces):
            pieces = [({**pieces[0][0], "params": group["params"]}, "")]
        if "name" in group:
            pieces = [({**piece, "name": f"{group['name']}{end}"}, end) for piece, end in pieces]
        finer += [piece for piece, _ in pieces]
    refuse_same_names(finer)
    return finer


def replace_groups(optimizer: torch.optim.Optimizer, groups: Sequence[Group]) -> None:
    """Gives an optimizer that has not stepped yet other groups of its parameters."""
    named = {
        id(parameter): name
        for group in optimizer.param_groups
        for parameter, name in zip(group["params"], group.get("param_names", []), strict=False)
    }
    optimizer.param_groups.clear()
    for group in groups:
        params = [(named[id(each)], each) if named else each for each in group["params"]]
        optimizer.add_param_group({**group, "params": params})


def refuse_same_names(groups: Iterable[Group]) -> None:
    """Two groups of one name could not be told apart in a log."""
    for name, count in Counter(group["name"] for group in groups if "name" in group).items():
        if count > 1:
            raise ScheduleError(f"{count} parameter groups are called {brief(name)}: give each a name of its own.")


def _ends(groups: Sequence[Group], names: Mapping[int, str], decayed: Collection[str]) -> list[str]:
    """The end of a finer group's name, which tells from which group it comes."""
    ends: list[str] = []
    for index, group in enumerate(groups):
        has_decay = any(names.get(id(parameter)) in decayed for parameter in group["params"])
        end = f"/{group['name']}" if "name" in group else "" if has_decay else NO_DECAY
        ends.append(f"/group_{index}" if end in ends else end)
    return ends


def _options(group: Group) -> Group:
    return {key: value for key, value in group.items() if key not in _OWN}


def _like(lr: Any, value: float) -> Any:
    """An LR of the same kind: where an optimizer works with tensors, a tensor of its own."""
    return torch.full_like(lr, value) if isinstance(lr, torch.Tensor) else value


def _checked(groups: Sequence[Group], wanted: object, names: Mapping[int, str]) -> list[Group]:
    if not isinstance(wanted, list | tuple) or not all(isinstance(each, dict) and "params" in each for each in wanted):
        raise ScheduleError(
            f"groups= must return a list of parameter groups, which are dicts with 'params', got {brief(wanted)}."
        )
    made: list[Group] = []
    for index, group in enumerate(wanted):
        params = group["params"]
        made.append({**group, "params": [params] if isinstance(params, torch.Tensor) else list(params)})
        if "lr" in group and not isinstance(group["lr"], torch.Tensor):
            made[-1]["lr"] = as_lr(group["lr"], f"the lr of group {group.get('name', index)!r}")

    before = dict.fromkeys(id(parameter) for group in groups for parameter in group["params"])
    after = Counter(id(parameter) for group in made for parameter in group["params"])
    wrong = {
        "leaves out": [each for each in before if each not in after],
        "adds": [each for each in after if each not in before],
        "has in two groups": [each for each, count in after.items() if count > 1],
    }
    for what, ids in wrong.items():
        if ids:
            found = some([names.get(each, "(not a parameter of the model)") for each in ids])
            raise ScheduleError(
                f"groups= {what} {found}. Each parameter that Trainer trains must be in one group; to keep one as it is, give "
                "its group the schedule 'freeze()', or set requires_grad=False before the optimizer is made."
            )
    return [group for group in made if group["params"]]
