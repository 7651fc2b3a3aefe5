"""Phase: one named shape with its arguments; @phase makes one of a function; the registry of all names."""

import functools
import importlib
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral
from typing import Any, NamedTuple, ParamSpec

from .arguments import Reader
from .curve import Part, Piece, ReactivePart, ReactiveShape, Span
from .errors import ScheduleError, brief, nearest
from .numbers import format_count
from .schedule import Schedule, Shape, within_limits
from .units import Horizon, Length

P = ParamSpec("P")


@dataclass(frozen=True, repr=False)
class Phase(Schedule):
    """One named shape with its arguments, made by a function such as [`linear`].

    Args:
        name (`str`): The function's name.
        arguments (`tuple[tuple[str, object], ...]`): The arguments that differ from the defaults, in their order.
    """

    name: str
    arguments: tuple[tuple[str, object], ...] = ()

    def length(self, horizon: Horizon) -> Fraction | None:
        over = dict(self.arguments).get("over")
        if isinstance(over, Length):
            return over.updates(horizon)
        own_length = getattr(self.shape, "length", None)  # of repeat() and other shapes around a schedule
        return own_length(horizon) if own_length else None

    def build(self, span: Span) -> Piece:
        span = replace(span, text=str(self))
        values = self.shape(span)
        arithmetic = [length.explain(span.horizon) for length in _lengths_in(self.arguments)]
        first, end = math.ceil(span.start), math.ceil(span.end)
        if self.length(span.horizon) is None and not self.only_scales:
            arithmetic.insert(0, f"what is left: {format_count(end - first, span.horizon.unit.removesuffix('s'))}")
        start = float(span.start)
        parts = (Part(span.text, first, end, tuple(arithmetic)),) if self.length(span.horizon) != 0 else ()  # a jump
        reactive_parts = (ReactivePart(self.shape, self, first, end),) if self.is_reactive else ()
        return Piece(start, float(span.end), lambda t: values(t - start), parts, reactive_parts)

    @property
    def only_scales(self) -> bool:
        return self.is_reactive and self.shape.only_scales

    @property
    def is_reactive(self) -> bool:
        return isinstance(self.shape, ReactiveShape)

    @functools.cached_property
    def shape(self) -> Any:
        """What the phase's function returns for these arguments: a [`Shape`], or an object that is called as one."""
        return self._definition.function(**self._definition.defaults | dict(self.arguments))

    @property
    def _definition(self) -> "_Definition":
        if self.name not in _DEFINITIONS:
            raise ScheduleError(
                f"the phase {self.name!r} is not known in this process: import the module that defines it with @phase."
            )
        return _DEFINITIONS[self.name]

    @functools.cached_property
    def _text(self) -> str:
        positional = self._definition.positional
        written = [
            _write(value) if positional[index : index + 1] == [name] else f"{name}={_write(value)}"
            for index, (name, value) in enumerate(self.arguments)
        ]
        return f"{self.name}({', '.join(written)})"

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return Phase, (self.name, self.arguments)


class _Parameter(NamedTuple):
    """A parameter of a phase's function: its reader, its default, and whether it may be None or be given without a name."""

    reader: Reader | None
    default: object
    is_optional: bool
    is_positional: bool


class _Definition:
    """A phase's function with its signature, which is read on first use, so that imports stay fast."""

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        self.function = function
        self.name = function.__name__ if name is None else name

    @functools.cached_property
    def parameters(self) -> dict[str, _Parameter]:
        return {
            name: _Parameter(
                _find_reader(parameter.annotation),
                parameter.default,
                types.NoneType in typing.get_args(parameter.annotation),
                parameter.kind is parameter.POSITIONAL_OR_KEYWORD,
            )
            for name, parameter in inspect.signature(self.function, eval_str=True).parameters.items()
        }

    @functools.cached_property
    def positional(self) -> list[str]:
        return [name for name, parameter in self.parameters.items() if parameter.is_positional]

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        return {
            name: self.read(name, parameter.default)
            for name, parameter in self.parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }

    def read(self, name: str, value: object) -> object:
        """Read an argument's value; `none` in a text is None, where None is allowed."""
        parameter = self.parameters[name]
        if value is None or (value in ("none", "None") and parameter.is_optional):
            if not parameter.is_optional:
                raise ScheduleError(f"{name} of {self.name}() cannot be None.")
            return None
        return parameter.reader(value, f"{name} of {self.name}()") if parameter.reader else value

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """Read all arguments, defaults included.

        Raises:
            ScheduleError: An argument is unknown, missing or given twice.
        """
        allowed = ", ".join(self.parameters) or "none"
        for name in kwargs:
            if name not in self.parameters:
                raise ScheduleError(
                    f"{self.name}() has no argument {brief(name)}; allowed are {allowed}.{self._hint(name)}"
                )
        if len(args) > len(self.positional):
            unnamed = f"only {', '.join(self.positional)} goes" if self.positional else "no argument goes"
            raise ScheduleError(
                f"{self.name}(): {unnamed} without a name, got {brief(args[len(self.positional)])}. Name it; allowed are "
                f"{allowed}."
            )
        given = dict(zip(self.positional, args, strict=False))
        for name in given.keys() & kwargs.keys():
            raise ScheduleError(f"{self.name}() got {name!r} twice.")
        values = self.defaults | {name: self.read(name, value) for name, value in (given | kwargs).items()}
        for name in self.parameters:
            if name not in values:
                raise ScheduleError(f"{self.name}() needs {name!r}.")
        for name, lr in ((name, values.get(f"{name}_lr")) for name in self.parameters):
            if lr is not None and values[name] != self.defaults[name]:
                raise ScheduleError(f"{self.name}() has both {name}={values[name]:g} and {name}_lr={lr:g}; give one.")
        return {name: values[name] for name in self.parameters}

    def _hint(self, name: str) -> str:
        """Suggest the phase or the argument that another library calls so, else the nearest name."""
        for part, sentence in _PHASE_HINTS.items():
            if part in name and part not in (self.name, *self.parameters):
                return f" It is a phase of its own: {sentence.format(self.name)}."
        found = next((argument for argument in _ARGUMENT_HINTS.get(name, ()) if argument in self.parameters), None)
        return f" Did you mean {found}=?" if found else nearest(name, self.parameters)


# Parts of other libraries' arguments that are a phase here.
_PHASE_HINTS = {"warmup": "warmup(10%) >> {}(...)", "momentum": "{}(...) * momentum()"}

# Arguments of other libraries, with their names here.
_ARGUMENT_HINTS = {
    **dict.fromkeys(["min_lr", "lr_end", "eta_min", "end_lr", "lr_min"], ("to_lr", "to")),
    **dict.fromkeys(["min_lr_rate", "min_lr_ratio", "end_factor", "alpha", "final", "final_div_factor"], ("to",)),
    **dict.fromkeys(["ratio", "warmup_ratio", "warmup_steps", "num_warmup_steps"], ("warmup", "over", "cut", "to")),
    **dict.fromkeys(["steps", "num_steps", "updates", "length", "duration"], ("every", "over")),
    **dict.fromkeys(["T_max", "total_steps", "decay_steps"], ("over",)),
    **dict.fromkeys(["start_factor", "warmup_lr_rate", "init", "div_factor"], ("start",)),
    "gamma": ("factor", "rate"),
    "step_size": ("every",),
    "milestones": ("at",),
    "num_cycles": ("cycles",),
    "pct_start": ("peak_at",),
    "T_0": ("first",),
    **dict.fromkeys(["T_mult", "cycle_mul", "t_mul"], ("growth",)),
    "cycle_decay": ("peak_decay",),
    "cycle_limit": ("cycles",),
    "m_mul": ("decay",),
    "max_momentum": ("high",),
    "base_momentum": ("low",),
    "min_delta": ("threshold",),
}


def _find_reader(hint: Any) -> Reader | None:
    """Find the reader in an argument's annotation, also within a union with None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(hint) if (found := _find_reader(part))), None)
    return next((extra for extra in getattr(hint, "__metadata__", ()) if callable(extra)), None)


_DEFINITIONS: dict[str, _Definition] = {}

#: Every name that a text may use, with the function that it calls.
NAMES: dict[str, Callable[..., Schedule]] = {}


def phase(function: Callable[P, Shape]) -> Callable[P, Phase]:
    """Make a phase of the language from a function that takes arguments and returns a shape.

    The annotations of the arguments say how they are read ([`LengthArgument`], [`FactorArgument`], …). The argument `over` is
    the length of the phase; of `x` and `x_lr`, such as `to` and `to_lr`, a user may give one. The function is called when a
    phase is made, and refuses invalid arguments.

    Args:
        function (`Callable`): It returns a shape: a function of the phase's [`Span`], its place in the run, that returns the
            factor as a function of the updates since the phase's start.

    Returns:
        `Callable`: A function with the same arguments that returns a phase.

    Raises:
        ScheduleError: The name is taken.

    Example:
    ```python
    >>> from hf_lrsched.schedules import LengthArgument, phase, warmup
    >>> @phase
    ... def parabola(*, over: LengthArgument | None = None):
    ...     return lambda span: lambda u: span.level * (1 - (u / span.size) ** 2)
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
        defaults = definition.defaults
        given = tuple((name, each) for name, each in values.items() if name not in defaults or each != defaults[name])
        return within_limits(Phase(definition.name, given))

    add_name(definition.name, construct)
    _DEFINITIONS[definition.name] = definition
    return construct


def named(function: Callable[P, Schedule], name: str | None = None) -> Callable[P, Schedule]:
    """Make a name of the language from a function that returns a schedule.

    The schedule prints as its phases, not as the name. Arguments are read as those of a [`phase`].

    Args:
        function (`Callable`): It returns a [`Schedule`].
        name (`str`, *optional*): The name. Defaults to the function's.

    Returns:
        `Callable`: The function, which now reads its arguments.

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
    definition = _Definition(function, name)

    @functools.wraps(function)
    def construct(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        made = definition.function(**definition.bind(args, kwargs))
        if not isinstance(made, Schedule):
            raise ScheduleError(f"{definition.name}() must return a schedule, got {brief(made)}.")
        return made

    add_name(definition.name, construct)
    return construct


def add_name(name: str, function: Callable[..., Schedule]) -> None:
    """Add a name to the language. The same definition again replaces it, as when a notebook's cell runs twice.

    Raises:
        ScheduleError: The name is taken, or is no word of a text.
    """
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ScheduleError(f"a schedule's name must be letters, digits and '_', got {brief(name)}.")
    if name in NAMES and not is_same_definition(NAMES[name], function):
        raise ScheduleError(f"the name {name!r} is taken.")
    NAMES[name] = function


def is_same_definition(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Return whether the same lines of a module or a notebook made both. Functions made within functions may differ."""
    names = [(getattr(f, "__module__", None), getattr(f, "__qualname__", "<locals>")) for f in (one, other)]
    return one is other or (names[0] == names[1] and "<locals>" not in names[0][1])


def _lengths_in(value: object) -> list[Length]:
    """Return the lengths above 0 in a phase's arguments, those of milestones and points included."""
    if isinstance(value, tuple):
        return [length for item in value for length in _lengths_in(item)]
    return [value] if type(value) is Length and value.amount else []


def _write(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, Integral | Length | Schedule | str):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    raise TypeError(f"{value!r} has no text")


def import_names(module: str) -> None:
    """Import a Python module that registers names, also from the current folder, as `python -m` does.

    Raises:
        ScheduleError: The import fails.
    """
    from pathlib import Path  # slow to import, and needed here alone

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever the module does
        reason = f"{type(error).__name__}: {error}"
        raise ScheduleError(f"cannot import {module!r}, which registers names of schedules: {reason}") from error
