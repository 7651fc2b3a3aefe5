"""Seen: all that is kept of a run's losses, in constant memory."""

import statistics
from collections import deque
from dataclasses import dataclass, field

from .robust import noise, spread

#: A run is looked at in so many stretches of equal length.
BLOCKS = 40
_LEAST_UPDATES = 5
# Losses of a block that its median is taken of, at most.
_MOST_VALUES = 64
_MOST_EVALUATIONS = 64


@dataclass(frozen=True)
class Block:
    """Successive updates, summed up.

    Args:
        start (`int`): The first update, counted from 1.
        end (`int`): The last.
        loss (`float`): Their median loss.
        spread (`float`): The losses' standard deviation, by the median absolute deviation.
        lr (`float`): The mean of their LRs, as a share of the peak LR.
        count (`int`): How many losses were told of them.
    """

    start: int
    end: int
    loss: float
    spread: float
    lr: float
    count: int


@dataclass(frozen=True)
class Evaluation:
    """An evaluation.

    Args:
        update (`int`): The update after which it was made.
        loss (`float`, *optional*): Its loss.
        score (`float`, *optional*): Its metric, so turned that more is better.
        samples (`int`, *optional*): How many samples it had.
    """

    update: int
    loss: float | None
    score: float | None = None
    samples: int | None = None


@dataclass
class Seen:
    """What is kept of a run.

    Args:
        num_updates (`int`): All updates of the run.
        updates_done (`int`, defaults to 0): Those before the first one that is seen.
    """

    num_updates: int
    updates_done: int = 0
    update: int = 0
    #: The share of the run that is over by what else its end is counted in, such as tokens.
    done_by_clock: float = 0.0
    lr: float = 0.0
    #: The highest LR so far, as a share of the peak, and the update that reached it.
    highest: tuple[float, int] = (0.0, 0)
    first: list[float] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    evaluations: deque[Evaluation] = field(default_factory=lambda: deque(maxlen=_MOST_EVALUATIONS))
    _norms: dict[int, list[float]] = field(default_factory=dict)
    _values: list[float] = field(default_factory=list)
    _lrs: float = 0.0
    _count: int = 0

    @property
    def block_size(self) -> int:
        return max(_LEAST_UPDATES, -(-self.num_updates // BLOCKS))

    def add_loss(self, update: int, loss: float, lr: float) -> bool:
        """The loss of an update and its LR as a share of the peak; whether a block is complete with it."""
        self.update, self.lr = update, lr
        if lr > self.highest[0]:
            self.highest = (lr, update)
        if len(self.first) < _LEAST_UPDATES:
            self.first.append(loss)
        if self._count % -(-self.block_size // _MOST_VALUES) == 0:
            self._values.append(loss)
        self._count += 1
        self._lrs += lr
        start = self.blocks[-1].end + 1 if self.blocks else self.updates_done + 1
        if update - start + 1 < self.block_size:
            return False
        block = Block(
            start,
            update,
            statistics.median(self._values),
            spread(self._values),
            self._lrs / self._count,
            self._count,
        )
        self.blocks.append(block)
        self._values, self._lrs, self._count = [], 0.0, 0
        return True

    def lr_sum(self, update: int) -> float:
        """The sum of the LRs until an update, as shares of the peak."""
        return sum(
            block.lr * (min(block.end, update) - block.start + 1) for block in self.blocks if block.start <= update
        )

    def add_norm(self, update: int, norm: float) -> None:
        """The norm of an update's gradients, of which not every update tells."""
        norms = self._norms.setdefault((update - self.updates_done - 1) // self.block_size, [])
        if len(norms) < _MOST_VALUES:
            norms.append(norm)

    @property
    def norms(self) -> list[tuple[int, int, float]]:
        """The median norm of the gradients in each stretch that told any, with the stretch's first and last update."""
        size, begun = self.block_size, self.updates_done
        return [
            (begun + index * size + 1, begun + (index + 1) * size, statistics.median(norms))
            for index, norms in sorted(self._norms.items())
        ]

    @property
    def start(self) -> float:
        """The loss before anything was learned: the least of the first update's and the median of the first few."""
        return min(self.first[0], statistics.median(self.first))

    @property
    def noise(self) -> float:
        """The standard deviation of one told loss: within the blocks, or of records, of which a block has few, from one to the
        next."""
        inner = [block.spread for block in self.blocks if block.count >= _LEAST_UPDATES]
        if inner:
            return statistics.median(inner)
        return noise([block.loss for block in self.blocks] if len(self.blocks) >= _LEAST_UPDATES else self.first)

    @property
    def error(self) -> float:
        """The standard error of a block's median, by the noise from one loss to the next: 1.2533 sigma / sqrt(n)."""
        count = statistics.median(block.count for block in self.blocks) if self.blocks else 1
        return 1.2533 * self.noise / count**0.5 or 1e-12 * max(abs(self.start), 1e-300)

    @property
    def done(self) -> float:
        """The share of the run that is over."""
        return min(1.0, max(self.update / self.num_updates, self.done_by_clock))
