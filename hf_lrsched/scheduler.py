"""ScheduleLR: the one torch LRScheduler of this package, and the factory for a stock Trainer."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .course import RESUME_CHOICES, Course, Settings, check_on_resume, lrs_at, refusal, resume, rewarmed
from .schedules import Curve, Horizon, Schedule, ScheduleError, from_transformers, parse
from .schedules.phase import NAMES
from .schedules.transformers_names import ENDLESS, TRANSFORMERS_NAMES, WITHOUT_END

STATE_VERSION = 1

# Factors are computed for this many updates at a time: a curve is fastest on arrays.
_BLOCK = 1024


class ScheduleLR(LRScheduler):
    """Sets the LR of every parameter group to `peak * curve(t)`, t = updates done so far.

    The LR is computed from t alone, never from the LR before it. A group's peak is its `initial_lr` where another
    scheduler left one (torch's convention), else its `lr`. LRs that are tensors are written in place.

    Args:
        optimizer (`torch.optim.Optimizer`): The optimizer that steps.
        schedule ([`Schedule`] or `str`): What to follow.
        num_training_steps (`int` or [`Horizon`]): All updates of the run.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        on_resume (`str`, defaults to `strict`): What a checkpoint with other settings (length, epochs, peak LRs,
            schedule) means: `strict` refuses it; `keep`, `stretch`, `switch` and `rewarm` go on as [`RESUME_CHOICES`]
            says.

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
    ):
        check_on_resume(on_resume)
        self.on_resume = on_resume
        self.schedule = as_schedule(schedule)
        self.peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        # Once for each peak: 200 groups need not resolve 200 times.
        resolved = {
            peak: self.schedule.resolve(num_training_steps, updates_per_epoch, peak=peak) for peak in set(self.peaks)
        }
        #: The curve of each parameter group.
        self.curves: list[Curve] = [resolved[peak] for peak in self.peaks]
        self.horizon = self.curves[0].horizon
        self.settings = Settings.of(self.schedule, self.horizon, self.peaks)
        self.course = Course(self.settings)
        #: What changed the course: resumes with other settings.
        self.events: list[dict[str, Any]] = []
        self._block_start = -1
        self._blocks: list[list[float]] = []
        self._steps_for_update = self._doubled_updates = 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The LR of each group for the next update."""
        start = self.last_epoch - self.last_epoch % _BLOCK
        if start != self._block_start:
            updates = np.arange(start, start + _BLOCK, dtype=np.float64)
            self._blocks = [lrs.tolist() for lrs in self.course.lrs(updates, self.curves)]
            self._block_start = start
        offset = self.last_epoch - start
        return [block[offset] for block in self._blocks]

    def step(self, epoch: int | None = None) -> None:
        """To be called once after every `optimizer.step()` that was not skipped."""
        if self._step_count < 2 or epoch is not None:
            super().step(epoch)  # torch's own checks of the order of calls are in its first steps
            self._last_lr = [*map(float, self._last_lr)]
            return
        self._refuse_two_steps_for_each_update()
        self._step_count += 1
        self.last_epoch += 1
        self._write(self.get_lr())

    def advance_to(self, t: int) -> None:
        """Goes to a position: the number of updates that are over, also those whose step was skipped."""
        self.last_epoch = t
        self._write(self.get_lr())

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
        # What follows from the course is computed anew: curves are functions, which can't be pickled.
        return {
            name: value for name, value in self.__dict__.items() if name not in ("curves", "_blocks", "_block_start")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, curves=state["course"].curves(), _blocks=[], _block_start=-1)

    def state_dict(self) -> dict[str, Any]:
        """Plain data, which `torch.load(weights_only=True)` reads."""
        return {
            "version": STATE_VERSION,
            "t": self.last_epoch,
            "settings": self.settings.to_data(),
            "course": None if self.course == Course(self.settings) else self.course.to_data(),
            "events": [dict(event) for event in self.events],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where a checkpoint stopped; to the bit if the settings are the same, else as `on_resume` says.

        A checkpoint of another scheduler, such as the stock Trainer's, is taken over where its LRs are those of this
        curve, or with `on_resume` `switch` or `rewarm`.

        Raises:
            ScheduleError: The settings differ and `on_resume` is `strict`, its choice is not possible here, or the state is
                damaged or of a newer version. Nothing is changed then.
        """
        t, course, events = self._resumed(state_dict) if "version" in state_dict else self._taken_over(state_dict)
        if course != self.course:
            self.course = course
            self.curves = course.curves()
            self.peaks = list(course.settings.peaks)
            self.schedule = self.curves[0].schedule
        self.events = events
        self.last_epoch = t
        self._step_count = t + 1
        self._block_start = -1
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["initial_lr"] = peak  # the optimizer's state brought the checkpoint's
        self._write(self.get_lr())

    def explain_resume(self) -> str:
        """One line: the LR before and after the position at which this run goes on."""
        t = self.last_epoch
        now = ", ".join(f"{lr:.4g}" for lr in dict.fromkeys(self._last_lr))
        latest = self.events[-1] if self.events else {}
        if latest.get("kind") != "resume" or latest["t"] != t:
            return f"resumed after update {t}: the next LR is {now}, as it was to be"
        before = ", ".join(f"{lr:.4g}" for lr in dict.fromkeys(latest["lr_before"]))
        return f"resumed after update {t} with on_resume={latest['how']!r}: the next LR was to be {before} and is {now}"

    def _resumed(self, state: dict[str, Any]) -> tuple[int, Course, list[dict[str, Any]]]:
        version = state["version"]
        if version != STATE_VERSION:
            raise ScheduleError(
                f"the checkpoint's schedule state has version {version!r}; this hf-lrsched reads {STATE_VERSION}. Was it "
                "written by a newer version?"
            )
        try:
            t, events = int(state["t"]), [dict(event) for event in state["events"]]
            settings = Settings.from_data(state["settings"])
            old = Course(settings) if state["course"] is None else Course.from_data(state["course"])
        except (KeyError, TypeError, ValueError) as error:
            raise ScheduleError(f"the checkpoint's schedule state is damaged: {error!r}.") from error
        if settings == self.settings:
            return t, old, events
        course = resume(old, settings, self.settings, t, self.on_resume)
        return t, course, [*events, _resume_event(t, self.on_resume, lrs_at(old, t), lrs_at(course, t))]

    def _taken_over(self, state: dict[str, Any]) -> tuple[int, Course, list[dict[str, Any]]]:
        """From the state of torch's own schedulers: what they have in common are a position and the last LRs."""
        try:
            t, before = int(state["last_epoch"]), [float(lr) for lr in state["_last_lr"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ScheduleError(
                f"the checkpoint's scheduler state is neither of hf-lrsched nor of a torch scheduler: {error!r}."
            ) from error
        after = lrs_at(self.course, t)
        if len(before) != len(after):
            raise ScheduleError(
                f"can't resume: the checkpoint's optimizer has {len(before)} parameter groups, this one {len(after)}."
            )
        if all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15) for x, y in zip(before, after, strict=True)):
            return t, self.course, []
        choice, over = check_on_resume(self.on_resume)
        possible = {name: what for name, what in RESUME_CHOICES.items() if name in ("switch", "rewarm")}
        if choice not in possible:
            differences = ["the checkpoint is another scheduler's, whose curve is not known"]
            raise ScheduleError(refusal(differences, t, before, after, possible))
        course = self.course if choice == "switch" else rewarmed(self.settings, t, before, over or "5%")
        return t, course, [_resume_event(t, self.on_resume, before, lrs_at(course, t))]


def _resume_event(t: int, how: str, before: list[float], after: list[float]) -> dict[str, Any]:
    return {"kind": "resume", "t": t, "how": how, "lr_before": before, "lr_after": after}


def as_schedule(schedule: Schedule | str) -> Schedule:
    """A schedule, read from its text where it is one."""
    if isinstance(schedule, str):
        return parse(schedule)
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"a schedule is a text such as 'warmup(10%) >> linear()' or an object such as warmup('10%') >> linear(), got "
            f"{type(schedule).__name__}."
        )
    return schedule


def get_schedule(
    schedule: Schedule | str,
    optimizer: Optimizer,
    num_training_steps: int | Horizon | None = None,
    *,
    num_warmup_steps: int | None = None,
    updates_per_epoch: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
    **transformers_kwargs: Any,
) -> ScheduleLR:
    """A scheduler for `optimizers=(optimizer, scheduler)` of the stock Trainer, or for a loop of one's own.

    It also takes the names of `transformers.get_scheduler` with their arguments, so that code moves over by changing
    one import; the two names that follow a metric are the exception.

    Args:
        schedule ([`Schedule`] or `str`): E.g. `"warmup(10%) >> linear()"`; or a bare name of transformers, `"cosine"`.
        optimizer (`torch.optim.Optimizer`): The optimizer that steps.
        num_training_steps (`int`): All updates of the run: batches / gradient accumulation steps, never batches.
            transformers' `constant`, `constant_with_warmup` and `inverse_sqrt` do without.
        num_warmup_steps (`int`, *optional*): For transformers' names only.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        scheduler_specific_kwargs (`dict`, *optional*): transformers' way to pass what `transformers_kwargs` takes.
        transformers_kwargs: For transformers' names only: `num_cycles`, `min_lr_rate`, `lr_end`, ….

    Returns:
        [`ScheduleLR`]

    Raises:
        ScheduleError: The schedule can't be meant in this run, or an argument is unknown: none is swallowed.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    >>> get_schedule("warmup(10%) >> cosine()", optimizer, num_training_steps=345).get_last_lr()
    [0.0]
    >>> get_schedule("cosine", optimizer, num_warmup_steps=0, num_training_steps=345).get_last_lr()
    [2e-05]

    ```
    """
    name = getattr(schedule, "value", schedule)  # transformers' names are an enum, too
    if isinstance(name, str) and name.strip() in NAMES.keys() - set(TRANSFORMERS_NAMES):
        schedule = name = f"{name.strip()}()"  # a name of this language's own, such as bert
    transformers_name = name.strip() if isinstance(name, str) and name.strip().isidentifier() else None
    if transformers_name is not None:
        total = num_training_steps.num_updates if isinstance(num_training_steps, Horizon) else num_training_steps
        kwargs = {**(scheduler_specific_kwargs or {}), **transformers_kwargs}
        sentence = from_transformers(transformers_name, num_warmup_steps, total, **kwargs)
        if num_training_steps is None and (
            transformers_name in WITHOUT_END or kwargs.get("num_stable_steps") is not None
        ):
            num_training_steps = ENDLESS
    else:
        sentence = as_schedule(schedule)
        surplus = [*(scheduler_specific_kwargs or {}), *transformers_kwargs]
        if num_warmup_steps is not None:
            surplus.insert(0, "num_warmup_steps")
        if surplus:
            raise ScheduleError(
                f"{', '.join(surplus)}: for transformers' own names such as 'cosine' only; {str(sentence)!r} says all of "
                "that itself."
            )
    if num_training_steps is None:
        raise ScheduleError(f"{str(schedule)!r} needs num_training_steps.")
    scheduler = ScheduleLR(optimizer, sentence, num_training_steps, updates_per_epoch)
    if transformers_name is None:  # whose shapes are as transformers has them, doubtful or not
        for note in scheduler.curves[0].notes:
            warnings.warn(note, stacklevel=2)
    return scheduler
