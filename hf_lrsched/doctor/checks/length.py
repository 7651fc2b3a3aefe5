"""Checks of the run's length."""

from collections.abc import Iterator

from ..expected_curve import METRIC_DRIVEN
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning


def unknown_length(facts: Facts) -> Iterator[Finding]:
    """A total number of updates that can't be known: data without a length, or a batch size that changes by itself.

    https://github.com/huggingface/datasets/issues/5773, https://github.com/huggingface/trl/issues/6333; for the batch size
    https://github.com/huggingface/transformers/issues/21521.
    """
    if not facts.has_training:
        return
    if not facts.has_length and facts.num_updates is None:
        yield error(
            "the data has no length, and max_steps is not set",
            "The number of updates can't be known, so a schedule has no end to reach; Trainer stops with an error",
            "Set max_steps: samples / (batch size x gradient accumulation x processes) x epochs",
        )
        return
    if facts.finds_batch_size and facts.schedule is None and facts.warmup_steps >= 1:
        yield warning(
            f"auto_find_batch_size changes the number of updates, and the warmup is {facts.warmup_steps:g} of them",
            "Each try with a smaller batch has more updates, in which the same count is a smaller share of the run"
            if facts.num_updates is None
            else f"It is {100 * facts.warmup_steps / facts.num_updates:.3g}% of {facts.num_updates} updates, and a smaller share at "
            "each try with a smaller batch",
            "Write the warmup as a share: warmup_steps: 0.1 (transformers 5), warmup_ratio: 0.1 (4.57)",
        )
    follows = facts.schedule is not None or facts.lr_scheduler_type not in (None, *METRIC_DRIVEN)
    if facts.num_updates is None and follows and facts.clock in ("updates", "epochs"):
        yield note(
            "the number of updates is not known from this source",
            "What depends on it was not checked, such as counts of updates against the length of the run",
            "Give --updates N (num_updates= in Python): batches / gradient accumulation, over all epochs",
        )
