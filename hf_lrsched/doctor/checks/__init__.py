"""The checks: pure functions of [`Facts`] that yield findings. To add one, write the function and list it in `CHECKS`."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ..facts import Facts
from ..finding import Finding
from . import arguments, curve, length, log, metric, optimizer, processes, resume, schedule

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

#: In the order in which they report. A check's name is its function's.
CHECKS: tuple[Check, ...] = (
    schedule.invalid_schedule,
    schedule.two_schedules,
    schedule.unused_schedule,
    curve.long_warmup,
    curve.peak_not_reached,
    curve.ends_mid_schedule,
    curve.doubtful_schedule,
    arguments.no_restarts,
    arguments.ignored_arguments,
    arguments.number_as_text,
    arguments.misspelled_setting,
    arguments.floor_above_peak,
    arguments.floor_differs_by_group,
    metric.plateau_direction,
    metric.plateau_without_evaluation,
    optimizer.lr_out_of_range,
    optimizer.schedule_free_optimizer,
    optimizer.scheduler_of_other_optimizer,
    optimizer.reused_scheduler,
    processes.loss_multiplied,
    processes.single_process,
    processes.engine_ignores_schedule,
    length.unknown_length,
    log.no_lr_logged,
    log.hidden_nan,
    resume.resume_changes_curve,
    resume.mixed_runs,
    resume.unreadable_file,
)
