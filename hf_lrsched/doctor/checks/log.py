"""Checks of the log."""

import math
from collections.abc import Iterator

from ..facts import Facts
from ..finding import Finding
from ..from_settings import is_number
from .format import error, note, warning

#: Trainer's logging_steps where nothing is set.
_DEFAULT = 500


def no_lr_logged(facts: Facts) -> Iterator[Finding]:
    """No LR is ever logged.

    Trainer logs it with the loss, every 500 updates unless told otherwise, and never with an evaluation:
    https://github.com/wandb/wandb/issues/1534, https://github.com/Lightning-AI/pytorch-lightning/issues/4375. Where the 500 are
    Trainer's default this is a note: the training is as it was meant.
    """
    mend = "Set logging_steps: {}; or train with ScheduledTrainer, which logs the LR beside each evaluation"
    if facts.history:
        names = {name for record in facts.history for name in record}
        has_begun = facts.is_over or not names.isdisjoint({"loss", "eval_loss"})
        if has_begun and names.isdisjoint({"learning_rate", "eval_learning_rate"}):
            yield warning(
                f"no LR was ever logged: none of {len(facts.history)} records has one",
                "What this run was trained with can't be told from its log",
                mend.format(max(1, (facts.steps_done or 100) // 10)),
            )
        return
    if facts.is_ours or facts.learning_rate is None or facts.logging_first_step:
        return
    if facts.logging_strategy == "no":
        yield warning(
            "no LR is ever logged: logging_strategy is 'no'",
            "Neither loss nor LR of this run can be looked at later",
            "Set logging_strategy: steps, and " + mend.format(10)[4:],
        )
        return
    steps, total = facts.logging_steps, facts.num_updates
    every = _DEFAULT if steps is None else steps
    if total is None or facts.logging_strategy != "steps" or every < 1 or every <= total:
        return
    is_default = every == _DEFAULT
    tell = note if is_default else warning
    yield tell(
        f"no LR is ever logged: logging_steps is {every:g}{', the default' if is_default else ''}, and the run has {total} updates",
        "The log will hold neither the loss nor the LR of any update",
        mend.format(max(1, total // 20)),
    )


def hidden_nan(facts: Facts) -> Iterator[Finding]:
    """A NaN that the log hides: by default Trainer counts a NaN loss as 0, and only the gradient's norm shows it.

    https://github.com/huggingface/transformers/issues/13619, https://github.com/huggingface/trl/issues/6702.
    """
    broken = [record for record in facts.history if _is_broken(record, facts.fp16)]
    if broken:
        first, zeros = broken[0], [record for record in broken if record.get("loss") == 0]
        step = first.get("step", "?")
        shown = f"a loss of {first.get('loss', first.get('eval_loss'))}, a gradient norm of {first.get('grad_norm', 'unknown')}"
        yield error(
            f"the loss was not a number, first at update {step}",
            f"{len(broken)} of {len(facts.history)} records show it ({shown})"
            + (f"; {len(zeros)} of them hide it as a loss of 0.0 (logging_nan_inf_filter)" if zeros else ""),
            "Set logging_nan_inf_filter: false to see it; lower learning_rate, warm up for longer, or train in bf16 or fp32",
        )


def _is_broken(record: object, fp16: bool) -> bool:
    assert isinstance(record, dict)
    values = {name: record[name] for name in ("loss", "eval_loss", "grad_norm") if is_number(record.get(name))}
    if any(not math.isfinite(values.get(name, 0)) for name in ("loss", "eval_loss")):
        return True
    # Under fp16 an update whose gradients overflow is skipped, and its norm is no trouble.
    return not math.isfinite(values.get("grad_norm", 0)) and (values.get("loss") == 0 or not fp16)
