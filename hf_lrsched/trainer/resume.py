"""Resuming a Trainer with a schedule: its scheduler's state, and a plot of what other settings changed."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerState
from transformers.trainer import SCHEDULER_NAME, TRAINER_STATE_NAME

from ..console import print_text
from ..files import replace_file
from ..plots.resume import draw_resume
from ..plots.style import to_bytes
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..schedules.numbers import format_count
from ..trajectory.clocks import Time, Tokens
from ..trajectory.resume_state import explain_resume

logger = logging.getLogger(__name__)


def load_scheduler(trainer: Any, scheduler: ScheduleLR, checkpoint: str, load: Callable[[str], None]) -> None:
    """Loads a checkpoint's optimizer and scheduler, and reports the LR before and after.

    Args:
        trainer (`transformers.Trainer`): The Trainer.
        scheduler ([`ScheduleLR`]): Its scheduler.
        checkpoint (`str`): The folder of the checkpoint.
        load (`Callable`): Trainer's own function, which loads both.
    """
    # From the file: transformers 4.57 reads the Trainer's state only after this.
    update = TrainerState.load_from_json(str(Path(checkpoint, TRAINER_STATE_NAME))).global_step
    if Path(checkpoint, SCHEDULER_NAME).is_file():
        scheduler.advance_to(update)  # another scheduler may have counted otherwise
    load(checkpoint)
    _catch_up(update, scheduler, checkpoint)
    if not trainer.is_world_process_zero():
        return
    handler, args = trainer.callback_handler, trainer.args
    is_restored = getattr(args, "restore_callback_states_from_checkpoint", False)
    if not is_restored and any(isinstance(callback, EarlyStoppingCallback) for callback in handler.callbacks):
        logger.warning(
            "EarlyStoppingCallback starts to count again after this resume, so the run may end at another update. Set "
            "restore_callback_states_from_checkpoint=True."
        )
    print_text(explain_resume(scheduler.run_state))
    if scheduler.last_resume is not None and scheduler.last_resume.before is not None:
        try:
            print_text(save_resume_plot(scheduler, trainer.args.output_dir))
        except Exception as error:  # such as a full disk: training continues without a plot
            logger.warning(f"the resume could not be drawn: {type(error).__name__}: {error}")


def _catch_up(update: int, scheduler: ScheduleLR, checkpoint: str) -> None:
    """Where the scheduler and the Trainer disagree on the updates done, the Trainer's count holds."""
    counted = scheduler.last_epoch
    if counted > update:
        raise ScheduleError(
            f"cannot resume {checkpoint}: its scheduler has done {counted} updates, its {TRAINER_STATE_NAME} says {update}. The "
            "files are of different checkpoints."
        )
    if counted == update:
        return
    if Path(checkpoint, SCHEDULER_NAME).is_file():
        why = f"the scheduler in {checkpoint} is {format_count(update - counted, 'update')} behind: it did not count skipped optimizer steps"
    else:  # save_only_model
        why = (
            f"{checkpoint} has no state of the optimizer and the scheduler: the optimizer begins anew, and what a plateau or an "
            "earlier resume changed is unknown"
        )
    where = {Tokens: "by the tokens seen", Time: "from a time of 0"}
    logger.warning(f"{why}. The LR continues {where.get(type(scheduler.clock), f'at update {update} of the curve')}.")
    scheduler.advance_to(update)


def save_resume_plot(scheduler: ScheduleLR, folder: str | Path) -> str:
    """Save the plot of the resume that a scheduler has just made, as `resume_at_<update>.png`, and return where it is.

    No file is overwritten: if there is one, the name gets a number.

    Args:
        scheduler ([`ScheduleLR`]): A scheduler that was resumed with other settings than its checkpoint's.
        folder (`str` or `Path`): The folder, which is made if it is missing.

    Returns:
        `str`: One line. Without matplotlib, it says what to install.

    Raises:
        OSError: The file cannot be written. An incomplete file is removed.
    """
    if scheduler.last_resume is None or scheduler.last_resume.before is None:
        raise ScheduleError("nothing to draw: the run continues with the checkpoint's own settings.")
    events, groups = scheduler.events, scheduler.optimizer.param_groups
    resumes = [(event["t"], event["how"].partition("(")[0].strip()) for event in events if event["kind"] == "resume"]
    # These replaced the curve, so that the trajectory no longer has the LRs before them.
    replaced = [t for t, how in resumes[:-1] if how in ("switch", "rewarm")]
    drops = [(event["t"], event["scale_after"] / event["scale_before"]) for event in events if "scale_after" in event]
    since = max(replaced, default=0)
    if scheduler.run_state.horizon.unit != "updates":  # events are dated in updates
        since = scheduler.position if replaced else 0
        drops = [(0, math.prod(factor for _, factor in drops))]
    try:
        figure = draw_resume(
            scheduler.last_resume.before,
            scheduler.run_state.trajectory,
            scheduler.position,
            on_resume=scheduler.on_resume,
            end=scheduler.run_state.settings.horizon.num_updates,
            since=since,
            names=[str(group.get("name", f"group_{index}")) for index, group in enumerate(groups)],
            drops=drops,
            scales=scheduler.run_state.scales,
        )
    except ImportError as error:
        return f"no plot of the resume: {error}"
    name, number = f"resume_at_{scheduler.last_epoch}", 1
    path = Path(folder, f"{name}.png")
    while path.exists():
        number += 1
        path = Path(folder, f"{name}_{number}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, to_bytes(figure))
    return f"plot of the resume: {path}"
