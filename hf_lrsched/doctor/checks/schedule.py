"""Checks of which schedule trains, and whether it is valid."""

from collections.abc import Iterator

from ...schedules import ScheduleError, parse
from ..expected_curve import describe_stock_schedule
from ..facts import Facts
from ..finding import Finding
from .arguments import find_floors_above_peak, find_numbers_as_text, find_unknown_arguments
from .curve import find_warmup_beyond_run, find_wsd_misfit
from .format import error, note


def invalid_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule that is invalid in this run: the training stops before its first update, or within train()."""
    problem = facts.schedule_error
    if problem is None or find_floors_above_peak(facts) or find_unknown_arguments(facts) or find_numbers_as_text(facts):
        return
    if find_warmup_beyond_run(facts) is not None or find_wsd_misfit(facts) is not None:
        return
    if facts.schedule_module is not None and _has_unknown_name(facts.schedule or ""):
        yield note(
            f"the schedule {facts.schedule} has a name that is not registered here",
            f"The run imports {facts.schedule_module} first; the doctor imports no module by itself",
            f"Pass --import {facts.schedule_module}",
        )
        return
    where = problem.message.rstrip(". ")
    where += f" (character {problem.position + 1} of {facts.schedule})" if problem.position is not None else ""
    yield error(
        "the schedule is invalid in this run",
        f"{where[:1].upper()}{where[1:]}",
        "Correct lr_scheduler_type or lr_scheduler_kwargs"
        if facts.schedule is None
        else "Correct it, and try it with hf-lrsched preview",
    )


def two_schedules(facts: Facts) -> Iterator[Finding]:
    """This package's schedule together with settings of the stock one."""
    settings = describe_stock_schedule(facts)
    if facts.schedule is None or facts.lr_scheduler_type is None or settings == "lr_scheduler_type=linear":
        return
    yield error(
        f"two schedules: {facts.schedule} and {settings.removeprefix('lr_scheduler_type=linear, ')}",
        "The run stops with an error before its first update, since only one of them can train",
        "Delete the settings of the stock schedule; a warmup is part of the schedule, e.g. warmup(10%) >> linear()",
    )


def unused_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule of this package in the arguments of a Trainer that does not use it."""
    if facts.unused_schedule is not None:
        used = (
            f"the scheduler in optimizers={facts.scheduler.name}" if facts.scheduler else describe_stock_schedule(facts)
        )
        yield error(
            f"the schedule {facts.unused_schedule} is not used: {facts.source} is not a Trainer of this package",
            f"The run trains with {used} instead, without an error",
            "Use ScheduledTrainer, or put ScheduleMixin before Trainer: class MyTrainer(ScheduleMixin, Trainer)",
        )


def _has_unknown_name(text: str) -> bool:
    try:
        parse(text)
    except ScheduleError as problem:
        return "unknown" in str(problem)
    return False
