"""RunInfo: what is known of a run before its first update."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ..schedules import Horizon

# The rest of a schedule is evaluated at so many points.
_POINTS = 200
# Its mean is that of so many points: with many parameter groups, each takes as long as a step of the scheduler.
_MEAN_POINTS = 40
# So many times their size the steps of a run must be able to move random weights.
_MIN_TOTAL = 1.5


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run before its first update.

    Args:
        num_updates (`int`): All updates of the run.
        learning_rate (`float`): The peak LR.
        schedule (`str`, *optional*): The schedule's text, if it is one of this package.
        num_epochs (`float`, *optional*): The run's epochs, if they set its length.
        curve (`Callable[[float], float]`, *optional*): The LR as a share of the peak LR, at a share of the run.
        horizon ([`Horizon`], *optional*): What the schedule was resolved against. Defaults to `num_updates` alone.
        step_ratio (`float`, *optional*): Peak LR / RMS of the weights, for optimizers whose steps have the size of the LR.
        has_random_weights (`bool`, defaults to `False`): Whether the model is known to begin with random weights.
        metric (`str`, *optional*): The metric that decides which evaluation is better.
        greater_is_better (`bool`, *optional*): Whether more of that metric is better.
        updates_done (`int`, defaults to 0): Updates made before this process began: above 0 in a resumed run, whose start is not
            observed.
        guess_loss (`float`, *optional*): The loss of uniform guesses, the logarithm of the number of classes or tokens.
        is_contrastive (`bool`, defaults to `False`): Whether the loss may compare the samples of a batch, so that it depends on how
            many there are and says little about what was learned.
    """

    num_updates: int
    learning_rate: float
    schedule: str | None = None
    num_epochs: float | None = None
    curve: Callable[[float], float] | None = None
    horizon: Horizon | None = None
    step_ratio: float | None = None
    has_random_weights: bool = False
    metric: str | None = None
    greater_is_better: bool | None = None
    updates_done: int = 0
    guess_loss: float | None = None
    is_contrastive: bool = False

    @cached_property  # it evaluates the whole curve
    def highest_lr(self) -> float:
        """The highest LR of the run, as a share of the peak LR, up to 1: below 1 after `warmup(10, to=0.5)`; 1 if unknown."""
        return min(1.0, self.max_lr_after(0.0) or 1.0)

    @cached_property
    def total_steps(self) -> float | None:
        """The sum of all steps of the run, in sizes of the weights, which cannot move further; `None` if the steps are not known."""
        if self.step_ratio is None:
            return None
        shares = [self.curve((i + 0.5) / _MEAN_POINTS) for i in range(_MEAN_POINTS)] if self.curve else [1.0]
        return self.step_ratio * statistics.fmean(shares) * self.num_updates

    @property
    def moves_little(self) -> bool:
        """Whether random weights cannot move by 1.5 times their size: in healthy runs all steps together are 2.1 times and more."""
        return self.has_random_weights and self.total_steps is not None and self.total_steps < _MIN_TOTAL

    def is_high(self, lr: float, share: float) -> bool:
        """Whether an LR, as a share of the peak LR, is at least a share of the highest one of the run."""
        return lr >= share or lr >= share * self.highest_lr  # the first is nearly always enough

    def max_lr_after(self, share: float) -> float:
        """Return the highest LR from a share of the run on, as a share of the peak LR; 0 for an unknown schedule."""
        if self.curve is None:
            return 0.0
        return max(self.curve(share + (1 - share) * i / _POINTS) for i in range(_POINTS + 1))
