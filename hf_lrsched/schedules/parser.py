"""Text <-> schedule. The grammar is in docs/language.md; nothing in a text is ever evaluated.

schedule = product { ">>" product }
product  = unit { "*" unit }
unit     = name "(" [ argument { "," argument } ] ")" | "(" schedule ")"
argument = [ name "=" ] value
value    = number [ "%" | unit-name ] | word | "[" [ value { "," value } ] "]" | schedule
"""

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from .arguments import WORD
from .errors import ScheduleError, brief, nearest
from .registry import NAMES
from .schedule import DEEPEST, MOST_CHARACTERS, Schedule
from .units import NUMBER

_HINTS = {
    ">": " Phases are joined by '>>'.",
    "%": " Write a share without a blank: 10%.",
    "+": " Phases are joined by '>>', factors by '*'.",
    "|": " Phases are joined by '>>'.",
    ";": " Phases are joined by '>>'.",
}
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>[+-]?{NUMBER}(?:%|[A-Za-z]\w*)?)|(?P<word>{WORD})|(?P<sign>>>|[()\[\],=*])",
    re.ASCII,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else brief(self.text)


def parse(text: str) -> Schedule:
    """Reads a schedule: `parse(str(schedule)) == schedule`.

    Args:
        text (`str`): E.g. `warmup(10%) >> linear()`; at most 10,000 characters.

    Returns:
        [`Schedule`]: The same object that Python's `warmup("10%") >> linear()` makes.

    Raises:
        ScheduleError: Not a schedule; with the character at which it stops being one and the nearest right spelling.

    Example:
    ```python
    >>> str(parse("warmup( 0.1 )>>cosine(to = 1%)"))
    'warmup(10%) >> cosine(to=0.01)'

    ```
    """
    if not isinstance(text, str):
        raise ScheduleError(f"a schedule's text must be a str, got {type(text).__name__}.")
    if len(text) > MOST_CHARACTERS:
        raise ScheduleError(
            f"a schedule's text has at most {MOST_CHARACTERS:,} characters, got {len(text):,}.", text, MOST_CHARACTERS
        )
    reader = _Reader(text)
    schedule = reader.schedule()
    if reader.token.kind != "end":
        reader.refuse("expected '>>', '*' or the end of the text")
    return schedule


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            hint = _HINTS.get(text[position], "")
            raise ScheduleError(f"the character {text[position]!r} has no meaning in a schedule.{hint}", text, position)
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup or "", match[0], position))
        position = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


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

    def expect(self, text: str) -> _Token:
        if not self.has(text):
            self.refuse(f"expected {text!r}")
        return self.take()

    def refuse(self, what: str) -> NoReturn:
        raise ScheduleError(f"{what}, got {self.token}.", self.text, self.token.position)

    def schedule(self) -> Schedule:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ScheduleError(f"a schedule is nested at most {DEEPEST} deep.", self.text, self.token.position)
        made = self.product()
        while self.has(">>"):
            self.take()
            made = made >> self.product()
        self.depth -= 1
        return made

    def product(self) -> Schedule:
        made = self.unit()
        while self.has("*"):
            self.take()
            made = made * self.unit()
        return made

    def unit(self) -> Schedule:
        if self.has("("):
            self.take()
            made = self.schedule()
            self.expect(")")
            return made
        if self.token.kind != "word":
            self.refuse("expected a schedule such as linear()")
        name = self.take()
        if name.text not in NAMES:
            allowed = ", ".join(sorted(NAMES))
            raise ScheduleError(
                f"unknown schedule {brief(name.text)}.{nearest(name.text, NAMES)} Known are {allowed}.",
                self.text,
                name.position,
            )
        if not self.has("("):
            self.refuse(f"expected '(' after {name.text}")
        return self.call(name)

    def call(self, name: _Token) -> Schedule:
        self.take()
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        positions: dict[str, int] = {}
        unnamed = self.token.position
        while not self.has(")"):
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
            if not self.has(")"):
                if not self.has(","):
                    self.refuse("expected ',' or ')'")
                self.take()
        self.take()
        try:
            return NAMES[name.text](*args, **kwargs)
        except ScheduleError as error:
            # Point at the argument that the message speaks of first, else at the name.
            spoken_of = re.findall(r"\w+", error.message.split(";")[0])
            blamed = [positions[word] for word in spoken_of if word in positions]
            where = blamed[0] if blamed else unnamed if args else name.position
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
        self.depth += 1
        if self.depth > DEEPEST:
            raise ScheduleError(f"a schedule is nested at most {DEEPEST} deep.", self.text, self.token.position)
        self.take()
        values = []
        while not self.has("]"):
            values.append(self.value())
            if not self.has("]"):
                if not self.has(","):
                    self.refuse("expected ',' or ']'")
                self.take()
        self.take()
        self.depth -= 1
        return tuple(values)


def as_schedule(schedule: Schedule | str) -> Schedule:
    """A schedule, read from its text where it is one."""
    if isinstance(schedule, str):
        return parse(schedule)
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"a schedule is a text such as 'warmup(10%) >> linear()' or an object such as warmup('10%') >> linear(), got "
            f"{type(schedule).__name__}."
        )
    return schedule
