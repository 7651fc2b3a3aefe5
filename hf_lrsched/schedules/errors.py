"""The error of this package, and the search for the nearest valid spelling."""

from collections.abc import Iterable


class ScheduleError(ValueError):
    """Raised for an invalid schedule, length or setting.

    It is raised before the first update. The message names the value, the allowed ones and, if there is one, the nearest
    valid spelling. An error in a text also carries the text and the character at which reading failed.

    Args:
        message (`str`): What is invalid, what is allowed, and what to do.
        text (`str`, *optional*): The text, if the error is in a text.
        position (`int`, *optional*): The 0-based character of `text` at which reading failed.
    """

    def __init__(self, message: str, text: str | None = None, position: int | None = None):
        super().__init__(message)
        self.message = message
        self.text = text
        self.position = position

    def at(self, text: str, position: int) -> "ScheduleError":
        """Return the same error with a text and a position in it, unless it already has them."""
        if self.position is not None:
            return self
        return type(self)(self.message, text, position)

    def __reduce__(self) -> tuple[type["ScheduleError"], tuple[str, str | None, int | None]]:
        return type(self), (self.message, self.text, self.position)

    def __str__(self) -> str:
        if self.text is None or self.position is None:
            return self.message
        first = max(0, self.position - 60)
        excerpt = self.text[first : self.position + 40].replace("\n", " ").replace("\t", " ")
        caret = " " * (self.position - first) + "^"
        return f"{self.message}\n  at character {self.position + 1}:\n    {excerpt}\n    {caret}"


class UnknownNameError(ScheduleError):
    """Raised for a schedule whose name is not known in this process; a module that registers it may not be imported yet."""


def nearest(word: str, allowed: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ` Did you mean 'linear'?`, or nothing if no allowed word is near `word`.

    Example:
    ```python
    >>> nearest("linaer", ["linear", "cosine"])
    " Did you mean 'linear'?"
    >>> nearest("zzz", ["linear", "cosine"])
    ''

    ```
    """
    import difflib  # slow to import, and needed for errors alone

    close = difflib.get_close_matches(word[:100].lower(), list(allowed), n=1, cutoff=cutoff)
    return f" Did you mean {close[0]!r}?" if close else ""


def brief(value: object, limit: int = 80) -> str:
    """Return `repr(value)`, cut in the middle where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out a whole number of thousands of digits
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 4 :]}"
