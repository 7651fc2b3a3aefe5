"""Facts from a run folder, or one of its checkpoints."""

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ..files import read_json
from ..runs.checkpoints import TRAINER_STATE
from ..runs.json_stream import read_json_with_rows
from ..runs.record import RUN, Record
from ..runs.rows import Row, Rows
from ..runs.run import list_records, list_states, name_runs
from ..schedules import ScheduleError
from ..schedules.numbers import is_number
from .expected_curve import count_updates_per_epoch
from .facts import Facts, ModelFacts, SchedulerFacts
from .from_settings import read_facts_from_settings
from .given_settings import GivenSettings
from .loss_scaling import architecture_averages_per_batch
from .safe_pickle import Inert, read_pickle

_ARGUMENTS = "training_args.bin"


def is_run_folder(folder: Path) -> bool:
    """Return whether a Trainer wrote into a folder."""
    has_file = any((folder / name).is_file() for name in (TRAINER_STATE, _ARGUMENTS))
    return has_file or bool(_list_stages(folder) or list_records(folder))


def read_facts_from_run_folder(folder: Path) -> Facts:
    """Collect the facts of a run: of its end or its newest checkpoint, with those of the older ones.

    Raises:
        ScheduleError: No Trainer wrote into the folder, or a file in it is corrupted.
    """
    if not is_run_folder(folder):
        hint = name_runs(sorted(other for other in folder.iterdir() if other.is_dir() and is_run_folder(other)))
        raise ScheduleError(
            f"{folder} is not a run folder: it has no {TRAINER_STATE}, no {_ARGUMENTS}, no checkpoint and no record.{hint}"
        )
    stages: list[Facts] = []
    for each in _list_stages(folder) or [folder]:
        stages.append(_facts_from_stage(each, stages[-1] if stages else None))
    *older, newest = stages
    foreign = [facts for facts in older if not _is_beginning(facts.log_history, newest.log_history)]
    earlier = tuple(facts for facts in older if facts not in foreign)
    if newest.scheduler is None and earlier and earlier[-1].updates_done == newest.updates_done:
        newest = replace(newest, scheduler=earlier[-1].scheduler)
    return replace(
        newest,
        source=str(folder),
        schedule=newest.schedule or next((facts.schedule for facts in earlier if facts.schedule), None),
        uses_our_trainer=newest.uses_our_trainer or any(facts.uses_our_trainer for facts in earlier),
        earlier_stages=earlier,
        foreign_checkpoints=tuple(Path(facts.source).name for facts in foreign),
        unreadable=tuple(dict.fromkeys(each for facts in stages for each in facts.unreadable)),
    )


def read_facts_from_arguments(path: Path) -> Facts:
    """Collect the facts of a `training_args.bin`.

    Raises:
        ScheduleError: The file is corrupted, or holds something else.
    """
    found = read_pickle(path)
    values = found.__dict__ if isinstance(found, Inert) else {}
    if "learning_rate" not in values or "output_dir" not in values:
        kind = found if isinstance(found, type) else type(found)
        raise ScheduleError(f"{path} holds {kind.__module__}.{kind.__qualname__}, not training arguments.")
    return read_facts_from_settings(values, str(path), path.parent)


def read_facts_from_trainer_state(facts: Facts, content: Mapping[str, Any]) -> Facts:
    """Add what a `trainer_state.json` says to the facts of the run's settings."""
    get, history = GivenSettings(content, facts.source).get, content.get("log_history")
    if not isinstance(history, Rows) or history.num_lost:
        raise ScheduleError(f"{facts.source}: log_history must be a list of records.")
    done, total = get("global_step", "whole"), get("max_steps", "whole") or 0
    total = total if total > 0 else facts.num_updates
    epoch, epochs = get("epoch", "length"), get("num_train_epochs", "length")
    per_epoch = count_updates_per_epoch(done, epoch) or count_updates_per_epoch(total, epochs)
    return replace(
        facts,
        num_updates=total,
        num_train_epochs=epochs if epochs and epochs < 1e9 else None,
        updates_per_epoch=per_epoch,
        has_length=True,
        log_history=history,
        updates_done=done,
        is_over="train_runtime" in history.names or _was_stopped(content),
        logging_steps=get("logging_steps", "length") if facts.logging_steps is None else facts.logging_steps,
    )


def _facts_from_stage(folder: Path, before: Facts | None) -> Facts:
    """Return the facts of one checkpoint, or of the end of the run, which has the settings of the last checkpoint."""
    arguments, state = folder / _ARGUMENTS, folder / TRAINER_STATE
    facts = Facts(str(folder)) if before is None else replace(before, scheduler=None, unreadable=())
    if not state.is_file() and (records := list_records(folder)):
        facts = _facts_from_record(records[-1], str(folder))
        return replace(facts, unreadable=_list_unreadable(arguments))
    if arguments.is_file():
        facts = read_facts_from_arguments(arguments)
    if state.is_file():
        facts = read_facts_from_trainer_state(replace(facts, source=str(state)), read_json_with_rows(state))
    return _with_scheduler(replace(facts, source=str(folder), model=_model(folder, facts)), folder)


def _list_unreadable(arguments: Path) -> tuple[str, ...]:
    """Why the saved arguments, which the record replaces, cannot be read; empty where they can, or are not there."""
    try:
        if arguments.exists():
            read_facts_from_arguments(arguments)
    except (ScheduleError, OSError) as error:
        return (str(error),)
    return ()


def _facts_from_record(folder: Path, source: str) -> Facts:
    """Return the facts of this package's record, where no checkpoint was kept."""
    record = Record.read(folder)
    if not record.starts:
        raise ScheduleError(f"{folder / RUN} has no readable row: the run ended before its first update.")
    start = GivenSettings(record.starts[-1], str(folder / RUN))
    facts = read_facts_from_settings(start.get("settings", "mapping") or {}, source)
    name = start.get("model", "text")
    by_update = heapq.merge(_list_by_update(record.train), _list_by_update(record.evaluations), key=itemgetter(0))
    history = Rows(row for _, row in by_update)
    facts = replace(
        facts,
        optim=(start.get("optimizer", "text") or facts.optim).lower(),
        num_updates=start.get("num_updates", "whole") or facts.num_updates,
        updates_per_epoch=start.get("updates_per_epoch", "whole"),
        eval_strategy=None,
        model=ModelFacts(name, is_pretrained=True) if name else facts.model,
        log_history=history,
        updates_done=int(np.nan_to_num(history.column("step")).max()) if len(history) else None,
    )
    scheduler = SchedulerFacts("ScheduleLR", cooled_down=_has_cooldown(record.events))
    return _with_schedule(facts, start, scheduler)


def _list_by_update(rows: Rows) -> Iterator[tuple[float, Row]]:
    """The updates and rows of a record in order, one at a time. JSON has no NaN: a row has null instead."""
    updates = np.nan_to_num(rows.column("step"))
    order = np.argsort(updates, kind="stable")
    for update, row in zip(updates[order].tolist(), rows.select(order), strict=True):
        yield update, {key: math.nan if value is None else value for key, value in row.items()}


def _with_schedule(facts: Facts, settings: GivenSettings, scheduler: SchedulerFacts) -> Facts:
    """Add this package's schedule, from the record or from a checkpoint."""
    peaks, schedule = _numbers(settings.values.get("peaks")), settings.get("schedule", "text")
    return replace(
        facts,
        uses_our_trainer=schedule is not None,
        schedule=schedule,
        clock=settings.get("clock", "text") or "updates",
        lr_scheduler_type=None,
        learning_rate=peaks[0] if peaks else facts.learning_rate,
        group_lrs=peaks,
        scheduler=None if schedule is None else scheduler,
    )


def _has_cooldown(events: Any) -> bool:
    return isinstance(events, list) and any(isinstance(e, dict) and e.get("kind") == "cooldown" for e in events)


def _was_stopped(content: Mapping[str, Any]) -> bool:
    """Return whether a callback, such as early stopping, asked for the end."""
    found: Any = content
    for name in ("stateful_callbacks", "TrainerControl", "args", "should_training_stop"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found is True


def _with_scheduler(facts: Facts, folder: Path) -> Facts:
    """Add the states of a checkpoint's scheduler and optimizer; a file that cannot be read is listed in the facts."""
    states: dict[str, dict[str, Any]] = {}
    for name in ("scheduler.pt", "optimizer.pt"):
        if (folder / name).is_file() and (not states or "base_lrs" in states["scheduler.pt"]):
            try:
                found = read_pickle(folder / name)
                if not isinstance(found, dict):
                    raise ScheduleError(f"{folder / name} holds {type(found).__name__}, not a state dict.")
                states[name] = found
            except ScheduleError as error:
                facts = replace(facts, unreadable=(*facts.unreadable, str(error)))
    state = states.get("scheduler.pt")
    if not state:
        return facts
    settings = state.get("settings")
    if "version" in state and isinstance(settings, dict):
        counts_updates = settings.get("unit", "updates") == "updates"
        total = _whole(settings.get("num_updates")) if counts_updates else None
        events = _has_cooldown(state.get("events"))
        scheduler = SchedulerFacts("ScheduleLR", _whole(state.get("update")), total, cooled_down=events)
        return _with_schedule(facts, GivenSettings(settings, str(folder / "scheduler.pt")), scheduler)
    groups = states.get("optimizer.pt", {}).get("param_groups")
    groups = [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []
    if facts.optim.startswith("adam") and any("betas" not in group for group in groups):  # another one was passed
        facts = replace(facts, optim="sgd" if "nesterov" in groups[0] else "this optimizer")
    follows_a_metric = "num_bad_epochs" in state
    scheduler = SchedulerFacts(
        "ReduceLROnPlateau" if follows_a_metric else "scheduler",
        None if follows_a_metric else _whole(state.get("last_epoch")),
        _whole(state.get("total_steps", state.get("T_max"))),
        next_lrs=_numbers(state.get("_last_lr")),
        optimizer_lrs=_numbers([group.get("lr") for group in groups]),
    )
    return replace(facts, scheduler=scheduler, group_lrs=_numbers(state.get("base_lrs")) or facts.group_lrs)


def _model(folder: Path, facts: Facts) -> ModelFacts:
    """Read the model's own configuration, which is saved beside the checkpoint."""
    has_adapter = (folder / "adapter_config.json").is_file() or facts.model.has_adapter
    try:
        (architecture,) = read_json(folder / "config.json")["architectures"]
    except (OSError, ScheduleError, KeyError, TypeError, ValueError):
        return replace(facts.model, has_adapter=has_adapter)
    averages = facts.model.averages_per_batch
    if averages is None and facts.batches_per_update > 1:
        averages = architecture_averages_per_batch(str(architecture))
    return replace(facts.model, name=str(architecture), averages_per_batch=averages, has_adapter=has_adapter)


def _numbers(values: Any) -> tuple[float, ...]:
    """Return a list of numbers, or nothing where one of them is no number, such as a tensor that is not read."""
    return tuple(map(float, values)) if isinstance(values, list) and all(map(is_number, values)) else ()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _list_stages(folder: Path) -> list[Path]:
    """Return the folders with a Trainer's state: the checkpoints, the earliest first, and the end of the run."""
    return [state.parent for state in reversed(list_states(folder))]


def _is_beginning(log: Rows, later: Rows) -> bool:
    """Return whether one log is the beginning of the other."""
    later = later[: len(log)]
    names = {*log.names, *later.names}
    # What is no finite number is compared as text, for NaN is not equal to itself.
    return len(log) == len(later) and all(
        np.array_equal(log.column(name), later.column(name), equal_nan=True)
        and repr(log.others.get(name, {})) == repr(later.others.get(name, {}))
        for name in names
    )
