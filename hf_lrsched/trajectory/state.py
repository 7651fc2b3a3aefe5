"""RunState: where a run is on its schedule, and everything that a resume needs."""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..schedules import Curve, Horizon, ScheduleError
from ..schedules.curve import ReactivePart
from ..schedules.families.cooldown import find_cooldown
from ..schedules.families.momentum import get_momentum
from ..schedules.shapes import Array
from .lr_rows import BLOCK, LRRows
from .plateaus import PlateauTracker, get_scales, track_plateaus
from .settings import RunSettings
from .trajectory import Trajectory

STATE_VERSION = 3

# The state must not grow with the run: it keeps the latest events only.
MAX_EVENTS = 16


@dataclass(eq=False)
class RunState:
    """Where a run is on its schedule, what changed its LRs, and what others keep for a resume.

    The LR of a group for the next update is `trajectory(position) * scale`, where the scale is that of [`rescale`] times that
    of each `plateau()` in the group's schedule.

    Args:
        settings ([`RunSettings`]): The settings of this run.
        trajectory ([`Trajectory`]): The LRs that the run follows. After a resume with `keep` or `stretch` it is the
            checkpoint's, and so are `schedule`, `peaks` and `horizon`.
        update (`int`, defaults to 0): Updates done.
        offset (`float`, defaults to 0): From the updates done to the position; not 0 after a resume with another batch size.
        stride (`float`, defaults to 1): Positions for each update; above 1 in a probe, which runs through a curve in fewer updates.
        clock_position (`float`, defaults to 0): The position of a clock that does not count updates: tokens or seconds.
        scale (`float`, defaults to 1): What [`rescale`] made of all LRs.
        seconds (`float`, defaults to 0): Seconds of training, resumes included.
        events (`list[dict[str, Any]]`): The latest changes: resumes with other settings, drops of a plateau, and so on.
        num_events (`int`, defaults to 0): All changes in this process.
        owners (`dict[str, dict[str, float]]`): Numbers that others keep here through a resume, by owner: `owners["guard"]`.

    Example:
    ```python
    >>> state = RunState.start(RunSettings("warmup(2) >> linear()", Horizon(4), peaks=(1e-4,)))
    >>> state.advance_to(3)
    >>> event = state.rescale(0.5, "a test")
    >>> event["lr_before"], event["lr_after"]
    (5e-05, 2.5e-05)

    ```
    """

    settings: RunSettings
    trajectory: Trajectory
    update: int = 0
    offset: float = 0.0
    stride: float = 1.0
    clock_position: float = 0.0
    scale: float = 1.0
    seconds: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)
    num_events: int = 0
    owners: dict[str, dict[str, float]] = field(default_factory=dict)
    best_metric: tuple[str | None, bool | None] = (None, None)

    def __post_init__(self) -> None:
        self._resolve()
        #: What each `plateau()` has observed.
        self.plateaus: list[PlateauTracker] = track_plateaus(self.curves, self.trajectory.settings.schedules)

    def _resolve(self) -> None:
        #: The curve of each parameter group.
        self.curves: list[Curve] = self.trajectory.curves()
        found = {curve: get_momentum(curve) for curve in set(self.curves)}
        #: The momentum that belongs to a curve, where its schedule has `momentum()`.
        self.momentum_curves = {curve: momentum for curve, momentum in found.items() if momentum is not None}
        self._rows = LRRows()

    @classmethod
    def start(cls, settings: RunSettings) -> "RunState":
        """Return the state before the first update."""
        return cls(settings, Trajectory(settings))

    def __getstate__(self) -> dict[str, Any]:
        # Curves are functions, which cannot be pickled.
        return {name: value for name, value in vars(self).items() if name not in ("curves", "momentum_curves", "_rows")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._resolve()

    @property
    def horizon(self) -> Horizon:
        """The length of the trajectory, in what the clock counts."""
        return self.trajectory.settings.horizon

    @property
    def peaks(self) -> tuple[float, ...]:
        """The peak LR of each group on the trajectory."""
        return self.trajectory.settings.peaks

    @property
    def counts_updates(self) -> bool:
        """Whether the position follows from the updates done."""
        return self.horizon.unit == "updates"

    @property
    def position(self) -> float:
        """The position of the next update on the trajectory: updates done, or what else the clock counts."""
        return self.update * self.stride + self.offset if self.counts_updates else self.clock_position

    @position.setter
    def position(self, position: float) -> None:
        if self.counts_updates:
            self.offset = position - self.update * self.stride
        else:
            self.clock_position = position
        self._rows = LRRows()

    @property
    def end(self) -> float:
        """The position at which the run is over: the end of the curve, or of a cooldown that began early."""
        return self.trajectory.end(self.curves)

    @property
    def scales(self) -> list[float]:
        """The scale of each group."""
        return get_scales(self.trajectory, self.plateaus, self.scale)

    @property
    def cooldown(self) -> ReactivePart | None:
        """The schedule's `cooldown()` with its planned start and end, if it has one."""
        return next(filter(None, map(find_cooldown, self.curves)), None)

    @property
    def is_cooling(self) -> bool:
        """Whether the cooldown has begun, early or as planned."""
        begun_early, planned = self.trajectory.cooldown_at is not None, self.cooldown
        return planned is not None and (begun_early or self._curve_position >= planned.start)

    def advance(self) -> list[float]:
        """Go to the next update, and return [`lrs`]."""
        self.update = update = self.update + 1
        return self._rows.get(update) or self._rows.read(update, partial(_compute_block, self))

    def lrs(self) -> list[float]:
        """Return the LR of each group for the next update. The list is shared: copy it before you change it."""
        return self._rows.get(self.update) or self._rows.read(self.update, partial(_compute_block, self))

    def momenta(self) -> list[float | None]:
        """Return the momentum of each group for the next update; `None` where the schedule has no `momentum()`."""
        position = np.array([self._curve_position])
        values = {curve: float(momentum(position)[0]) for curve, momentum in self.momentum_curves.items()}
        return [values.get(curve) for curve in self.curves]

    def advance_to(self, update: int) -> None:
        """Go to a number of updates done, those included whose optimizer step was skipped."""
        self.update = update

    def move_to(self, position: float) -> None:
        """Go to a position of a clock that does not count updates: tokens seen, or seconds. It never goes back.

        With a clock that counts updates a [`ScheduleError`] is raised.
        """
        if self.counts_updates:
            raise ScheduleError(
                f"move_to({position:g}) is for tokens(...) and time(...): clock={self.settings.clock} counts updates, which step() does."
            )
        if position > self.clock_position:
            self.position = float(position)

    def set_best_metric(self, best_metric: str | None = None, greater_is_better: bool | None = None) -> None:
        """Take over Trainer's `metric_for_best_model` and `greater_is_better`, for the direction of that metric.

        Raises:
            ScheduleError: The direction of a metric that a `plateau()` needs is not known.
        """
        self.best_metric = (best_metric, greater_is_better)
        for plateau in self.plateaus:
            plateau.rule.direction(*self.best_metric)

    @property
    def _curve_position(self) -> float:
        return self.trajectory.to_curve_position(self.position)

    def _active_plateaus(self) -> list[PlateauTracker]:
        at = self._curve_position
        return [plateau for plateau in self.plateaus if plateau.reaction.start < at <= plateau.reaction.end]

    def list_required_metrics(self) -> list[str]:
        """Return the metrics that an evaluation at this position must have."""
        return list(dict.fromkeys(plateau.rule.metric for plateau in self._active_plateaus()))

    def observe(self, metrics: dict[str, Any]) -> list[dict[str, Any]]:
        """Report an evaluation to each `plateau()` that is active now.

        Args:
            metrics (`dict[str, Any]`): By name: `{"eval_loss": 0.4}`.

        Returns an event for each scale that fell.

        Raises:
            ScheduleError: A metric that is needed is missing, or its direction is not known. Nothing is changed then.
        """
        active = self._active_plateaus()
        observed = [(each, each.rule.read(metrics), each.rule.direction(*self.best_metric)) for each in active]
        events = []
        for plateau, value, direction in observed:
            before, lrs = plateau.state, self.lrs()
            plateau.state = after = plateau.rule.next_state(before, value, direction)
            if after["scale"] != before["scale"]:
                best = "no best so far" if before["best"] is None else f"the best was {before['best']:.6g}"
                cause = f"{plateau.rule.metric} {value:.6g}, {best}"
                scales = {"scale_before": before["scale"], "scale_after": after["scale"]}
                events.append(self._record("plateau", cause, lrs, **scales))
        return events

    def rescale(self, factor: float, cause: str) -> dict[str, Any]:
        """Multiply the LR of every group by a factor from here on.

        Args:
            factor (`float`): Above 0 and finite, else a [`ScheduleError`] is raised.
            cause (`str`): The reason, for the event that is returned.
        """
        if not (0 < factor < math.inf):
            raise ScheduleError(f"the factor of rescale() must be a finite number above 0, got {factor!r}.")
        before, lrs = self.scale, self.lrs()
        self.scale *= factor
        return self._record("scale", cause, lrs, scale_before=before, scale_after=self.scale)

    def start_cooldown(self, cause: str = "start_cooldown()") -> dict[str, Any] | None:
        """Begin the schedule's `cooldown()` now. The run is over at [`end`].

        Returns the event, or `None` if the cooldown has begun already. Without a `cooldown()` a [`ScheduleError`] is raised.
        """
        planned = self.cooldown
        if planned is None:
            raise ScheduleError(
                f"{self.trajectory.settings.schedule!r} has no cooldown to begin. Write e.g. hold() >> cooldown(20%)."
            )
        if self.is_cooling:
            return None
        lrs = self.lrs()
        self.trajectory = replace(self.trajectory, cooldown_at=self.position)
        return self._record("cooldown", cause, lrs, planned=planned.start)

    def _record(self, kind: str, cause: str, lrs_before: list[float], **details: float) -> dict[str, Any]:
        self._rows = LRRows()
        event = {"kind": kind, "cause": cause, **details, "t": self.update}
        event |= {"lr_before": lrs_before[0], "lr_after": self.lrs()[0]}
        self.events = [*self.events, event][-MAX_EVENTS:]
        self.num_events += 1
        return event

    def to_data(self) -> dict[str, Any]:
        """Plain data, which `torch.load(weights_only=True)` reads."""
        return {
            "version": STATE_VERSION,
            "update": self.update,
            "position": self.position,
            "settings": self.settings.to_data(),
            "trajectory": None if self.trajectory == Trajectory(self.settings) else self.trajectory.to_data(),
            "scale": self.scale,
            "seconds": self.seconds,
            "plateaus": [plateau.to_data() for plateau in self.plateaus],
            "events": [dict(event) for event in self.events],
            "owners": {name: dict(values) for name, values in self.owners.items()},
        }


def _compute_block(state: RunState) -> Array:
    """Compute the LRs of the updates that follow, a row for each."""
    scales = np.array(state.scales)
    if not state.counts_updates:  # the position stays the same until the clock moves
        return np.tile(state.trajectory.lrs_at(state.position, state.curves) * scales, (BLOCK, 1))
    positions = np.maximum(np.arange(state.update, state.update + BLOCK) * state.stride + state.offset, 0.0)
    lrs: Array = np.stack(state.trajectory.lrs(positions, state.curves), axis=1) * scales
    return lrs


def explain_rescale(state: RunState, event: dict[str, Any]) -> str:
    """Say what an event of [`RunState.rescale`] did to the LR, for a printed line."""
    scales = f"(scale {event['scale_before']:.4g} to {event['scale_after']:.4g})"
    if state.position >= state.end and not any(state.lrs()):
        return f"the schedule has ended at an LR of 0, so no LR is left to lower {scales}"
    return f"the LR goes from {event['lr_before']:.4g} to {event['lr_after']:.4g} {scales}"
