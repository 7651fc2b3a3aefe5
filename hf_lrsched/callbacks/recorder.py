"""RunRecorder: writes the record of a run as it goes."""

import datetime
import re
from pathlib import Path
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle
from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from ..optim.wrappers import unwrap_optimizer
from ..runs.append_only import Appender, last_row
from ..runs.columns import is_step_size
from ..runs.record import EVALUATIONS, EVENTS, FILES, FOLDER, RUN, SETFIT_LOSS, STEPS, TRAIN, VERSION, Segment
from ..runs.rows import Rows
from ..scheduler.schedule_lr import ScheduleLR
from .run_context import ReadsUsedLRs, get_context
from .used_lrs import get_evaluation_prefix, get_group_names

#: What of the training arguments stands in the record.
SETTINGS = (
    *("learning_rate", "weight_decay", "optim", "max_grad_norm", "num_train_epochs", "max_steps", "seed"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "world_size", "fp16", "bf16"),
    *("metric_for_best_model", "greater_is_better", "run_name"),
)


class RunRecorder(ReadsUsedLRs):
    """Write a folder `record` into the output folder, with the LR of every update. [`hf_lrsched.runs.record`] has the files.

    A second run in the same folder writes `record-2`, and so on; a resumed run continues the newest one. Only the main
    process writes. A trial of a hyperparameter search has no record: all trials have one output folder.

    [`ScheduledTrainer`] has one. For a stock Trainer: `callbacks=[RunRecorder()]`, anywhere in the list.
    """

    def __init__(self) -> None:
        self._files: dict[str, Appender] = {}
        self._is_training = False
        self._known = (0, 0)
        self._hook: RemovableHandle | None = None
        #: The search that found the peak LR, as plain data: [`ScheduledTrainer`] sets it.
        self.lr_search: dict[str, Any] | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        get_context(state).note = self.note
        self._files = {}
        self._remove_hook()
        if not state.is_world_process_zero or state.is_hyper_param_search:
            return
        self._is_training = True
        folder = _folder(Path(str(args.output_dir)), is_resumed=state.global_step > 0)
        self._files = {name: Appender(folder / name) for name in FILES}
        self._start = _next_start(folder)
        scheduler, groups = kwargs.get("lr_scheduler"), kwargs["optimizer"].param_groups
        inner = unwrap_optimizer(kwargs["optimizer"])
        row = {
            "version": VERSION,
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "num_updates": state.max_steps,
            "updates_per_epoch": _updates_per_epoch(args, kwargs.get("train_dataloader")),
            "groups": get_group_names(groups),
            "num_parameters": [sum(parameter.numel() for parameter in group["params"]) for group in groups],
            "peaks": [float(group.get("initial_lr", group["lr"])) for group in groups],
            "weight_decays": [group.get("weight_decay") for group in groups],
            "optimizer": type(inner).__name__,
            "model": getattr(getattr(kwargs.get("model"), "config", None), "_name_or_path", None) or None,
            "settings": {name: getattr(args, name, None) for name in SETTINGS},
            **({} if self.lr_search is None else {"lr_search": self.lr_search}),
        }
        if not isinstance(scheduler, ScheduleLR):
            self._append(RUN, state, row | {"schedule": None, "scheduler": type(scheduler).__name__})
            return
        if isinstance(inner, torch.optim.Optimizer):  # its hook comes after that of each callback
            self._hook = inner.register_step_pre_hook(lambda *_: self._record_events(state, scheduler))
        self._known = _seen(scheduler, state)
        now = [_plain(event) for event in scheduler.events if event["t"] == state.global_step]
        resumes = now[-1:] if now and now[-1]["kind"] == "resume" else []
        row |= {"schedule": str(scheduler.schedule), "clock": str(scheduler.clock)}
        row |= {"events": now[: len(now) - len(resumes)], **_segment(scheduler, state).to_row()}
        # A kill during a save loses the rows of events that the checkpoint has.
        recorded = Rows.read(folder / EVENTS)
        lost = [event for event in row["events"] if not any(event.items() <= each.items() for each in recorded)]
        self._append(RUN, state, row)
        for event in lost:
            self._append(EVENTS, state, {**event, **_segment(scheduler, state).to_row()})
        for event in resumes:
            self._append(EVENTS, state, event)

    def on_step_begin(self, args, state, control, **kwargs):
        super().on_step_begin(args, state, control, **kwargs)
        self._record_events(state, kwargs.get("lr_scheduler"))

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self._record_events(state, kwargs.get("lr_scheduler"))

    on_save = on_pre_optimizer_step

    # Not in on_step_end or on_evaluate, where the callbacks after this one may still change the LR.

    def on_step_end(self, args, state, control, **kwargs):
        if step_sizes := get_context(state).step_sizes:
            self._append(STEPS, state, step_sizes)

    def on_train_end(self, args, state, control, **kwargs):
        self._record_events(state, kwargs.get("lr_scheduler"))
        self._is_training = False  # other callbacks may still note what they find at the end
        self._remove_hook()

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def on_log(self, args, state, control, **kwargs):
        if not self._files or not self._is_training:
            return
        # Not `logs`, which other callbacks change: Trainer's PrinterCallback removes what identifies the summary.
        record = {"loss" if key == SETFIT_LOSS else key: value for key, value in state.log_history[-1].items()}
        prefix = get_evaluation_prefix(record)
        if "loss" in record:
            is_extra = {key: key.startswith("lr/") or is_step_size(key) for key in record}
            self._append(TRAIN, state, {key: value for key, value in record.items() if not is_extra[key]})
        elif prefix is not None:
            # A column means the same in every row: the LR has no prefix of the evaluation here.
            lrs = (f"{prefix}_learning_rate", f"{prefix}_lr/")
            metrics = {key: value for key, value in record.items() if not key.startswith(lrs)}
            self._append(EVALUATIONS, state, {**get_context(state).used_lrs.values(), **metrics})

    def note(self, state: TrainerState, event: dict[str, Any]) -> None:
        """Record an event that changed no LR, such as what a monitor found. On processes that do not write, nothing happens.

        Args:
            state (`TrainerState`): The Trainer's.
            event (`dict[str, Any]`): Its `kind`, its `cause`, and whatever else there is to say: plain data.
        """
        self._append(EVENTS, state, {"t": state.global_step, **event})

    def _record_events(self, state: TrainerState, scheduler: Any) -> None:
        if not self._files or not isinstance(scheduler, ScheduleLR) or _seen(scheduler, state) == self._known:
            return
        new = scheduler.run_state.num_events - self._known[0]
        events = scheduler.events[-new:] if new else [{"kind": "lag", "t": state.global_step}]
        self._known = _seen(scheduler, state)
        for event in events:
            # They are of one update, for this looks after each hook: what holds after the last of them holds after all.
            row = {**_plain(event), **_segment(scheduler, state).to_row()}
            self._append(EVENTS, state, row)

    def _append(self, name: str, state: TrainerState, row: dict[str, Any]) -> None:
        if name in self._files:
            epoch = {} if state.epoch is None else {"epoch": float(state.epoch)}
            self._files[name].append({"start": self._start, "step": state.global_step, **epoch, **row})


def _seen(scheduler: ScheduleLR, state: TrainerState) -> tuple[int, int]:
    """Two counts that show whether the LRs still follow from the record: events, and by how much the scheduler lags behind."""
    lag = scheduler.last_epoch - state.global_step if scheduler.run_state.counts_updates else 0
    return scheduler.run_state.num_events, lag


def _segment(scheduler: ScheduleLR, state: TrainerState) -> Segment:
    # Its own offset, not one that is computed from the position: the sum must be rounded as the scheduler's is.
    offset = scheduler.run_state.offset + _seen(scheduler, state)[1]
    return Segment(state.global_step, scheduler.run_state.trajectory, offset, tuple(scheduler.run_state.scales))


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with a number in each column: of the LRs, those of the first group. The others follow from the curve."""
    return {key: value[0] if isinstance(value, list | tuple) else value for key, value in event.items()}


def _folder(output_dir: Path, is_resumed: bool) -> Path:
    """Where the record goes: a new folder for a new run, the newest one for one that goes on."""
    found = [re.fullmatch(rf"{FOLDER}(?:-(\d+))?", path.name) for path in output_dir.glob(f"{FOLDER}*")]
    number = max((int(match[1] or 1) for match in found if match), default=0)
    if not (is_resumed and number):
        number += 1
    while True:
        folder = output_dir / (FOLDER if number == 1 else f"{FOLDER}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=is_resumed)  # which only one of two new runs can do
        except FileExistsError:
            number += 1
            continue
        except OSError:  # whoever writes will say it
            pass
        return folder


def _next_start(folder: Path) -> int:
    """Return the number of this start: after all that any file knows of, also where the row of a start was lost."""
    try:
        rows = [last_row(folder / name) for name in FILES]
    except OSError:
        return 0
    return max((int(row.get("start", -1)) + 1 for row in rows if row), default=0)


def _updates_per_epoch(args: TrainingArguments, dataloader: Any) -> int | None:
    if not has_length(dataloader):
        return None
    return max(-(-len(dataloader) // args.gradient_accumulation_steps), 1)
