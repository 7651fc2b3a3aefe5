"""Budgets: what each budget reached, what it cost, and which one is enough."""

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..console import format_table
from ..plots.budgets import draw_budgets
from ..runs.metrics import get_display_name, is_loss
from ..schedules.metric_names import Direction
from ..schedules.numbers import replace_nonfinite
from ..search.result import VERSION, load_result, read_number


@dataclass(frozen=True)
class Branch:
    """One budget of one seed, trained to its end.

    Args:
        budget (`str`): Its name: `2ep`.
        updates (`int`): Its length.
        cooldown (`int`): The updates of its own: its cooldown.
        metrics (`dict[str, float]`): Its last evaluation.
        seconds (`float`, defaults to 0): What it took, with its part of the trunk.
        folder (`str`, *optional*): Its model, its record and its checkpoints.
        seed (`int`, defaults to 0): The number of the seed, from 0.
    """

    budget: str
    updates: int
    cooldown: int
    metrics: dict[str, float]
    seconds: float = 0.0
    folder: str = ""
    seed: int = 0


class Point(NamedTuple):
    """The mean of the seeds of a budget; `values` are those of the seeds."""

    budget: str
    updates: int
    mean: float
    values: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Budgets:
    """The outcome of [`train_budgets`].

    Args:
        metric (`str`): The metric by which budgets are judged: `eval_accuracy`.
        direction (`str`): Whether it should fall (`min`) or rise (`max`).
        branches (`tuple[Branch, ...]`): What was trained.
        trunk (`str`): The schedule of the trunk.
        learning_rate (`float`): The peak LR.
        search_updates (`int`, defaults to 0): What `find_lr` took.
        start (`dict[str, float]`, defaults to `{}`): The evaluation before the first update.
        settings (`dict`, defaults to `{}`): The settings that all branches have in common. A search in the same folder must have the same.

    Example:
    ```python
    >>> short = Branch("1ep", 100, 20, {"eval_accuracy": 0.90}, seconds=9.0)
    >>> long = Branch("3ep", 300, 60, {"eval_accuracy": 0.92}, seconds=25.0)
    >>> budgets = Budgets("eval_accuracy", "max", (short, long), "warmup(10) >> hold()", 1e-4)
    >>> print(budgets)
    3ep is the best of 2 budgets and gains 2 points over 1ep. With one seed, it is not known how much of this is chance: train with
    seeds=3. It is the longest: a longer one may gain more.
    320 updates instead of 400 for separate runs: 0.8 of their cost; warmup(10) >> hold() with learning_rate 0.0001
      budget  updates  seconds  accuracy
         1ep      100      9.0    0.9000
         3ep      300     25.0    0.9200
    >>> Budgets.from_json(budgets.to_json()) == budgets
    True

    ```
    """

    metric: str
    direction: Direction
    branches: tuple[Branch, ...]
    trunk: str
    learning_rate: float
    search_updates: int = 0
    start: dict[str, float] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """The number of seeds that each budget has at least."""
        return min((len(point.values) for point in self.points), default=0)

    @property
    def updates(self) -> int:
        """The updates of all trunks, cooldowns and probes."""
        trunks: dict[int, int] = {}
        for branch in self.branches:
            trunks[branch.seed] = max(branch.updates - branch.cooldown, trunks.get(branch.seed, 0))
        return sum(trunks.values()) + sum(branch.cooldown for branch in self.branches) + self.search_updates

    @property
    def cost(self) -> float:
        """The updates as a multiple of those of separate runs of all budgets."""
        return self.updates / max(1, sum(branch.updates for branch in self.branches))

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The curve: the budgets, the smallest first, each with the mean of its seeds."""
        of_budget: dict[int, list[Branch]] = {}
        for branch in sorted(self.branches, key=lambda branch: (branch.updates, branch.seed)):
            of_budget.setdefault(branch.updates, []).append(branch)
        found = []
        for updates, branches in of_budget.items():
            values = tuple(float(branch.metrics.get(self.metric, math.nan)) for branch in branches)
            seconds = float(np.mean([branch.seconds for branch in branches]))
            found.append(Point(branches[0].budget, updates, float(np.mean(values)), values, seconds))
        return tuple(found)

    @property
    def spread(self) -> float | None:
        """The noise between budgets, a standard deviation over the seeds; `None` where fewer than two seeds have all that it compares.

        It compares the recommended budget and the longer ones, or the two longest. What a seed adds to all of its budgets does not
        count as noise, since the branches of a seed share their trunk and their head: budgets are compared seed by seed.
        """
        enough = self.recommended
        return None if enough is None else self._pool_spread(enough)

    def _pool_spread(self, shortest: Point) -> float | None:
        # Shorter budgets, which often differ more from seed to seed, say nothing of the noise between this one and the best.
        longer = [point.updates for point in self._finite if point.updates >= shortest.updates]
        compared = longer if len(longer) > 1 else [point.updates for point in self._finite][-2:]
        known = {
            (branch.seed, branch.updates): branch.metrics[self.metric]
            for branch in self.branches
            if branch.updates in compared
        }
        seeds = {seed for seed, _ in known if all((seed, updates) in known for updates in compared)}
        if min(len(seeds), len(compared)) < 2:
            return None
        values = np.array([[known[seed, updates] for updates in compared] for seed in seeds])
        noise = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
        if np.allclose(noise, 0, atol=1e-9 * float(np.abs(values).max())):
            return 0.0  # what is left is the error of rounding
        return float(np.sqrt(np.square(noise).sum() / ((values.shape[0] - 1) * (values.shape[1] - 1))))

    @property
    def best(self) -> Point | None:
        """The budget with the best mean; `None` where no metric is finite."""
        choose = max if self.direction == "max" else min
        return choose(self._finite, key=lambda point: point.mean, default=None)

    @property
    def recommended(self) -> Point | None:
        """The smallest budget whose mean is within one standard error of the best, or the best one where the error is not known.

        The error is that of the difference of two means over n paired seeds: `spread * sqrt(2 / n)`, with [`spread`] of this budget
        and the longer ones.

        Source: the one-standard-error rule of Breiman et al., 1984, Classification and Regression Trees.
        """
        best = self.best
        if best is None:
            return None
        share = math.sqrt(2 / max(1, self.seeds))
        return next(
            each for each in self._finite if abs(best.mean - each.mean) <= (self._pool_spread(each) or 0.0) * share
        )

    @property
    def _finite(self) -> list[Point]:
        return [point for point in self.points if math.isfinite(point.mean)]

    @property
    def recommendation(self) -> str:
        """The recommended budget, what longer ones gain, and how sure that is, as sentences."""
        best, enough = self.best, self.recommended
        if best is None or enough is None:
            return f"No budget ended with a finite {get_display_name(self.metric)}."
        if len(self._finite) == 1:
            return f"Only {best.budget} has a finite {get_display_name(self.metric)} yet: there is nothing to compare it with."
        if self.spread is None:
            lack = "With one seed" if self.seeds < 2 else "Until two seeds have the same budgets"
            chance = f"{lack}, it is not known how much of this is chance: train with seeds=3."
        else:
            chance = f"The spread over {self.seeds} paired seeds is {self._format_gain(self.spread)}."
        if enough != best:
            gain = self._format_gain(best.mean - enough.mean)
            return f"{enough.budget} is enough: {best.budget}, the best of {len(self.points)} budgets, gains {gain} over it. {chance}"
        shorter = [point for point in self._finite if point.updates < best.updates]
        if not shorter:
            return f"{best.budget}, the smallest of {len(self.points)} budgets, is the best. {chance}"
        second = shorter[-1]
        gain = self._format_gain(best.mean - second.mean)
        text = (
            f"{best.budget} is the best of {len(self.points)} budgets and gains {gain} over {second.budget}. {chance}"
        )
        if best is self.points[-1]:
            text += " It is the longest: a longer one may gain more."
        return text

    def _format_gain(self, difference: float) -> str:
        """A difference, in points where the metric is a share."""
        is_share = self.direction == "max" and all(abs(point.mean) <= 1 for point in self._finite)
        if is_loss(self.metric) or not is_share:
            return _format_size(difference)
        points = _format_size(100 * difference)
        return f"{points} point{'' if points == '1' else 's'}"

    def __str__(self) -> str:
        separate = sum(branch.updates for branch in self.branches)
        search = f", {self.search_updates:,} for the LR included," if self.search_updates else ""
        cost = (
            f"{self.updates:,} updates{search} instead of {separate:,} for separate runs: {self.cost:.2g} of their cost"
        )
        name = get_display_name(self.metric)
        rows = [["budget", "updates", "seconds", name, *(["spread"] if self.spread is not None else [])]]
        for point in self.points:
            spread = f"{np.std(point.values, ddof=1):.4f}" if len(point.values) > 1 else "–"
            row = [point.budget, f"{point.updates:,}", f"{point.seconds:.1f}", f"{point.mean:.4f}", spread]
            rows.append(row[: len(rows[0])])
        settings = f"{self.trunk} with learning_rate {self.learning_rate:.3g}"
        return "\n".join([self.recommendation, f"{cost}; {settings}", *(f"  {line}" for line in format_table(rows))])

    def plot(self) -> Any:
        """Draw the metric against the budget, with a dot for each seed, and the recommended budget.

        Returns:
            `matplotlib.figure.Figure`

        Raises:
            ImportError: matplotlib is not installed.
        """
        return draw_budgets(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Return plain data. Values that are not finite are `None`."""
        return {
            "version": VERSION,
            "recommendation": self.recommendation,
            "recommended": self.recommended and self.recommended.budget,
            **replace_nonfinite(dataclasses.asdict(self)),
        }

    def to_json(self) -> str:
        """Return JSON for [`from_json`]."""
        return json.dumps(self.to_data(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Budgets":
        """Read what [`to_json`] returned.

        Raises:
            ScheduleError: The text is corrupted, or of another version.
        """
        return load_result(cls, text, "the search over budgets", _read_values)


def _format_size(number: float) -> str:
    """Two digits, or all of a larger number: 0.013, 7.2, 1,234."""
    return f"{abs(number):,.0f}" if abs(number) >= 10 else f"{abs(number):.2g}"


def _read_values(values: dict[str, Any]) -> dict[str, Any]:
    branches = tuple(Branch(**{**each, "metrics": _read(each["metrics"])}) for each in values["branches"])
    return {**values, "branches": branches, "start": _read(values["start"])}


def _read(metrics: dict[str, float | None]) -> dict[str, float]:
    return {name: read_number(value) for name, value in metrics.items()}
