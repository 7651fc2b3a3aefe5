"""A stopwatch around every method of the pack that Trainer and torch can call."""

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.optim.lr_scheduler import LRScheduler
from transformers import Trainer, TrainerCallback

import hf_lrsched
from hf_lrsched import ScheduleMixin
from hf_lrsched.optim.update_losses import UpdateLosses

PACK = hf_lrsched.__name__


@dataclass
class Lap:
    """The calls of one method, and its seconds without those of other watched methods that it called."""

    name: str
    counted: bool
    calls: int = 0
    seconds: float = 0.0


class Stopwatch:
    """Time methods while they run. The time of a watched method excludes that of the watched methods that it calls.

    The total is the sum of the counted methods. The others, which lead out of the measured code, are only subtracted.

    Example:
    ```python
    watch = Stopwatch()
    watch.count(Mine, "log")
    watch.leave_out(Base, "log")  # Mine.log calls super().log()
    with watch:
        Mine().log()
    watch.total()
    ```
    """

    def __init__(self) -> None:
        self.laps: list[Lap] = []
        self._methods: list[tuple[type, str, Lap]] = []
        self._originals: list[tuple[type, str, Callable[..., Any]]] = []
        self._inner = [0.0]  # for each watched call that is running, the seconds of watched calls within it

    def count(self, owner: type, name: str) -> None:
        """Watch a method that the class itself defines, as part of the total."""
        self._add(owner, name, counted=True)

    def leave_out(self, owner: type, name: str) -> None:
        """Watch a method that is not part of the total; its time is subtracted from its caller's."""
        self._add(owner, name, counted=False)

    def total(self) -> float:
        """Return the seconds in all counted methods."""
        return sum(lap.seconds for lap in self.laps if lap.counted)

    def _add(self, owner: type, name: str, counted: bool) -> None:
        if any((owner, name) == (known, other) for known, other, _ in self._methods):
            return
        lap = Lap(f"{owner.__name__}.{name}", counted)
        self.laps.append(lap)
        self._methods.append((owner, name, lap))

    def __enter__(self) -> "Stopwatch":
        for owner, name, lap in self._methods:
            original = vars(owner)[name]
            self._originals.append((owner, name, original))
            setattr(owner, name, self._timed(original, lap))
        return self

    def __exit__(self, *exception: object) -> None:
        while self._originals:
            setattr(*self._originals.pop())

    def _timed(self, method: Callable[..., Any], lap: Lap) -> Callable[..., Any]:
        inner, clock = self._inner, time.perf_counter

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = clock()
            inner.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                taken = clock() - start
                lap.seconds += taken - inner.pop()
                lap.calls += 1
                inner[-1] += taken

        return timed


def watch_pack() -> Stopwatch:
    """Return a stopwatch on every method of the pack that Trainer and torch can call."""
    watch = Stopwatch()
    for base in (LRScheduler, TrainerCallback):
        for owner in subclasses(base):
            if owner.__module__.startswith(f"{PACK}."):
                for name in overridden(owner, base):
                    watch.count(owner, name)
                    for stock in owner.__mro__:  # such as the bar that ours adds to
                        if stock.__module__.startswith("transformers.") and name in vars(stock) and stock is not base:
                            watch.leave_out(stock, name)
    watch.count(UpdateLosses, "_after_forward")  # the model calls it
    for name in overridden(ScheduleMixin, Trainer):
        watch.count(ScheduleMixin, name)
        watch.leave_out(next(owner for owner in Trainer.__mro__ if name in vars(owner)), name)
    return watch


def overridden(owner: type, base: type) -> list[str]:
    """Return the methods of a class that override one of the base: those that Trainer or torch call."""
    return [name for name, value in vars(owner).items() if inspect.isfunction(value) and hasattr(base, name)]


def subclasses(base: type) -> Iterator[type]:
    """Yield all subclasses, direct or not."""
    for found in base.__subclasses__():
        yield found
        yield from subclasses(found)
