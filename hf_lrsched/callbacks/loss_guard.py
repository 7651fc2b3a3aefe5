"""LossGuard: keeps updates that are not finite away from the weights, and acts on them and on spikes of the loss."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ..console import print_text
from ..guard.preconditions import check_preconditions
from ..guard.rollback import Rollback
from ..guard.trouble import Trouble, TroubleDetector, WeightCheck, get_start_loss
from ..optim.gradients import GradientFilter
from ..optim.update_losses import UpdateLosses, get_loss
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..schedules.arguments import as_count, as_whole, one_of
from ..schedules.errors import brief
from ..schedules.numbers import is_number
from ..trajectory.state import explain_rescale
from .run_context import note_event
from .stop import TrainerControl, end_run, forbid_saving

#: What the guard can do, with the default of `factor`.
ACTIONS = {"stop": 1.0, "lower": 0.5, "rollback": 0.8}


class LossGuard(TrainerCallback):
    """Act when the gradients are not finite, or when the training loss has jumped up and stays there.

    An update whose gradients hold NaN or infinity is dropped before the optimizer steps, so that it never reaches the weights
    or the optimizer's moments: see [`GradientFilter`]. For jumps of the loss see [`SpikeTest`]. What the guard then does:

    - `stop`: save a checkpoint and end the run;
    - `lower`: multiply all LRs by `factor` from here on;
    - `rollback`: that, and restore weights and optimizer from before the trouble. Updates, schedule and data continue, past the
      batches that caused it (Chowdhery et al., PaLM, 2022, section 5.1).

    A rollback goes back no farther than it must, to the first of these that exists:

    1. the newest good checkpoint: complete, finite, and saved more than `margin` updates before the trouble began; also the one
       that the run was resumed from;
    2. after dropped updates, the current weights, if all of them are finite;
    3. the oldest checkpoint of the last `margin` updates before the trouble;
    4. the start of the training, of which a copy is kept in the host's memory until there is a good checkpoint.

    Each action is an event of the schedule, and is printed. After `max_actions` the next one is a stop. All processes act at the
    same update. A resumed run continues with the count of actions and the start loss of the run before.

    `lower` and `rollback` need a [`ScheduleLR`]: a [`ScheduledTrainer`], or a stock Trainer with `get_scheduler`.

    Args:
        action (`str`, defaults to `stop`): `stop`, `lower` or `rollback`.
        factor (`float`, *optional*): What the LRs are multiplied by, above 0, at most 1. Defaults to 0.5 for `lower`, which
            continues from the weights as they are, and to 0.8 for `rollback`, after which the trouble is gone.
        max_actions (`int`, defaults to 3): How often it may act, resumes included.
        patience (`int`, defaults to 0): How many updates in a row may be dropped before it acts. For data with single bad samples
            1 is enough. It acts at once if the forward pass has left NaN in a buffer, such as those of batch normalization.
        margin (`int`, defaults to 10): A checkpoint that was saved so many updates or fewer before the trouble is not good.

    Attributes:
        events (`list[dict[str, Any]]`): What it did and reported in this run, in order: each with `t`, the updates that were
            over, its `kind` (`scale` if it changed the LR, else `guard`) and its `cause`.

    Raises:
        ScheduleError: For an invalid argument, and before the first update of a run in which the action is not possible.

    Example:
    ```python
    trainer = ScheduledTrainer(..., schedule="warmup(10%) >> linear()", callbacks=[LossGuard("rollback")])
    ```
    """

    def __init__(
        self,
        action: str = "stop",
        factor: float | None = None,
        max_actions: int = 3,
        patience: int = 0,
        margin: int = 10,
    ):
        self.action = one_of(*ACTIONS)(action, "action")
        factor = ACTIONS[action] if factor is None else factor
        if not is_number(factor) or not 0 < factor <= 1 or (action == "lower" and factor == 1):
            below = "below 1" if action == "lower" else "at most 1"
            raise ScheduleError(f"factor must be a number above 0 and {below}, got {brief(factor)}.")
        self.factor, self.max_actions = factor, as_count(max_actions, "max_actions")
        self.patience, self.margin = as_whole(patience, "patience"), as_whole(margin, "margin")
        self.events: list[dict[str, Any]] = []
        self._losses = UpdateLosses()
        self._norm: torch.Tensor | None = None
        self._rollback: Rollback | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        optimizer, scheduler = kwargs["optimizer"], kwargs.get("lr_scheduler")
        model = check_preconditions(self.action, self.margin, args, state, kwargs["model"], optimizer, scheduler)
        self.events = []
        self._scheduler = scheduler if isinstance(scheduler, ScheduleLR) else None
        # What a resume must know: the number of actions, and the loss at the start.
        self._kept = self._scheduler.run_state.owners.setdefault("guard", {}) if self._scheduler is not None else {}
        self._gradients = GradientFilter(optimizer)
        self._weights = WeightCheck(model)
        start = self._kept.get("start", get_start_loss(state))
        self._detector = TroubleDetector(self.patience, state.global_step, start)
        self._last_record = state.global_step
        self._saves_nothing = False
        if isinstance(control, TrainerControl):
            control.forbids_save = False  # of an earlier run
        if self.action == "rollback":
            folder = Path(str(args.output_dir))
            self._rollback = Rollback(folder, model, optimizer, state.global_step, self.margin)
        self._losses.attach(model, args.gradient_accumulation_steps, args.world_size)

    def add_loss(self, loss: Any) -> None:
        """Add the loss of a micro-batch, as `training_step` returned it: [`ScheduledTrainer`] calls this."""
        self._losses.add_trained(loss)

    def add_norm(self, norm: Any) -> None:
        """Add the norm of an update's gradients before they were clipped: [`ScheduledTrainer`] calls this."""
        self._norm = norm if type(norm) is torch.Tensor else None

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        is_clipped = args.max_grad_norm is not None and args.max_grad_norm > 0
        norm, self._norm = self._norm, None
        self._gradients.before_step(state.global_step + 1, kwargs["optimizer"], is_clipped, norm)

    def on_optimizer_step(self, args, state, control, **kwargs):
        if not self._gradients.reads_gradients:  # only then there is a flag to take away
            self._gradients.after_step(kwargs["optimizer"])

    def on_step_end(self, args, state, control, **kwargs):
        update = state.global_step
        self._losses.end_update(update)
        self._add_losses(wait=control.should_log)
        # Trainer itself waits for the device there.
        waits = control.should_log or control.should_save or update >= state.max_steps
        dropped = self._gradients.get_dropped(wait=waits)
        trouble = self._check_dropped(dropped, state) if dropped else None
        trouble = trouble or self._detector.check_losses(update, args.world_size)
        if trouble is not None:
            self._respond(trouble, args, state, control)
        if self._rollback is not None:
            self._rollback.forget_start(update)
        return forbid_saving(control) if self._saves_nothing else None

    def on_log(self, args, state, control, logs=None, **kwargs):
        record = get_loss(logs)
        if record is None:
            return
        self._add_losses(wait=True)
        loss = self._losses.compare(record)
        if self._losses.was_wrong:  # what was read so far is not what is trained
            self._kept.pop("start", None)
            self._detector = TroubleDetector(self.patience, self._last_record)
        if loss is not None:
            self._detector.add_loss(self._last_record + 1, loss)
        self._last_record = state.global_step

    def on_save(self, args, state, control, **kwargs):
        if self._rollback is not None:
            self._rollback.add_save(state.global_step, args.should_save)

    def on_train_end(self, args, state, control, **kwargs):
        self._losses.detach()
        self._rollback = None

    def _add_losses(self, wait: bool) -> None:
        for update, loss in self._losses.get(wait):
            self._detector.add_loss(update, loss)
            if self._detector.start is not None:
                self._kept["start"] = self._detector.start

    def _check_dropped(self, dropped: list[int], state: Any) -> Trouble | None:
        """Report the dropped updates that are tolerated; return the first trouble that needs an action."""
        for found in self._detector.check_dropped(dropped, self._gradients.is_scaled, self._weights.are_finite):
            if found.needs_action:
                return found
            self._report(found.text, state)
        return None

    def _respond(self, trouble: Trouble, args: Any, state: Any, control: Any) -> None:
        self._detector.reset(state.global_step)
        text = trouble.text
        if self._rollback is not None:
            may_stay = trouble.was_dropped and self._weights.are_finite()
            where = self._rollback.go_back(trouble.since, trouble.first_suspect, may_stay)
            if where is None:
                return self._stop(f"{text}, and there is no usable checkpoint to go back to", args, state, control)
            text = f"{text}; {where}"
            control.should_save = True  # otherwise a resume would take a checkpoint from within the trouble
        actions = int(self._kept.get("actions", 0))
        if self._scheduler is None or self.action == "stop":
            return self._stop(text, args, state, control)
        if actions >= self.max_actions:
            return self._stop(f"{text}; max_actions={self.max_actions} is reached", args, state, control)
        if not self._weights.are_finite():
            return self._stop(f"{text}, and a lower LR cannot repair weights", args, state, control)
        self._kept["actions"] = actions + 1
        event = self._scheduler.rescale(self.factor, f"guard: {text}")
        self.events.append(event)
        self._print(f"{event['cause']}: {explain_rescale(self._scheduler.run_state, event)}", state)

    def _stop(self, text: str, args: Any, state: Any, control: Any) -> None:
        self._saves_nothing = not self._weights.are_finite()
        if self._saves_nothing:
            self._report(f"{text}; the weights are not finite, so nothing is saved and the run ends", state)
            control.should_training_stop = True
        else:
            self._report(f"{text}; a checkpoint is saved and the run ends", state)
            end_run(args, control)

    def _report(self, text: str, state: Any) -> None:
        cause = f"guard: {text}"
        self.events.append({"kind": "guard", "cause": cause, "t": state.global_step})
        self._print(cause, state)
        note_event(state, {"kind": "guard", "cause": cause})

    def _print(self, text: str, state: Any) -> None:
        if state.is_world_process_zero:
            print_text(f"[hf_lrsched] update {state.global_step}: {text}")
