"""What counts as a number in settings, logs and records, and how a number of things is written."""

import math
from typing import Any, TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number; NaN and infinities are, a bool is not.

    Example:
    ```python
    >>> is_number(float("nan")), is_number(True), is_number("1")
    (True, False, False)

    ```
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a finite number.

    Example:
    ```python
    >>> is_finite_number(2), is_finite_number(float("inf"))
    (True, False)

    ```
    """
    return is_number(value) and (isinstance(value, int) or math.isfinite(value))  # an int may be too large for a float


def format_count(count: int, noun: str) -> str:
    """Write how many there are of something.

    Example:
    ```python
    >>> format_count(1, "update"), format_count(3201, "update"), format_count(0, "such row")
    ('1 update', '3,201 updates', '0 such rows')

    ```
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def replace_nonfinite(value: Any) -> Any:
    """Replace the numbers of plain data that are not finite, which JSON does not have, by None.

    Example:
    ```python
    >>> replace_nonfinite({"losses": [0.5, float("nan")]})
    {'losses': [0.5, None]}

    ```
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: replace_nonfinite(each) for key, each in value.items()}
    return [replace_nonfinite(each) for each in value] if isinstance(value, list | tuple) else value


def is_number_as_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a text that reads as a finite number, such as the `2e-5` of YAML.

    Example:
    ```python
    >>> is_number_as_text("2e-5"), is_number_as_text(2e-5), is_number_as_text("auto")
    (True, False, False)

    ```
    """
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False
