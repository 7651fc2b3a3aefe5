"""RecipeError: an error that the user can fix, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from hf_lrsched import ScheduleError


class RecipeError(ScheduleError):
    """Raised before the first update for an invalid setting or file. The script prints it and exits with status 2."""


@contextmanager
def errors_as(task: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise other libraries' errors of these kinds as a [`RecipeError`] that begins with what failed."""
    try:
        yield
    except ScheduleError:
        raise
    except kinds as error:
        raise RecipeError(f"{task}: {_root_message(error)}") from error


def _root_message(error: BaseException) -> str:
    """Return the message of the innermost cause: `datasets`, for one, wraps "no such column" in "an error occurred"."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text or type(error).__name__
