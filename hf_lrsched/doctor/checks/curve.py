"""Checks of the curve itself: whether it rises, reaches its peak, and ends where it was designed to end."""

import math
from collections.abc import Iterator

from ...schedules.numbers import is_finite_number
from ..expected_curve import ExpectedCurve, count_stock_warmup
from ..facts import Facts
from ..finding import Finding
from .format import error, format_lr, format_updates, warning

#: A warmup of more than this share of the run leaves little of the schedule.
_MAX_WARMUP = 0.5
#: A peak of which less than this share is reached is unintended.
_MIN_PEAK = 0.9
#: A share of the run that makes no difference.
_TOLERANCE = 0.01
#: A run that stops this far above the end of its curve has not been annealed.
_MAX_LEFT = 0.1


def long_warmup(facts: Facts) -> Iterator[Finding]:
    """A warmup longer than the run, or more than half of it.

    transformers climbs as far as it gets without an error: a public model card shows 500 updates of warmup in a run of 468, and
    an accuracy of 0.556 on RTE; https://github.com/google-research/bert/issues/834.
    """
    curve, too_long = facts.curve, find_warmup_beyond_run(facts)
    if too_long is not None:
        warmup, total = too_long
        peak = format_lr((total - 1) / warmup, facts)
        yield error(
            f"the warmup takes {warmup} updates, but the run has only {total}",
            f"The LR rises to the end of the run and reaches at most {peak}; the decay never begins",
            f"Warm up for about 10%, {_suggest_warmup(facts, total)}, or train longer",
        )
    elif curve is not None and curve.peak_update > math.ceil(_MAX_WARMUP * curve.num_updates):
        left = 100 * (1 - curve.peak_update / curve.num_updates)
        yield warning(
            f"the warmup takes {format_updates(curve.peak_update, curve)}",
            f"Most updates have less than the peak of {format_lr(curve.peak_factor, facts)}, and only {left:.0f}% of the run "
            "is left after it",
            f"Warm up for about 10%: {_suggest_warmup(facts, curve.num_updates)}",
        )


def peak_not_reached(facts: Facts) -> Iterator[Finding]:
    """A peak LR that no update has: the schedule stays below it, or the run ended before."""
    curve, done = facts.curve, facts.updates_done
    if curve is None or find_warmup_beyond_run(facts) is not None:
        return
    if curve.peak_factor < _MIN_PEAK:
        yield warning(
            "the peak LR is never reached",
            f"The highest LR of the run is {format_lr(curve.peak_factor, facts)}, at "
            f"{format_updates(curve.peak_update + 1, curve)}",
            "Let each factor of the schedule reach 1, or set learning_rate to the intended peak",
        )
    elif done is not None and _ended_early(facts, curve) and 0 < done <= curve.peak_update:
        yield warning(
            f"the run ended at update {done}, within its warmup of {curve.peak_update} updates",
            f"No update had the peak LR; the last one had {format_lr(curve.at(done - 1), facts)}",
            "Train longer, or shorten the warmup",
        )


def ends_mid_schedule(facts: Facts) -> Iterator[Finding]:
    """A run that ends in the middle of its schedule, or a schedule that ends before the run.

    Early stopping cuts off a decay while the LR is high (https://github.com/ourownstory/neural_prophet/issues/1005); a scheduler
    that was made for another number of updates ends too late or too early; updates that fp16 skips delay it.
    """
    yield from _scheduler_misfits(facts)
    if (lengths := find_wsd_misfit(facts)) is not None and facts.num_updates is not None:
        yield _wsd_finding(lengths, facts.num_updates)
        return
    curve, done = facts.curve, facts.updates_done
    if curve is None or curve.is_nominal or curve.unit != "updates" or curve.peak_update >= curve.num_updates:
        return
    end = curve.at(curve.num_updates - 1)
    if done is not None and _ended_early(facts, curve) and curve.peak_update < done:
        last = curve.at(done - 1)
        events = () if facts.scheduler is None else facts.scheduler.events
        cooled_down = any(event.get("kind") == "cooldown" for event in events)
        if last - end > _MAX_LEFT and not cooled_down:
            yield warning(
                f"the run ended at update {done} of {curve.num_updates}, in the middle of its schedule",
                f"Its last LR was {format_lr(last, facts)} instead of {format_lr(end, facts)}; without the rest of the decay a "
                "model is usually worse",
                "Use a schedule that can end early, warmup(5%) >> hold() >> cooldown(20%), or train for fewer epochs",
            )
    elif facts.schedule is None and end - curve.lowest_after_peak() > _MAX_LEFT:
        yield warning(
            f"the LR rises at the end of the run: {curve.text}",
            f"The last LR is {format_lr(end, facts)}, after a low of {format_lr(curve.lowest_after_peak(), facts)}",
            "Leave out num_cycles; its default of 0.5 is one fall from the peak to the end",
        )


def doubtful_schedule(facts: Facts) -> Iterator[Finding]:
    """A warning of this package's own schedules: a phase without effect, an LR of 0 throughout, an end before the run's."""
    curve = facts.curve
    if curve is not None and not curve.is_nominal:
        for remark in curve.notes:
            yield warning(remark.rstrip("."), f"The schedule is {curve.text}", "Look at it with hf-lrsched preview")


def find_warmup_beyond_run(facts: Facts) -> tuple[int, int] | None:
    """Return the updates of the stock schedule's warmup and of the run, where the warmup is not shorter."""
    total = facts.num_updates
    if facts.stock_schedule is None or total is None:
        return None
    warmup = count_stock_warmup(facts, total)
    return (warmup, total) if warmup >= total else None


def find_wsd_misfit(facts: Facts) -> tuple[int, int, int] | None:
    """Return the updates of warmup, stable phase and decay of `warmup_stable_decay`, where they do not add up to the run."""
    if facts.stock_schedule != "warmup_stable_decay" or facts.num_updates is None:
        return None
    decay, stable = (facts.lr_scheduler_kwargs.get(name) for name in ("num_decay_steps", "num_stable_steps"))
    if not isinstance(decay, int) or not isinstance(stable, int | None):
        return None
    lengths = (count_stock_warmup(facts, facts.num_updates), stable or 0, decay)
    fits = sum(lengths) == facts.num_updates or (stable is None and sum(lengths) <= facts.num_updates)
    return None if fits else lengths


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
    lag = done - scheduler.update
    if lag > max(2, _TOLERANCE * (total or done)):
        yield warning(
            f"the scheduler is {lag} updates behind: it has counted {scheduler.update} of {done}",
            "It does not count updates that are skipped after an fp16 overflow, so the run will end before its schedule",
            "Use bf16, lower the initial loss scale, or train with ScheduledTrainer, which counts them",
        )


def _wsd_finding(lengths: tuple[int, int, int], total: int) -> Finding:
    missing = total - sum(lengths)
    return warning(
        f"warmup, stable and decay steps are {' + '.join(map(str, lengths))} = {sum(lengths)} updates, but the run has {total}",
        "The run ends before the decay does"
        if missing < 0
        else f"The last {missing} updates are trained at the lowest LR of the schedule",
        "Leave out num_stable_steps, so that the stable phase fills the run"
        if sum(lengths) - lengths[1] < total
        else f"Set num_decay_steps to about 20%, {max(1, total // 5)}, and leave out num_stable_steps",
    )


def _suggest_warmup(facts: Facts, total: int) -> str:
    if facts.schedule is not None:
        return "warmup(10%)"
    return f"warmup_steps: {max(1, total // 10)}" if facts.num_updates is not None else "warmup_steps: 0.1"


def _ended_early(facts: Facts, curve: ExpectedCurve) -> bool:
    """Whether the run is over before its time, and its log follows the curve: a passed scheduler is in no settings."""
    done = facts.updates_done
    if not facts.is_over or curve.is_nominal or done is None or done >= curve.num_updates:
        return False
    records = [record for record in facts.log_history if is_finite_number(record.get("learning_rate"))]
    if not records or not facts.learning_rate:
        return True
    step, factor = records[-1].get("step"), records[-1]["learning_rate"] / facts.learning_rate
    # transformers 5 logs the LR of the update that is over, 4.57 the next one's.
    return isinstance(step, int) and any(abs(curve.at(max(0, t)) - factor) < _TOLERANCE for t in (step - 1, step))
