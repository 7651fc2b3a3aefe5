"""ScheduleProgressCallback: the LR and the phase in the progress bar."""

import sys
from typing import Any

from transformers import PrinterCallback, ProgressCallback

from ..console import to_printable
from ..runs.columns import is_step_size
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules.curve import Part

_LONGEST_PHASE = 40


class ScheduleProgressCallback(ProgressCallback):
    """Show Trainer's progress bar with the LR that the latest update used, and the phase that it was in.

        40%|████      | 138/345 [00:41<01:02, 3.32it/s, lr 1.34e-05, linear()]

    [`ScheduledTrainer`] has it instead of the stock one. For a stock Trainer:

    ```python
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(ScheduleProgressCallback())
    ```
    """

    training_bar: Any

    def __init__(self, max_str_len: int = 100):
        super().__init__(max_str_len)
        self._used = ""

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self._used = describe_lr(kwargs.get("lr_scheduler"))

    def on_step_end(self, args, state, control, **kwargs):
        if self.training_bar is not None:
            self.training_bar.set_postfix_str(self._used, refresh=False)  # shown when the bar is next drawn
        super().on_step_end(args, state, control, **kwargs)

    def on_log(self, args, state, control, logs=None, **kwargs):
        super().on_log(args, state, control, logs=for_terminal(logs), **kwargs)

    def on_train_end(self, args, state, control, **kwargs):
        if self.training_bar is not None:
            self.training_bar.refresh()  # the last update's
        super().on_train_end(args, state, control, **kwargs)


class SchedulePrinterCallback(PrinterCallback):
    """Trainer's lines of numbers where the progress bar is off, without the step sizes of each group."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        super().on_log(args, state, control, logs=for_terminal(logs), **kwargs)


def for_terminal(logs: dict[str, Any] | None) -> dict[str, Any]:
    """Leave out what is for reporters only, and escape names of groups that standard output cannot show."""
    encoding = getattr(sys.stdout, "encoding", None)
    return {to_printable(key, encoding): value for key, value in (logs or {}).items() if not is_step_size(key)}


def describe_lr(scheduler: Any) -> str:
    """Return the LR of the next update as a progress bar shows it, and its phase: `lr 1.34e-05, linear()`."""
    # From the scheduler, where the LRs are plain numbers: reading one from a device would make the update wait for it.
    if not hasattr(scheduler, "get_last_lr"):
        return ""
    lrs = [*map(float, scheduler.get_last_lr())]
    low, high = min(lrs), max(lrs)
    text = f"lr {high:.3g}" if low == high else f"lr {low:.3g} to {high:.3g}"
    return f"{text}, {describe_phase(scheduler)}" if isinstance(scheduler, ScheduleLR) else text


def describe_phase(scheduler: ScheduleLR) -> str:
    """Return the phase of the next update, as text; that of the first group."""
    trajectory, curve = scheduler.run_state.trajectory, scheduler.curves[0]
    position = scheduler.position
    rewarm = trajectory.rewarm
    if rewarm is not None and rewarm.at <= position < rewarm.at + rewarm.over:
        return f"rewarm({rewarm.over})"
    cooldown = scheduler.run_state.cooldown
    if cooldown is not None and trajectory.cooldown_at is not None and position >= trajectory.cooldown_at:
        return _shorten(str(cooldown.phase))
    place = trajectory.to_curve_position(position)
    found: Part = next((part for part in curve.parts if place < part.end), curve.parts[-1])
    return _shorten(found.text)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_PHASE else f"{text[: _LONGEST_PHASE - 1]}…"
