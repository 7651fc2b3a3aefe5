"""The schedule in the model card."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..callbacks.reported_settings import make_schedule_settings
from ..scheduler.schedule_lr import ScheduleLR
from .peak_search import OWNER as SEARCH
from .summary import explain_schedule

# A table with more columns of groups than this is not readable: the record and the report have them all.
_MAX_GROUPS = 5


@contextlib.contextmanager
def format_readable_lrs(state: Any) -> Iterator[None]:
    """Lets Trainer write a card with one row for each update, in which each value stands in its column.

    Within it, LRs are texts, which are not rounded to 0. All evaluations have the same keys in the same order, since Trainer
    takes the columns from the first one: those of before a resume are read from a file with sorted keys. A run that ends in the
    middle of an epoch may be evaluated twice at its last update; then the second evaluation is shown.

    Args:
        state (`TrainerState`): The Trainer's state, whose records the card shows.
    """
    history = state.log_history
    groups = {key for record in history for key in record if key.startswith("eval_lr/")}
    shown = groups if len(groups) <= _MAX_GROUPS else set()
    records = [_with_texts(record, shown, groups) for record in _drop_repeated(history)]
    columns = dict.fromkeys(key for record in records if "eval_loss" in record for key in record)
    state.log_history = [
        {key: record.get(key, "No log") for key in columns} if "eval_loss" in record else record for record in records
    ]
    try:
        yield
    finally:
        state.log_history = history


def _drop_repeated(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out each evaluation of the training that is followed by another one of the same update."""
    end = next((index for index, record in enumerate(history) if "train_runtime" in record), len(history))
    last = {record.get("step"): index for index, record in enumerate(history[:end]) if "eval_loss" in record}
    kept = {*last.values(), *range(end, len(history))}
    return [record for index, record in enumerate(history) if index in kept or "eval_loss" not in record]


def _with_texts(record: dict[str, Any], shown: set[str], groups: set[str]) -> dict[str, Any]:
    if not any(key.startswith("eval_") for key in record):
        return record
    rest = {key: value for key, value in record.items() if key != "eval_learning_rate" and key not in groups}
    main = record.get("eval_learning_rate")
    lrs = {"eval_learning_rate": main, **{key: record.get(key, main) for key in sorted(shown)}}
    return rest | {key: "No log" if lr is None else f"{lr:.4g}" for key, lr in lrs.items()}


def _search_settings(found: dict[str, float] | None) -> dict[str, str]:
    if found is None:
        return {}
    text = f"plausible from {found['low']:.3g} to {found['high']:.3g}, by probes of {found['updates']:,.0f} updates"
    return {"learning_rate_search": text}


def name_schedule(trainer: Any) -> None:
    """Name the schedule, the peak LRs and the length of the run in the model card in the output folder.

    In Trainer's card they stand in place of `lr_scheduler_type` and `lr_scheduler_warmup_steps`. TRL's card lists no
    settings and gets a section. That of sentence-transformers has them already: see [`SettingsWithSchedule`].

    Args:
        trainer ([`ScheduledTrainer`]): The trainer, also before its first `train()`.
    """
    path = Path(str(trainer.args.output_dir), "README.md")
    if path.exists() and trainer.schedule is not None:
        path.write_text(_add_schedule(path.read_text(encoding="utf-8"), trainer), encoding="utf-8")


def _add_schedule(card: str, trainer: Any) -> str:
    settings = {"learning_rate_schedule": f"`{explain_schedule(trainer)}`"}
    if isinstance(trainer.lr_scheduler, ScheduleLR):
        used = make_schedule_settings(trainer.lr_scheduler)
        peaks = {name: f"{value:.4g}" for name, value in used.items() if name.startswith("peak_lr/")}
        settings = {
            "learning_rate": f"{used['peak_learning_rate']:.4g}",
            **_search_settings(trainer.lr_scheduler.run_state.owners.get(SEARCH)),
            **settings,
            **(peaks if len(peaks) <= _MAX_GROUPS else {}),
            **({"num_updates": f"{used['num_updates']:,}"} if "num_updates" in used else {}),
        }
        # The arguments', not the optimizer's.
        card = re.sub(r"^- learning_rate: .*\n", "", card, count=1, flags=re.MULTILINE)
    lines = "\n".join(f"- {name}: {value}" for name, value in settings.items())
    named = re.sub(r"^- lr_scheduler_type: .*$", lambda _: lines, card, count=1, flags=re.MULTILINE)
    if named != card:
        return named
    if "lr_scheduler_type" in card:
        return card
    before, heading, after = card.partition("\n### Framework versions")
    return f"{before.rstrip()}\n\n### Learning rate\n\n{lines}\n{heading}{after}"
