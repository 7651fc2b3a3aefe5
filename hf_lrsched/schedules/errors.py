"""The one error of this package, and the search for the nearest right spelling."""

import difflib
from collections.abc import Iterable


class ScheduleError(ValueError):
    """A schedule, a length or a setting that can't be meant.

    Raised before the first update. The message names the value, what is allowed and, where there is one, the
    nearest right spelling. An error in a text also carries the text and the character at which it was found.

    Attributes:
        text (`str`, *optional*): The text that was read, if the error is in a text.
        position (`int`, *optional*): The 0-based character of `text` at which the error was found.
    """

    def __init__(self, message: str, text: str | None = None, position: int | None = None):
        super().__init__(message)
        self.message = message
        self.text = text
        self.position = position

    def at(self, text: str, position: int) -> "ScheduleError":
        """The same error, pointing at a character of a text. One that points already is returned as it is."""
        if self.position is not None:
            return self
        return ScheduleError(self.message, text, position)

    def __reduce__(self) -> tuple[type["ScheduleError"], tuple[str, str | None, int | None]]:
        return ScheduleError, (self.message, self.text, self.position)

    def __str__(self) -> str:
        if self.text is None or self.position is None:
            return self.message
        # A window of the text: an error in a text of a million characters must still be readable.
        first = max(0, self.position - 60)
        window = self.text[first : self.position + 40].replace("\n", " ").replace("\t", " ")
        caret = " " * (self.position - first) + "^"
        return f"{self.message}\n  at character {self.position + 1}:\n    {window}\n    {caret}"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'linear'?`, or nothing where no allowed word is near `word`.

    Example:
    ```python
    >>> nearest("linaer", ["linear", "cosine"])
    " Did you mean 'linear'?"
    >>> nearest("zzz", ["linear", "cosine"])
    ''

    ```
    """
    close = difflib.get_close_matches(word[:100].lower(), list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def brief(value: object, limit: int = 80) -> str:
    """`repr(value)`, cut in the middle where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out a whole number of thousands of digits
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 4 :]}"
