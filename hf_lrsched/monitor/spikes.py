"""SpikeTest: whether the training loss has jumped up and stays there."""

import math
import statistics
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

from .finding import format_distinct
from .robust import MAD_TO_SIGMA

# No loss is high before so many losses; so many make up the loss at the start.
_MIN_LOSSES = 10
# The run has made progress when its level is more than so many deviations below its start.
_PROGRESS = 2.0
# After so many losses that are neither mostly high nor low again, they are the run's new level.
_MAX_ROW = 50
# A high loss is more than so many deviations above the level: noise alone may cost half of a small progress.
_NOISE = 3.0


@dataclass(frozen=True)
class Spike:
    """A confirmed spike of the training loss.

    Args:
        since (`int`): The first update whose loss was high.
        updates (`int`): How many losses were high since.
        loss (`float`): The median of the high losses.
        level (`float`): The median of the losses before.
        setback (`float`, *optional*): How much of the run's progress is lost: 0 none, 1 all. `None` if there was none to lose.
        chance (`float`): The probability of so many high losses among losses like those before.
    """

    since: int
    updates: int
    loss: float
    level: float
    setback: float | None
    chance: float

    @property
    def text(self) -> str:
        """What happened, in words."""
        level, loss = format_distinct(self.level, self.loss)
        text = f"the loss rose from {level} to {loss} at update {self.since} and stayed there"
        if self.setback is None:
            return text
        return text + (
            f", {self.setback:.0%} of the progress is lost" if self.setback < 1 else ", all progress is lost"
        )


@dataclass(eq=False)
class SpikeTest:
    """Distinguish a jump of the training loss that stays from outliers, without a threshold on the loss itself.

    The losses before form a sliding window, with their median `level` and their deviation `sigma`, 1.4826 times the median
    absolute deviation (Hampel, The Influence Curve and Its Role in Robust Estimation, 1974). A loss is *high* when

        loss - level > setback * (start - level)    if the run has made progress: start - level > 2 sigma,
                                                    and by more than 3 sigma
        loss - level > high * sigma                 if it has not

    with `start` the median of the run's first 10 losses, so that a setback of 1 is back at the start. From the first high loss
    on, as long as at least half are high, h high losses among n are a spike if random draws from the window would hold so many
    with a probability below `chance`: `P(Binomial(n, p) >= h) < chance`, with p = (1 + high losses in the window) / (1 + losses
    in the window). In a row that is `p ** n < chance`: 4 high losses with none among 50, 7 with 10 % of them, 12 with 30 %. If
    high and low losses alternate it takes 5 high ones, with none among 50.

    Nothing changes when all losses are multiplied by a positive number or a number is added to them. Memory is constant.

    Args:
        window (`int`, defaults to 50): How many losses the level is taken from.
        setback (`float`, defaults to 0.75): The share of the progress that is lost at a high loss.
        chance (`float`, defaults to 1e-6): How rare a row of high losses must be.
        high (`float`, defaults to 10): How many deviations above the level are high before any progress.
        dense (`float`, defaults to 0.5): The share of the losses since the first high one that must be high: 1 for a row.
        start (`float`, defaults to NaN): The loss at the start of the run, which the first losses give; in a resumed run, that
            of the earlier test.

    Example:
    ```python
    >>> test = SpikeTest()
    >>> losses = [2.0] * 10 + [1.0, 1.1] * 25 + [1.9, 2.1, 7.0, 3.0]
    >>> spikes = [test.add(update, loss) for update, loss in enumerate(losses, 1)]
    >>> spikes[-1].text
    'the loss rose from 1.05 to 2.55 at update 61 and stayed there, all progress is lost'

    ```
    """

    window: int = 50
    setback: float = 0.75
    chance: float = 1e-6
    high: float = 10.0
    dense: float = 0.5
    start: float = math.nan

    def __post_init__(self) -> None:
        self._knows_start = not math.isnan(self.start)
        self._first: list[float] = []
        self._window: deque[float] = deque(maxlen=self.window)
        self._sorted: list[float] = []
        # The losses since the first high one, and the high ones among them.
        self._row: list[float] = []
        self._high: list[float] = []
        self._since = 0

    def reset(self) -> None:
        """Take the level from the next losses, as after a rollback; `start` stays."""
        self._window.clear()
        self._sorted.clear()
        self._row, self._high = [], []

    def add(self, update: int, loss: float) -> Spike | None:
        """Add the loss of one more update; NaN counts as infinite.

        Returns:
            [`Spike`], *optional*: The spike that this loss confirms.
        """
        loss = math.inf if math.isnan(loss) else float(loss)
        if not self._knows_start and len(self._first) < _MIN_LOSSES:
            self._first.append(loss)
            self.start = statistics.median(self._first)
        if len(self._window) < _MIN_LOSSES:
            self._keep(loss)
            return None
        level = _median_of_sorted(self._sorted)
        if not self._high and not loss - level > self._bound_rise(level):
            self._keep(loss)  # most losses are surely not high
            return None
        rise, progress = self._measure(level)
        is_high = loss - level > rise  # inf - inf is not
        if not is_high and not self._high:
            self._keep(loss)
            return None
        if not self._high:
            self._since = update
        self._row.append(loss)
        if is_high:
            self._high.append(loss)
        if len(self._high) < self.dense * len(self._row) or len(self._row) > _MAX_ROW:
            for each in self._row:
                self._keep(each)
            self._row, self._high = [], []
            return None
        expected = (1 + sum(each - level > rise for each in self._window)) / (1 + len(self._window))
        chance = _binomial_tail(len(self._high), len(self._row), expected)
        if not is_high or chance >= self.chance:
            return None
        high = statistics.median(self._high)
        return Spike(self._since, len(self._high), high, level, (high - level) / progress if progress else None, chance)

    def _keep(self, loss: float) -> None:
        """Add a loss to the window, in the place of the oldest one."""
        if len(self._window) == self._window.maxlen:
            del self._sorted[bisect_left(self._sorted, self._window[0])]
        self._window.append(loss)
        insort(self._sorted, loss)

    def _bound_rise(self, level: float) -> float:
        """Return less than how far a high loss lies above the level: the deviation is not below the distance to the nearer quartile."""
        quarter = len(self._sorted) // 4
        below, above = level - self._sorted[quarter], self._sorted[-1 - quarter] - level
        return max(self.setback * (self.start - level), min(_NOISE, self.high) * MAD_TO_SIGMA * min(below, above))

    def _measure(self, level: float) -> tuple[float, float]:
        """Return how far a high loss lies above the level, and the run's progress, 0 if it has made none."""
        progress = self.start - level
        if not math.isfinite(progress):
            return math.inf, 0.0
        sigma = MAD_TO_SIGMA * statistics.median([abs(loss - level) for loss in self._window])
        if progress > _PROGRESS * sigma:
            return max(self.setback * progress, _NOISE * sigma), progress
        return self.high * sigma or math.inf, 0.0  # equal losses have no scale


def _median_of_sorted(values: list[float]) -> float:
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def _binomial_tail(count: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) >= count)."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(count, n + 1))
