"""ScheduleLR: the one torch LRScheduler of this package."""

import logging
import math
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..optim.wrappers import unwrap_optimizer
from ..schedules import Curve, Horizon, Schedule, ScheduleError, parse
from ..schedules.curve import Reaction
from ..schedules.families.cooldown import cooldown_of
from ..schedules.parser import as_schedule
from ..trajectory.clocks import Clock, as_clock
from ..trajectory.plateaus import PlateauTracker, scales_of, times, track_plateaus
from ..trajectory.resume import check_on_resume, resumed, taken_over
from ..trajectory.settings import RunSettings, listed
from ..trajectory.state import MOST_EVENTS, STATE_VERSION
from ..trajectory.trajectory import Trajectory, lrs_at

logger = logging.getLogger(__name__)

# Factors are computed for this many updates at a time: a curve is fastest on arrays.
_BLOCK = 1024


class ScheduleLR(LRScheduler):
    """Sets the LR of every parameter group to `peak * curve(t) * scale`, t = updates done so far.

    The LR is computed from t alone, never from the LR before it. A group's peak is its `initial_lr` where another
    scheduler left one (torch's convention), else its `lr`. LRs that are tensors are written in place. A group that has a
    `"schedule"`, a text or a [`Schedule`], follows that instead; where its factor is 0, the group's gradients are dropped
    before the optimizer steps, so that neither its weights nor the optimizer's moments of it move.

    The scale is 1 until something changes it: a `plateau()` in the schedule, which has to be told of each evaluation
    ([`observe`]), or [`rescale`].

    Args:
        optimizer (`torch.optim.Optimizer`): The optimizer that steps.
        schedule ([`Schedule`] or `str`): What to follow.
        num_training_steps (`int` or [`Horizon`]): All updates of the run.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        on_resume (`str`, defaults to `strict`): What a checkpoint with other settings (length, epochs, peak LRs,
            schedule) means: `strict` refuses it; `keep`, `stretch`, `switch` and `rewarm` go on as [`RESUME_CHOICES`]
            says.
        clock ([`Clock`] or `str`, defaults to `updates`): What the schedule counts. With `tokens(...)` or `time(...)`,
            [`move_to`] says how many those are.

    Raises:
        ScheduleError: The schedule can't be meant in this run.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    >>> scheduler = ScheduleLR(optimizer, "warmup(2) >> linear()", num_training_steps=4)
    >>> used = []
    >>> for _ in range(4):
    ...     used.append(optimizer.param_groups[0]["lr"])
    ...     optimizer.step()
    ...     scheduler.step()
    >>> used
    [0.0, 5e-05, 0.0001, 5e-05]

    ```
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | str,
        num_training_steps: int | Horizon,
        updates_per_epoch: int | None = None,
        on_resume: str = "strict",
        clock: Clock | str = "updates",
    ):
        check_on_resume(on_resume)
        self.on_resume = on_resume
        self.clock = as_clock(clock)
        self.schedule = as_schedule(schedule)
        groups = optimizer.param_groups
        own = [None if group.get("schedule") is None else as_schedule(group["schedule"]) for group in groups]
        self.peaks = [float(group.get("initial_lr", group["lr"])) for group in groups]
        run = num_training_steps
        if not isinstance(run, Horizon):
            run = Horizon(run, updates_per_epoch)
        elif updates_per_epoch is not None:
            raise ScheduleError("give updates_per_epoch in the Horizon or beside a number of updates, not both.")
        self.horizon = self.clock.horizon(run)
        # Once for each peak and schedule: 200 groups need not resolve 200 times.
        wanted = [(each or self.schedule, peak) for each, peak in zip(own, self.peaks, strict=True)]
        resolved = {each: each[0].resolve(self.horizon, peak=each[1]) for each in dict.fromkeys(wanted)}
        #: The curve of each parameter group.
        self.curves: list[Curve] = [resolved[each] for each in wanted]
        self.settings = RunSettings.of(self.schedule, self.horizon, self.peaks, own, str(self.clock))
        self.trajectory = Trajectory(self.settings)
        #: What changed the trajectory or the scale, the latest last: resumes with other settings, drops of a plateau, ….
        self.events: list[dict[str, Any]] = []
        #: How many there were in this process: `events` holds the latest alone.
        self.num_events = 0
        #: What was to be before the latest resume with other settings: its trajectory or, of another scheduler, its last LRs.
        self.before_resume: Trajectory | list[float] | None = None
        #: What [`LossGuard`] must know after a resume: `acts`, how often it has acted; `start`, the loss at the run's start.
        self.guard: dict[str, float] = {}
        #: The factor of [`rescale`], over all groups.
        self.scale = 1.0
        #: Updates behind the checkpoint that is to be loaded, where somebody knows: other schedulers may count otherwise.
        self.updates_done: int | None = None
        #: Seconds of training, resumes included; kept by whoever keeps the time.
        self.seconds = 0.0
        #: Who sees to what in the run the schedule follows, of `plateau`, `cooldown` and `clock`: callbacks, or a loop.
        self.attended: set[str] = set()
        self.plateaus = track_plateaus(self.curves, self.settings.schedules)
        self._position = 0.0
        self._block_start = -1
        self._blocks: list[list[float]] = []
        self._steps_for_update = self._doubled_updates = 0
        self._said: tuple[str | None, bool | None] = (None, None)
        self._scales = [1.0] * len(groups)
        super().__init__(optimizer)
        self._drop_gradients_of_frozen_groups()

    @property
    def position(self) -> float:
        """Where on its curve the next update is: updates done, or what else the clock counts."""
        return self._position if self.horizon.unit != "updates" else self.last_epoch + self._position

    @property
    def offset(self) -> float:
        """From updates done to the position on the curve; not 0 after a resume with another batch size."""
        return self._position if self.horizon.unit == "updates" else 0.0

    @property
    def scales(self) -> list[float]:
        """What each group's LRs are multiplied by now."""
        return list(self._scales)

    @property
    def end(self) -> float:
        """The position at which the run is over: the end of the curve, or of a cooldown that began early."""
        return self.trajectory.end(self.curves)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The LR of each group for the next update."""
        return times(self._unscaled(), self._scales)

    def _unscaled(self) -> list[float]:
        position = self.position
        if position % 1 or self.horizon.unit != "updates":
            return lrs_at(self.trajectory, position, self.curves)
        start = int(position) - int(position) % _BLOCK
        if start != self._block_start:
            updates = np.arange(start, start + _BLOCK, dtype=np.float64)
            self._blocks = [lrs.tolist() for lrs in self.trajectory.lrs(updates, self.curves)]
            self._block_start = start
        offset = int(position) - start
        return [block[offset] for block in self._blocks]

    def step(self, epoch: int | None = None) -> None:
        """To be called once after every `optimizer.step()` that was not skipped."""
        if self._step_count < 2 or epoch is not None:
            if self._step_count == 1:
                self._warn_of_what_nobody_attends_to()
            super().step(epoch)  # torch's own checks of the order of calls are in its first steps
            self._last_lr = [*map(float, self._last_lr)]
            return
        self._refuse_two_steps_for_each_update()
        self._step_count += 1
        self.last_epoch += 1
        self._write(self.get_lr())

    def _warn_of_what_nobody_attends_to(self) -> None:
        tell = {
            "plateau": (bool(self.plateaus), "plateau() follows evaluations", "PlateauCallback", "observe(metrics)"),
            "cooldown": (
                self.cooldown is not None,
                "cooldown() may begin early",
                "CooldownCallback",
                "start_cooldown()",
            ),
            "clock": (
                self.horizon.unit != "updates",
                f"clock={self.clock} counts",
                "ClockCallback",
                "move_to(position)",
            ),
        }
        for what, (is_there, why, callback, method) in tell.items():
            if is_there and what not in self.attended:
                logger.warning(
                    f"{why}, and nobody attends to it: give the Trainer callbacks=[{callback}()]; or, in a loop of your own, call "
                    f"scheduler.{method}, and say so by scheduler.attended.add({what!r})."
                )

    def advance_to(self, t: int) -> None:
        """Goes to a number of updates that are over, also those whose step was skipped."""
        self.last_epoch = t
        self._write(self.get_lr())

    def move_to(self, position: float) -> None:
        """Goes to a position of the clock: tokens seen, or seconds. It never goes back."""
        self._position = max(self._position, float(position))
        self._write(self.get_lr())

    def observe(self, metrics: dict[str, Any]) -> list[dict[str, Any]]:
        """Tells each `plateau()` that watches now of an evaluation; to be called once for each, on every process.

        Args:
            metrics (`dict[str, Any]`): By their names in the record: `{"eval_loss": 0.4}`.

        Returns:
            `list[dict[str, Any]]`: The events: which scales fell.

        Raises:
            ScheduleError: A metric that is followed is not there; or whether it should rise or fall can't be told.

        Example:
        ```python
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = ScheduleLR(optimizer, "hold() * plateau(factor=0.5, patience=0)", num_training_steps=100)
        >>> scheduler.attended.add("plateau")
        >>> for loss in (0.5, 0.6):
        ...     optimizer.step()
        ...     scheduler.step()
        ...     events = scheduler.observe({"eval_loss": loss})
        >>> scheduler.get_last_lr()
        [0.5]

        ```
        """
        watching = self._watching()
        seen = [(tracker, tracker.rule.value(metrics), self._direction(tracker)) for tracker in watching]
        events = [self._after_evaluation(*each) for each in seen]
        return [event for event in events if event is not None]

    def _watching(self) -> list[PlateauTracker]:
        position = self.trajectory.stretched(self.position)
        return [tracker for tracker in self.plateaus if tracker.reaction.start < position <= tracker.reaction.end]

    def metrics_wanted(self) -> list[str]:
        """The metrics that an evaluation at this position should have."""
        return list(dict.fromkeys(tracker.rule.metric for tracker in self._watching()))

    def follow(self, best_metric: str | None = None, greater_is_better: bool | None = None) -> None:
        """Says what the Trainer's arguments say about a metric's direction.

        Args:
            best_metric (`str`, *optional*): The Trainer's `metric_for_best_model`.
            greater_is_better (`bool`, *optional*): The Trainer's.

        Raises:
            ScheduleError: Whether a metric should rise or fall can't be told.
        """
        self._said = (best_metric, greater_is_better)
        for tracker in self.plateaus:
            self._direction(tracker)

    def _direction(self, tracker: PlateauTracker) -> str:
        return tracker.rule.direction(*self._said)

    def rescale(self, factor: float, cause: str) -> dict[str, Any]:
        """Multiplies the LR of every group by a factor from here on; an event with its cause.

        Returns:
            `dict[str, Any]`: The event.

        Raises:
            ScheduleError: The factor is not above 0 and finite.
        """
        if not (0 < factor < math.inf):
            raise ScheduleError(f"the factor of rescale() must be a finite number above 0, got {factor!r}.")
        before = self.scale
        self.scale *= factor
        return self._changed({"kind": "scale", "cause": cause, "scale_before": before, "scale_after": self.scale})

    def start_cooldown(self, cause: str = "told to") -> dict[str, Any] | None:
        """Begins the schedule's `cooldown()` now; the run is over at [`end`]. To be called on every process.

        Returns:
            `dict[str, Any]`: The event; `None` where the cooldown has begun already.

        Raises:
            ScheduleError: The schedule has no `cooldown()`.
        """
        planned = self.cooldown
        if planned is None:
            raise ScheduleError(
                f"{str(self.schedule)!r} has no cooldown to begin. Write e.g. warmup(2%) >> hold() >> cooldown(20%)."
            )
        if self.is_cooling:
            return None
        event = {"kind": "cooldown", "cause": cause, "planned": planned.start}
        self.trajectory = replace(self.trajectory, cooldown_at=self.position)
        self._block_start = -1
        return self._changed(event)

    @property
    def cooldown(self) -> Reaction | None:
        """Where the schedule has its cooldown, if it has one."""
        return next(filter(None, map(cooldown_of, self.curves)), None)

    @property
    def is_cooling(self) -> bool:
        """Whether the cooldown has begun, early or in its time."""
        planned = self.cooldown
        return planned is not None and (
            self.trajectory.cooldown_at is not None or self.trajectory.stretched(self.position) >= planned.start
        )

    def _after_evaluation(self, tracker: PlateauTracker, value: float, direction: str) -> dict[str, Any] | None:
        before = tracker.state
        tracker.state = after = tracker.rule.after(before, value, direction)
        if after["scale"] == before["scale"]:
            return None
        best = "no best so far" if before["best"] is None else f"the best was {before['best']:.6g}"
        return self._changed(
            {
                "kind": "plateau",
                "cause": f"{tracker.rule.metric} {value:.6g}, {best}",
                "scale_before": before["scale"],
                "scale_after": after["scale"],
            }
        )

    def _changed(self, event: dict[str, Any]) -> dict[str, Any]:
        before = list(self._last_lr)
        self._rescale()
        self._write(self.get_lr())
        event = {**event, "t": self.last_epoch, "lr_before": float(before[0]), "lr_after": float(self._last_lr[0])}
        self.events = [*self.events, event][-MOST_EVENTS:]
        self.num_events += 1
        return event

    def _rescale(self) -> None:
        self._scales = scales_of(self.trajectory, self.plateaus, self.scale)

    def drop_frozen_gradients(self) -> None:
        """Takes the gradients of groups whose own schedule is at 0: the optimizer then leaves them alone."""
        # By what each group holds, not by its place: DeepSpeed's ZeRO shows the optimizer one group at a time.
        for group in self.optimizer.param_groups if self.trajectory.settings.own else ():
            if group.get("schedule") is not None and float(group["lr"]) == 0:
                for parameter in group["params"]:
                    parameter.grad = None

    def _drop_gradients_of_frozen_groups(self) -> None:
        optimizer = unwrap_optimizer(self.optimizer)
        earlier = getattr(optimizer, "_hf_lrsched_hook", None)
        if earlier is not None:  # of an earlier train(), whose LRs no longer hold
            earlier.remove()
        if self.settings.own:
            scheduler = weakref.ref(self)

            def before_step(*_: Any) -> None:
                if (alive := scheduler()) is not None:
                    alive.drop_frozen_gradients()

            optimizer._hf_lrsched_hook = optimizer.register_step_pre_hook(before_step)

    def _refuse_two_steps_for_each_update(self) -> None:
        # torch marks the optimizer at each of its steps, which the base class arranged. One surplus step may be meant, at
        # an update whose optimizer step was skipped; at three updates in a row it is a mistake.
        if not getattr(self.optimizer, "_opt_called", False):
            self._steps_for_update += 1
            return
        self.optimizer._opt_called = False  # type: ignore[attr-defined]
        self._doubled_updates = self._doubled_updates + 1 if self._steps_for_update > 1 else 0
        if self._doubled_updates == 3:
            raise ScheduleError(
                f"the scheduler is stepped {self._steps_for_update} times for each optimizer.step(), so the schedule would be "
                "spent too early. accelerator.prepare(scheduler) steps it once for every process: use prepare_schedule() "
                "instead, and step it once after each update."
            )
        self._steps_for_update = 1

    def _write(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        self._last_lr = [*lrs]

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the trajectory is computed anew: curves are functions, which can't be pickled.
        return {
            name: value for name, value in self.__dict__.items() if name not in ("curves", "_blocks", "_block_start")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, curves=state["trajectory"].curves(), _blocks=[], _block_start=-1)

    def state_dict(self) -> dict[str, Any]:
        """Plain data, which `torch.load(weights_only=True)` reads."""
        return {
            "version": STATE_VERSION,
            "t": self.last_epoch,
            "position": self.position,
            "settings": self.settings.to_data(),
            "trajectory": None if self.trajectory == Trajectory(self.settings) else self.trajectory.to_data(),
            "scale": self.scale,
            "seconds": self.seconds,
            "plateaus": [tracker.to_data() for tracker in self.plateaus],
            "events": [dict(event) for event in self.events],
            "guard": dict(self.guard),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where a checkpoint stopped; to the bit if the settings are the same, else as `on_resume` says.

        A checkpoint of another scheduler, such as the stock Trainer's, is taken over where its LRs are those of this
        curve, or with `on_resume` `switch` or `rewarm`.

        Raises:
            ScheduleError: The settings differ and `on_resume` is `strict`, its choice is not possible here, or the state is
                damaged or of a newer version. Nothing is changed then.
        """
        if "version" in state_dict:
            found = resumed(state_dict, self.settings, self.on_resume)
        else:
            found = taken_over(state_dict, self.settings, self.on_resume, self.updates_done)
        if found.trajectory != self.trajectory:
            self.trajectory = found.trajectory
            self.curves = found.trajectory.curves()
            self.peaks = list(found.trajectory.settings.peaks)
            self.schedule = parse(found.trajectory.settings.schedule)
            self.horizon = found.trajectory.settings.horizon
        self.plateaus, self.scale, self.events = found.plateaus, found.scale, found.events
        self.before_resume, self.seconds, self.guard = found.before, found.seconds, found.guard
        self.last_epoch = found.t
        self._position = found.position - (found.t if self.horizon.unit == "updates" else 0)
        self._step_count = found.t + 1
        self._block_start = -1
        own = self.trajectory.settings.own or (None,) * len(self.peaks)
        for group, peak, schedule in zip(self.optimizer.param_groups, self.peaks, own, strict=True):
            group["initial_lr"] = peak  # the optimizer's state brought the checkpoint's
            group.pop("schedule", None)
            if schedule is not None:
                group["schedule"] = schedule
        self._rescale()
        self._write(self.get_lr())

    def explain_resume(self) -> str:
        """One line: the LR before and after the position at which this run goes on."""
        t = self.last_epoch
        now = listed([*map(float, self._last_lr)])
        latest = self.events[-1] if self.events else {}
        if latest.get("kind") != "resume" or latest["t"] != t:
            return f"resumed after update {t}: the next LR is {now}, as it was to be"
        before = listed(latest["lr_before"])
        how = "at the same place in the data" if latest["how"] == "epochs" else f"with on_resume={latest['how']!r}"
        return f"resumed after update {t} {how}: the next LR was to be {before} and is {now}"
