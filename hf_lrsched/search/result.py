"""LRSearch: the outcome of a search for the peak LR, with its evidence."""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..console import format_table
from ..plots.lr_search import draw_lr_search
from ..schedules import ScheduleError
from ..schedules.numbers import format_count, replace_nonfinite

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1

R = TypeVar("R", bound="DataclassInstance")


@dataclass(frozen=True)
class Probe:
    """One run of the whole schedule, shortened.

    Args:
        lr (`float`): Its peak LR.
        updates (`int`): Its length.
        loss (`float`): The held-out loss after it; not finite if the run diverged.
        metric (`float`, *optional*): The metric after it, if one was asked for.
        seed (`int`, defaults to 0): The number of the seed, from 0.
        seconds (`float`, defaults to 0): What it took, with its evaluation.
    """

    lr: float
    updates: int
    loss: float
    metric: float | None = None
    seed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class LRSearch:
    """The outcome of [`find_lr`]: a peak LR for the whole run, and the probes that it rests on.

    Args:
        suggestion (`float` or `None`): The peak LR. `None` if the search was interrupted before its first probe.
        low (`float` or `None`): The best LR lies between `low` and `high` in about four of five cases.
        high (`float` or `None`): See `low`.
        total (`int`): The updates of the whole run.
        reference (`float`): The LR that the Trainer had. All peaks are scaled by `suggestion / reference`.
        probes (`tuple[Probe, ...]`, defaults to `()`): The probes, in the order of their runs.
        valleys (`tuple[dict, ...]`, defaults to `()`): The best LR of each horizon: `updates`, `lr`, `std` in octaves, and `edge`.
        exponent (`float`, *optional*): The best LR falls with the horizon to this power.
        start_loss (`float`, defaults to NaN): The held-out loss before training.
        held_out (`str`, *optional*): What the loss was measured on.
        metric (`str`, *optional*): The name of the probes' metric.
        notes (`tuple[str, ...]`, defaults to `()`): What makes the suggestion uncertain, as sentences.
        is_complete (`bool`, defaults to `True`): Whether the search came to its end; `False` after Ctrl-C.

    Example:
    ```python
    >>> search = LRSearch(4e-4, 2e-4, 8e-4, 1600, 5e-5, (Probe(5e-4, 100, 0.6, seconds=2.0),), start_loss=0.7)
    >>> print(search)
    peak LR 0.0004 for 1,600 updates; plausible from 0.0002 to 0.0008
    found by 1 probe: 100 updates = 0.0625 of the run, 2 s
      updates    peak LR  held-out loss
          100     0.0005            0.6
    >>> LRSearch.from_json(search.to_json()) == search
    True

    ```
    """

    suggestion: float | None
    low: float | None
    high: float | None
    total: int
    reference: float
    probes: tuple[Probe, ...] = ()
    valleys: tuple[dict[str, Any], ...] = ()
    exponent: float | None = None
    start_loss: float = math.nan
    held_out: str = ""
    metric: str | None = None
    notes: tuple[str, ...] = field(default=())
    is_complete: bool = True

    @property
    def updates(self) -> int:
        """The updates of all probes."""
        return sum(probe.updates for probe in self.probes)

    @property
    def seconds(self) -> float:
        """The seconds of all probes."""
        return sum(probe.seconds for probe in self.probes)

    @property
    def cost(self) -> float:
        """The updates of all probes as a multiple of those of the run."""
        return self.updates / self.total

    def __str__(self) -> str:
        return "\n".join([self.summary, *self._table(), *(f"note: {note}" for note in self.notes)])

    @property
    def summary(self) -> str:
        """The suggestion with its range, and the cost, in two lines."""
        if self.suggestion is None:
            first = f"no peak LR found for {self.total:,} updates"
        else:
            first = f"peak LR {self.suggestion:.3g} for {self.total:,} updates; plausible from {self.low:.3g} to {self.high:.3g}"
        probes = format_count(len(self.probes), "probe")
        cost = f"{self.updates:,} updates = {self.cost:.3g} of the run, {self.seconds:.3g} s"
        where = f", scored on {self.held_out}" if self.held_out else ""
        return f"{first}\nfound by {probes}: {cost}{where}"

    def _table(self) -> list[str]:
        rows = [["updates", "peak LR", "held-out loss", *([self.metric] if self.metric else [])]]
        for probe in sorted(self.probes, key=lambda probe: (probe.updates, probe.lr, probe.seed)):
            metric = ["–" if probe.metric is None else f"{probe.metric:.5g}"] if self.metric else []
            rows.append([str(probe.updates), f"{probe.lr:9.3g}", f"{probe.loss:.5g}", *metric])
        return [f"  {line}" for line in format_table(rows, left={3})]

    def plot(self) -> Any:
        """Draw the losses against the LRs for each horizon, the valleys, the suggestion and its range.

        Returns:
            `matplotlib.figure.Figure`

        Raises:
            ImportError: matplotlib is not installed.
        """
        return draw_lr_search(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Return plain data. Losses that are not finite are `None`."""
        return {"version": VERSION, **replace_nonfinite(dataclasses.asdict(self))}

    def to_json(self) -> str:
        """Return JSON for [`from_json`]."""
        return json.dumps(self.to_data())

    @classmethod
    def from_json(cls, text: str) -> "LRSearch":
        """Read what [`to_json`] returned.

        Raises:
            ScheduleError: The text is corrupted, or of another version.
        """
        return load_result(cls, text, "the search", _read_values)


def load_result(cls: type[R], text: str, what: str, read_values: Callable[[dict[str, Any]], dict[str, Any]]) -> R:
    """Read the result of a search, a dataclass, from its JSON.

    Args:
        cls (`type`): Its class.
        text (`str`): The JSON.
        what (`str`): What an error calls it.
        read_values (`Callable`): Maps the values of the fields as JSON has them to those of the class.

    Raises:
        ScheduleError: The text is corrupted, or of another version.
    """
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise ScheduleError(
                f"{what} has version {data['version']!r}; this version of hf-lrsched reads version {VERSION}."
            )
        return cls(**read_values({each.name: data[each.name] for each in dataclasses.fields(cls)}))
    except ScheduleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ScheduleError(f"the data of {what} is corrupted: {error!r}.") from error


def _read_values(values: dict[str, Any]) -> dict[str, Any]:
    probes = tuple(Probe(**{**probe, "loss": read_number(probe["loss"])}) for probe in values["probes"])
    tuples = {name: tuple(values[name]) for name in ("valleys", "notes")}
    return {**values, **tuples, "probes": probes, "start_loss": read_number(values["start_loss"])}


def read_number(value: float | None) -> float:
    """Read a number of [`replace_nonfinite`]; `None` is NaN."""
    return math.nan if value is None else float(value)
