"""Freeze groups for a while or throughout, by giving them a schedule of their own."""

import re
from collections.abc import Sequence

from ..schedules import Length, Schedule, ScheduleError, as_length, freeze
from ..schedules.errors import brief, nearest
from ..schedules.parser import as_schedule
from .layers import EMBEDDINGS, HEAD, list_some
from .split import ParamGroup, check_unique_names

_LAYER = re.compile(r"layer_(\d+)")


def gradual_unfreezing(
    groups: Sequence[ParamGroup], schedule: Schedule | str, every: object = "1ep", order: Sequence[str] | None = None
) -> list[ParamGroup]:
    """Unfreeze groups one after the other, from the head down: `(schedule) * freeze(k * every)`.

    The head is trained from the start; the k-th layer from the top is frozen for k·`every`, the embeddings longest. Once
    unfrozen, a group joins the main schedule at its current position; it gets no warmup of its own. Howard & Ruder 2018
    (ULMFiT), https://arxiv.org/abs/1801.06146, unfreeze one layer per epoch. All groups must be unfrozen before the run
    ends: with 12 layers and the embeddings, the run must last longer than 13·`every`.

    Args:
        groups (`Sequence[dict]`): Groups with names, such as [`layerwise_groups`] makes.
        schedule ([`Schedule`] or `str`): The main schedule. A group that has its own continues with that one.
        every (length, defaults to `1ep`): The time between two groups.
        order (`Sequence[str]`, *optional*): The names of all groups in the order in which they are unfrozen; the first is
            never frozen. `layer_3` includes `layer_3/no_decay` and every other name that begins with `layer_3/`. Needed if
            the names are not those of [`layerwise_groups`].

    Returns:
        `list[dict]`: The groups, with a `schedule` for each one that is frozen.

    Raises:
        ScheduleError: A name is unknown, repeated or missing, or the last group would never be unfrozen.

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
    main, interval = as_schedule(schedule), as_length(every, "every")
    turns = _find_groups(groups, _order_from_the_top(groups) if order is None else order)
    if missing := [group["name"] for group in groups if group["name"] not in turns]:
        raise ScheduleError(
            f"order leaves out {list_some(missing)}: list all groups, beginning with the one that is never frozen. To freeze a "
            "group throughout, use freeze_groups()."
        )
    last = Length(interval.amount * max(turns.values(), default=0), interval.unit)
    if last.unit == "%" and last.amount >= 1:
        raise ScheduleError(
            f"the last group would be unfrozen after {last} of the run: {max(turns.values())} times every={interval}. Choose a "
            "shorter interval."
        )
    unfreezing = []
    for group in groups:
        turn, own = turns[group["name"]], as_schedule(group.get("schedule", main))
        masked = {"schedule": str(own * freeze(Length(interval.amount * turn, interval.unit)))} if turn else {}
        unfreezing.append({**group, **masked})
    return unfreezing


def freeze_groups(groups: Sequence[ParamGroup], names: Sequence[str]) -> list[ParamGroup]:
    """Freeze groups throughout the run: their schedule is `freeze()`.

    Their gradients are still computed. To save that time and memory, set `requires_grad=False` instead, before the groups
    are made.

    Args:
        groups (`Sequence[dict]`): Groups with names.
        names (`Sequence[str]`): The groups to freeze; `embeddings` includes `embeddings/no_decay`.

    Returns:
        `list[dict]`: The groups, with a `schedule` for each one that is frozen.

    Raises:
        ScheduleError: A name is unknown or repeated, or no group would be trained.

    Example:
    ```python
    >>> groups = [{"name": "head", "params": []}, {"name": "embeddings", "params": []}]
    >>> freeze_groups(groups, ["embeddings"])[1]["schedule"]
    'freeze()'

    ```
    """
    frozen = _find_groups(groups, names)
    if len(frozen) == len(groups):
        raise ScheduleError(f"freeze={', '.join(names)} leaves nothing to train: these are all groups.")
    return [{**group, "schedule": str(freeze())} if group["name"] in frozen else {**group} for group in groups]


def _order_from_the_top(groups: Sequence[ParamGroup]) -> list[str]:
    """Return the parts of layer-wise groups in the order in which they are unfrozen."""
    ranks = {HEAD: (0, 0), EMBEDDINGS: (2, 0)}
    stems = {name.partition("/")[0]: name for name in _check_names(groups)}
    ranks |= {stem: (1, -int(match[1])) for stem in stems if (match := _LAYER.fullmatch(stem))}
    for stem, name in stems.items():
        if stem not in ranks:
            raise ScheduleError(
                f"the position of the group {brief(name)} is not known: only head, layer_0, layer_1, … and embeddings have one. "
                "Give order=, the names of all groups, beginning with the one that is never frozen."
            )
    if HEAD not in stems:
        raise ScheduleError("there is no group 'head', so no group would be trained first. Pass order=[…].")
    return sorted(stems, key=lambda stem: ranks[stem])


def _find_groups(groups: Sequence[ParamGroup], wanted: Sequence[str]) -> dict[str, int]:
    """Return the groups that a list of names includes, each with the index of its entry in the list."""
    names = _check_names(groups)
    if isinstance(wanted, str) or not all(isinstance(each, str) for each in wanted):
        raise ScheduleError(f"names of groups are a list like ['head', 'layer_1'], got {brief(wanted)}.")
    found: dict[str, int] = {}
    for index, each in enumerate(wanted):
        included = [name for name in names if name == each or name.startswith(f"{each}/")]
        if not included:
            known = list(dict.fromkeys([*(name.partition("/")[0] for name in names), *names]))
            raise ScheduleError(f"there is no group {brief(each)}, only {list_some(known, 5)}.{nearest(each, known)}")
        for name in included:
            if name in found:
                raise ScheduleError(
                    f"the group {brief(name)} is listed twice: by {wanted[found[name]]!r} and by {each!r}."
                )
            found[name] = index
    return found


def _check_names(groups: Sequence[ParamGroup]) -> list[str]:
    for index, group in enumerate(groups):
        if not isinstance(group.get("name"), str):
            raise ScheduleError(f"group {index} has no name: give each group a 'name'.")
    check_unique_names(groups)
    return [group["name"] for group in groups]
