"""Symptoms of the validation loss."""

import statistics

from ...schedules.numbers import format_count
from ..finding import Sign, format_distinct, format_lost
from ..history import LossHistory
from ..robust import trend
from ..run_info import RunInfo
from .evidence import SMALL_SWING, is_solved

# A validation split of fewer samples is too small to compare evaluations.
_MIN_SAMPLES = 40
# So much of its gain the validation loss has lost when it rises.
_LOST = 0.4


def validation_rises(history: LossHistory, run: RunInfo) -> Sign | None:
    """The validation loss rises while the training loss falls.

    Since its best evaluation it has lost 40 % of its gain until then, the last three evaluations all lie beyond that, and
    Mann-Kendall's test finds a rise.
    """
    evaluations = history.validation
    if run.updates_done or run.is_contrastive or len(evaluations) < 4 or not history.blocks:
        return None
    losses = [each.loss for each in evaluations]
    index = losses.index(min(losses))
    best, since, update = losses[index], losses[index:], evaluations[index].update
    gain = max(history.start, losses[0]) - best
    train = statistics.median(block.loss for block in history.blocks[-3:])
    if best > 1.1 * history.start > 2.2 * train > 0:
        return Sign(
            evaluations[0].update,
            f"the validation loss was never below {best:.3g}, while the training loss fell from {history.start:.3g} to {train:.3g}",
            "The validation labels do not fit the training data: check them and how both are read. No setting of the training helps.",
        )
    if len(since) < 4 or min(since[-3:]) - best <= _LOST * gain or trend(since) < 0.9:
        return None
    before = [block.loss for block in history.blocks if block.end <= update] or [history.start]
    if train > min(before[-1], history.start) - 2 * history.standard_error:
        return None
    lowest, latest = format_distinct(best, losses[-1])
    lost = format_lost((losses[-1] - best) / gain) if gain > 0 else "it was never below its start"
    return Sign(
        update,
        f"the validation loss rose from {lowest} to {latest} while the training loss fell to {train:.3g}: {lost}",
        "The model memorizes the training data: keep the best checkpoint (load_best_model_at_end), end the run earlier "
        "(EarlyStoppingCallback), or regularize."
        if gain > 0
        else "Check the validation labels: no setting of the training helps where they are wrong.",
    )


def unstable_validation(history: LossHistory, run: RunInfo) -> Sign | None:
    """The validation loss goes up and down, by a third of all that it gained; or its split has fewer than 40 samples."""
    evaluations = history.validation
    samples = next((each.samples for each in reversed(evaluations) if each.samples), None)
    if len(evaluations) < 3:
        return None
    since, losses = evaluations[0].update, [each.loss for each in evaluations]
    if samples is not None and samples < _MIN_SAMPLES:
        return Sign(
            since,
            f"the validation split has {format_count(samples, 'sample')}, so that one of them makes up {1 / samples:.0%} of each metric",
            "Use a larger validation split: this one cannot compare schedules.",
        )
    swings = [
        min(abs(b - a), abs(c - b))
        for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)
        if (b - a) * (c - b) < 0
    ]
    gain = max(history.start, losses[0]) - min(losses)
    if is_solved(history):
        return None
    are_many = len(swings) >= max(3, 0.5 * (len(losses) - 2))
    if (
        run.updates_done
        or len(losses) < 6
        or not are_many
        or statistics.median(swings) < max(0.33 * gain, SMALL_SWING * abs(losses[-1]))
    ):
        return None
    return Sign(
        since,
        f"the validation loss goes up and down: it turned {len(swings)} of {len(losses) - 2} times, half of them by "
        f"{statistics.median(swings):.3g} or more, and its whole gain is {gain:.3g}",
        "The LR is too high for the validation loss to settle, or the split is too small.",
    )
