"""A run's folder, or one of its checkpoints, as Facts."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runs.checkpoints import TRAINER_STATE, list_checkpoints
from ..runs.files import read_json
from ..runs.record import FOLDER, RUN, Record
from ..schedules import ScheduleError
from .expected_curve import updates_per_epoch
from .facts import Facts, ModelFacts, SchedulerFacts
from .from_settings import Settings, facts_of_settings, is_number
from .loss_scaling import architecture_ignores_item_count
from .safe_pickle import Inert, read_pickle

_ARGUMENTS = "training_args.bin"


def is_run_folder(folder: Path) -> bool:
    """Did a Trainer write into it?"""
    has_file = any((folder / name).is_file() for name in (TRAINER_STATE, _ARGUMENTS))
    return has_file or bool(_checkpoints(folder)) or _record(folder) is not None


def facts_of_folder(folder: Path) -> Facts:
    """The facts of a run's folder: of its end or its newest checkpoint, with what the older ones say.

    Raises:
        ScheduleError: No Trainer wrote into it, or a file in it is damaged.
    """
    if not is_run_folder(folder):
        runs = sorted(str(other) for other in folder.iterdir() if other.is_dir() and is_run_folder(other))
        hint = f" Runs are in {', '.join(runs[:3])}{', …' if len(runs) > 3 else ''}." if runs else ""
        raise ScheduleError(
            f"{folder} is not the folder of a run: it has no {TRAINER_STATE}, no {_ARGUMENTS}, no checkpoint and no record.{hint}"
        )
    stages = [*_checkpoints(folder), *([folder] if (folder / TRAINER_STATE).is_file() else [])] or [folder]
    *older, newest = [_stage(stage) for stage in stages]
    strangers = [facts for facts in older if not _begins(newest.history, facts.history)]
    earlier = tuple(facts for facts in older if facts not in strangers)
    if newest.scheduler is None and earlier and earlier[-1].steps_done == newest.steps_done:
        newest = replace(newest, scheduler=earlier[-1].scheduler)  # the last checkpoint's
    if newest.learning_rate is None and earlier:
        newest = _with_settings_of(newest, earlier[-1])
    return replace(
        newest,
        source=str(folder),
        schedule=newest.schedule or next((facts.schedule for facts in earlier if facts.schedule), None),
        is_ours=newest.is_ours or any(facts.is_ours for facts in earlier),
        earlier=earlier,
        strangers=tuple(Path(facts.source).name for facts in strangers),
        unread=tuple(dict.fromkeys(each for facts in (*older, newest) for each in facts.unread)),
    )


def facts_of_state(content: Mapping[str, Any], path: Path) -> Facts:
    """The facts of a `trainer_state.json` alone."""
    return _after_state(Facts(str(path), eval_strategy=None), content, str(path))


def _stage(folder: Path) -> Facts:
    arguments, state = folder / _ARGUMENTS, folder / TRAINER_STATE
    facts = Facts(str(folder))
    if not state.is_file() and (record := _record(folder)) is not None:
        return _facts_of_record(record, str(folder))
    if arguments.is_file():
        found = read_pickle(arguments)
        if not isinstance(found, Inert) or "learning_rate" not in found.__dict__:
            raise ScheduleError(f"{arguments} holds no training arguments.")
        facts = facts_of_settings(found.__dict__, str(folder), folder)
    if state.is_file():
        facts = _after_state(facts, read_json(state), str(state))
    facts = replace(facts, model=_model(folder, facts))
    return _with_scheduler(facts, folder)


def _record(folder: Path) -> Path | None:
    """The newest record of this package's Trainer."""
    found = [path for path in folder.glob(f"{FOLDER}*") if (path / RUN).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]) if "-" in path.name else 1, default=None)


def _facts_of_record(folder: Path, source: str) -> Facts:
    """What the record says, where no checkpoint was kept."""
    record = Record.read(folder)
    if not record.starts:
        raise ScheduleError(f"{folder / RUN} has no row that can be read: the run ended before its first update.")
    last = record.starts[-1]
    settings = last.get("settings")
    facts = facts_of_settings(settings if isinstance(settings, dict) else {}, source)
    peaks = _numbers(last.get("peaks"))
    schedule, per_epoch, total = (last.get(name) for name in ("schedule", "updates_per_epoch", "num_updates"))
    # JSON has no NaN: a row has null instead.
    rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in record.train]
    history = sorted([*rows, *record.evaluations], key=lambda row: int(row.get("step", 0)))
    name = last.get("model")
    return replace(
        facts,
        is_ours=schedule is not None,
        schedule=None if schedule is None else str(schedule),
        clock=str(last.get("clock", "updates")),
        lr_scheduler_type=None,
        learning_rate=peaks[0] if peaks else facts.learning_rate,
        group_lrs=peaks,
        num_updates=total if isinstance(total, int) and total > 0 else facts.num_updates,
        updates_per_epoch=per_epoch if isinstance(per_epoch, int) else None,
        eval_strategy=None,
        model=ModelFacts(name, is_pretrained=True) if isinstance(name, str) else facts.model,
        scheduler=SchedulerFacts("ScheduleLR", events=tuple(record.events)) if schedule is not None else None,
        history=tuple(history),
        steps_done=max((int(row.get("step", 0)) for row in history), default=None),
    )


def _with_settings_of(facts: Facts, other: Facts) -> Facts:
    """The settings of a checkpoint, beside what a later state says of the run itself."""
    return replace(
        other,
        source=facts.source,
        num_updates=facts.num_updates or other.num_updates,
        updates_per_epoch=facts.updates_per_epoch or other.updates_per_epoch,
        num_train_epochs=facts.num_train_epochs or other.num_train_epochs,
        history=facts.history,
        steps_done=facts.steps_done,
        is_over=facts.is_over,
        scheduler=facts.scheduler or (other.scheduler if facts.steps_done == other.steps_done else None),
        model=other.model if facts.model.name is None else facts.model,
        unread=facts.unread,
        earlier=(),
    )


def _after_state(facts: Facts, content: Mapping[str, Any], source: str) -> Facts:
    state = Settings(content, source)
    history = content.get("log_history")
    if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
        raise ScheduleError(f"{source}: log_history must be a list of records.")
    max_steps, done = state.whole("max_steps"), state.whole("global_step")
    epochs = state.length("num_train_epochs")
    total = max_steps if max_steps is not None and max_steps > 0 else facts.num_updates
    per_epoch = _updates_per_epoch(history, done, state.length("epoch"), total, epochs)
    steps = state.length("logging_steps")
    return replace(
        facts,
        num_updates=total,
        num_train_epochs=epochs if epochs and epochs < 1e9 else None,
        updates_per_epoch=per_epoch,
        has_length=True,  # the run was made
        history=tuple(history),
        steps_done=done,
        is_over=any("train_runtime" in record for record in history) or _stopped(content),
        logging_steps=facts.logging_steps if facts.logging_steps is not None else steps,
    )


def _updates_per_epoch(
    history: list[dict[str, Any]], done: int | None, epoch: float | None, total: int | None, epochs: float | None
) -> int | None:
    if done and epoch:
        return updates_per_epoch(done, epoch)
    return updates_per_epoch(total, epochs) if total else None


def _stopped(content: Mapping[str, Any]) -> bool:
    """Has a callback, such as early stopping's, asked for the end?"""
    callbacks = content.get("stateful_callbacks")
    control = callbacks.get("TrainerControl") if isinstance(callbacks, dict) else None
    arguments = control.get("args") if isinstance(control, dict) else None
    return isinstance(arguments, dict) and arguments.get("should_training_stop") is True


def _with_scheduler(facts: Facts, folder: Path) -> Facts:
    path = folder / "scheduler.pt"
    if not path.is_file():
        return facts
    try:
        state = read_pickle(path)
    except ScheduleError as error:
        return replace(facts, unread=(*facts.unread, str(error)))
    if not isinstance(state, dict):
        return replace(facts, unread=(*facts.unread, f"{path} holds no state of a scheduler."))
    if "version" in state and isinstance(state.get("settings"), dict):
        return _with_our_scheduler(facts, state)
    position, lrs = state.get("last_epoch"), _numbers(state.get("_last_lr"))
    follows_a_metric = "num_bad_epochs" in state
    total = state.get("total_steps", state.get("T_max"))
    trains: tuple[float, ...] = ()
    if (folder / "optimizer.pt").is_file():
        try:
            trains = _optimizer_lrs(folder / "optimizer.pt")
        except ScheduleError as error:
            facts = replace(facts, unread=(*facts.unread, str(error)))
    scheduler = SchedulerFacts(
        "ReduceLROnPlateau" if follows_a_metric else "scheduler",
        position if isinstance(position, int) and not follows_a_metric else None,
        total if isinstance(total, int) else None,
        shows=lrs,
        trains=trains,
    )
    return replace(facts, scheduler=scheduler, group_lrs=_numbers(state.get("base_lrs")) or facts.group_lrs)


def _with_our_scheduler(facts: Facts, state: Mapping[str, Any]) -> Facts:
    settings, position = state["settings"], state.get("t")
    events = state.get("events")
    events = tuple(event for event in events if isinstance(event, dict)) if isinstance(events, list) else ()
    total = settings.get("num_updates")
    counts_updates = settings.get("unit", "updates") == "updates"
    scheduler = SchedulerFacts(
        "ScheduleLR",
        position if isinstance(position, int) else None,
        total if isinstance(total, int) and counts_updates else None,
        events=events,
    )
    peaks = _numbers(settings.get("peaks"))
    return replace(
        facts,
        is_ours=True,
        schedule=str(settings.get("schedule")),
        clock=str(settings.get("clock", "updates")),
        lr_scheduler_type=None,
        learning_rate=peaks[0] if peaks else facts.learning_rate,
        group_lrs=peaks,
        scheduler=scheduler,
    )


def _optimizer_lrs(path: Path) -> tuple[float, ...]:
    state = read_pickle(path)
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return ()
    return _numbers([group.get("lr") for group in groups])


def _numbers(values: Any) -> tuple[float, ...]:
    """A list of numbers, or nothing where one of them is none, such as a tensor that is not read."""
    if not isinstance(values, list) or not all(is_number(value) for value in values):
        return ()
    return tuple(map(float, values))


def _model(folder: Path, facts: Facts) -> ModelFacts:
    """As the model's own configuration beside the checkpoint tells it."""
    has_adapter = (folder / "adapter_config.json").is_file() or facts.model.has_adapter
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (architecture,) = content["architectures"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return replace(facts.model, has_adapter=has_adapter)
    multiplies = facts.accumulation * (facts.processes if facts.averages_over_processes else 1) > 1
    ignores = multiplies and isinstance(architecture, str) and architecture_ignores_item_count(architecture)
    return replace(facts.model, name=str(architecture), ignores_item_count=ignores, has_adapter=has_adapter)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in list_checkpoints(folder).values() if (path / TRAINER_STATE).is_file()]


def _begins(history: tuple[Mapping[str, Any], ...], earlier: tuple[Mapping[str, Any], ...]) -> bool:
    """Is the one log the beginning of the other? As texts, for NaN is not equal to itself."""
    return all(
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
        for one, other in zip(earlier, history, strict=False)
    ) and len(earlier) <= len(history)
