"""SpikeTest: whether the training loss has jumped up and stays there. Pure."""

import math
import statistics
from collections import deque
from dataclasses import dataclass

# Of a normal distribution, the standard deviation over the median absolute deviation.
_DEVIATION = 1.4826
# Before so many losses nothing is said; so many make up the loss at the start.
_FEWEST = 10
# Progress is told from noise when it is more than so many deviations.
_PROGRESS = 2.0
# What is neither high for the most part nor low again after so many losses is the run's new level.
_LONGEST_ROW = 50
# Of a small progress, half may be lost by noise alone: a high loss is more than so many deviations above the level, too.
_NOISE = 3.0


@dataclass(frozen=True)
class Spike:
    """A confirmed spike of the training loss.

    Args:
        since (`int`): The first update whose loss was high.
        updates (`int`): How many losses were high since.
        loss (`float`): Their median.
        level (`float`): The median of the losses before.
        setback (`float`, *optional*): How much of the run's progress is lost: 0 none, 1 all. `None` where there was none
            to lose.
        chance (`float`): How likely so many high losses in a row would be among the losses before.
    """

    since: int
    updates: int
    loss: float
    level: float
    setback: float | None
    chance: float

    @property
    def text(self) -> str:
        lost = "" if self.setback is None else f", {self.setback:.0%} of the progress is lost"
        return f"the loss rose from {self.level:.4g} to {self.loss:.4g} at update {self.since} and stayed there{lost}"


class SpikeTest:
    """Tells a jump of the training loss that stays from outliers, without a threshold on the loss itself.

    The losses before make up a sliding window, with their median `level` and their deviation `sigma`, 1.4826 times the
    median absolute deviation (Hampel, The Influence Curve and Its Role in Robust Estimation, 1974). A loss is *high* when

        loss - level > setback * (start - level)    where the run has made progress: start - level > 2 sigma,
                                                    and by more than 3 sigma
        loss - level > high * sigma                 where it has not

    with `start` the median of the run's first 10 losses: so a setback of 1 is back at the start. From a first high loss on, as long
    as at least half are high, h high ones among n are a spike once so many would be rarer than `chance`, were they drawn as
    those of the window are: `P(Binomial(n, p) >= h) < chance`, with p = (1 + high losses in the window) / (1 + losses in the
    window). In a row that is `p ** n < chance`: 4 high losses with none among 50, 7 with 10 % of them, 12 with 30 %. Of high
    and low ones in turn 5 high ones, with none among 50.

    Nothing changes when all losses are multiplied by a positive number or a number is added to them. Memory is constant.

    Args:
        window (`int`, defaults to 50): How many losses the level is taken from.
        setback (`float`, defaults to 0.75): The share of the progress that is lost at a high loss.
        chance (`float`, defaults to 1e-6): How rare a row of high losses must be.
        high (`float`, defaults to 10): How many deviations above the level are high where there was no progress.
        dense (`float`, defaults to 0.5): The share of the losses since the first high one that must be high: 1 for a row.
        start (`float`, *optional*): The loss that the run started from, where its first losses were seen before: in a run
            that is resumed, [`start`] of the test until then.

    Example:
    ```python
    >>> test = SpikeTest()
    >>> losses = [2.0] * 10 + [1.0, 1.1] * 25 + [1.9, 2.1, 7.0, 3.0]
    >>> found = [test.add(update, loss) for update, loss in enumerate(losses, 1)]
    >>> found[-1].text
    'the loss rose from 1.05 to 2.55 at update 61 and stayed there, 158% of the progress is lost'

    ```
    """

    def __init__(
        self,
        window: int = 50,
        setback: float = 0.75,
        chance: float = 1e-6,
        high: float = 10.0,
        dense: float = 0.5,
        start: float | None = None,
    ):
        self.setback = setback
        self.chance = chance
        self.high = high
        self.dense = dense
        self._window: deque[float] = deque(maxlen=window)
        #: The losses since the first high one, and the high ones among them.
        self._row: list[float] = []
        self._high: list[float] = []
        self._since = 0
        self._first: list[float] = []
        self._start = math.nan if start is None else float(start)
        self._knows_start = start is not None

    @property
    def start(self) -> float:
        """The loss that the run started from; NaN before its first one."""
        return self._start

    def forget(self) -> None:
        """Begins anew at whatever level the next losses have; what the run started from stays known."""
        self._window.clear()
        self._row, self._high = [], []

    def add(self, update: int, loss: float) -> Spike | None:
        """The loss of one more update; NaN counts as infinite.

        Returns:
            [`Spike`], *optional*: A spike that this loss confirms.
        """
        loss = math.inf if math.isnan(loss) else float(loss)
        if not self._knows_start and len(self._first) < _FEWEST:
            self._first.append(loss)
            self._start = statistics.median(self._first)
        if len(self._window) < _FEWEST:
            self._window.append(loss)
            return None
        level = statistics.median(self._window)
        rise, progress = self._yardstick(level)
        is_high = loss - level > rise  # not where it can't be told
        if not is_high and not self._high:
            self._window.append(loss)
            return None
        if not self._high:
            self._since = update
        self._row.append(loss)
        if is_high:
            self._high.append(loss)
        if len(self._high) < self.dense * len(self._row) or len(self._row) > _LONGEST_ROW:
            self._window.extend(self._row)
            self._row, self._high = [], []
            return None
        usual = (1 + sum(each - level > rise for each in self._window)) / (1 + len(self._window))
        chance = _at_least(len(self._high), len(self._row), usual)
        if not is_high or chance >= self.chance:
            return None
        high = statistics.median(self._high)
        return Spike(self._since, len(self._high), high, level, (high - level) / progress if progress else None, chance)

    def _yardstick(self, level: float) -> tuple[float, float]:
        """By how much a high loss is above the level, and the progress that it is measured by; 0 for none."""
        progress = self._start - level
        if not math.isfinite(progress):
            return math.inf, 0.0
        sigma = _DEVIATION * statistics.median([abs(loss - level) for loss in self._window])
        if progress > _PROGRESS * sigma:
            return max(self.setback * progress, _NOISE * sigma), progress
        return self.high * sigma or math.inf, 0.0  # losses that are all the same have no scale


def _at_least(count: int, of: int, share: float) -> float:
    """How likely `count` or more of `of` are, if each one is with the chance `share`: the binomial distribution's tail."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))
