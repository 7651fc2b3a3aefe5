"""LossHistory: what is kept of a run's losses, in constant memory."""

import statistics
from collections import deque
from dataclasses import dataclass, field

from .robust import noise, spread

#: A run is divided into so many blocks of equal length.
NUM_BLOCKS = 40
_MIN_UPDATES = 5
# A block's median is taken of so many losses, at most.
_MAX_LOSSES = 64
_MAX_EVALUATIONS = 64


@dataclass(frozen=True)
class Block:
    """Successive updates, summarized.

    Args:
        start (`int`): The first update, counted from 1.
        end (`int`): The last update.
        loss (`float`): Their median loss.
        spread (`float`): The losses' standard deviation, from their median absolute deviation.
        lr (`float`): The mean of their LRs, as a share of the peak LR.
        count (`int`): How many losses they had: one per update, or one per log record.
    """

    start: int
    end: int
    loss: float
    spread: float
    lr: float
    count: int


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Args:
        update (`int`): The update after which it was made.
        loss (`float`): The validation loss.
        score (`float`, *optional*): Its metric, negated where less is better.
        samples (`int`, *optional*): The size of the validation split.
        metrics (`dict[str, float]`): All its metrics that are no losses, the score's too, by name and as they are.
    """

    update: int
    loss: float
    score: float | None = None
    samples: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class LossHistory:
    """The losses of a run so far, summarized.

    Args:
        num_updates (`int`): All updates of the run.
        updates_done (`int`, defaults to 0): Updates before the first one that is observed.
    """

    num_updates: int
    updates_done: int = 0
    update: int = 0
    #: The share of the run that is over by another clock, such as tokens.
    clock_share: float = 0.0
    #: The latest LR, the highest one so far, both as shares of the peak, and the update that reached it.
    lr: float = 0.0
    max_lr: float = 0.0
    max_lr_update: int = 0
    #: The first few losses, by their updates.
    first: dict[int, float] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    evaluations: deque[Evaluation] = field(default_factory=lambda: deque(maxlen=_MAX_EVALUATIONS))
    _losses: list[float] = field(default_factory=list)
    _lr_sum: float = 0.0
    _count: int = 0

    def __post_init__(self) -> None:
        #: Updates of a block.
        self.block_size = max(_MIN_UPDATES, -(-self.num_updates // NUM_BLOCKS))

    def add_loss(self, update: int, loss: float, lr: float) -> bool:
        """Add the loss of an update and its LR as a share of the peak; return whether it completes a block."""
        self.update, self.lr = update, lr
        if lr > self.max_lr:
            self.max_lr, self.max_lr_update = lr, update
        if len(self.first) < _MIN_UPDATES:
            self.first[update] = loss
        if self._count % -(-self.block_size // _MAX_LOSSES) == 0:
            self._losses.append(loss)
        self._count += 1
        self._lr_sum += lr
        start = self.blocks[-1].end + 1 if self.blocks else self.updates_done + 1
        if update - start + 1 < self.block_size:
            return False
        loss, lr = statistics.median(self._losses), self._lr_sum / self._count
        self.blocks.append(Block(start, update, loss, spread(self._losses), lr, self._count))
        self._losses, self._lr_sum, self._count = [], 0.0, 0
        return True

    def sum_lr(self, update: int) -> float:
        """Sum the LRs until an update, as shares of the peak."""
        return sum(
            block.lr * (min(block.end, update) - block.start + 1) for block in self.blocks if block.start <= update
        )

    @property
    def validation(self) -> list[Evaluation]:
        """The evaluations after the first update."""
        return [each for each in self.evaluations if each.update > 0]

    @property
    def start(self) -> float:
        """The loss before anything was learned: the lowest of the first loss, the first few and the first evaluation.

        A small batch may have a low loss by chance: if the first evaluation lies above, the mean counts, up to twice the lowest.
        """
        update, loss = next(iter(self.first.items()))
        limit = max(update, self.updates_done + _MIN_UPDATES)  # log records may be of many updates each
        first = [each for update, each in self.first.items() if update <= limit]
        low = min(loss, statistics.median(first))
        evaluated = self.evaluations[0].loss if self.evaluations else low
        return max(low, min(evaluated, statistics.fmean(first), 2 * low))

    @property
    def noise(self) -> float:
        """The standard deviation of one loss: within the blocks, or between records where a block has few of them."""
        inner = [block.spread for block in self.blocks if block.count >= _MIN_UPDATES]
        if inner:
            return statistics.median(inner)
        losses = [block.loss for block in self.blocks]
        return noise(losses if len(losses) >= _MIN_UPDATES else [*self.first.values()])

    @property
    def standard_error(self) -> float:
        """The standard error of a block's median: 1.2533 sigma / sqrt(n)."""
        count = statistics.median(block.count for block in self.blocks) if self.blocks else 1
        return 1.2533 * self.noise / count**0.5 or 1e-12 * max(abs(self.start), 1e-300)

    @property
    def share_done(self) -> float:
        """The share of the run that is over."""
        return min(1.0, max(self.update / self.num_updates, self.clock_share))
