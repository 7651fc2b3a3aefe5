"""Checks of the curve itself: does it climb, reach its peak, and end where it was drawn to end?"""

import math
from collections.abc import Iterator

from ...schedules import ScheduleError, parse
from ..expected_curve import Plan, our_warmup, plan_of, stock_warmup, trouble_of
from ..facts import Facts
from ..finding import Finding
from ..from_settings import is_finite
from .arguments import floors_above_peak, numbers_as_texts, unknown_arguments
from .format import error, lr_at, note, updates, warning

#: A warmup of more than this share of the run leaves little of the schedule.
_MOST_WARMUP = 0.5
#: A peak of which less than this is reached was not meant.
_REACHED = 0.9
#: A share of the run that makes no difference.
_ALMOST = 0.01
#: A run that is cut this far above where its curve would have ended has not been annealed.
_UNFINISHED = 0.1


def long_warmup(facts: Facts) -> Iterator[Finding]:
    """A warmup longer than the run, or more than half of it.

    transformers climbs as far as it gets, without a word: a public model card shows 500 updates of warmup in a run of 468, and an
    accuracy of 0.556 on RTE; https://github.com/google-research/bert/issues/834.
    """
    too_long = _warmup_beyond_run(facts)
    if too_long is not None:
        warmup, total = too_long
        top = (total - 1) / warmup
        why = (
            "The run stops with an error before its first update"
            if facts.schedule is not None
            else f"The LR climbs to its end and never gets above {lr_at(top, facts)}; nothing of the decay is left"
        )
        yield error(
            f"the warmup takes {warmup} updates, and the run has {total}",
            why,
            f"Warm up for about 10%, {_warmup_setting(facts, max(1, total // 10))}, or train longer",
        )
        return
    plan = plan_of(facts)
    if plan is not None and plan.climb > math.ceil(_MOST_WARMUP * plan.total):
        left = "the peak" if plan.is_nominal else f"the peak, update {plan.climb + 1}"
        yield warning(
            f"the warmup takes {updates(plan.climb, plan)}",
            f"Most of the training has less than its LR of {lr_at(plan.top, facts)}, and after {left} only "
            f"{100 * (1 - plan.climb / plan.total):.0f}% of the run are left",
            f"Warm up for about 10%: {_warmup_setting(facts, max(1, plan.total // 10))}",
        )


def peak_not_reached(facts: Facts) -> Iterator[Finding]:
    """A peak LR that no update has: the schedule stays below it, or the run ended before."""
    plan = plan_of(facts)
    if plan is None or _warmup_beyond_run(facts) is not None:
        return
    done = facts.steps_done
    if plan.top < _REACHED:
        yield warning(
            "the peak LR is never reached",
            f"The highest LR of the run is {lr_at(plan.top, facts)}, at {updates(plan.climb + 1, plan)}",
            "Let each factor of the schedule reach 1, or set learning_rate to the LR that is meant",
        )
    elif _ended_early(facts, plan) and done is not None and 0 < done <= plan.climb:
        yield warning(
            f"the run ended at update {done}, within its warmup of {plan.climb} updates",
            f"No update had the peak LR; the last one had {lr_at(plan.at(done - 1), facts)}",
            "Train longer, or warm up for a shorter time",
        )


def ends_mid_schedule(facts: Facts) -> Iterator[Finding]:
    """A run that ends, or a scheduler that is spent, in the middle of the schedule.

    Early stopping cuts a decay off while the LR is high (https://github.com/ourownstory/neural_prophet/issues/1005); a scheduler
    that was made for another number of updates ends too late or too early; steps that fp16 skips delay it.
    """
    plan, total, scheduler, done = plan_of(facts), facts.num_updates, facts.scheduler, facts.steps_done
    made_for = None if scheduler is None else scheduler.total
    if made_for is not None and total is not None and abs(made_for - total) > max(1, _ALMOST * total):
        late = made_for > total
        yield warning(
            f"the scheduler was made for {made_for} updates, and the run has {total}",
            f"The run ends when {100 * total / made_for:.0f}% of the schedule are done"
            if late
            else f"The schedule is spent after {made_for} updates; what it does in the other {total - made_for} was not drawn",
            f"Make it with num_training_steps={total}: batches / gradient accumulation, over all epochs",
        )
    lag = 0
    if scheduler is not None and scheduler.position is not None and done is not None and not scheduler.is_users:
        lag = done - scheduler.position
    if lag > max(2, _ALMOST * (total or done or 0)):
        yield warning(
            f"the scheduler is {lag} updates behind: it has counted {done - lag if done else 0} of {done}",
            "Steps that are skipped after an fp16 overflow do not count for it, and the run will end before its schedule does",
            "Use bf16, lower the initial loss scale, or train with ScheduledTrainer, which counts them",
        )
    if (lengths := _wsd_misfit(facts)) is not None and total is not None:
        wants = " + ".join(f"{length}" for length in lengths)
        late = sum(lengths) > total
        yield warning(
            f"warmup, stable and decay steps are {wants} = {sum(lengths)} updates, and the run has {total}",
            "The run ends before the decay does"
            if late
            else f"The last {total - sum(lengths)} updates are trained at the lowest LR of the schedule",
            "Leave out num_stable_steps, so that it takes what is left"
            if sum(lengths) - lengths[1] < total
            else f"Set num_decay_steps to about 20%, {max(1, total // 5)}, and leave out num_stable_steps",
        )
        return
    if plan is None or plan.is_nominal or plan.unit != "updates" or plan.climb >= plan.total:
        return
    if _ended_early(facts, plan) and done is not None and plan.climb < done:
        last, end = plan.at(done - 1), plan.at(plan.total - 1)
        if last - end > _UNFINISHED and not _cooled(facts):
            yield warning(
                f"the run ended at update {done} of {plan.total}, in the middle of its schedule",
                f"Its last LR was {lr_at(last, facts)}; the schedule would have ended at {lr_at(end, facts)}, and a model that "
                "is not annealed is mostly worse",
                "Write a schedule that can end early, warmup(5%) >> hold() >> cooldown(20%), or train for fewer epochs",
            )
    elif facts.schedule is None and plan.at(plan.total - 1) - _lowest_after_peak(facts) > _UNFINISHED:
        yield warning(
            f"the schedule ends on a climb: {plan.text}",
            f"The last LR of the run is {lr_at(plan.at(plan.total - 1), facts)}, after it had fallen to "
            f"{lr_at(_lowest_after_peak(facts), facts)}",
            "Leave out num_cycles: 0.5, its default, is one fall from the peak to the end",
        )


def doubtful_schedule(facts: Facts) -> Iterator[Finding]:
    """What this package's schedules say of themselves: a phase without effect, an LR of 0 throughout, an end before the run's."""
    plan = plan_of(facts)
    if plan is not None and not plan.is_nominal:
        for remark in plan.notes:
            yield warning(remark.rstrip("."), f"The schedule is {plan.text}", "See it with hf-lrsched preview")


def unmeant_schedule(facts: Facts) -> Iterator[Finding]:
    """A schedule that can't be meant in this run: the training dies before its first update, or within train()."""
    trouble = trouble_of(facts)
    if trouble is None or floors_above_peak(facts) or unknown_arguments(facts) or numbers_as_texts(facts):
        return
    if _warmup_beyond_run(facts) is not None or _wsd_misfit(facts) is not None:
        return
    where = trouble.message.rstrip(". ")
    where += f" (character {trouble.position + 1} of {facts.schedule})" if trouble.position is not None else ""
    if facts.schedule_module is not None and _is_of_module(facts.schedule or ""):
        yield note(
            f"the schedule {facts.schedule} has a name that is not known here",
            f"The run imports {facts.schedule_module} first, which the doctor does not do by itself",
            f"Give it --import {facts.schedule_module}",
        )
        return
    yield error(
        "the schedule can't be meant in this run",
        f"{where[:1].upper()}{where[1:]}",
        "Try it with hf-lrsched preview",
    )


def unread_file(facts: Facts) -> Iterator[Finding]:
    """A file of the run that could not be looked at, so that what it would show is not known."""
    for why in facts.unread:
        yield note(
            "a file could not be looked at", why.rstrip("."), "If the run is to be resumed, look whether it loads"
        )


def _warmup_beyond_run(facts: Facts) -> tuple[int, int] | None:
    """The updates of the warmup and those of the run, where the first are not fewer."""
    total = facts.num_updates
    if facts.schedule is not None:
        warmup = our_warmup(facts) if facts.clock in ("updates", "epochs") and trouble_of(facts) is not None else None
    elif facts.lr_scheduler_type is not None and total is not None:
        warmup = stock_warmup(facts, total)
    else:
        return None
    return (warmup, total) if warmup and total is not None and warmup >= total else None


def _wsd_misfit(facts: Facts) -> tuple[int, int, int] | None:
    """Updates of warmup, stable phase and decay of transformers' `warmup_stable_decay`, where they do not add up to the run."""
    if facts.schedule is not None or facts.lr_scheduler_type != "warmup_stable_decay" or facts.num_updates is None:
        return None
    decay, stable = (facts.lr_scheduler_kwargs.get(name) for name in ("num_decay_steps", "num_stable_steps"))
    if not isinstance(decay, int) or not isinstance(stable, int | None):
        return None
    lengths = (stock_warmup(facts, facts.num_updates), stable or 0, decay)
    fits = sum(lengths) == facts.num_updates or (stable is None and sum(lengths) <= facts.num_updates)
    return None if fits else lengths


def _warmup_setting(facts: Facts, count: int) -> str:
    if facts.schedule is not None:
        return "warmup(10%)"
    return f"warmup_steps: {count}" if facts.num_updates is not None else "warmup_steps: 0.1"


def _lowest_after_peak(facts: Facts) -> float:
    plan = plan_of(facts)
    assert plan is not None
    points = plan.points[plan.points >= plan.climb]
    return float(plan.factor(points).min())


def _ended_early(facts: Facts, plan: Plan) -> bool:
    """Is the run over before its time? And does its log follow the plan? A scheduler in `optimizers=` is in no settings."""
    if not facts.is_over or plan.is_nominal or facts.steps_done is None or facts.steps_done >= plan.total:
        return False
    records = [record for record in facts.history if is_finite(record.get("learning_rate"))]
    if not records or not facts.learning_rate:
        return True
    step, factor = records[-1].get("step"), records[-1]["learning_rate"] / facts.learning_rate
    # transformers 5 logs the LR of the update that is over, 4.57 the next one's.
    return isinstance(step, int) and any(abs(plan.at(max(0, t)) - factor) < _ALMOST for t in (step - 1, step))


def _cooled(facts: Facts) -> bool:
    """Did the run begin its cooldown() early, and so end annealed?"""
    events = () if facts.scheduler is None else facts.scheduler.events
    return any(event.get("kind") == "cooldown" for event in events)


def _is_of_module(text: str) -> bool:
    try:
        parse(text)
    except ScheduleError as error:
        return "unknown" in str(error)
    return False
