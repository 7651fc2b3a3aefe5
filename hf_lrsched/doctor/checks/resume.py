"""Checks of a run that goes on from a checkpoint."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..expected_curve import Plan, plan_of
from ..facts import Facts
from ..finding import Finding
from ..from_settings import is_finite
from .format import error, note, warning

#: What two LRs may differ by, as a share of the peak, before a curve is another one.
_SAME = 0.01
#: Below this share of the peak most schedules are at their end.
_LOW = 0.05


def resume_changes_curve(facts: Facts) -> Iterator[Finding]:
    """A resume that changed the curve, or will change it: the LR jumps, or a new setting is ignored.

    https://github.com/huggingface/transformers/issues/34053, /issues/27749, /issues/23099 and /issues/9099.
    """
    found = [*_by_events(facts), *_by_stages(facts)]
    yield from found
    if not found:
        yield from _by_log(facts)


def mixed_runs(facts: Facts) -> Iterator[Finding]:
    """Checkpoints of several runs in one folder: a resume takes the one of the highest number, whose run it may not be."""
    if facts.strangers:
        names = ", ".join(facts.strangers)
        yield error(
            f"the folder holds checkpoints of more than one run: {names}",
            "Their logs are not the beginning of the newest one's; resume_from_checkpoint=True takes the highest number, "
            "whichever run wrote it",
            "Move them into a folder of their own",
        )


def _by_events(facts: Facts) -> Iterator[Finding]:
    """What this package's scheduler has written down: those choices were made in the open."""
    for event in () if facts.scheduler is None else facts.scheduler.events:
        before, after = _first(event.get("lr_before")), _first(event.get("lr_after"))
        if event.get("kind") != "resume" or before is None or after is None:
            continue
        jumps = not math.isclose(before, after, rel_tol=_SAME, abs_tol=1e-12)
        tell = warning if jumps else note
        yield tell(
            f"a resume after update {event.get('t')} changed the curve: on_resume={event.get('how')}",
            f"The next LR was to be {before:.3g}, and it was {after:.3g}",
            "Where the LR should not jump, resume with on_resume=stretch, keep or rewarm(5%)"
            if jumps
            else "Nothing, if that was meant",
        )


def _by_stages(facts: Facts) -> Iterator[Finding]:
    """The settings that each checkpoint was written with, against those of the next."""
    for before, after in pairwise([*facts.earlier, replace(facts, earlier=())]):
        if after.is_ours or before.learning_rate is None or after.learning_rate is None or not before.steps_done:
            continue
        peak, done = before.learning_rate, before.steps_done
        if after.learning_rate != peak and not _uses(after, after.learning_rate):
            yield warning(
                f"the resume after update {done} asks for learning_rate={after.learning_rate:.3g}, and keeps {peak:.3g}",
                "The peak LR is in the checkpoint, and Trainer takes that one without a word",
                "Resume with the checkpoint's learning_rate; for another one start anew from the weights, or train with "
                "ScheduledTrainer, where on_resume= says what is meant",
            )
        old, new = plan_of(before), plan_of(after)
        if old is None or new is None or old.is_nominal or new.is_nominal:
            continue
        was, becomes = old.at(done), new.at(done)
        if abs(was - becomes) > _SAME or _differ(old, new, done):
            yield warning(
                f"the resume after update {done} changes the curve: {old.total} updates of {old.text} become {new.total} of "
                f"{new.text}",
                f"The next LR was to be {peak * was:.3g}, and is {peak * becomes:.3g}",
                "Resume with the checkpoint's settings, or train with ScheduledTrainer, where on_resume=stretch, keep, switch or "
                "rewarm(5%) says what is meant",
            )


def _by_log(facts: Facts) -> Iterator[Finding]:
    """LRs in the log that are not those of the settings, up to an update; from there on they are."""
    plan, peak = plan_of(facts), facts.learning_rate
    if plan is None or plan.is_nominal or peak is None or facts.is_ours or not peak > 0:
        return
    records = [
        (int(record["step"]), float(record["learning_rate"]))
        for record in facts.history
        if is_finite(record.get("learning_rate")) and isinstance(record.get("step"), int) and record["step"] > 0
    ]
    # transformers 5 logs the LR of the update that is over, 4.57 the next one's.
    fits = [any(abs(lr / peak - plan.at(at)) <= _SAME for at in (step - 1, step)) for step, lr in records]
    last = max((index for index, fit in enumerate(fits) if not fit), default=None)
    if last is None:
        return
    # Curves of any kind may meet at 0; the log must follow this one while its LR is still high.
    if sum(plan.at(step - 1) > _LOW for step, _ in records[last + 1 :]) < 2:
        return
    step, lr = records[last]
    yield warning(
        f"up to update {step} the log shows LRs of another curve than {plan.text} over {plan.total} updates",
        f"At update {step} it was {lr:.3g}, and by these settings it would have been {peak * plan.at(step - 1):.3g}: the run was "
        "resumed with other settings, and the LR jumped",
        "Resume with the checkpoint's settings, or train with ScheduledTrainer, which refuses what would jump",
    )


def _uses(facts: Facts, lr: float) -> bool:
    """Do the groups of the checkpoint have this peak? Then it was not ignored."""
    return any(math.isclose(lr, each) for each in facts.group_lrs)


def _differ(old: Plan, new: Plan, done: int) -> bool:
    points = np.unique(np.floor(np.linspace(done, max(old.total, new.total) - 1, 200)))
    points = points[points >= done]
    return bool(points.size) and float(np.abs(old.factor(points) - new.factor(points)).max()) > _SAME


def _first(lrs: object) -> float | None:
    value = lrs[0] if isinstance(lrs, list | tuple) and lrs else lrs
    return float(value) if isinstance(value, int | float) else None
