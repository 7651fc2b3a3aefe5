"""Plain data <-> schedule, for JSON and everything else that stores dicts and lists."""

from collections.abc import Mapping
from functools import reduce
from operator import mul, rshift
from typing import Any

from .arguments import is_list
from .errors import ScheduleError, UnknownNameError, brief, nearest
from .registry import NAMES, Phase
from .schedule import MAX_DEPTH, Product, Schedule, Sequence
from .units import Length


def to_data(schedule: Schedule) -> dict[str, Any]:
    """Write a schedule as dicts, lists, texts and numbers: `from_data(to_data(schedule)) == schedule`.

    Args:
        schedule ([`Schedule`]): The schedule.

    Returns:
        `dict[str, Any]`: `{"phase": name, argument: value, …}`, `{"sequence": […]}` for `>>`, or `{"product": […]}` for `*`.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, warmup
    >>> to_data(warmup("10%") >> linear())
    {'sequence': [{'phase': 'warmup', 'over': '10%'}, {'phase': 'linear'}]}

    ```
    """
    if isinstance(schedule, Phase):
        return {"phase": schedule.name, **{name: _value_to_data(value) for name, value in schedule.arguments}}
    if isinstance(schedule, Sequence | Product):
        kind = "sequence" if isinstance(schedule, Sequence) else "product"
        return {kind: [to_data(part) for part in schedule.parts]}
    raise TypeError(f"{schedule!r} is not a schedule")


def from_data(data: Any) -> Schedule:
    """Read a schedule from the data of [`to_data`], or from the same written by hand.

    Args:
        data (`Mapping`): The data. Any mapping or sequence will do, such as OmegaConf's `DictConfig` and `ListConfig`.

    Returns:
        [`Schedule`]

    Raises:
        ScheduleError: The data is not a schedule.

    Example:
    ```python
    >>> from_data({"sequence": [{"phase": "warmup", "over": "10%"}, {"phase": "cosine", "to": 0.1}]})
    warmup(10%) >> cosine(to=0.1)

    ```
    """
    try:
        return _from_data(data)
    except RecursionError:
        raise ScheduleError(f"a schedule is nested at most {MAX_DEPTH} deep.") from None


def _from_data(data: Any) -> Schedule:
    if isinstance(data, Mapping) and set(data) in ({"sequence"}, {"product"}):
        ((kind, parts),) = data.items()
        if not is_list(parts) or not parts:
            raise ScheduleError(f"{kind!r} must be a list of schedules, got {brief(parts)}.")
        return reduce(rshift if kind == "sequence" else mul, [_from_data(part) for part in parts])
    if (
        not isinstance(data, Mapping)
        or not isinstance(data.get("phase"), str)
        or not all(isinstance(k, str) for k in data)
    ):
        raise ScheduleError(f"a schedule as data is a dict with 'phase', 'sequence' or 'product', got {brief(data)}.")
    name = data["phase"]
    if name not in NAMES:
        raise UnknownNameError(f"unknown schedule {brief(name)}.{nearest(name, NAMES)}")
    return NAMES[name](**{key: _value_from_data(value) for key, value in data.items() if key != "phase"})


def _value_to_data(value: object) -> Any:
    if isinstance(value, Schedule):
        return to_data(value)
    if isinstance(value, tuple):
        return [_value_to_data(item) for item in value]
    return str(value) if isinstance(value, Length) else value


def _value_from_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _from_data(value)
    return tuple(map(_value_from_data, value)) if is_list(value) else value
