"""RecipeError: what a user can mend, told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from hf_lrsched import ScheduleError


class RecipeError(ValueError):
    """A setting or a file that can't be meant. Raised before the first update; the script prints it and exits with 2."""


@contextmanager
def told_as(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Libraries' errors of these kinds, as one line that begins with what was tried."""
    try:
        yield
    except (RecipeError, ScheduleError):
        raise
    except kinds as error:
        raise RecipeError(f"{what}: {_root(error)}") from error


def _root(error: BaseException) -> str:
    """The innermost cause: datasets, for one, wraps "no such column" in "an error occurred while generating"."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text or type(error).__name__
