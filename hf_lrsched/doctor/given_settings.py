"""Settings from a file or an object, each read as the type that it must have."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..schedules import ScheduleError
from ..schedules.errors import brief
from .safe_pickle import to_plain

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class GivenSettings:
    """Settings by name.

    Args:
        values (`Mapping[str, Any]`): As a file has them, or as they were saved.
        source (`str`): Where they come from, for errors.

    Example:
    ```python
    >>> settings = GivenSettings({"learning_rate": "2e-5", "eval_strategy": False, "max_steps": 1.5}, "a.yaml")
    >>> settings.get("learning_rate", "number"), settings.get("eval_strategy", "text"), settings.get("fp16", "flag")
    (2e-05, 'no', None)
    >>> settings.get("max_steps", "whole")
    Traceback (most recent call last):
        ...
    hf_lrsched.schedules.errors.ScheduleError: a.yaml: max_steps must be a whole number, got 1.5.

    ```
    """

    def __init__(self, values: Mapping[str, Any], source: str):
        self.values, self.source = values, source

    def get(self, name: str, kind: str) -> Any:
        """Read a setting; None where it is not set.

        Args:
            name (`str`): The setting.
            kind (`str`): `number`, `length` (a count or a share), `whole`, `text`, `flag` or `mapping`.

        Raises:
            ScheduleError: The value is of another kind.
        """
        value = to_plain(self.values.get(name))
        if value is None or value == "":
            return None
        read, allowed = _KINDS[kind]
        is_single = isinstance(value, str | int | float)
        try:
            if not is_single and kind != "mapping":
                raise TypeError
            return read(value)
        except (KeyError, OverflowError, RecursionError, TypeError, ValueError):
            shown = brief(value) if is_single else f"a {type(value).__name__}"  # for a container may be endless
            raise ScheduleError(f"{self.source}: {name} must be {allowed}, got {shown}.") from None

    def is_set(self, *names: str) -> bool:
        """Return whether one of several settings is set to something else than false."""
        return any(self.values.get(name) not in (None, "", False) for name in names)


def _to_number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _to_length(value: Any) -> float:
    number = _to_number(value)
    if not 0 <= number < math.inf:
        raise ValueError
    return number


def _to_whole(value: Any) -> int:
    number = _to_number(value)
    if int(number) != number:
        raise ValueError
    return int(number)


def _to_text(value: Any) -> str:
    return "no" if value is False else str(value)  # YAML reads a bare `no` as false


def _to_mapping(value: Any) -> dict[str, Any] | None:
    """Read a mapping, also one that is written as JSON, as on a command line; other text is the name of a file."""
    if isinstance(value, str):
        if not value.lstrip().startswith("{"):
            return None
        value = json.loads(value)
    return {str(key): to_plain(each) for key, each in dict(value).items()}


#: How a setting of each kind is read, and what its value must be.
_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "number": (_to_number, "a number"),
    "length": (_to_length, "a finite number of at least 0"),
    "whole": (_to_whole, "a whole number"),
    "text": (_to_text, "a text"),
    "flag": (lambda value: _FLAGS[str(value).lower()], "true or false"),
    "mapping": (_to_mapping, "a mapping"),
}
