"""RunInfo: what is known of a run before its first update."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ..schedules import Horizon

# The rest of a schedule is evaluated at so many points.
_POINTS = 200


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
    metric: str | None = None
    greater_is_better: bool | None = None
    updates_done: int = 0
    guess_loss: float | None = None
    is_contrastive: bool = False

    @cached_property  # it evaluates the whole curve
    def highest_lr(self) -> float:
        """The highest LR of the run, as a share of the peak LR, up to 1: below 1 after `warmup(10, to=0.5)`; 1 if unknown."""
        return min(1.0, self.max_lr_after(0.0) or 1.0)

    def is_high(self, lr: float, share: float) -> bool:
        """Whether an LR, as a share of the peak LR, is at least a share of the highest one of the run."""
        return lr >= share or lr >= share * self.highest_lr  # the first is nearly always enough

    def max_lr_after(self, share: float) -> float:
        """Return the highest LR from a share of the run on, as a share of the peak LR; 0 for an unknown schedule."""
        if self.curve is None:
            return 0.0
        return max(self.curve(share + (1 - share) * i / _POINTS) for i in range(_POINTS + 1))
