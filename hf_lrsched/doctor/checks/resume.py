"""Checks of a run that was, or will be, resumed from a checkpoint."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..expected_curve import ExpectedCurve
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: Two LRs that differ by less, as a share of the peak, are of the same curve.
_TOLERANCE = 0.01
#: Below this share of the peak most schedules are at their end.
_LOW = 0.05
_FIX = "Resume with the checkpoint's settings, or use ScheduledTrainer, where on_resume= says what happens to the curve"


def resume_changes_curve(facts: Facts) -> Iterator[Finding]:
    """A resume that changed the curve, or will change it: the LR jumps, or a new setting is ignored.

    https://github.com/huggingface/transformers/issues/34053, /issues/27749, /issues/23099 and /issues/9099.
    """
    yield from list(_from_stages(facts)) or _from_log(facts)


def mixed_runs(facts: Facts) -> Iterator[Finding]:
    """Checkpoints of several runs in one folder: a resume takes the highest number, whichever run wrote it."""
    if facts.foreign_checkpoints:
        yield error(
            f"the folder has checkpoints of more than one run: {', '.join(facts.foreign_checkpoints)}",
            "Their logs are not the beginning of the newest checkpoint's log; resume_from_checkpoint=True takes the highest "
            "number, whichever run wrote it",
            "Move them into a folder of their own",
        )


def unreadable_file(facts: Facts) -> Iterator[Finding]:
    """A file of the run that could not be read, so that what depends on it was not checked."""
    for reason in facts.unreadable:
        yield note(
            "a file could not be read", reason.rstrip("."), "Before you resume the run, check whether torch loads it"
        )


def _from_stages(facts: Facts) -> Iterator[Finding]:
    """The settings that each checkpoint was written with, against those of the next."""
    for before, after in pairwise([*facts.earlier_stages, replace(facts, earlier_stages=())]):
        peak, done = before.learning_rate, before.updates_done
        if after.uses_our_trainer or peak is None or after.learning_rate is None or not done:
            continue
        is_used = any(math.isclose(after.learning_rate, lr) for lr in after.group_lrs)
        if after.learning_rate != peak and not is_used:
            yield warning(
                f"the resume after update {done} ignores learning_rate={after.learning_rate:.3g} and keeps {peak:.3g}",
                "The checkpoint contains the peak LR, and Trainer takes that one without an error",
                "Resume with the checkpoint's learning_rate; for another one begin again from the weights, or use "
                "ScheduledTrainer with on_resume=",
            )
        old, new = before.curve, after.curve
        if old is None or new is None or old.is_nominal or new.is_nominal:
            continue
        t = _first_difference(old, new, done)
        if t is not None:
            yield warning(
                f"the resume after update {done} changes the curve: {old.num_updates} updates of {old.text} become "
                f"{new.num_updates} of {new.text}",
                f"The LR of update {t + 1} is {peak * new.at(t):.3g} instead of {peak * old.at(t):.3g}",
                _FIX,
            )


def _from_log(facts: Facts) -> Iterator[Finding]:
    """LRs in the log that differ from the settings' curve up to an update, and agree with it from there on."""
    curve, peak = facts.curve, facts.learning_rate
    if curve is None or curve.is_nominal or peak is None or facts.uses_our_trainer or not peak > 0:
        return
    steps, lrs = facts.log_history.column("step"), facts.log_history.column("learning_rate")
    is_known = (steps > 0) & (steps % 1 == 0) & np.isfinite(lrs)
    steps, lrs = steps[is_known], lrs[is_known]
    if not steps.size or (fits := curve.matches(steps, lrs / peak, _TOLERANCE)).all():
        return
    last = int(np.flatnonzero(~fits)[-1])
    # Curves of any kind may meet at 0; the log must follow this one while its LR is still high.
    if (curve.factor(steps - 1) > _LOW)[last + 1 :].sum() < 2:
        return
    step, lr = int(steps[last]), lrs[last]
    yield warning(
        f"up to update {step} the log follows another curve than {curve.text} over {curve.num_updates} updates",
        f"At update {step} the LR was {lr:.3g}, not {peak * curve.at(step - 1):.3g}: the run was resumed with other settings, and "
        "the LR jumped",
        _FIX,
    )


def _first_difference(old: ExpectedCurve, new: ExpectedCurve, done: int) -> int | None:
    """The first of some updates from `done` on whose factors differ, counted from 0."""
    points = np.unique(np.floor(np.linspace(done, max(old.num_updates, new.num_updates, done + 1) - 1, 200)))
    different = points[np.abs(old.factor(points) - new.factor(points)) > _TOLERANCE]
    return int(different[0]) if different.size else None


CHECKS = (resume_changes_curve, mixed_runs, unreadable_file)
