"""SavedOptimizer: whose state a checkpoint holds, compared before torch loads it by position alone."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..groups.layers import list_some
from ..optim.wrappers import unwrap_optimizer
from ..schedules import ScheduleError
from ..schedules.numbers import format_count
from ..trajectory.resume import check_on_resume

logger = logging.getLogger(__name__)

Data = dict[str, Any]

# Where the optimizer's state keeps the data.
_KEY = "hf_lrsched"
# Options that a user sets and no step changes. Others are not compared: optimizers such as Prodigy count in their groups, and
# `foreach` and its like do not change what is computed.
_COMPARED = (
    *("weight_decay", "decoupled_weight_decay", "betas", "beta1", "eps", "momentum", "dampening", "nesterov"),
    *("amsgrad", "maximize", "clip_threshold", "decay_rate"),
    *("alpha", "centered", "rho", "lr_decay", "lambd", "momentum_decay"),
    *("scale_parameter", "relative_step", "warmup_init", "etas", "step_sizes", "ns_steps", "rank", "update_proj_gap"),
)

# What torch.compile and data parallelism put into the names of parameters.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod)\.")

_NEW_RUN = "start a new run from its weights, with from_pretrained(checkpoint)"


class SavedOptimizer:
    """The class of an optimizer, and the names, parameters and options of its groups, for the comparison at a resume.

    Groups are matched by name, and their parameters by name where names are known, else by shape. The optimizer's state keeps
    this data as well as the scheduler's, since it is loaded first.

    Args:
        optimizer (`torch.optim.Optimizer`): The optimizer at the start of the run.
        on_resume (`str`): Options that differ are refused under `strict`. Under `keep` and `stretch` the checkpoint's options
            hold, under `switch` and `rewarm` those of this run.
    """

    def __init__(self, optimizer: Any, on_resume: str):
        self.on_resume = check_on_resume(on_resume)[0]
        kind = type(unwrap_optimizer(optimizer))
        self._data: Data = {
            "class": f"{kind.__module__.partition('.')[0]}.{kind.__name__}",
            "groups": [_describe(group) for group in optimizer.param_groups],
        }
        # What the optimizer has loaded, and the position of each group there.
        self._loaded: Data | None = None
        self._order: list[int] | None = None
        self._has_compared = False  # its class and options

    def add_hooks(self, optimizer: Any) -> list[Any]:
        """Save the data in the optimizer's state, and compare it before that is loaded. Returns the hooks' handles."""
        inner = unwrap_optimizer(optimizer)
        if not isinstance(inner, torch.optim.Optimizer):
            return []
        return [
            inner.register_state_dict_post_hook(lambda _, state: {**state, _KEY: self._data}),
            inner.register_load_state_dict_pre_hook(self._before_load),
        ]

    def to_data(self) -> Data:
        """Plain data for the scheduler's state, which stays small: without the parameters."""
        groups = [{"name": group["name"], "options": dict(group["options"])} for group in self._data["groups"]]
        return {**self._data, "groups": groups}

    def name_parameters(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Take the names of the optimizer's parameters from the model.

        Raises:
            ScheduleError: The optimizer has loaded its state already, and its parameters have other names there.
        """
        names = {id(parameter): _WRAPPERS.sub("", name) for name, parameter in model.named_parameters()}
        for described, group in zip(self._data["groups"], optimizer.param_groups, strict=False):
            known = [names.get(id(parameter)) for parameter in group["params"]]
            described["names"] = described["names"] or (None if None in known else known)
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            places = _match_parameters(loaded, self._data, self._match_groups(loaded))
            if any(each != sorted(each) for each in places):
                raise ScheduleError(
                    "cannot resume: the parameters are in another order than in the checkpoint, so each parameter would get another "
                    f"parameter's moments. Restore their order, or {_NEW_RUN}."
                )

    def compare(self, saved: Data | None, optimizer: Any) -> list[int] | None:
        """Compare with what a checkpoint's scheduler kept, if the optimizer has not compared its own state.

        Args:
            saved (`dict`, *optional*): What [`to_data`] returned.
            optimizer (`torch.optim.Optimizer`): Options of this run are written into its groups where they hold.

        Returns:
            `list[int]`, *optional*: The position of each group in the checkpoint; `None` if no group has moved.

        Raises:
            ScheduleError: This optimizer cannot resume the checkpoint's.
        """
        order, has_compared = self._order, self._has_compared
        self._order, self._has_compared = None, False
        if saved is not None and not has_compared:
            has_loaded, order = order is not None, self._match_groups(saved)
            if order != sorted(order) and not has_loaded:
                raise ScheduleError(
                    "cannot resume: the parameter groups are in another order than in the checkpoint, and the optimizer has not "
                    "loaded its state. Load the optimizer's state before the scheduler's."
                )
            self._choose_options(saved, order, optimizer.param_groups)
        return None if order is None or order == sorted(order) else order

    def _before_load(self, optimizer: torch.optim.Optimizer, state: Data) -> Data:
        """Put the saved groups and parameters into the order of the optimizer that is about to load them."""
        saved_groups, saved, current = state["param_groups"], state.get(_KEY), self._data
        if saved is None:  # a run without this scheduler keeps no data, and FSDP drops it
            saved, current = ({"groups": [*map(_describe, each)]} for each in (saved_groups, optimizer.param_groups))
        order = self._match_groups(saved)
        groups = []
        for index, places in zip(order, _match_parameters(saved, current, order), strict=True):
            ids = saved_groups[index]["params"]  # DeepSpeed has one for the parameters of a group together
            params = [ids[place] for place in places] if len(ids) == len(places) else ids
            groups.append({**saved_groups[index], "params": params})
        self._choose_options(saved, order, groups)
        self._order, self._has_compared = order, "class" in saved
        self._loaded = None if all(group["names"] for group in current["groups"]) else saved
        return {**state, "param_groups": groups}

    def _match_groups(self, saved: Data) -> list[int]:
        """Compare the classes, and return the position of each group in the saved data."""
        if not _is_same_class(str(saved.get("class", self._data["class"])), self._data["class"]):
            raise ScheduleError(
                f"cannot resume: the checkpoint's optimizer is {saved['class']}, and this one is {self._data['class']}, which cannot "
                f"use its state. Resume with the checkpoint's optimizer, or {_NEW_RUN}."
            )
        return _match_groups(saved, self._data)

    def _choose_options(self, saved: Data, order: Sequence[int], groups: Sequence[Data]) -> None:
        """Decide by `on_resume` which options hold in the groups that the optimizer loads, or has loaded."""
        mine = self._data["groups"]
        changed: dict[tuple[str, str, str], list[int]] = {}
        for index, group in enumerate(mine):
            was = saved["groups"][order[index]]["options"]
            for option, now in group["options"].items() if "class" in saved else ():
                if was.get(option, now) != now:
                    changed.setdefault((option, str(was[option]), str(now)), []).append(index)
        if not changed:
            return
        texts = []
        for (option, was, now), where in changed.items():
            names = "" if len(where) == len(mine) else f" in {list_some([_get_name(mine, index) for index in where])}"
            texts.append(f"{option} was {was} and is {now}{names}")
        if self.on_resume == "strict":
            raise ScheduleError(
                f"cannot resume: the optimizer's options differ: {'; '.join(texts)}. Resume with the checkpoint's options, or choose "
                "on_resume='keep' or 'stretch' for the checkpoint's, 'switch' or 'rewarm' for the new ones."
            )
        takes_new = self.on_resume in ("switch", "rewarm")
        for (option, _, _), indices in changed.items():
            for index in indices:
                if takes_new:
                    now = mine[index]["options"][option]
                    groups[index][option] = tuple(now) if isinstance(now, list) else now
                    if option in ("betas", "momentum"):
                        groups[index].pop("initial_momentum", None)  # what the checkpoint's momentum() began from
                else:
                    mine[index]["options"][option] = saved["groups"][order[index]]["options"][option]
        whose = "those of this run" if takes_new else "those of the checkpoint"
        logger.warning(f"with on_resume={self.on_resume!r} the optimizer's options are {whose}: {'; '.join(texts)}.")


def _is_same_class(was: str, now: str) -> bool:
    """Whether two names mean one class: a class of the script that ran may be imported from a module in the next run."""
    was_in, _, was_name = was.partition(".")
    now_in, _, now_name = now.partition(".")
    return was_name == now_name and (was_in == now_in or bool({was_in, now_in} & {"__main__", "__mp_main__"}))


def _describe(group: Mapping[str, Any]) -> Data:
    """Describe a group of an optimizer, or of an optimizer's saved state, which has numbers instead of parameters."""
    params = group["params"]
    has_tensors = all(isinstance(each, torch.Tensor) for each in params)
    names = group.get("param_names")
    options: Data = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in group.items()
        if key in _COMPARED and isinstance(value, bool | int | float | str | tuple | list | None)
    }
    if (momentum := group.get("initial_momentum")) is not None:  # momentum() has changed it since
        options |= {"momentum": momentum} if "momentum" in options else {"betas": [momentum, *options["betas"][1:]]}
    return {
        "name": group.get("name"),
        "num_tensors": len(params),
        "names": None if names is None else [_WRAPPERS.sub("", name) for name in names],
        "shapes": [list(each.shape) for each in params] if has_tensors else None,
        "options": options,
    }


def _match_groups(saved: Data, current: Data) -> list[int]:
    """Return the position of each group in the saved data: of the group with its name, or the same one without names."""
    was, now = ([group["name"] for group in data["groups"]] for data in (saved, current))
    has_names = all(isinstance(name, str) for name in (*was, *now)) and len({*now}) == len(now)
    if was != now and has_names and sorted(was) == sorted(now):
        return [was.index(name) for name in now]
    if len(was) == len(now) and (was == now or not any(was) or not any(now)):
        return [*range(len(now))]
    faults = [
        f" {change.capitalize()}: {list_some(names)}."
        for names, change in (
            ([name for name in now if name and name not in was], "new"),
            ([name for name in was if name and name not in now], "gone"),
        )
        if names
    ]
    raise ScheduleError(
        f"cannot resume: the optimizer has {format_count(len(now), 'parameter group')}, not the {len(was)} of the checkpoint."
        f"{''.join(faults)} Resume with the checkpoint's groups, or {_NEW_RUN}."
    )


def _match_parameters(saved: Data, current: Data, order: Sequence[int]) -> list[list[int]]:
    """Return, for each group, the position of each parameter in the saved group."""
    places, faults = [], []
    for index, group in enumerate(current["groups"]):
        was, name = saved["groups"][order[index]], _get_name(current["groups"], index)
        places.append([*range(group["num_tensors"])])
        if was["names"] and group["names"]:
            new = [each for each in group["names"] if each not in was["names"]]
            gone = [each for each in was["names"] if each not in group["names"]]
            if new or gone:
                changes = [f"{change} {list_some(names)}" for names, change in ((new, "new"), (gone, "gone")) if names]
                faults.append(f"in {name!r}: {'; '.join(changes)}")
            else:
                places[-1] = [was["names"].index(each) for each in group["names"]]
        elif was["num_tensors"] != group["num_tensors"]:
            faults.append(f"{name!r} had {was['num_tensors']} tensors and has {group['num_tensors']}")
        elif was["shapes"] and group["shapes"] and was["shapes"] != group["shapes"]:
            faults.append(f"{name!r} has tensors of other shapes, or in another order")
    if faults:
        raise ScheduleError(
            f"cannot resume: the parameters differ from the checkpoint's: {'; '.join(faults)}. Resume with the "
            f"checkpoint's parameters, or {_NEW_RUN}. To train layers later, freeze their group for a while: see freeze()."
        )
    return places


def _get_name(groups: Sequence[Data], index: int) -> str:
    return str(groups[index]["name"] or f"group {index}")
