"""Check of the run's length."""

from collections.abc import Iterator

from ..expected_curve import METRIC_DRIVEN
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning


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
    is_drawn = facts.schedule is not None or facts.lr_scheduler_type not in (None, *METRIC_DRIVEN)
    if total is None and is_drawn and facts.clock in ("updates", "epochs"):
        yield note(
            "the number of updates is unknown",
            "Not checked: lengths in updates against the length of the run",
            "Pass --updates N (num_updates= in Python): batches / gradient accumulation, over all epochs",
        )
