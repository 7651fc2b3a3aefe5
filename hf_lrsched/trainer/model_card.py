"""The schedule in the model card."""

import re
from typing import Any

from ..schedules import Schedule


def correct_model_card(text: str, schedule: Schedule, log_history: list[dict[str, Any]]) -> str:
    """Returns Trainer's model card with the schedule that ran, and with LRs that are not rounded to 0.

    Args:
        text (`str`): The card that Trainer wrote.
        schedule ([`Schedule`]): The schedule of the run.
        log_history (`list[dict[str, Any]]`): The records of Trainer's state.
    """
    line = f"- learning_rate_schedule: `{schedule}`"
    text = re.sub(r"^- lr_scheduler_type: .*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    evaluations = [record for record in log_history if "eval_learning_rate" in record]
    lrs = {str(record["step"]): record["eval_learning_rate"] for record in evaluations}
    if lrs:
        latest = f"- Learning Rate: {list(lrs.values())[-1]:.4g}"
        text = re.sub(r"^- Learning Rate: .*$", latest, text, count=1, flags=re.MULTILINE)
    rows = text.splitlines()
    header = next((i for i, row in enumerate(rows) if row.startswith("|") and "| Learning Rate" in row), None)
    if header is None:
        return text
    names = [cell.strip() for cell in rows[header].strip("|").split("|")]
    update, column = names.index("Step"), names.index("Learning Rate")
    for i in range(header + 2, len(rows)):
        cells = rows[i].strip("|").split("|")
        if not rows[i].startswith("|") or len(cells) != len(names):
            break
        lr = lrs.get(cells[update].strip())
        if lr is not None:
            cells[column] = f" {lr:.4g}".ljust(len(cells[column]))
            rows[i] = f"|{'|'.join(cells)}|"
    return "\n".join(rows) + "\n"
