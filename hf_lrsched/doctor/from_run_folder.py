"""Facts from a run folder, or one of its checkpoints."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runs.checkpoints import TRAINER_STATE, list_checkpoints
from ..runs.files import read_json
from ..runs.record import FOLDER, RUN, Record
from ..schedules import ScheduleError
from ..schedules.numbers import is_number
from .expected_curve import count_updates_per_epoch
from .facts import Facts, ModelFacts, SchedulerFacts
from .from_settings import GivenSettings, facts_from_settings
from .loss_scaling import architecture_averages_per_batch
from .safe_pickle import Inert, read_pickle

_ARGUMENTS = "training_args.bin"


def is_run_folder(folder: Path) -> bool:
    """Whether a Trainer wrote into a folder."""
    has_file = any((folder / name).is_file() for name in (TRAINER_STATE, _ARGUMENTS))
    return has_file or bool(_list_checkpoints(folder)) or _find_record(folder) is not None


def facts_from_run_folder(folder: Path) -> Facts:
    """Collect the facts of a run: of its end or its newest checkpoint, with those of the older ones.

    Raises:
        ScheduleError: No Trainer wrote into the folder, or a file in it is corrupted.
    """
    if not is_run_folder(folder):
        runs = sorted(str(other) for other in folder.iterdir() if other.is_dir() and is_run_folder(other))
        hint = f" Runs are in {', '.join(runs[:3])}{', …' if len(runs) > 3 else ''}." if runs else ""
        raise ScheduleError(
            f"{folder} is not a run folder: it has no {TRAINER_STATE}, no {_ARGUMENTS}, no checkpoint and no record.{hint}"
        )
    folders = [*_list_checkpoints(folder), *([folder] if (folder / TRAINER_STATE).is_file() else [])] or [folder]
    stages: list[Facts] = []
    for each in folders:
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
        unreadable=tuple(dict.fromkeys(each for facts in (*older, newest) for each in facts.unreadable)),
    )


def facts_from_trainer_state(facts: Facts, content: Mapping[str, Any]) -> Facts:
    """Add what a `trainer_state.json` says to the facts of the run's settings."""
    state = GivenSettings(content, facts.source)
    history = content.get("log_history")
    if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
        raise ScheduleError(f"{facts.source}: log_history must be a list of records.")
    max_steps, done = state.whole("max_steps"), state.whole("global_step")
    epoch, epochs, logging_steps = (state.length(name) for name in ("epoch", "num_train_epochs", "logging_steps"))
    total = max_steps if max_steps is not None and max_steps > 0 else facts.num_updates
    return replace(
        facts,
        num_updates=total,
        num_train_epochs=epochs if epochs and epochs < 1e9 else None,
        updates_per_epoch=count_updates_per_epoch(done, epoch)
        if done and epoch
        else count_updates_per_epoch(total or 0, epochs if total else None),
        has_length=True,
        log_history=tuple(history),
        updates_done=done,
        is_over=any("train_runtime" in record for record in history) or _was_stopped(content),
        logging_steps=logging_steps if facts.logging_steps is None else facts.logging_steps,
    )


def _facts_from_stage(folder: Path, before: Facts | None) -> Facts:
    """The facts of one checkpoint, or of the end of the run, which has the settings of the last checkpoint."""
    arguments, state = folder / _ARGUMENTS, folder / TRAINER_STATE
    facts = Facts(str(folder)) if before is None else replace(before, scheduler=None, unreadable=())
    if not state.is_file() and (record := _find_record(folder)) is not None:
        return _facts_from_record(record, str(folder))
    if arguments.is_file():
        found = read_pickle(arguments)
        if not isinstance(found, Inert) or "learning_rate" not in found.__dict__:
            raise ScheduleError(f"{arguments} holds no training arguments.")
        facts = facts_from_settings(found.__dict__, str(folder), folder)
    if state.is_file():
        facts = facts_from_trainer_state(replace(facts, source=str(state)), read_json(state))
    facts = replace(facts, source=str(folder), model=_model(folder, facts))
    return _with_scheduler(facts, folder)


def _facts_from_record(folder: Path, source: str) -> Facts:
    """The facts of this package's record, where no checkpoint was kept."""
    record = Record.read(folder)
    if not record.starts:
        raise ScheduleError(f"{folder / RUN} has no readable row: the run ended before its first update.")
    last = record.starts[-1]
    settings = last.get("settings")
    facts = facts_from_settings(settings if isinstance(settings, dict) else {}, source)
    peaks = _numbers(last.get("peaks"))
    schedule, per_epoch, total = (last.get(name) for name in ("schedule", "updates_per_epoch", "num_updates"))
    # JSON has no NaN: a row has null instead.
    rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in record.train]
    history = sorted([*rows, *record.evaluations], key=lambda row: int(row.get("step", 0)))
    name = last.get("model")
    return replace(
        facts,
        uses_our_trainer=schedule is not None,
        schedule=None if schedule is None else str(schedule),
        clock=str(last.get("clock", "updates")),
        lr_scheduler_type=None,
        optim=str(last["optimizer"]).lower() if "optimizer" in last else facts.optim,
        learning_rate=peaks[0] if peaks else facts.learning_rate,
        group_lrs=peaks,
        num_updates=total if isinstance(total, int) and total > 0 else facts.num_updates,
        updates_per_epoch=per_epoch if isinstance(per_epoch, int) else None,
        eval_strategy=None,
        model=ModelFacts(name, is_pretrained=True) if isinstance(name, str) else facts.model,
        scheduler=SchedulerFacts("ScheduleLR", events=tuple(record.events)) if schedule is not None else None,
        log_history=tuple(history),
        updates_done=max((int(row.get("step", 0)) for row in history), default=None),
    )


def _was_stopped(content: Mapping[str, Any]) -> bool:
    """Whether a callback, such as early stopping, asked for the end."""
    found: Any = content
    for name in ("stateful_callbacks", "TrainerControl", "args", "should_training_stop"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found is True


def _with_scheduler(facts: Facts, folder: Path) -> Facts:
    if not (folder / "scheduler.pt").is_file():
        return facts
    state, facts = _read_state_dict(facts, folder / "scheduler.pt")
    if not state:
        return facts
    if "version" in state and isinstance(state.get("settings"), dict):
        return _with_our_scheduler(facts, state)
    optimizer: Mapping[str, Any] = {}
    if (folder / "optimizer.pt").is_file():
        optimizer, facts = _read_state_dict(facts, folder / "optimizer.pt")
    groups = optimizer.get("param_groups")
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


def _read_state_dict(facts: Facts, path: Path) -> tuple[dict[str, Any], Facts]:
    """Read a `.pt` file; a file that cannot be read is listed in the facts."""
    try:
        state = read_pickle(path)
    except ScheduleError as error:
        return {}, replace(facts, unreadable=(*facts.unreadable, str(error)))
    if isinstance(state, dict):
        return state, facts
    return {}, replace(facts, unreadable=(*facts.unreadable, f"{path} holds {type(state).__name__}, not a state dict."))


def _with_our_scheduler(facts: Facts, state: Mapping[str, Any]) -> Facts:
    settings, events = state["settings"], state.get("events")
    counts_updates = settings.get("unit", "updates") == "updates"
    scheduler = SchedulerFacts(
        "ScheduleLR",
        _whole(state.get("update")),
        _whole(settings.get("num_updates")) if counts_updates else None,
        events=tuple(event for event in events if isinstance(event, dict)) if isinstance(events, list) else (),
    )
    peaks = _numbers(settings.get("peaks"))
    return replace(
        facts,
        uses_our_trainer=True,
        schedule=str(settings.get("schedule")),
        clock=str(settings.get("clock", "updates")),
        lr_scheduler_type=None,
        learning_rate=peaks[0] if peaks else facts.learning_rate,
        group_lrs=peaks,
        scheduler=scheduler,
    )


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
    """A list of numbers, or nothing where one of them is no number, such as a tensor that is not read."""
    if not isinstance(values, list) or not all(map(is_number, values)):
        return ()
    return tuple(map(float, values))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _find_record(folder: Path) -> Path | None:
    """The newest record of this package's Trainer."""
    found = [path for path in folder.glob(f"{FOLDER}*") if (path / RUN).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]) if "-" in path.name else 1, default=None)


def _list_checkpoints(folder: Path) -> list[Path]:
    return [path for path in list_checkpoints(folder).values() if (path / TRAINER_STATE).is_file()]


def _is_beginning(log: tuple[Mapping[str, Any], ...], later: tuple[Mapping[str, Any], ...]) -> bool:
    """Whether one log is the beginning of the other. As texts, for NaN is not equal to itself."""
    return list(map(repr, log)) == list(map(repr, later[: len(log)]))
