"""What is compared: cells, each a schedule at a learning rate with a seed, and arms, the cells of all seeds."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from ..schedules import ScheduleError, parse
from ..schedules.numbers import is_number, is_number_as_text

#: The learning rate that is searched, once for each schedule.
AUTO = "auto"


@dataclass(frozen=True)
class Arm:
    """A schedule at a learning rate.

    Args:
        schedule (`str`): Its text.
        lr (`float` or `str`): The peak LR, or `auto`.
    """

    schedule: str
    lr: float | str

    def __str__(self) -> str:
        return f"{self.schedule}, LR {self.lr if self.lr == AUTO else format(self.lr, 'g')}"


@dataclass(frozen=True)
class Cell:
    """One run.

    Args:
        arm ([`Arm`]): Its schedule and learning rate.
        seed (`int`, *optional*): Its seed. `None` for the search for the peak LR of a schedule.
    """

    arm: Arm
    seed: int | None

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed}" if self.is_run else f"search for the peak LR of {self.arm.schedule}"

    @property
    def is_run(self) -> bool:
        """Whether it is a run of the comparison, and not a search."""
        return self.seed is not None

    @property
    def search(self) -> "Cell":
        """The search that finds its peak LR."""
        return Cell(Arm(self.arm.schedule, AUTO), None)

    @property
    def folder(self) -> str:
        """The name of its folder.

        Example:
        ```python
        >>> Cell(Arm("warmup(10%) >> linear()", 1e-4), 3).folder
        'warmup_10_linear-f3292a-lr0.0001-seed3'

        ```
        """
        words = re.sub(r"\W+", "_", self.arm.schedule).strip("_")[:60]
        digest = hashlib.sha256(self.arm.schedule.encode()).hexdigest()[:6]
        lr = "auto" if self.arm.lr == AUTO else repr(self.arm.lr)
        return f"{words}-{digest}-" + (f"lr{lr}-seed{self.seed}" if self.is_run else "search")

    def to_data(self) -> dict[str, Any]:
        """Plain data for [`from_data`]."""
        return {**asdict(self.arm), "seed": self.seed}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Cell":
        """Read what [`to_data`] returned."""
        return cls(Arm(data["schedule"], data["lr"]), data["seed"])


@dataclass(frozen=True)
class Grid:
    """All cells of a comparison.

    Args:
        schedules (`tuple[str, ...]`): The schedules; the others are compared with the first.
        lrs (`tuple[float | str, ...]`): The peak LRs: numbers, or `auto`.
        num_seeds (`int`): Every arm has the seeds 0, 1, …

    Raises:
        ScheduleError: A schedule or an LR is invalid or given twice, nothing is left to compare, or there is no seed.

    Example:
    ```python
    >>> grid = Grid(("warmup(10%) >> linear()", "warmup(10%) >> cosine()"), (1e-4, "auto"), 10)
    >>> len(grid.runs), len(grid.searches)
    (40, 2)

    ```
    """

    schedules: tuple[str, ...]
    lrs: tuple[float | str, ...]
    num_seeds: int

    def __post_init__(self) -> None:
        parsed: list[Any] = []
        for text in self.schedules:
            schedule = parse(text)
            if schedule in parsed:
                raise ScheduleError(f"--schedule {text!r} equals {self.schedules[parsed.index(schedule)]!r}.")
            parsed.append(schedule)
        for index, lr in enumerate(self.lrs):
            if lr != AUTO and not (isinstance(lr, float) and math.isfinite(lr) and lr > 0):
                raise ScheduleError(f"--learning_rate takes numbers above 0 and auto, got {lr!r}.")
            if lr in self.lrs[:index]:
                raise ScheduleError(f"--learning_rate {lr} is given twice.")
        if self.num_seeds < 1:
            raise ScheduleError(
                f"--seeds must be at least 1, got {self.num_seeds}. Ten seeds show differences as large as the spread over seeds."
            )
        if len(self.arms) < 2:
            raise ScheduleError("a comparison needs two schedules, or two learning rates.")

    @property
    def arms(self) -> list[Arm]:
        """The schedules at each learning rate."""
        return [Arm(schedule, lr) for lr, schedule in product(self.lrs, self.schedules)]

    @property
    def runs(self) -> list[Cell]:
        """The runs, seed by seed: a comparison that is ended early has complete pairs."""
        return [Cell(arm, seed) for seed, arm in product(range(self.num_seeds), self.arms)]

    @property
    def searches(self) -> list[Cell]:
        """The searches for a peak LR."""
        return [Cell(Arm(schedule, AUTO), None) for schedule in self.schedules if AUTO in self.lrs]

    @property
    def cells(self) -> list[Cell]:
        """The searches, then the runs."""
        return [*self.searches, *self.runs]

    def families(self) -> list[tuple[Arm, list[Arm]]]:
        """Return which arms are compared with which: at each LR with the first schedule, or one schedule's with its first LR."""
        if len(self.schedules) == 1:
            return [(self.arms[0], self.arms[1:])]
        size = len(self.schedules)
        groups = [self.arms[start : start + size] for start in range(0, len(self.arms), size)]
        return [(first, others) for first, *others in groups]


def read_lrs(values: Sequence[Any]) -> tuple[float | str, ...]:
    """Read learning rates from a command line or a file.

    Example:
    ```python
    >>> read_lrs(["1e-4", "auto", 2e-4, "1e-4x"])
    (0.0001, 'auto', 0.0002, '1e-4x')

    ```
    """
    return tuple(float(each) if is_number(each) or is_number_as_text(each) else str(each).strip() for each in values)
