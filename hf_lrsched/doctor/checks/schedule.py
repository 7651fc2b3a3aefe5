"""Checks of which schedule trains, whether it is valid, and over which length."""

from collections.abc import Iterator

from ...schedules.errors import UnknownNameError
from ..expected_curve import METRIC_DRIVEN, describe_stock_schedule
from ..facts import Facts
from ..finding import Finding
from .arguments import floor_above_peak, number_as_text
from .format import error, note, warning


def invalid_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule that is invalid in this run: the training stops, or follows a curve that nobody asked for."""
    problem = facts.schedule_error
    if problem is None or any(floor_above_peak(facts)) or any(number_as_text(facts)):
        return
    if facts.schedule_module is not None and isinstance(problem, UnknownNameError):
        yield note(
            f"not checked: the schedule {facts.schedule}, which has a name that is not registered here",
            f"The run imports {facts.schedule_module} first; the doctor imports no module by itself",
            f"Pass --import {facts.schedule_module}",
        )
        return
    where = problem.message.rstrip(". ")
    where += f" (character {problem.position + 1} of {facts.schedule})" if problem.position is not None else ""
    is_stock = facts.schedule is None
    yield error(
        f"the schedule is invalid in this run: {where}",
        f"The training stops with an error{', or follows a curve that nobody asked for' if is_stock else ''}",
        f"Correct {'lr_scheduler_type or lr_scheduler_kwargs' if is_stock else 'it, and try it with hf-lrsched preview'}",
    )


def two_schedules(facts: Facts) -> Iterator[Finding]:
    """This package's schedule together with settings of the stock one."""
    settings = describe_stock_schedule(facts)
    if facts.schedule is not None and facts.lr_scheduler_type is not None and settings != "lr_scheduler_type=linear":
        yield error(
            f"two schedules: {facts.schedule} and {settings.removeprefix('lr_scheduler_type=linear, ')}",
            "The run stops with an error before its first update, since only one of them can train",
            "Delete the settings of the stock schedule; a warmup is part of the schedule, e.g. warmup(10%) >> linear()",
        )


def unused_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule of this package in the arguments of a Trainer that does not use it."""
    if facts.unused_schedule is not None:
        passed = facts.scheduler and f"the scheduler in optimizers={facts.scheduler.name}"
        yield error(
            f"the schedule {facts.unused_schedule} is not used: {facts.source} is not a Trainer of this package",
            f"The run trains with {passed or describe_stock_schedule(facts)} instead, without an error",
            "Use ScheduledTrainer, or put ScheduleMixin before Trainer: class MyTrainer(ScheduleMixin, Trainer)",
        )


def unknown_length(facts: Facts) -> Iterator[Finding]:
    """A number of updates that is unknown: data without a length, or a batch size that changes by itself.

    https://github.com/huggingface/datasets/issues/5773, https://github.com/huggingface/trl/issues/6333; for the batch size
    https://github.com/huggingface/transformers/issues/21521.
    """
    total, warmup = facts.num_updates, facts.warmup_steps
    if not facts.has_training:
        return
    if not facts.has_length and total is None:
        yield error(
            "the data has no length, and max_steps is not set",
            "The number of updates is unknown, so the schedule has no end; Trainer stops with an error",
            "Set max_steps: samples / (batch size x gradient accumulation x processes) x epochs",
        )
        return
    if facts.auto_find_batch_size and facts.schedule is None and warmup >= 1:
        share = "" if total is None else f", {100 * warmup / total:.3g}% of {total}"
        yield warning(
            f"auto_find_batch_size changes the number of updates, but the warmup is fixed at {warmup:g}{share}",
            "Each try with a smaller batch has more updates, so the warmup covers a smaller share of the run",
            "Write the warmup as a share: warmup_steps: 0.1 (transformers 5), warmup_ratio: 0.1 (4.57)",
        )
    has_curve = facts.schedule is not None or facts.lr_scheduler_type not in (None, *METRIC_DRIVEN)
    if total is None and has_curve and facts.clock in ("updates", "epochs"):
        yield note(
            "not checked: lengths in updates against the length of the run",
            "The number of updates is unknown",
            "Pass --updates N (num_updates= in Python): batches / gradient accumulation, over all epochs",
        )


CHECKS = (invalid_schedule, two_schedules, unused_schedule, unknown_length)
