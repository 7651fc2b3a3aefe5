"""Lengths: `500` updates, `10%` of the run, `2ep`, `30min`. The horizon of a run turns each into updates."""

import math
import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from numbers import Integral, Rational, Real

from .errors import ScheduleError, brief, nearest
from .numbers import format_count

NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = rf"\s*(?P<amount>[+-]?{NUMBER})\s*(?P<unit>%|[A-Za-z]\w*)?\s*"
_MAX_CHARACTERS = 60

#: Spelling of each unit in a text, with its name in a sentence.
UNITS = {
    "": "updates",
    "%": "share of the run",
    "ep": "epochs",
    "sa": "samples",
    "tok": "tokens",
    "s": "seconds",
    "min": "minutes",
    "h": "hours",
}

#: The units of time, in seconds.
SECONDS = {"s": 1, "min": 60, "h": 3600}

# A length in what a clock counts.
_EXAMPLES = {"seconds": "2min", "tokens": "5000tok"}

# The field of a horizon that a unit needs.
_RATES = {"ep": "updates_per_epoch", "sa": "samples_per_update", "tok": "tokens_per_update"}

# What people write for a unit.
_MISSPELT = {
    **dict.fromkeys(["step", "steps", "update", "updates", "ba", "it"], ""),
    "percent": "%",
    **dict.fromkeys(["e", "epoch", "epochs"], "ep"),
    **dict.fromkeys(["sample", "samples", "sp"], "sa"),
    **dict.fromkeys(["token", "tokens"], "tok"),
    **dict.fromkeys(["sec", "seconds"], "s"),
    **dict.fromkeys(["m", "mins", "minutes"], "min"),
    **dict.fromkeys(["hour", "hours"], "h"),
}


@dataclass(frozen=True)
class Horizon:
    """What a schedule needs to know of a run to turn its lengths into updates.

    Args:
        num_updates (`int`): The number of updates (`optimizer.step()`) of the run.
        updates_per_epoch (`int`, *optional*): Updates in one pass over the data. Without it `2ep` has no meaning.
        samples_per_update (`int`, *optional*): Samples of one update, over all processes and accumulated batches.
        tokens_per_update (`int`, *optional*): Tokens of one update, likewise.
        unit (`str`, defaults to `updates`): What is counted instead of updates where the schedule follows another clock:
            `tokens` or `seconds`. `num_updates` is then the number of those.

    Raises:
        ScheduleError: A value is not a whole number of at least 1.

    Example:
    ```python
    >>> print(Horizon(345, updates_per_epoch=115))
    345 updates, 115 per epoch

    ```
    """

    num_updates: int
    updates_per_epoch: int | None = None
    samples_per_update: int | None = None
    tokens_per_update: int | None = None
    unit: str = "updates"

    def __post_init__(self) -> None:
        for name in ("num_updates", "updates_per_epoch", "samples_per_update", "tokens_per_update"):
            value = getattr(self, name)
            if value is None and name != "num_updates":
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
                raise ScheduleError(f"{name} must be a whole number of at least 1, got {brief(value)}.")
            if int(value) > 10**16:
                raise ScheduleError(f"{name} must be at most 10**16, got {brief(value)}.")
            object.__setattr__(self, name, int(value))

    def __str__(self) -> str:
        per_epoch = f", {self.updates_per_epoch:,} per epoch" if self.updates_per_epoch else ""
        return f"{self.num_updates:,} {self.unit}{per_epoch}"


def as_horizon(num_updates: int | Horizon, updates_per_epoch: int | None = None) -> Horizon:
    """Return the horizon of so many updates; a horizon is returned as it is.

    Raises:
        ScheduleError: The updates per epoch are given beside a horizon, or a value is not a whole number of at least 1.
    """
    if not isinstance(num_updates, Horizon):
        return Horizon(num_updates, updates_per_epoch)
    if updates_per_epoch is not None:
        raise ScheduleError("updates_per_epoch is given twice: in the Horizon and next to it. Leave out one.")
    return num_updates


@dataclass(frozen=True)
class Length:
    """A length of time in a run: an exact amount of a unit.

    Use [`as_length`] to make one. Amounts are exact fractions: `7%` of 100 updates is 7. In floats it would be
    `0.07 * 100 = 7.000000000000001`, rounded up to 8.

    Args:
        amount (`Fraction`): How much of the unit; a share is a fraction of 1.
        unit (`str`): One of [`UNITS`]: `""` (updates), `"%"` (share of the run), `"ep"` (epochs), ….
    """

    amount: Fraction
    unit: str = ""

    def updates(self, horizon: Horizon) -> Fraction:
        """Return the exact number of updates, not yet rounded.

        Raises:
            ScheduleError: The horizon lacks what the unit needs.
        """
        if self.unit == "%":
            return self.amount * horizon.num_updates
        if self.unit in _RATES:
            rate: int | None = getattr(horizon, _RATES[self.unit])
            if rate is None:
                raise ScheduleError(
                    f"{self} has no meaning here: {_RATES[self.unit]} is not known. Give {_RATES[self.unit]}, or write the "
                    "length in updates (500) or as a share of the run (10%)."
                )
            return self.amount * rate if self.unit == "ep" else self.amount / rate
        if horizon.unit != ("seconds" if self.unit in SECONDS else "updates"):
            advice = (
                "in updates (500)" if horizon.unit == "updates" else f"in {horizon.unit} ({_EXAMPLES[horizon.unit]})"
            )
            clock = ", or let it follow the time, clock='time(30min)'" if self.unit in SECONDS else ""
            raise ScheduleError(
                f"{self} has no meaning here: the schedule counts {horizon.unit}. Write the length as a share of the run "
                f"(10%) or {advice}{clock}."
            )
        return self.amount * SECONDS.get(self.unit, 1)

    def explain(self, horizon: Horizon) -> str:
        """Explain the arithmetic, rounded up to a whole update.

        Example:
        ```python
        >>> as_length("10%").explain(Horizon(345))
        '10% of 345 updates = 35'
        >>> as_length("2ep").explain(Horizon(345, updates_per_epoch=115))
        '2ep = 2 x 115 = 230 updates'

        ```
        """
        updates = f"{math.ceil(self.updates(horizon)):,}"
        if self.unit == "%":
            return f"{self} of {horizon.num_updates:,} {horizon.unit} = {updates}"
        if self.unit in SECONDS:
            return f"{self} = {updates} seconds"
        if self.unit in _RATES:
            sign, rate = "x" if self.unit == "ep" else "/", getattr(horizon, _RATES[self.unit])
            amount = f"{self.amount.numerator:,}" if self.amount.denominator == 1 else _decimal(self.amount)
            return f"{self} = {amount} {sign} {rate:,} = {updates} updates"
        return format_count(math.ceil(self.updates(horizon)), "update")

    def __str__(self) -> str:
        amount = self.amount * 100 if self.unit == "%" else self.amount
        return f"{_decimal(amount)}{self.unit}"


class Duration(Length):
    """A time in seconds, minutes or hours. Use [`as_duration`] to make one."""

    @property
    def seconds(self) -> float:
        return float(self.amount * SECONDS[self.unit])


def as_duration(value: object, name: str) -> Duration:
    """Read a time: `90s`, `30min`, `2h`.

    Raises:
        ScheduleError: Not a time, or 0 or below.

    Example:
    ```python
    >>> as_duration("30min", "time_limit").seconds
    1800.0

    ```
    """
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        length = _read_length(value, name)
        if length.unit in SECONDS:
            return Duration(length.amount, length.unit)
    raise ScheduleError(f"{name} must be a time like 90s, 30min or 2h, got {brief(value)}.")


def as_length(value: object, name: str = "length") -> Length:
    """Read a length: a whole number of updates, a share below 1, or a text with a unit.

    | written | means |
    |---|---|
    | `500`, `"500"` | 500 updates |
    | `0.1`, `"10%"`, `"0.1"` | a tenth of the run |
    | `"2ep"`, `"0.5ep"` | epochs |
    | `"50000sa"` | samples, over all processes |
    | `"1000000tok"` | tokens, over all processes |
    | `"30min"`, `"90s"`, `"2h"` | time, where the schedule follows it |

    Args:
        value: The length.
        name (`str`, defaults to `"length"`): Its name in an error.

    Raises:
        ScheduleError: Not a length, or 0 or below.

    Example:
    ```python
    >>> as_length(0.1) == as_length("10%")
    True
    >>> str(as_length("2.5ep"))
    '2.5ep'

    ```
    """
    if isinstance(value, Length):
        return value
    if isinstance(value, str):
        return _read_length(value, name)
    if not isinstance(value, bool) and isinstance(value, Real):
        if isinstance(value, Integral):
            length = Length(Fraction(int(value)))
        else:
            # np.float32(0.1) means 0.1, though its value is 0.10000000149.
            number = float(value) if isinstance(value, Rational) else float(str(value))
            if not math.isfinite(number):
                raise ScheduleError(f"{name} must be finite, got {number}.")
            # The fraction that the float is written as (0.1 is a tenth), not the binary one beside it.
            length = Length(Fraction(repr(number)), "%")
        return _check_length(length, name, value)
    raise ScheduleError(
        f"{name} must be a number of updates (500), a share of the run (0.1 or '10%') or a text with a unit ('2ep'), "
        f"got {brief(value)} of type {type(value).__name__}."
    )


def _read_length(text: str, name: str) -> Length:
    if len(text) > _MAX_CHARACTERS or not (match := re.fullmatch(_QUANTITY, text, re.ASCII)):
        raise ScheduleError(f"{name} must be a length like 500, 10%, 0.1 or 2ep, got {brief(text)}.")
    amount, unit = match["amount"], match["unit"] or ""
    if unit not in UNITS:
        spelling = _MISSPELT.get(unit.lower())
        if spelling is None:
            hint = nearest(unit, [known for known in UNITS if known])
        else:
            hint = f" Did you mean '{amount}{spelling}'?"
        raise ScheduleError(
            f"{name} has the unknown unit {unit!r} in {text!r}; allowed are none (updates), % (share of the run), "
            f"ep (epochs), sa (samples), tok (tokens), s, min and h (time).{hint}"
        )
    if not math.isfinite(float(amount)):
        raise ScheduleError(f"{name} is out of range: {text!r}.")
    # What is 0 as a float may have a billion digits as a fraction: 1e-999999999.
    exact = Fraction(amount) if float(amount) else Fraction(0)
    if unit == "%":
        exact /= 100
    elif unit == "" and not re.fullmatch(r"[+-]?\d+", amount):
        unit = "%"  # 0.1 is a share, in a text as in Python
    return _check_length(Length(exact, unit), name, text)


def _check_length(length: Length, name: str, written: object) -> Length:
    if length.amount <= 0:
        raise ScheduleError(f"{name} must be above 0, got {brief(written)}. To have no such phase, leave it out.")
    if not 1e-30 <= length.amount <= 1e30 or len(str(length)) > _MAX_CHARACTERS:
        raise ScheduleError(f"{name} is out of range: {brief(written)}.")
    if length.unit == "%" and length.amount >= 1 and not (isinstance(written, str) and "%" in written):
        whole = _decimal(length.amount)
        raise ScheduleError(
            f"{name} is ambiguous: {brief(written)}. A fraction is a share of the run and must be below 1; write "
            f"{math.ceil(length.amount)} (a whole number) for updates, '{whole}ep' for epochs or '100%' for the whole run."
        )
    if length.unit == "%" and length.amount > 1:
        raise ScheduleError(f"{name} must be at most 100% of the run, got {brief(written)}.")
    return length


def _decimal(value: Fraction) -> str:
    """Write a fraction as an exact decimal number."""
    exact = Context(prec=200, traps=[Inexact])
    try:
        return f"{exact.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize(exact):f}"
    except Inexact:
        raise ScheduleError(f"{value} has no finite decimal form.") from None
