"""ScheduleLR: the one torch LRScheduler of this package."""

from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..optim.wrappers import replace_hooks
from ..schedules import Curve, Horizon, Schedule, ScheduleError
from ..schedules.numbers import format_count
from ..schedules.parser import as_schedule
from ..schedules.units import as_horizon
from ..trajectory.clocks import Clock, as_clock
from ..trajectory.resume import check_on_resume
from ..trajectory.resume_state import Resume, resume_state
from ..trajectory.settings import RunSettings
from ..trajectory.state import RunState
from .frozen_groups import add_freezing_hook, restore_groups
from .momentum import check_momentum, write_momenta
from .saved_optimizer import SavedOptimizer
from .step_order import StepOrder
from .supported_optimizers import check_optimizer


class ScheduleLR(LRScheduler):
    """Set the LR of every parameter group to `peak * curve(t) * scale`, where t is the number of updates done.

    The LR is computed from t alone, never from the LR before it. A group's peak is its `initial_lr` if another scheduler left
    one (torch's convention), else its `lr`. LRs that are tensors are written in place. A group with a `"schedule"`, a text or
    a [`Schedule`], follows that instead; while its factor is 0, the group's gradients are dropped before the optimizer steps,
    so that neither its weights nor its moments change.

    The scale is 1 until a `plateau()` in the schedule, which [`observe`] drives, or [`rescale`] changes it.

    Args:
        optimizer (`torch.optim.Optimizer`): The optimizer that trains.
        schedule ([`Schedule`] or `str`): The schedule.
        num_training_steps (`int` or [`Horizon`]): All updates of the run.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        on_resume (`str`, defaults to `strict`): What to do with a checkpoint that has other settings (length, epochs, peak
            LRs, schedule): `strict` refuses it; `keep`, `stretch`, `switch` and `rewarm` go on as [`RESUME_CHOICES`] says.
        clock ([`Clock`] or `str`, defaults to `updates`): What the schedule counts. With `tokens(...)` or `time(...)`,
            report the position by [`move_to`].

    Raises:
        ScheduleError: The schedule is invalid in this run.

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
        check_optimizer(optimizer)
        groups = optimizer.param_groups
        settings = RunSettings.build(
            as_schedule(schedule),
            self.clock.horizon(as_horizon(num_training_steps, updates_per_epoch)),
            [float(group.get("initial_lr", group["lr"])) for group in groups],
            [None if group.get("schedule") is None else as_schedule(group["schedule"]) for group in groups],
            str(self.clock),
        )
        #: Where the run is on its schedule, and everything that a resume needs.
        self.run_state = RunState.start(settings)
        check_momentum(optimizer, self.run_state.momenta())
        self.last_resume: Resume | None = None  #: The outcome of the latest `load_state_dict`.
        self.step_order = StepOrder()
        self._plain_groups: Any = None  # the optimizer's groups, if no LR of theirs is a tensor
        self.saved_optimizer = SavedOptimizer(optimizer, on_resume)  #: What a checkpoint keeps of the optimizer.
        super().__init__(optimizer)
        replace_hooks(optimizer, [*add_freezing_hook(optimizer), *self.saved_optimizer.add_hooks(optimizer)])

    @property
    def last_epoch(self) -> int:
        """The updates done, by torch's name."""
        return self.run_state.update

    @last_epoch.setter
    def last_epoch(self, update: int) -> None:
        self.run_state.update = update

    @property  # type: ignore[override]
    def base_lrs(self) -> tuple[float, ...]:
        """The peak LR of each group, by torch's name. It cannot be set: use [`rescale`]."""
        return self.run_state.peaks

    @base_lrs.setter
    def base_lrs(self, lrs: Any) -> None:
        if "_step_count" in vars(self):  # not in torch's own __init__
            raise ScheduleError(
                "base_lrs cannot be set: the LRs follow from the schedule and from the peaks that the optimizer had at the start. "
                "To change all LRs from here on, call scheduler.rescale(0.5, 'why')."
            )

    @property
    def schedule(self) -> Schedule:
        """The schedule that is followed: after a resume with `keep` or `stretch`, the checkpoint's."""
        return as_schedule(self.run_state.trajectory.settings.schedule)

    @property
    def curves(self) -> list[Curve]:
        """The curve of each parameter group."""
        return self.run_state.curves

    @property
    def position(self) -> float:
        """The position of the next update on the schedule: updates done, or what else the clock counts."""
        return self.run_state.position

    @property
    def end(self) -> float:
        """The position at which the run is over."""
        return self.run_state.end

    @property
    def events(self) -> list[dict[str, Any]]:
        """The latest changes of the LRs that are not on paper: resumes, drops of a plateau, and so on."""
        return self.run_state.events

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """Return the LR of each group for the next update."""
        return list(self.run_state.lrs())

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """Return the LR of each group that was written last, as plain numbers."""
        return [*map(float, self._last_lr)]

    def step(self, epoch: int | None = None) -> None:
        """Go to the next update. Call it once after every `optimizer.step()` that was not skipped."""
        if self._step_count < 2 or epoch is not None:
            if self._step_count == 1:
                self.step_order.warn_of_undriven(self.run_state)
            super().step(epoch)  # torch checks the order of calls in the first steps
            self._write()
            return
        order = self.step_order
        optimizer: Any = self.optimizer
        if order.is_regular and getattr(optimizer, "_opt_called", False):
            optimizer._opt_called = False
        else:
            order.check(optimizer)
        self._step_count += 1
        lrs = self.run_state.advance()
        groups: Any = optimizer.param_groups
        if groups is not self._plain_groups or len(groups) != len(lrs):
            self._write()
            return
        self._last_lr = lrs  # type: ignore[assignment]
        for group, lr in zip(groups, lrs):  # noqa: B905  # their lengths were compared, and strict= costs time
            group["lr"] = lr

    def _write(self) -> None:
        self._last_lr = lrs = self.run_state.lrs()  # type: ignore[assignment]
        groups = self.optimizer.param_groups
        if len(groups) != len(lrs):
            raise ScheduleError(
                f"the optimizer has {format_count(len(groups), 'parameter group')} now, and the scheduler was made for {len(lrs)}: their LRs are not "
                "known. Add groups before the scheduler is made, e.g. as frozen ones with gradual_unfreezing(...)."
            )
        tensors = [isinstance(group["lr"], torch.Tensor) for group in groups]
        for group, lr, is_tensor in zip(groups, lrs, tensors, strict=True):
            group["lr"] = group["lr"].fill_(lr) if is_tensor else lr
        # Torch makes a new list when it loads a state, and only then can the type of an LR change.
        self._plain_groups = None if any(tensors) or self.run_state.momentum_curves else groups
        if self.run_state.momentum_curves:
            write_momenta(self.optimizer, self.run_state.momenta())

    def declare_driven(self, *parts: str) -> None:
        """Declare that something drives reactive parts of the schedule. Without it the first step warns.

        Args:
            parts (`str`): `plateau` if [`observe`] is called after evaluations, `cooldown` if [`start_cooldown`] may be called,
                `clock` if [`move_to`] is called.
        """
        self.step_order.driven.update(parts)

    def advance_to(self, update: int) -> None:
        """Go to a number of updates done. Updates whose optimizer step was skipped count, too."""
        self.run_state.advance_to(update)
        self._write()

    def move_to(self, position: float) -> None:
        """Go to a position of the clock: tokens seen, or seconds. See [`RunState.move_to`]."""
        self.run_state.move_to(position)
        self._write()

    def observe(self, metrics: dict[str, Any]) -> list[dict[str, Any]]:
        """Report an evaluation to each active `plateau()`. Call it once for each evaluation, on every process.

        Args:
            metrics (`dict[str, Any]`): By name: `{"eval_loss": 0.4}`.

        Returns:
            `list[dict[str, Any]]`: An event for each scale that fell.

        Raises:
            ScheduleError: A metric that is needed is missing, or its direction is not known.

        Example:
        ```python
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = ScheduleLR(optimizer, "hold() * plateau(factor=0.5, patience=0)", num_training_steps=100)
        >>> scheduler.declare_driven("plateau")
        >>> for loss in (0.5, 0.6):
        ...     optimizer.step()
        ...     scheduler.step()
        ...     events = scheduler.observe({"eval_loss": loss})
        >>> scheduler.get_last_lr()
        [0.5]

        ```
        """
        events = self.run_state.observe(metrics)
        self._write()
        return events

    def rescale(self, factor: float, cause: str) -> dict[str, Any]:
        """Multiply the LR of every group by a factor from here on. See [`RunState.rescale`]."""
        event = self.run_state.rescale(factor, cause)
        self._write()
        return event

    def start_cooldown(self, cause: str = "start_cooldown()") -> dict[str, Any] | None:
        """Begin the schedule's `cooldown()` now, on every process. See [`RunState.start_cooldown`]."""
        event = self.run_state.start_cooldown(cause)
        self._write()
        return event

    def state_dict(self) -> dict[str, Any]:
        """Return plain data, which `torch.load(weights_only=True)` reads."""
        return {**self.run_state.to_data(), "optimizer": self.saved_optimizer.to_data()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint stopped: to the bit if the settings are the same, else as `on_resume` says.

        The checkpoint of another scheduler, such as the stock Trainer's, is taken over if its LRs are those of this curve, or
        if `on_resume` is `switch` or `rewarm`.

        Raises:
            ScheduleError: The settings differ and `on_resume` does not allow it, or the state is corrupted. Nothing is changed
                then.
        """
        order = self.saved_optimizer.compare(state_dict.get("optimizer"), self.optimizer)
        self.last_resume = resume_state(self.run_state, state_dict, self.on_resume, order)
        self.run_state = self.last_resume.state
        self._step_count = self.run_state.update + 1
        restore_groups(self.optimizer.param_groups, self.run_state.trajectory.settings)
        write_momenta(self.optimizer, self.run_state.momenta())
        self._write()
