"""prepare_schedule: the right LR in your own training loop under accelerate."""

from typing import Any

from accelerate import Accelerator

from ..console import print_text
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Horizon, Schedule
from ..trajectory.clocks import Clock
from .deepspeed import refuse_scheduler_of_config


def prepare_schedule(
    schedule: Schedule | str,
    optimizer: Any,
    accelerator: Accelerator,
    num_training_steps: int | Horizon,
    updates_per_epoch: int | None = None,
    on_resume: str = "strict",
    clock: Clock | str = "updates",
) -> Any:
    """Return a scheduler that moves by one update whenever the optimizer makes one, at any number of processes.

    `accelerator.prepare(scheduler)` steps a scheduler once for every process unless `split_batches` is set, so that a
    schedule made for the updates of the run is spent at 1/N of it. This one counts updates: call `scheduler.step()`
    after every `optimizer.step()`, also within `accelerator.accumulate(model)`, where steps that only accumulate and steps
    that were skipped do not count. `accelerator.save_state` and `load_state` know it.

    Args:
        schedule ([`Schedule`] or `str`): What to follow.
        optimizer (`AcceleratedOptimizer`): What `accelerator.prepare(optimizer)` returned.
        accelerator (`accelerate.Accelerator`): The loop's.
        num_training_steps (`int` or [`Horizon`]): All updates of the run: batches of one process / gradient accumulation steps, rounded
            up in each epoch, times epochs; with the prepared dataloader `math.ceil(len(dataloader) / accumulation)`.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        on_resume (`str`, defaults to `strict`): See [`ScheduleLR`].
        clock ([`Clock`] or `str`, defaults to `updates`): See [`ScheduleLR`]. What is returned has it as `.scheduler`, whose
            `move_to`, `observe` and `start_cooldown` are for the loop to call.

    Returns:
        `accelerate.scheduler.AcceleratedScheduler`: Do not prepare it again.

    Raises:
        ScheduleError: The schedule is invalid for this run.

    Example:
    ```python
    >>> import torch
    >>> accelerator = Accelerator(cpu=True)
    >>> optimizer = accelerator.prepare(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
    >>> scheduler = prepare_schedule("linear()", optimizer, accelerator, num_training_steps=4)
    linear() over 4 updates
      linear()  updates 1 to 4  factor 1 to 0  what is left: 4 updates
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]

    ```
    """
    refuse_scheduler_of_config(accelerator, schedule)
    scheduler = ScheduleLR(optimizer, schedule, num_training_steps, updates_per_epoch, on_resume, clock)
    prepared = accelerator.prepare_scheduler(scheduler)
    scheduler.declare_driven("plateau", "cooldown", "clock")  # by the loop, as said above
    if accelerator.is_local_main_process:
        print_text(scheduler.curves[0].explain())
    # What this says in accelerate is that one scheduler step belongs to one update, whatever the processes.
    prepared.split_batches = True
    return prepared
