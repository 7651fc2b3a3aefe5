"""The schedule among the settings of a run that reporters store: W&B, MLflow, TensorBoard, trackio and others."""

from typing import Any

from transformers import TrainerCallback

from ..groups.main_group import find_main_group
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Schedule
from .used_lrs import find_distinct_groups, get_group_names

#: What the schedule replaces: reporters would store values of the training arguments that the run does not use.
REPLACED = ("warmup_steps", "warmup_ratio", "lr_scheduler_kwargs")


def make_schedule_settings(scheduler: ScheduleLR) -> dict[str, Any]:
    """Return the schedule, the peak LRs and the length of a run, as settings that a reporter can filter by.

    `peak_lr/<group>` is there where the groups' peaks differ, once for each curve. After a resume with other settings,
    `schedule` and the peaks are those that train, and `resumed_with` is the `on_resume` that was applied.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    >>> make_schedule_settings(ScheduleLR(optimizer, "warmup(10%) >> linear()", 345))
    {'schedule': 'warmup(10%) >> linear()', 'peak_learning_rate': 2e-05, 'num_updates': 345}

    ```
    """
    state, groups = scheduler.run_state, scheduler.optimizer.param_groups
    horizon, names = state.settings.horizon, get_group_names(groups)
    peak = state.peaks[find_main_group(groups)]
    settings: dict[str, Any] = {"schedule": str(scheduler.schedule), "peak_learning_rate": peak}
    if len(set(state.peaks)) > 1:
        settings |= {f"peak_lr/{names[i]}": state.peaks[i] for i in dict.fromkeys(find_distinct_groups(groups))}
    if horizon.unit == "updates":
        settings["num_updates"] = horizon.num_updates
    if state.settings.clock != "updates":
        settings["clock"] = state.settings.clock
    if horizon.updates_per_epoch:
        settings["updates_per_epoch"] = horizon.updates_per_epoch
    if scheduler.last_resume is not None and scheduler.last_resume.before is not None:
        settings["resumed_with"] = scheduler.last_resume.how
    return settings


class SettingsWithSchedule:
    """The `to_dict` of training arguments, with the schedule that the run follows.

    Every reporter of Trainer, and the model card of sentence-transformers, store `args.to_dict()` when the training begins.

    Args:
        args (`TrainingArguments`): The arguments.
        schedule ([`ScheduleLR`] or [`Schedule`]): The scheduler of the run; before there is one, the schedule.
    """

    def __init__(self, args: Any, schedule: ScheduleLR | Schedule):
        self.args, self.schedule = args, schedule

    def __call__(self) -> dict[str, Any]:
        settings = {key: value for key, value in type(self.args).to_dict(self.args).items() if key not in REPLACED}
        if isinstance(self.schedule, ScheduleLR):
            used = make_schedule_settings(self.schedule)
            if settings.get("learning_rate") not in self.schedule.run_state.peaks:  # the optimizer was made with others
                settings["learning_rate"] = used["peak_learning_rate"]
        else:
            used = {"schedule": str(self.schedule)}
        return {**settings, **used, "lr_scheduler_type": used["schedule"]}


def report_schedule(args: Any, schedule: ScheduleLR | Schedule) -> None:
    """Let `args.to_dict()` include the schedule until [`restore_settings`]."""
    args.to_dict = SettingsWithSchedule(args, schedule)


def restore_settings(args: Any) -> None:
    """Undo [`report_schedule`], so that `TrainingArguments(**args.to_dict())` works, and checkpoints are without it."""
    vars(args).pop("to_dict", None)


class SettingsReporter(TrainerCallback):
    """Adds the schedule to the settings that reporters store at the start of the training. A part of [`ScheduleCallback`].

    Trainer calls its reporters before the callbacks in `callbacks=`, so this one acts at the end of Trainer's `__init__`.
    """

    def on_init_end(self, args, state, control, lr_scheduler=None, **kwargs):
        if isinstance(lr_scheduler, ScheduleLR):
            report_schedule(args, lr_scheduler)

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        if isinstance(lr_scheduler, ScheduleLR):  # for reporters that come after this callback
            report_schedule(args, lr_scheduler)

    def on_epoch_begin(self, args, state, control, **kwargs):
        restore_settings(args)

    def on_train_end(self, args, state, control, **kwargs):
        restore_settings(args)  # a run without an update has no epoch
