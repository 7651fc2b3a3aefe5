"""Checks: each a function of Facts that yields what it finds. Pure; a new one is a function and a line here."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ..facts import Facts
from ..finding import Finding
from .arguments import (
    floor_above_peak,
    floor_across_groups,
    misspelt_setting,
    restarts_that_do_not,
    swallowed_arguments,
    two_schedules,
)
from .curve import doubtful_schedule, ends_mid_schedule, long_warmup, peak_not_reached, unmeant_schedule, unread_file
from .length import unknown_length
from .log import hidden_nan, no_lr_logged
from .metric import plateau_direction, plateau_without_evaluation
from .optimizer import lr_out_of_range, other_optimizer, reused_scheduler, schedule_free_optimizer
from .processes import engine_ignores_schedule, loss_multiplied, one_process
from .resume import mixed_runs, resume_changes_curve

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

#: In the order in which they report. A check's name is its function's.
CHECKS: tuple[Check, ...] = (
    unmeant_schedule,
    two_schedules,
    long_warmup,
    peak_not_reached,
    ends_mid_schedule,
    doubtful_schedule,
    restarts_that_do_not,
    swallowed_arguments,
    misspelt_setting,
    floor_above_peak,
    floor_across_groups,
    plateau_direction,
    plateau_without_evaluation,
    lr_out_of_range,
    schedule_free_optimizer,
    other_optimizer,
    reused_scheduler,
    loss_multiplied,
    one_process,
    engine_ignores_schedule,
    unknown_length,
    no_lr_logged,
    hidden_nan,
    resume_changes_curve,
    mixed_runs,
    unread_file,
)
