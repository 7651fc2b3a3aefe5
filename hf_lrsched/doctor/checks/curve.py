"""Checks of the curve itself: whether it rises, reaches its peak, and ends where it was designed to end."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...schedules import Phase, Schedule, parse
from ...schedules.schedule import Product, Sequence, get_parts
from ..expected_curve import ExpectedCurve
from ..facts import Facts
from ..finding import Finding
from .format import error, format_lr, format_updates, warning

#: A warmup of more than this share of the run leaves little of the schedule.
_MAX_WARMUP = 0.5
#: A peak of which less than this share is reached is unintended.
_MIN_PEAK = 0.9
#: A warmup's `to=` from this factor on is intended; one below the second is probably an LR.
_MIN_FACTOR, _MAX_LR = 0.2, 0.01
#: A share of the run that makes no difference.
_TOLERANCE = 0.01
#: A run that stops this far above the end of its curve has not been annealed.
_MAX_LEFT = 0.1


def long_warmup(facts: Facts) -> Iterator[Finding]:
    """A warmup longer than the run, or more than half of it.

    transformers climbs as far as it gets without an error: a public model card shows 500 updates of warmup in a run of 468, and
    an accuracy of 0.556 on RTE; https://github.com/google-research/bert/issues/834.
    """
    curve = facts.curve
    if curve is None or curve.peak_update <= math.ceil(_MAX_WARMUP * curve.num_updates):
        return
    total, peak = curve.num_updates, format_lr(curve.peak_factor, facts)
    if facts.schedule is not None:
        fix = "Warm up for about 10%: warmup(10%)"
    else:
        fix = f"Warm up for about 10%, warmup_steps: {0.1 if curve.is_nominal else max(1, total // 10)}"
    if curve.has_no_peak and not curve.is_nominal:
        yield error(
            f"the warmup takes {curve.peak_update} updates, but the run has only {total}",
            f"The LR rises to the end of the run and reaches at most {peak}; the decay never begins",
            f"{fix}, or train longer",
        )
    else:
        left = 100 * (1 - curve.peak_update / total)
        yield warning(
            f"the warmup takes {format_updates(curve.peak_update, curve)}",
            f"Most updates have less than the peak of {peak}, and only {left:.0f}% of the run is left after it",
            fix,
        )


def peak_not_reached(facts: Facts) -> Iterator[Finding]:
    """A peak LR that no update has: the schedule stays below it, or the run ended before.

    It is intended where the warmup says where it ends, by an LR or by a plausible factor, as that of a budget search.
    """
    curve = facts.curve
    if curve is None or curve.has_no_peak:
        return
    done = _count_cut_off(facts, curve)
    if curve.peak_factor < _MIN_PEAK:
        given = _get_warmup_arguments(parse(facts.schedule)) if facts.schedule is not None else {}
        if given.get("to_lr") is not None or given.get("to", 0.0) >= _MIN_FACTOR:
            return
        is_lr = 0 < given.get("to", 1.0) < _MAX_LR
        yield warning(
            "the peak LR is never reached",
            f"The highest LR of the run is {format_lr(curve.peak_factor, facts)}, at "
            f"{format_updates(curve.peak_update + 1, curve)}",
            f"A warmup's to= is a share of learning_rate: did you mean to_lr={given['to']:g}?"
            if is_lr
            else "Let each factor of the schedule reach 1, or set learning_rate to the intended peak",
        )
    elif done is not None and done <= curve.peak_update:
        yield warning(
            f"the run ended at update {done}, within its warmup of {curve.peak_update} updates",
            f"No update had the peak LR; the last one had {format_lr(curve.at(done - 1), facts)}",
            "Train longer, or shorten the warmup",
        )


def _get_warmup_arguments(schedule: Schedule) -> dict[str, Any]:
    """Return the arguments of a schedule's last warmup."""
    phases = [phase for factor in get_parts(schedule, Product) for phase in get_parts(factor, Sequence)]
    warmups = [phase for phase in phases if isinstance(phase, Phase) and phase.name == "warmup"]
    return dict(warmups[-1].arguments) if warmups else {}


def ends_mid_schedule(facts: Facts) -> Iterator[Finding]:
    """A run that ends in the middle of its schedule, or a schedule that ends before the run.

    Early stopping cuts off a decay while the LR is high (https://github.com/ourownstory/neural_prophet/issues/1005); a scheduler
    that was made for another number of updates ends too late or too early; updates that fp16 skips delay it.
    """
    yield from _scheduler_misfits(facts)
    curve = facts.curve
    if curve is None or curve.is_nominal or curve.unit != "updates" or curve.has_no_peak:
        return
    end, lowest, done = curve.at(curve.num_updates - 1), curve.find_lowest_after_peak(), _count_cut_off(facts, curve)
    if done is not None and done > curve.peak_update:
        cooled_down = facts.scheduler is not None and facts.scheduler.cooled_down
        if curve.at(done - 1) - end > _MAX_LEFT and not cooled_down:
            yield warning(
                f"the run ended at update {done} of {curve.num_updates}, in the middle of its schedule",
                f"Its last LR was {format_lr(curve.at(done - 1), facts)} instead of {format_lr(end, facts)}. Without the rest of "
                "the decay a model is usually worse",
                "Use a schedule that can end early, warmup(5%) >> hold() >> cooldown(20%), or train for fewer epochs",
            )
    elif facts.schedule is None and end - lowest > _MAX_LEFT:
        yield warning(
            f"the LR rises at the end of the run: {curve.text}",
            f"The last LR is {format_lr(end, facts)}, after a low of {format_lr(lowest, facts)}",
            "Leave out num_cycles; its default of 0.5 is one fall from the peak to the end",
        )


def doubtful_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule of which a phase has no effect, whose LR is 0 throughout, or which ends before the run."""
    curve = facts.curve
    if curve is not None and not curve.is_nominal:
        for remark in curve.notes:
            yield warning(remark.rstrip("."), f"The schedule is {curve.text}", "Look at it with hf-lrsched preview")


def _scheduler_misfits(facts: Facts) -> Iterator[Finding]:
    """A scheduler that was made for another number of updates, or that counts fewer than the run."""
    total, scheduler, done = facts.num_updates, facts.scheduler, facts.updates_done
    if scheduler is None:
        return
    made_for = scheduler.num_updates
    if made_for is not None and total is not None and abs(made_for - total) > max(1, _TOLERANCE * total):
        yield warning(
            f"the scheduler was made for {made_for} updates, but the run has {total}",
            f"The run ends after {100 * total / made_for:.0f}% of the schedule"
            if made_for > total
            else f"The schedule ends after {made_for} updates; the LR of the other {total - made_for} is undefined",
            f"Make it with num_training_steps={total}: batches / gradient accumulation, over all epochs",
        )
    if scheduler.update is None or done is None or scheduler.is_passed:
        return
    if (lag := done - scheduler.update) > max(2, _TOLERANCE * (total or done)):
        yield warning(
            f"the scheduler is {lag} updates behind: it has counted {scheduler.update} of {done}",
            "It does not count updates that are skipped after an fp16 overflow, so the run will end before its schedule",
            "Use bf16, lower the initial loss scale, or train with ScheduledTrainer, which counts them",
        )


def _count_cut_off(facts: Facts, curve: ExpectedCurve) -> int | None:
    """The updates of a run that is over before its time; None for other runs, and where the log does not follow the curve."""
    done = facts.updates_done
    if not facts.is_over or curve.is_nominal or not done or done >= curve.num_updates:
        return None
    steps, lrs = facts.log_history.column("step"), facts.log_history.column("learning_rate")
    last = np.flatnonzero(np.isfinite(lrs))[-1:]
    if not last.size or not facts.learning_rate:
        return done
    # The log follows another curve where a scheduler was passed, which is in no settings.
    is_same = (steps[last] % 1 == 0) & curve.matches(steps[last], lrs[last] / facts.learning_rate, _TOLERANCE)
    return done if is_same.all() else None


CHECKS = (long_warmup, peak_not_reached, ends_mid_schedule, doubtful_schedule)
