"""RunState: where a run is on its schedule, and everything that a resume needs."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..schedules import Curve, Horizon, ScheduleError
from ..schedules.curve import ReactivePart
from ..schedules.families.cooldown import find_cooldown
from .clocks import convert_position
from .plateaus import PlateauTracker, get_scales, restore_plateaus, track_plateaus
from .resume import check_on_resume, explain_refusal, is_same_data, resume_trajectory, rewarm
from .settings import RunSettings, format_lrs
from .trajectory import Trajectory

STATE_VERSION = 3

# The state must not grow with the run: it keeps the latest events only.
MAX_EVENTS = 16

# LRs are computed for this many updates at a time: a curve is fastest on arrays.
_BLOCK = 1024


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
        clock_position (`float`, defaults to 0): The position of a clock that does not count updates: tokens or seconds.
        scale (`float`, defaults to 1): What [`rescale`] made of all LRs.
        seconds (`float`, defaults to 0): Seconds of training, resumes included.
        events (`list[dict[str, Any]]`): The latest changes: resumes with other settings, drops of a plateau, and so on.
        num_events (`int`, defaults to 0): All changes in this process.
        owners (`dict[str, dict[str, float]]`): Numbers that others keep here through a resume, by owner: `owners["guard"]`.
        updates_done (`int`, *optional*): Updates done at the checkpoint to be loaded, where the training loop knows them. The
            state of another scheduler may have counted evaluations, or left out skipped updates.

    Example:
    ```python
    >>> state = RunState.start(RunSettings("warmup(2) >> linear()", Horizon(4), peaks=(1e-4,)))
    >>> state.advance_to(3)
    >>> state.lrs()
    [5e-05]
    >>> event = state.rescale(0.5, "a test")
    >>> event["lr_before"], event["lr_after"]
    (5e-05, 2.5e-05)
    >>> RunState.from_data(state.to_data()).lrs()
    [2.5e-05]

    ```
    """

    settings: RunSettings
    trajectory: Trajectory
    update: int = 0
    offset: float = 0.0
    clock_position: float = 0.0
    scale: float = 1.0
    seconds: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)
    num_events: int = 0
    owners: dict[str, dict[str, float]] = field(default_factory=dict)
    updates_done: int | None = None

    def __post_init__(self) -> None:
        #: The curve of each parameter group.
        self.curves: list[Curve] = self.trajectory.curves()
        #: What each `plateau()` has observed.
        self.plateaus: list[PlateauTracker] = track_plateaus(self.curves, self.trajectory.settings.schedules)
        self._best_metric: tuple[str | None, bool | None] = (None, None)
        self._block: list[list[float]]  # the LRs of all groups, for each of these updates
        self._forget_block()

    @classmethod
    def start(cls, settings: RunSettings) -> "RunState":
        """The state before the first update."""
        return cls(settings, Trajectory(settings))

    def __getstate__(self) -> dict[str, Any]:
        # Curves are functions, which cannot be pickled.
        return {name: value for name, value in vars(self).items() if name not in ("curves", "_block", "_block_start")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, curves=state["trajectory"].curves())
        self._forget_block()

    @property
    def horizon(self) -> Horizon:
        """The length of the run that the trajectory was made for, in what the clock counts."""
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
        return self.update + self.offset if self.counts_updates else self.clock_position

    @position.setter
    def position(self, position: float) -> None:
        if self.counts_updates:
            self.offset = position - self.update
        else:
            self.clock_position = position
        self._forget_block()

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
        planned = self.cooldown
        return planned is not None and (
            self.trajectory.cooldown_at is not None or self.trajectory.to_curve_position(self.position) >= planned.start
        )

    def lrs(self) -> list[float]:
        """The LR of each group for the next update. The list is shared: copy it before you change it."""
        index = self.update - self._block_start
        if not 0 <= index < len(self._block):
            index = self._compute_block()
        return self._block[index]

    def _compute_block(self) -> int:
        """Compute the LRs of the updates around the next one. Returns the place of the next one."""
        if self.counts_updates:
            self._block_start = self.update - self.update % _BLOCK
            updates = np.arange(self._block_start, self._block_start + _BLOCK, dtype=np.float64)
            positions = np.maximum(updates + self.offset, 0)  # after a resume there are none before
            lrs = np.stack(self.trajectory.lrs(positions, self.curves), axis=1)
            block: list[list[float]] = (lrs * self.scales).tolist()
            self._block = block
        else:  # the same position until the clock moves
            self._block_start = self.update
            lrs = np.array(self.trajectory.lrs_at(self.position, self.curves))
            self._block = [(lrs * self.scales).tolist()] * _BLOCK
        return self.update - self._block_start

    def _forget_block(self) -> None:
        self._block = []
        self._block_start = 0

    def advance_to(self, update: int) -> None:
        """Go to a number of updates done, those included whose optimizer step was skipped."""
        self.update = update

    def move_to(self, position: float) -> None:
        """Go to a position of a clock that does not count updates: tokens seen, or seconds. It never goes back.

        Raises:
            ScheduleError: The clock counts updates.
        """
        if self.counts_updates:
            raise ScheduleError(
                f"move_to({position:g}): clock={self.settings.clock} counts updates, which step() does. move_to() is for "
                "tokens(...) and time(...)."
            )
        if position > self.clock_position:
            self.position = float(position)

    def set_best_metric(self, best_metric: str | None = None, greater_is_better: bool | None = None) -> None:
        """Take over what Trainer's arguments say about the direction of a metric.

        Args:
            best_metric (`str`, *optional*): Trainer's `metric_for_best_model`.
            greater_is_better (`bool`, *optional*): Trainer's.

        Raises:
            ScheduleError: The direction of a metric that a `plateau()` needs is not known.
        """
        self._best_metric = (best_metric, greater_is_better)
        for plateau in self.plateaus:
            plateau.rule.direction(*self._best_metric)

    def _active_plateaus(self) -> list[PlateauTracker]:
        position = self.trajectory.to_curve_position(self.position)
        return [plateau for plateau in self.plateaus if plateau.reaction.start < position <= plateau.reaction.end]

    def required_metrics(self) -> list[str]:
        """The metrics that an evaluation at this position must have."""
        return list(dict.fromkeys(plateau.rule.metric for plateau in self._active_plateaus()))

    def observe(self, metrics: dict[str, Any]) -> list[dict[str, Any]]:
        """Report an evaluation to each `plateau()` that is active now.

        Args:
            metrics (`dict[str, Any]`): By name: `{"eval_loss": 0.4}`.

        Returns:
            `list[dict[str, Any]]`: An event for each scale that fell.

        Raises:
            ScheduleError: A metric that is needed is missing, or its direction is not known. Nothing is changed then.
        """
        active = self._active_plateaus()
        observed = [(each, each.rule.read(metrics), each.rule.direction(*self._best_metric)) for each in active]
        events = []
        for plateau, value, direction in observed:
            before = plateau.state
            after = plateau.rule.next_state(before, value, direction)
            if after["scale"] == before["scale"]:
                plateau.state = after
                continue
            best = "no best so far" if before["best"] is None else f"the best was {before['best']:.6g}"
            event = {"kind": "plateau", "cause": f"{plateau.rule.metric} {value:.6g}, {best}"}
            scales = {"scale_before": before["scale"], "scale_after": after["scale"]}
            lrs = self.lrs()
            plateau.state = after
            events.append(self._record(event | scales, lrs))
        return events

    def rescale(self, factor: float, cause: str) -> dict[str, Any]:
        """Multiply the LR of every group by a factor from here on.

        Args:
            factor (`float`): Above 0 and finite.
            cause (`str`): The reason, for the event.

        Returns:
            `dict[str, Any]`: The event.

        Raises:
            ScheduleError: The factor is not above 0 and finite.
        """
        if not (0 < factor < math.inf):
            raise ScheduleError(f"the factor of rescale() must be a finite number above 0, got {factor!r}.")
        before, lrs = self.scale, self.lrs()
        self.scale *= factor
        return self._record({"kind": "scale", "cause": cause, "scale_before": before, "scale_after": self.scale}, lrs)

    def start_cooldown(self, cause: str = "start_cooldown()") -> dict[str, Any] | None:
        """Begin the schedule's `cooldown()` now. The run is over at [`end`].

        Returns:
            `dict[str, Any]`: The event; `None` where the cooldown has begun already.

        Raises:
            ScheduleError: The schedule has no `cooldown()`.
        """
        planned = self.cooldown
        if planned is None:
            raise ScheduleError(
                f"{self.trajectory.settings.schedule!r} has no cooldown to begin. Write e.g. "
                "warmup(2%) >> hold() >> cooldown(20%)."
            )
        if self.is_cooling:
            return None
        lrs = self.lrs()
        self.trajectory = replace(self.trajectory, cooldown_at=self.position)
        return self._record({"kind": "cooldown", "cause": cause, "planned": planned.start}, lrs)

    def _record(self, event: dict[str, Any], lrs_before: list[float]) -> dict[str, Any]:
        self._forget_block()
        event |= {"t": self.update, "lr_before": lrs_before[0], "lr_after": self.lrs()[0]}
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

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "RunState":
        """The state of a checkpoint, with the settings of the run that wrote it.

        Raises:
            ScheduleError: The data is corrupted, or of another version.
        """
        if data["version"] != STATE_VERSION:
            raise ScheduleError(
                f"the checkpoint's schedule state has version {data['version']!r}; this version of hf-lrsched reads version "
                f"{STATE_VERSION}. Resume with the version that wrote it."
            )
        try:
            settings = RunSettings.from_data(data["settings"])
            known = data["trajectory"]
            state = cls(
                settings,
                Trajectory(settings) if known is None else Trajectory.from_data(known),
                update=int(data["update"]),
                scale=float(data["scale"]),
                seconds=float(data["seconds"]),
                events=[dict(event) for event in data["events"]],
                owners={
                    str(name): {str(k): float(v) for k, v in each.items()} for name, each in data["owners"].items()
                },
            )
            state.position = float(data["position"])
            restored = restore_plateaus(state.plateaus, [dict(each) for each in data["plateaus"]])
            numbers = [
                state.position,
                state.scale,
                state.seconds,
                *(v for o in state.owners.values() for v in o.values()),
            ]
            if restored != len(state.plateaus) or len(data["plateaus"]) != restored:
                raise ValueError(f"{len(data['plateaus'])} plateaus for a schedule with {len(state.plateaus)}")
            if not (all(map(math.isfinite, numbers)) and min(state.update, *numbers[:3]) >= 0 and state.scale > 0):
                raise ValueError(f"update {state.update}; position, scale, seconds and owners {numbers}")
            for event in state.events:
                int(event["t"])
                if event["kind"] == "resume":
                    str(event["how"]), [float(lr) for key in ("lr_before", "lr_after") for lr in event[key]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ScheduleError(f"the checkpoint's schedule state is corrupted: {error!r}.") from error
        return state

    def resume(self, saved: dict[str, Any], on_resume: str) -> "Resume":
        """Continue under the settings of this run where a checkpoint stopped. This state itself is not changed.

        Args:
            saved (`dict[str, Any]`): The data of [`to_data`], or the state of a scheduler of torch.
            on_resume (`str`): One of [`RESUME_CHOICES`], for a checkpoint with other settings.

        Raises:
            ScheduleError: The saved state is corrupted, or `on_resume` does not allow what differs.
        """
        if "version" not in saved:
            return self._take_over(saved, on_resume)
        old = RunState.from_data(saved)
        if old.settings == self.settings:
            return Resume(self._continue(old, old.trajectory, old.position))
        is_plain = replace(old.trajectory, cooldown_at=None) == Trajectory(old.settings)
        if is_plain and is_same_data(old.settings, self.settings):
            was, now, at = old.settings.horizon, self.settings.horizon, old.trajectory.cooldown_at
            cooldown_at = None if at is None else convert_position(at, was, now)
            trajectory = Trajectory(self.settings, cooldown_at=cooldown_at)
            resume = Resume(self._continue(old, trajectory, convert_position(old.position, was, now)), None, "epochs")
        else:
            trajectory = resume_trajectory(old.trajectory, old.settings, self.settings, old.position, on_resume)
            resume = Resume(self._continue(old, trajectory, old.position), old.trajectory, on_resume)
        new = resume.state
        if trajectory.rewarm is not None and trajectory.rewarm.at == old.position:
            # The climb begins at the LRs that were used, so the scale that holds from now on is taken out of them.
            lrs = tuple(lr / scale for lr, scale in zip(old.lrs(), new.scales, strict=True))
            new.trajectory = replace(trajectory, rewarm=replace(trajectory.rewarm, lrs=lrs))
        new._record_resume(resume.how, old.lrs())
        return resume

    def _continue(self, old: "RunState", trajectory: Trajectory, position: float) -> "RunState":
        """The old state under the settings of this run. A plateau goes on where the new schedules have the same one."""
        copied = {name: getattr(old, name) for name in ("update", "scale", "seconds", "events", "owners")}
        new = replace(self, trajectory=trajectory, offset=0.0, clock_position=0.0, **copied)
        new._best_metric = self._best_metric
        new.position = position
        restore_plateaus(new.plateaus, [plateau.to_data() for plateau in old.plateaus])
        return new

    def _record_resume(self, how: str, before: list[float]) -> None:
        event = {"kind": "resume", "t": self.update, "how": how, "lr_before": before, "lr_after": self.lrs()}
        self.events = [*self.events, event][-MAX_EVENTS:]

    def _take_over(self, saved: dict[str, Any], on_resume: str) -> "Resume":
        """Continue from the state of a scheduler of torch, of which a position and the last LRs are known."""
        try:
            update, before = int(saved["last_epoch"]), [float(lr) for lr in saved["_last_lr"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ScheduleError(
                f"the checkpoint's scheduler state is neither of hf-lrsched nor of a torch scheduler: {error!r}."
            ) from error
        update = update if self.updates_done is None else self.updates_done
        if not self.counts_updates:
            raise ScheduleError(
                f"cannot resume: the checkpoint is another scheduler's, which counted updates, and clock={self.settings.clock} "
                "does not. Resume with clock='updates'."
            )
        new = RunState(self.settings, Trajectory(self.settings), update, num_events=self.num_events)
        new._best_metric = self._best_metric
        if len(before) != len(new.peaks):
            raise ScheduleError(
                f"cannot resume: the checkpoint's optimizer has {len(before)} parameter groups, this one {len(new.peaks)}."
            )
        if all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15) for x, y in zip(before, new.lrs(), strict=True)):
            return Resume(new)
        choice, over = check_on_resume(on_resume)
        if choice not in ("switch", "rewarm"):
            differences = ["the checkpoint is another scheduler's, whose curve is not known"]
            raise ScheduleError(
                explain_refusal(differences, f"update {update}", before, new.lrs(), ("switch", "rewarm"))
            )
        if choice == "rewarm":
            new.trajectory = rewarm(self.settings, update, before, over or "5%")
            new._forget_block()
        new._record_resume(on_resume, before)
        return Resume(new, before, on_resume)

    def explain_resume(self) -> str:
        """One line: the LR before and after the update at which this run goes on."""
        now = format_lrs(self.lrs())
        latest = self.events[-1] if self.events else {}
        if latest.get("kind") != "resume" or latest["t"] != self.update:
            return f"resumed after update {self.update}: the next LR is {now}, as it was to be"
        before = format_lrs(latest["lr_before"])
        how = "at the same place in the data" if latest["how"] == "epochs" else f"with on_resume={latest['how']!r}"
        return f"resumed after update {self.update} {how}: the next LR was to be {before} and is {now}"


@dataclass(frozen=True)
class Resume:
    """The outcome of a resume.

    Args:
        state ([`RunState`]): The state to go on with.
        before ([`Trajectory`] or `list[float]`, *optional*): What was to be: the checkpoint's trajectory, or the last LRs of
            another scheduler. `None` if the settings are the same, or differ in the batch size only.
        how (`str`, defaults to `same`): `same` settings; the same place in the data with another batch size (`epochs`); or the
            `on_resume` that was applied.
    """

    state: RunState
    before: Trajectory | list[float] | None = None
    how: str = "same"
