"""Freezing: groups that keep what they learnt, for a while or throughout, by a schedule of their own."""

import re
from collections.abc import Sequence

from ..schedules import Length, Schedule, ScheduleError, as_length, freeze
from ..schedules.errors import brief, nearest
from ..schedules.parser import as_schedule
from .layers import EMBEDDINGS, HEAD, some
from .split import Group, refuse_same_names

_LAYER = re.compile(r"layer_(\d+)")


def gradual_unfreezing(
    groups: Sequence[Group], schedule: Schedule | str, every: object = "1ep", order: Sequence[str] | None = None
) -> list[Group]:
    """Groups that begin to learn one after the other, from the head down: `(schedule) * freeze(k * every)`.

    The head is trained from the start; the k-th layer from the top is frozen for k·`every`, the embeddings longest. Then a
    group follows the main schedule from where that is: its own warmup it has not. Howard & Ruder 2018 (ULMFiT),
    https://arxiv.org/abs/1801.06146, who unfreeze one layer an epoch. All must be thawed before the run ends: with 12
    layers and the embeddings that takes more than 13·`every`.

    Args:
        groups (`Sequence[dict]`): Groups with names, such as [`layerwise_groups`] makes.
        schedule ([`Schedule`] or `str`): The main schedule. A group that has one of its own goes on with that.
        every (length, defaults to `1ep`): From one thaw to the next.
        order (`Sequence[str]`, *optional*): All names of groups in the order in which they thaw, the first being never
            frozen. `layer_3` stands for `layer_3/no_decay` and whatever else begins with `layer_3/`. Needed where the
            names are not those of [`layerwise_groups`].

    Returns:
        `list[dict]`: The groups, with `schedule` where one is frozen.

    Raises:
        ScheduleError: A name is unknown, twice there or missing; the last group would never thaw.

    Example:
    ```python
    >>> groups = [{"name": name, "params": []} for name in ("head", "layer_1", "layer_1/no_decay", "layer_0", "embeddings")]
    >>> for group in gradual_unfreezing(groups, "warmup(10%) >> linear()"):
    ...     print(group["name"], group.get("schedule"))
    head None
    layer_1 (warmup(10%) >> linear()) * freeze(1ep)
    layer_1/no_decay (warmup(10%) >> linear()) * freeze(1ep)
    layer_0 (warmup(10%) >> linear()) * freeze(2ep)
    embeddings (warmup(10%) >> linear()) * freeze(3ep)

    ```
    """
    main, step = as_schedule(schedule), as_length(every, "every")
    steps = _from_the_top(groups) if order is None else _in_order(groups, order)
    last = Length(step.amount * max(steps.values(), default=0), step.unit)
    if last.unit == "%" and last.amount >= 1:
        raise ScheduleError(
            f"the last of the groups would thaw after {last} of the run: {max(steps.values())} times every={step}. Choose a "
            "shorter one."
        )
    thawing = []
    for group in groups:
        count = steps[group["name"]]
        mask = freeze(Length(step.amount * count, step.unit)) if count else None
        own = as_schedule(group.get("schedule", main))
        thawing.append({**group} if mask is None else {**group, "schedule": str(own * mask)})
    return thawing


def freeze_groups(groups: Sequence[Group], names: Sequence[str]) -> list[Group]:
    """Groups of which some keep what they learnt, throughout: their schedule is `freeze()`.

    Their gradients are still computed. To save that time and memory, set `requires_grad=False` instead, before the groups
    are made.

    Args:
        groups (`Sequence[dict]`): Groups with names.
        names (`Sequence[str]`): Which; `embeddings` stands for `embeddings/no_decay`, too.

    Raises:
        ScheduleError: A name is unknown or twice there, or nothing would be left to train.

    Example:
    ```python
    >>> groups = [{"name": "head", "params": []}, {"name": "embeddings", "params": []}]
    >>> freeze_groups(groups, ["embeddings"])[1]["schedule"]
    'freeze()'

    ```
    """
    frozen = _covered(groups, names)
    if len(frozen) == len(groups):
        raise ScheduleError(f"freeze={', '.join(names)} leaves nothing to train: these are all groups.")
    return [{**group, "schedule": str(freeze())} if group["name"] in frozen else {**group} for group in groups]


def _from_the_top(groups: Sequence[Group]) -> dict[str, int]:
    """How many steps each group is frozen: by the names of layer-wise groups."""
    stems = {name: name.partition("/")[0] for name in _names(groups)}
    ranks = {HEAD: (0, 0), EMBEDDINGS: (2, 0)}
    ranks |= {stem: (1, -int(match[1])) for stem in stems.values() if (match := _LAYER.fullmatch(stem))}
    for name, stem in stems.items():
        if stem not in ranks:
            raise ScheduleError(
                f"where does the group {brief(name)} stand? Only head, layer_0, layer_1, … and embeddings are known: give "
                "order=, all names of groups, the one first that is never frozen."
            )
    if HEAD not in stems.values():
        raise ScheduleError("there is no group 'head', so that nothing would be trained at first: give order=.")
    in_order = sorted(set(stems.values()), key=lambda stem: ranks[stem])
    return {name: in_order.index(stem) for name, stem in stems.items()}


def _in_order(groups: Sequence[Group], order: Sequence[str]) -> dict[str, int]:
    steps = _covered(groups, order)
    missing = [group["name"] for group in groups if group["name"] not in steps]
    if missing:
        raise ScheduleError(
            f"order leaves out {some(missing)}: list all groups, the one first that is never frozen. What is to stay frozen "
            "throughout is told to freeze_groups()."
        )
    return steps


def _covered(groups: Sequence[Group], wanted: Sequence[str]) -> dict[str, int]:
    """The groups that the names stand for, each with its name's place in the list."""
    names = _names(groups)
    if isinstance(wanted, str) or not all(isinstance(each, str) for each in wanted):
        raise ScheduleError(f"names of groups are a list like ['head', 'layer_1'], got {brief(wanted)}.")
    found: dict[str, int] = {}
    for index, each in enumerate(wanted):
        stands_for = [name for name in names if name == each or name.startswith(f"{each}/")]
        if not stands_for:
            known = list(dict.fromkeys([*(name.partition("/")[0] for name in names), *names]))
            raise ScheduleError(f"there is no group {brief(each)}; there are {some(known, 5)}.{nearest(each, known)}")
        for name in stands_for:
            if name in found:
                raise ScheduleError(
                    f"the group {brief(name)} is there twice: by {wanted[found[name]]!r} and by {each!r}."
                )
            found[name] = index
    return found


def _names(groups: Sequence[Group]) -> list[str]:
    for index, group in enumerate(groups):
        if not isinstance(group.get("name"), str):
            raise ScheduleError(f"group {index} has no name: only groups with a 'name' can be told apart.")
    refuse_same_names(groups)
    return [group["name"] for group in groups]
