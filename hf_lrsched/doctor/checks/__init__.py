"""The checks: pure functions of [`Facts`] that yield findings. To add one, write the function and list it in its file's `CHECKS`."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ..facts import Facts
from ..finding import Finding
from . import arguments, curve, log, metric, optimizer, processes, resume, schedule

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

#: In the order in which they report. A check's name is its function's.
CHECKS: tuple[Check, ...] = tuple(
    check for room in (schedule, curve, arguments, metric, optimizer, processes, log, resume) for check in room.CHECKS
)
