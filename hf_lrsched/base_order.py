"""The order of base classes: a class whose checks would be skipped is refused when it is made."""


def check_base_order(cls: type, first: type, later: type, consequence: str) -> None:
    """Refuse a class that inherits `first` after `later`, whose methods do not call those of `first`.

    Args:
        cls (`type`): The class that is made.
        first (`type`): The base that must stand first.
        later (`type`): The base that must stand later. A class without it is not checked.
        consequence (`str`): What happens in the wrong order, for the error.

    Raises:
        TypeError: The order is wrong; with the right one.

    Example:
    ```python
    >>> class Checks: ...
    >>> class Arguments: ...
    >>> check_base_order(type("Mine", (Arguments, Checks), {}), Checks, Arguments, "nothing is checked")
    Traceback (most recent call last):
        ...
    TypeError: Mine: Checks must stand before Arguments, or nothing is checked: class Mine(Checks, Arguments).

    ```
    """
    bases = cls.__mro__
    if later in bases and bases.index(first) > bases.index(later):
        others = ", ".join(base.__name__ for base in cls.__bases__ if base is not first)
        raise TypeError(
            f"{cls.__name__}: {first.__name__} must stand before {later.__name__}, or {consequence}: class {cls.__name__}"
            f"({first.__name__}, {others})."
        )
