"""Text <-> schedule. The grammar is in docs/language.md; nothing in a text is ever evaluated.

schedule = product { ">>" product }
product  = unit { "*" unit }
unit     = name "(" [ argument { "," argument } ] ")" | "(" schedule ")"
argument = [ name "=" ] value
value    = number [ "%" | unit-name ] | word | "[" [ value { "," value } ] "]" | schedule
"""

import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import mul, rshift
from typing import Any, NamedTuple, NoReturn

from .arguments import WORD
from .errors import ScheduleError, UnknownNameError, brief, nearest
from .registry import NAMES
from .schedule import MAX_CHARACTERS, MAX_DEPTH, Schedule
from .units import NUMBER

_CHARACTER_HINTS = {
    **dict.fromkeys(">|;-→➔≫", " Phases are joined by '>>'."),
    **dict.fromkeys("×·∗", " Factors are joined by '*'."),
    "%": " Write a share without a blank: 10%.",
    "+": " Phases are joined by '>>', factors by '*'.",
    **dict.fromkeys("\"'`“”„‘’«»", " A schedule's text has no quotes."),
}

# Names of other libraries, with the equivalent here: of `get_linear_schedule_with_warmup` that of `linear_with_warmup`.
_NAME_HINTS = {
    "constant": "hold()",
    "constant_with_warmup": "warmup(...) >> hold()",
    "constant_lr": "hold()",
    "linear_with_warmup": "warmup(...) >> linear()",
    "cosine_with_warmup": "warmup(...) >> cosine()",
    "cosine_with_restarts": "warmup(...) >> repeat(cosine(), cycles=...)",
    "cosine_annealing": "cosine()",
    "cosine_with_min_lr": "warmup(...) >> cosine(to_lr=...)",
    "cosine_warmup_with_min_lr": "warmup(..., start=...) >> cosine(to_lr=...)",
    "warmup_stable_decay": "wsd()",
    "reduce_lr_on_plateau": "plateau()",
    "cosine_with_hard_restarts_with_warmup": "warmup(...) >> repeat(cosine(), cycles=...)",
    "polynomial_decay_with_warmup": "warmup(...) >> polynomial(to_lr=...)",
    "greedy": "plateau(), which only lowers the LR",
    "onecycle": "one_cycle()",
    "cyclic": "triangular(up=...)",
}
_TOKEN = rf"(?P<space>\s+)|(?P<number>[+-]?{NUMBER}(?:%|[A-Za-z]\w*)?)|(?P<word>{WORD})|(?P<sign>>>|[()\[\],=*])"


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else brief(self.text)


def parse(text: str) -> Schedule:
    """Read a schedule from its text: `parse(str(schedule)) == schedule`.

    Args:
        text (`str`): E.g. `warmup(10%) >> linear()`; at most 10,000 characters.

    Returns:
        [`Schedule`]: The same object that Python's `warmup("10%") >> linear()` makes.

    Raises:
        ScheduleError: The text is no schedule. The error points at the first wrong character, with the nearest valid
            spelling.

    Example:
    ```python
    >>> str(parse("warmup( 0.1 )>>cosine(to = 1%)"))
    'warmup(10%) >> cosine(to=0.01)'

    ```
    """
    if not isinstance(text, str):
        raise ScheduleError(f"a schedule's text must be a str, got {type(text).__name__}.")
    if len(text) > MAX_CHARACTERS:
        raise ScheduleError(
            f"a schedule's text has at most {MAX_CHARACTERS:,} characters, got {len(text):,}.", text, MAX_CHARACTERS
        )
    reader = _Reader(text)
    schedule = reader.schedule()
    if reader.token.kind != "end":
        reader.refuse("expected '>>', '*' or the end of the text")
    return schedule


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position = 0
    token = re.compile(_TOKEN, re.ASCII)  # here, not above: it is slow, and re keeps it
    while position < len(text):
        match = token.match(text, position)
        if match is None:
            hint = _CHARACTER_HINTS.get(text[position], "") or _hint_ascii(text)
            raise ScheduleError(f"the character {text[position]!r} has no meaning in a schedule.{hint}", text, position)
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup or "", match[0], position))
        position = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


def _hint_ascii(text: str) -> str:
    """Suggest the text with the ASCII characters that its full-width ones stand for."""
    import unicodedata  # for errors alone

    plain = unicodedata.normalize("NFKC", text[:200])
    return f" Write it with ASCII characters: {plain}" if plain.isascii() and plain != text[:200] else ""


class _Reader:
    """One method for each rule of the grammar."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def take(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def has(self, text: str) -> bool:
        return self.token.kind == "sign" and self.token.text == text

    def refuse(self, what: str) -> NoReturn:
        raise ScheduleError(f"{what}, got {self.token}.", self.text, self.token.position)

    def go_deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ScheduleError(f"a schedule is nested at most {MAX_DEPTH} deep.", self.text, self.token.position)

    def schedule(self) -> Schedule:
        self.go_deeper()
        made = reduce(rshift, self.series(self.product, ">>"))
        self.depth -= 1
        return made

    def product(self) -> Schedule:
        return reduce(mul, self.series(self.unit, "*"))

    def series(self, read: Callable[[], Schedule], sign: str) -> Iterator[Schedule]:
        """Read schedules with a sign between them."""
        yield read()
        while self.has(sign):
            self.take()
            yield read()

    def items(self, end: str) -> Iterator[None]:
        """Stop at each item between brackets, with commas between them, for the caller to read it."""
        self.take()
        while not self.has(end):
            yield
            if not self.has(end):
                if not self.has(","):
                    self.refuse(f"expected ',' or {end!r}")
                self.take()
        self.take()

    def unit(self) -> Schedule:
        if self.has("("):
            self.take()
            made = self.schedule()
            if not self.has(")"):
                self.refuse("expected ')'")
            self.take()
            return made
        if self.token.kind != "word":
            self.refuse("expected a schedule such as linear()")
        name = self.take()
        if name.text not in NAMES:
            known = ", ".join(sorted(NAMES))
            plain = name.text.lower().removeprefix("get_").replace("_schedule", "")
            equivalent = _NAME_HINTS.get(plain)
            hint = f" Here it is {equivalent}." if equivalent else nearest(plain, NAMES)
            message = f"unknown schedule {brief(name.text)}.{hint} Known: {known}."
            raise UnknownNameError(message, self.text, name.position)
        if not self.has("("):
            self.refuse(f"expected '(' after {name.text}")
        return self.call(name)

    def call(self, name: _Token) -> Schedule:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        positions: dict[str, int] = {}
        first_unnamed = self.tokens[self.index + 1].position
        for _ in self.items(")"):
            key = self.token
            if key.kind == "word" and self.tokens[self.index + 1].text == "=":
                self.index += 2
                if key.text in kwargs:
                    raise ScheduleError(f"{name.text}() got {key.text!r} twice.", self.text, key.position)
                positions[key.text] = key.position
                kwargs[key.text] = self.value()
            elif kwargs:
                self.refuse("expected a named argument after a named one")
            else:
                args.append(self.value())
        try:
            return NAMES[name.text](*args, **kwargs)
        except ScheduleError as error:
            # Point at the first argument that the message names, else at the name.
            mentioned = re.findall(r"\w+", error.message.split(";")[0])
            named = [positions[word] for word in mentioned if word in positions]
            where = named[0] if named else first_unnamed if args else name.position
            raise error.at(self.text, where) from None

    def value(self) -> Any:
        token = self.token
        if token.kind == "number":
            self.take()
            if token.text.lstrip("+-").isdigit() and len(token.text) < 20:
                return int(token.text)
            return token.text
        if self.has("["):
            return self.list()
        if token.kind == "word":
            following = self.tokens[self.index + 1]
            if following.text != "(":
                return self.take().text
        if token.kind == "word" or self.has("("):
            return self.schedule()
        self.refuse("expected a value: a number, a length, a word, a [list] or a schedule")

    def list(self) -> tuple[Any, ...]:
        self.go_deeper()
        values = tuple(self.value() for _ in self.items("]"))
        self.depth -= 1
        return values


def as_schedule(schedule: Schedule | str) -> Schedule:
    """Return a schedule; a text is read.

    Raises:
        ScheduleError: It is neither.
    """
    if isinstance(schedule, str):
        return parse(schedule)
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            "a schedule must be a text such as 'warmup(10%) >> linear()' or an object such as warmup('10%') >> linear(), "
            f"got {type(schedule).__name__}."
        )
    return schedule
