"""The schedule in the model card."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ..schedules import Schedule

# A table with more columns of groups than this is not readable: the record and the report have them all.
_MAX_GROUPS = 5


@contextlib.contextmanager
def readable_lrs(state: Any) -> Iterator[None]:
    """Lets Trainer write a card whose LRs are not rounded to 0 and are in every row: within it, they are texts.

    Args:
        state (`TrainerState`): The Trainer's state, whose records the card shows.
    """
    history = state.log_history
    groups = {key for record in history for key in record if key.startswith("eval_lr/")}
    shown = groups if len(groups) <= _MAX_GROUPS else set()
    state.log_history = [_with_texts(record, shown, groups) for record in history]
    try:
        yield
    finally:
        state.log_history = history


def _with_texts(record: dict[str, Any], shown: set[str], groups: set[str]) -> dict[str, Any]:
    if not any(key.startswith("eval_") for key in record):
        return record
    rest = {key: value for key, value in record.items() if key != "eval_learning_rate" and key not in groups}
    main = record.get("eval_learning_rate")
    lrs = {"eval_learning_rate": main, **{key: record.get(key, main) for key in sorted(shown)}}
    return rest | {key: "No log" if lr is None else f"{lr:.4g}" for key, lr in lrs.items()}


def name_schedule(card: str, schedule: Schedule) -> str:
    """Returns a model card with the schedule in place of `lr_scheduler_type` and `lr_scheduler_warmup_steps`."""
    line = f"- learning_rate_schedule: `{schedule}`"
    return re.sub(r"^- lr_scheduler_type: .*$", lambda _: line, card, count=1, flags=re.MULTILINE)
