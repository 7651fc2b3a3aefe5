"""Phase: one named shape with its arguments; @phase makes one of a function; the register of all names."""

import functools
import importlib
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral
from pathlib import Path
from typing import Any, ParamSpec

from .arguments import Reader
from .curve import Part, Piece, Reaction, Rule, Span
from .errors import ScheduleError, brief, nearest
from .schedule import Schedule, Shape, within_limits
from .units import Duration, Horizon, Length

P = ParamSpec("P")


@dataclass(frozen=True, repr=False)
class Phase(Schedule):
    """One named shape with its arguments. Made by the functions of [`hf_lrsched.schedules.families.decays`].

    Args:
        name (`str`): The function's name.
        arguments (`tuple[tuple[str, object], ...]`): What differs from the function's defaults, in its order.
    """

    name: str
    arguments: tuple[tuple[str, object], ...] = ()

    def length(self, horizon: Horizon) -> Fraction | None:
        over = dict(self.arguments).get("over")
        if isinstance(over, Length):
            return over.updates(horizon)
        own = getattr(self._shape(), "length", None)  # a shape may know how long it takes: repeat() does
        length: Fraction | None = own(horizon) if own else None
        return length

    def place(self, span: Span) -> Piece:
        span = replace(span, text=str(self))
        shape = self._shape()
        values = shape(span)
        arithmetic = [length.explain(span.horizon) for length in _lengths_in(self.arguments)]
        first, end = math.ceil(span.start), math.ceil(span.end)
        if self.length(span.horizon) is None and not self.neutral:
            unit = span.horizon.unit.removesuffix("s" if end - first == 1 else "")
            arithmetic.insert(0, f"what is left: {end - first} {unit}")
        start = float(span.start)
        part = Part(span.text, first, end, tuple(arithmetic))
        reactions = (Reaction(shape, self, first, end),) if isinstance(shape, Rule) else ()
        return Piece(start, float(span.end), lambda t: values(t - start), (part,), reactions)

    @property
    def neutral(self) -> bool:
        shape: Any = self._shape()
        return isinstance(shape, Rule) and shape.neutral

    @property
    def reacts(self) -> bool:
        return isinstance(self._shape(), Rule)

    def _shape(self) -> Shape:
        definition = _definition(self)
        shape: Shape = definition.function(**definition.defaults | dict(self.arguments))
        return shape

    def __str__(self) -> str:
        parameters = _definition(self).signature.parameters.values()
        positional = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        written = [
            _written(value) if positional[index : index + 1] == [name] else f"{name}={_written(value)}"
            for index, (name, value) in enumerate(self.arguments)
        ]
        return f"{self.name}({', '.join(written)})"


class _Definition:
    """A phase's function with what its signature says, which is read at its first use: imports stay fast."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.name = function.__name__

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    @functools.cached_property
    def readers(self) -> dict[str, Reader | None]:
        return {name: _reader(self.hints.get(name)) for name in self.signature.parameters}

    @functools.cached_property
    def optional(self) -> set[str]:
        return {name for name in self.signature.parameters if types.NoneType in typing.get_args(self.hints.get(name))}

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        return {
            name: self.read(name, parameter.default)
            for name, parameter in self.signature.parameters.items()
            if parameter.default is not parameter.empty
        }

    def read(self, name: str, value: object) -> object:
        """An argument's value; `none` in a text is None, where that is allowed."""
        if value is None or (value in ("none", "None") and name in self.optional):
            if name not in self.optional:
                raise ScheduleError(f"{name} of {self.name}() can't be None.")
            return None
        reader = self.readers[name]
        return reader(value, f"{name} of {self.name}()") if reader else value

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """All arguments, as read. Raises for what the signature does not have, or lacks."""
        parameters = self.signature.parameters
        for name in kwargs:
            if name not in parameters:
                raise ScheduleError(
                    f"{self.name}() has no argument {brief(name)}; allowed are {_listed(parameters)}."
                    f"{nearest(name, parameters)}"
                )
        positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(args) > len(positional):
            allowed = f"only {_listed(positional)} goes" if positional else "no argument goes"
            raise ScheduleError(
                f"{self.name}(): {allowed} without a name, got {brief(args[len(positional)])}. Name it; allowed are "
                f"{_listed(parameters)}."
            )
        given = dict(zip(positional, args, strict=False))
        for name in given.keys() & kwargs.keys():
            raise ScheduleError(f"{self.name}() got {name!r} twice.")
        given |= kwargs
        values = {}
        for name, parameter in parameters.items():
            if name in given:
                values[name] = self.read(name, given[name])
            elif parameter.default is parameter.empty:
                raise ScheduleError(f"{self.name}() needs {name!r}.")
            else:
                values[name] = self.defaults[name]
        return values


def _reader(hint: Any) -> Reader | None:
    """The reader that an argument's annotation carries, also within a union with None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(hint) if (found := _reader(part))), None)
    return next((extra for extra in getattr(hint, "__metadata__", ()) if callable(extra)), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


_DEFINITIONS: dict[str, _Definition] = {}

#: Every name that a text may use, with the function that it calls.
NAMES: dict[str, Callable[..., Schedule]] = {}


def phase(function: Callable[P, Shape]) -> Callable[P, Phase]:
    """Makes a function of arguments, which returns a shape, into a phase of the language.

    The arguments' annotations say how they are read ([`LengthArgument`], [`FactorArgument`], …); one called `over` is
    the phase's length. The function is called once when a phase is made, to refuse what can't be meant, and once for
    every curve.

    Raises:
        ScheduleError: The name is taken.

    Example:
    ```python
    >>> from hf_lrsched.schedules import LengthArgument, phase, warmup
    >>> @phase
    ... def parabola(*, over: LengthArgument | None = None):
    ...     return lambda span: lambda u: span.height * (1 - (u / span.size) ** 2)
    >>> curve = (warmup(2) >> parabola()).resolve(6)
    >>> curve([2, 4, 6])
    array([1.  , 0.75, 0.  ])

    ```
    """
    definition = _Definition(function)

    @functools.wraps(function)
    def construct(*args: P.args, **kwargs: P.kwargs) -> Phase:
        values = definition.bind(args, kwargs)
        definition.function(**values)
        return within_limits(
            Phase(
                definition.name,
                tuple((n, v) for n, v in values.items() if n not in definition.defaults or v != definition.defaults[n]),
            )
        )

    add_name(definition.name, construct)
    _DEFINITIONS[definition.name] = definition
    return construct


def named(function: Callable[P, Schedule], name: str | None = None) -> Callable[P, Schedule]:
    """Makes a function that returns a schedule into a name of the language: a sentence with blanks.

    What it returns prints as the sentence that it is. Arguments are read as those of a [`phase`].

    Raises:
        ScheduleError: The name is taken.

    Example:
    ```python
    >>> from hf_lrsched.schedules import LengthArgument, cosine, named, parse, warmup
    >>> @named
    ... def house_style(*, climb: LengthArgument = "6%"):
    ...     return warmup(climb) >> cosine(to=0.1)
    >>> parse("house_style(climb=500)")
    warmup(500) >> cosine(to=0.1)

    ```
    """
    definition = _Definition(function)
    definition.name = definition.name if name is None else name

    @functools.wraps(function)
    def construct(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        made = definition.function(**definition.bind(args, kwargs))
        if not isinstance(made, Schedule):
            raise ScheduleError(f"{definition.name}() must return a schedule, got {brief(made)}.")
        return made

    add_name(definition.name, construct)
    return construct


def add_name(name: str, function: Callable[..., Schedule]) -> None:
    """Adds a name to the language; the same definition again, as when a notebook's cell is run twice, replaces it.

    Raises:
        ScheduleError: The name is taken, or can't be read in a text.
    """
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ScheduleError(f"a schedule's name must be letters, digits and '_', got {brief(name)}.")
    if name in NAMES and not same_definition(NAMES[name], function):
        raise ScheduleError(f"the name {name!r} is taken.")
    NAMES[name] = function


def same_definition(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Were both made by the same lines of a module or a notebook? Functions made within functions may differ."""
    names = [(getattr(f, "__module__", None), getattr(f, "__qualname__", "<locals>")) for f in (one, other)]
    return one is other or (names[0] == names[1] and "<locals>" not in names[0][1])


def _definition(made: Phase) -> _Definition:
    if made.name not in _DEFINITIONS:
        raise ScheduleError(
            f"the phase {made.name!r} is not known in this process: import the module that defines it with @phase."
        )
    return _DEFINITIONS[made.name]


def _lengths_in(value: object) -> list[Length]:
    """The lengths above 0 in a phase's arguments, those of milestones and points included."""
    if isinstance(value, tuple):
        return [length for item in value for length in _lengths_in(item)]
    return [value] if isinstance(value, Length) and value.amount else []


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, Integral | Length | Duration | Schedule | str):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    raise TypeError(f"{value!r} has no text")


def import_names(module: str) -> None:
    """Imports a Python module that registers names; one beside the run is found, as `python -m` finds it.

    Raises:
        ScheduleError: It can't be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever the module does
        reason = f"{type(error).__name__}: {error}"
        raise ScheduleError(f"can't import {module!r}, which is to register names of schedules: {reason}") from error
