"""RunRecorder: writes the record of a run as it goes."""

import datetime
import re
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..record import EVALUATIONS, EVENTS, FOLDER, RUN, TRAIN, VERSION, Appender, Segment, read_rows
from ..scheduler import ScheduleLR
from .lr_logger import LRLogger, group_names

#: What of the training arguments stands in the record.
SETTINGS = (
    *("learning_rate", "weight_decay", "optim", "max_grad_norm", "num_train_epochs", "max_steps", "seed"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "world_size", "fp16", "bf16"),
    *("metric_for_best_model", "greater_is_better", "run_name"),
)


class RunRecorder(TrainerCallback):
    """Writes a folder `record` into the output folder: see [`hf_lrsched.record`].

    A second run in the same folder gets `record-2`, and so on; a resumed run goes on with the newest one. Only the main
    process writes. A trial of a hyperparameter search has no record: all trials have one output folder.

    [`ScheduledTrainer`] has one. For a stock Trainer: `callbacks=[RunRecorder()]`.

    Args:
        lr_logger ([`LRLogger`], *optional*): Who knows the LRs that were used. Defaults to one of its own.
    """

    def __init__(self, lr_logger: LRLogger | None = None):
        self._own_logger = LRLogger() if lr_logger is None else None
        self._lr_logger = lr_logger or self._own_logger
        self._files: dict[str, Appender] = {}
        self._num_events = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._own_logger is not None:
            self._own_logger.on_train_begin(args, state, control, **kwargs)
        self._files = {}
        if not state.is_world_process_zero or state.is_hyper_param_search:
            return
        folder = _folder(Path(str(args.output_dir)), is_resumed=state.global_step > 0)
        self._files = {name: Appender(folder / name) for name in (RUN, TRAIN, EVALUATIONS, EVENTS)}
        self._start = len(read_rows(folder / RUN))
        scheduler = kwargs.get("lr_scheduler")
        row = {
            "version": VERSION,
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "num_updates": state.max_steps,
            "updates_per_epoch": _updates_per_epoch(args, state, kwargs.get("train_dataloader")),
            "groups": group_names(kwargs["optimizer"].param_groups),
            "num_parameters": [
                sum(parameter.numel() for parameter in group["params"]) for group in kwargs["optimizer"].param_groups
            ],
            "peaks": [float(group.get("initial_lr", group["lr"])) for group in kwargs["optimizer"].param_groups],
            "weight_decays": [group.get("weight_decay") for group in kwargs["optimizer"].param_groups],
            "optimizer": type(getattr(kwargs["optimizer"], "optimizer", kwargs["optimizer"])).__name__,
            "model": getattr(getattr(kwargs.get("model"), "config", None), "_name_or_path", None) or None,
            "settings": {name: getattr(args, name, None) for name in SETTINGS},
        }
        if isinstance(scheduler, ScheduleLR):
            row |= {"schedule": str(scheduler.schedule), "clock": str(scheduler.clock), **_segment(scheduler).to_row()}
            self._num_events = scheduler.num_events
        else:
            row |= {"schedule": None, "scheduler": type(scheduler).__name__}
        self._append(RUN, state, row)
        latest = scheduler.events[-1] if isinstance(scheduler, ScheduleLR) and scheduler.events else {}
        if latest.get("kind") == "resume" and latest["t"] == state.global_step:
            self._append(EVENTS, state, latest)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._own_logger is not None:
            self._own_logger.on_pre_optimizer_step(args, state, control, **kwargs)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._look_for_events(state, kwargs.get("lr_scheduler"))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._look_for_events(state, kwargs.get("lr_scheduler"))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._look_for_events(state, kwargs.get("lr_scheduler"))
        self._files = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not self._files or not logs:
            return
        row = {key: value for key, value in logs.items() if key != "total_flos" and isinstance(value, int | float)}
        assert self._lr_logger is not None
        used = self._lr_logger.entries(logs)
        if any(key.endswith("_runtime") for key in logs) and "total_flos" not in logs:
            # A column means the same in every row: the LR has no prefix of the evaluation set here.
            row = {key: value for key, value in row.items() if not re.search(r"_(learning_rate|lr/.*)$", key)}
            plain = {re.sub(r"^.*?_(?=learning_rate$|lr/)", "", key): value for key, value in used.items()}
            self._append(EVALUATIONS, state, {**plain, **row})
        elif "loss" in logs:
            self._append(TRAIN, state, {key: value for key, value in row.items() if not key.startswith("lr/")})

    def _look_for_events(self, state: TrainerState, scheduler: Any) -> None:
        if not self._files or not isinstance(scheduler, ScheduleLR) or scheduler.num_events == self._num_events:
            return
        new, self._num_events = scheduler.num_events - self._num_events, scheduler.num_events
        for event in scheduler.events[-new:]:
            # At most a few and all at one update: what holds after the last holds after all.
            row = {**event, **_segment(scheduler).to_row(), "step": event["t"]}
            self._files[EVENTS].append({"start": self._start, **row})

    def _append(self, name: str, state: TrainerState, row: dict[str, Any]) -> None:
        if name in self._files:
            epoch = {} if state.epoch is None else {"epoch": float(state.epoch)}
            self._files[name].append({"start": self._start, "step": state.global_step, **epoch, **row})


def _segment(scheduler: ScheduleLR) -> Segment:
    offset = scheduler.position - scheduler.last_epoch if scheduler.horizon.unit == "updates" else 0.0
    return Segment(scheduler.last_epoch, scheduler.course, offset, tuple(scheduler.scales))


def _folder(output_dir: Path, is_resumed: bool) -> Path:
    """Where the record goes: a new folder for a new run, the newest one for one that goes on."""
    names = [FOLDER, *(f"{FOLDER}-{number}" for number in range(2, 10_000))]
    there = [name for name in names if (output_dir / name).exists()]
    if is_resumed:
        return output_dir / (there[-1] if there else FOLDER)
    return output_dir / next(name for name in names if name not in there)


def _updates_per_epoch(args: TrainingArguments, state: TrainerState, dataloader: Any) -> int | None:
    try:
        batches = len(dataloader)
    except TypeError:  # data without a length
        return None
    return max(-(-batches // args.gradient_accumulation_steps), 1)
