"""Checks of the log."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...schedules.numbers import is_number
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: Trainer's default of logging_steps.
_DEFAULT = 500


def no_lr_logged(facts: Facts) -> Iterator[Finding]:
    """A run that never logs its LR.

    Trainer logs it with the loss, by default every 500 updates, and never with an evaluation:
    https://github.com/wandb/wandb/issues/1534, https://github.com/Lightning-AI/pytorch-lightning/issues/4375. A run below
    500 updates with the default is a note: it trains as intended.
    """
    total, names = facts.num_updates, set(facts.log_history.names)
    every = _DEFAULT if facts.logging_steps is None else facts.logging_steps
    report, what = warning, None
    if facts.log_history:
        has_begun = facts.is_over or not names.isdisjoint({"loss", "eval_loss"})
        if has_begun and names.isdisjoint({"learning_rate", "eval_learning_rate"}):
            what = f"no LR was logged: none of {len(facts.log_history)} records has one"
    elif facts.uses_our_trainer or facts.learning_rate is None or facts.logging_first_step:
        return
    elif facts.logging_strategy == "no":
        what = "no LR will be logged: logging_strategy is 'no'"
    elif total is not None and facts.logging_strategy == "steps" and every > max(total, 1):
        report = note if every == _DEFAULT else warning
        default = " (the default)" if every == _DEFAULT else ""
        what = f"no LR will be logged: logging_steps is {every:g}{default}, but the run has only {total} updates"
    if what is not None:
        strategy = "logging_strategy: steps and " if facts.logging_strategy == "no" else ""
        yield report(
            what,
            "The log does not show with which LRs the run trains",
            f"Set {strategy}logging_steps: {max(1, (total or 200) // 20)}, or train with ScheduledTrainer, which logs the LR at "
            "each evaluation",
        )


def hidden_nan(facts: Facts) -> Iterator[Finding]:
    """A NaN that the log hides: by default Trainer counts a NaN loss as 0, and only the gradient norm shows it.

    https://github.com/huggingface/transformers/issues/13619, https://github.com/huggingface/trl/issues/6702.
    """
    log = facts.log_history
    doubtful = {place for name in ("loss", "eval_loss", "grad_norm") for place in log.others.get(name, ())}
    nonfinite = [record for record in map(log.__getitem__, sorted(doubtful)) if _is_nonfinite(record, facts.fp16)]
    if nonfinite:
        first, hidden = nonfinite[0], sum(record.get("loss") == 0 for record in nonfinite)
        loss, norm = first.get("loss", first.get("eval_loss")), first.get("grad_norm", "unknown")
        yield error(
            f"the loss was NaN or infinite, first at update {first.get('step', '?')}: loss {loss}, gradient norm {norm}",
            f"{len(nonfinite)} of {len(log)} records show it"
            + (f", {hidden} of them as a loss of 0.0 (logging_nan_inf_filter)" if hidden else ""),
            "Set logging_nan_inf_filter: false to see it; lower learning_rate, lengthen the warmup, or train in bf16 or fp32",
        )


def _is_nonfinite(record: Mapping[str, Any], fp16: bool) -> bool:
    values = {name: record[name] for name in ("loss", "eval_loss", "grad_norm") if is_number(record.get(name))}
    if any(not math.isfinite(values.get(name, 0)) for name in ("loss", "eval_loss")):
        return True
    # Under fp16 an update whose gradients overflow is skipped, so its norm is harmless.
    return not math.isfinite(values.get("grad_norm", 0)) and (values.get("loss") == 0 or not fp16)


CHECKS = (no_lr_logged, hidden_nan)
