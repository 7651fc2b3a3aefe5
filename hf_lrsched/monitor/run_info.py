"""What a run is about to do, as far as the monitor needs to know."""

from collections.abc import Callable
from dataclasses import dataclass

from ..schedules import Horizon


@dataclass(frozen=True)
class Plan:
    """What is known before the first update.

    Args:
        num_updates (`int`): All updates of the run.
        learning_rate (`float`): The peak LR.
        schedule (`str`, *optional*): The schedule's text, where it is one of this package.
        num_epochs (`float`, *optional*): The run's epochs, where they make its length.
        curve (`Callable[[float], float]`, *optional*): The LR as a share of the peak LR at a share of the run, where the
            schedule is known.
        horizon ([`Horizon`], *optional*): What the schedule was resolved against. Defaults to the updates alone.
        step_ratio (`float`, *optional*): Peak LR / RMS of the weights, for optimizers whose steps have the size of the LR.
        metric (`str`, *optional*): The metric that says what is better.
        greater_is_better (`bool`, *optional*): Of that metric.
        updates_done (`int`, defaults to 0): Updates before the first one that is seen: not 0 in a run that is resumed. What
            compares with the loss before anything was learned is then not told.
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

    @property
    def run(self) -> Horizon:
        """What the schedule is resolved against."""
        return self.horizon or Horizon(self.num_updates)

    def highest_after(self, share: float) -> float:
        """The highest LR from a share of the run on, as a share of the peak LR; 0 where the schedule is not known."""
        if self.curve is None:
            return 0.0
        return max(self.curve(share + (1 - share) * i / _POINTS_AHEAD) for i in range(_POINTS_AHEAD + 1))


# At so many points the rest of a schedule is looked at.
_POINTS_AHEAD = 200
