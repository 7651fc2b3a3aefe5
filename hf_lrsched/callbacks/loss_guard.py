"""LossGuard: keeps updates that are not finite from the weights, and acts on them and on spikes of the loss."""

import logging
import math
import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from ..guard.preconditions import _late_first_save
from ..guard.rollback import Moment, are_finite, check_fit
from ..integrations.distributed import anywhere, on_main_process
from ..monitor.spikes import Spike, SpikeTest
from ..monitor.update_losses import UpdateLosses
from ..optim.gradients import LateFlags, are_surely_finite, drop_if, end_drop, gradients_of, is_bad
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..schedules.errors import brief, nearest
from .recorder import RunRecorder, check_recorder
from .stop import end_run

logger = logging.getLogger(__name__)

#: What the guard may do, with what it means.
ACTS = {
    "stop": "save a checkpoint and end the run",
    "lower": "lower the LR and go on",
    "rollback": "go back to the last good checkpoint, lower the LR and go on",
}

_FACTORS = {"lower": 0.5, "rollback": 0.8}

#: How the cause of the guard's events begins.
CAUSE = "guard: "

# fp16's loss scaling drops updates as it looks for its scale: 16 in a row from 65,536 down to 1.
_SKIPS_IN_A_ROW = 20
# Several processes ask the main one so often whether its loss has a spike.
_UPDATES_BETWEEN = 10
# From the first sign of trouble until it is sure: a row of high losses, and the processes' agreement.
_LONGEST_DELAY = 40
_MOST_SAVES = 100
# Records of so many updates tell what loss a run started from.
_FIRST_LOSSES = 10


@dataclass(frozen=True)
class _Trouble:
    """What is acted on.

    Args:
        since (`int`): The first update that shows it.
        text (`str`): What it is.
        is_kept_out (`bool`): Whether its updates were dropped, so that it never reached the weights.
    """

    since: int
    text: str
    is_kept_out: bool

    @property
    def first_suspect(self) -> int:
        """Checkpoints from this one on are no way out: a spike's first high loss is of weights that are one update older."""
        return self.since if self.is_kept_out else self.since - 1


class LossGuard(TrainerCallback):
    """Acts when the gradients are not finite, or when the training loss has jumped up and stays there.

    An update whose gradients hold NaN or infinity is dropped before the optimizer steps, so that it never reaches the weights
    or the optimizer's moments. On the CPU they are looked at directly. On a CUDA device a flag is made there and read two
    updates later, so that no update waits for it; a fused optimizer leaves out the step, another one takes a gradient of 0. Updates that
    fp16's loss scaling skips are left to it, unless there are more than 20 in a row. For spikes of the loss see [`SpikeTest`].

    What it then does is `act`:

    - `stop`: a checkpoint, and the end of the run;
    - `lower`: from here on all LRs are multiplied by `factor`;
    - `rollback`: that, and weights and optimizer go back. Updates, schedule and data go on, past the batches that did it
      (Chowdhery et al., PaLM, 2022, section 5.1). It needs checkpoints with the optimizer's state, and keeps a copy of the
      start in the host's memory until there is a good one.

    A rollback goes back no farther than it must. The first of these that there is:

    1. the newest good checkpoint: whole, finite, and saved more than `margin` updates before the trouble began. What a run
       was resumed from is one, too;
    2. after dropped updates: nowhere. The weights are those from before the trouble, as long as all of them are finite;
    3. the oldest checkpoint of the last `margin` updates before the trouble, whose weights gave no high loss yet;
    4. the start of the training.

    Each act is an event of the schedule, and is printed; [`events`] has those of this run, and what else was told. After
    `most_acts` the next one is a stop. Several processes act at the same update: their gradients are the same, and the main
    process's losses hold for all. A run that is resumed goes on with the acts and the start of the run before: they are in
    the schedule's checkpoint; without a [`ScheduleLR`] the first records tell the start.

    `lower` and `rollback` need a [`ScheduleLR`]: a [`ScheduledTrainer`], or a stock Trainer with `get_scheduler`.

    Args:
        act (`str`, defaults to `stop`): What to do.
        factor (`float`, *optional*): What the LRs are multiplied by, above 0; at most 1. Defaults to 0.5 for `lower`, which
            goes on from the weights as they are, and to 0.8 for `rollback`, after which the trouble is gone.
        most_acts (`int`, defaults to 3): How often it may act, resumes counted together.
        patience (`int`, defaults to 0): How many updates in a row may be dropped for gradients that are not finite before it
            acts. For data with single bad samples 1 is enough, so that each costs the run one update. It acts at once where
            the forward pass has left NaN in a buffer, as in those of batch normalization.
        margin (`int`, defaults to 10): A checkpoint that was saved so many updates or fewer before the first sign of trouble
            is not good.
        recorder ([`RunRecorder`], *optional*): Where it notes what changes no LR. [`ScheduledTrainer`] gives its own.

    Attributes:
        events (`list[dict[str, Any]]`): What it did and told in this run, in order: each with `t`, the updates that were over,
            its `kind` (`scale` where it changed the LR, else `guard`) and its `cause`.

    Raises:
        ScheduleError: An argument that can't be meant; before the first update, a run in which the act is not possible.

    Example:
    ```python
    trainer = ScheduledTrainer(..., schedule="warmup(10%) >> linear()", callbacks=[LossGuard("rollback")])
    ```
    """

    def __init__(
        self,
        act: str = "stop",
        factor: float | None = None,
        most_acts: int = 3,
        patience: int = 0,
        margin: int = 10,
        recorder: RunRecorder | None = None,
    ):
        if not isinstance(act, str) or act not in ACTS:
            raise ScheduleError(f"act must be one of {', '.join(ACTS)}, got {brief(act)}.{nearest(str(act), ACTS)}")
        factor = _FACTORS.get(act, 1.0) if factor is None else factor
        if not _is_number(factor) or not 0 < factor <= 1 or (act == "lower" and factor == 1):
            below = "below 1" if act == "lower" else "at most 1"
            raise ScheduleError(f"factor must be a number above 0 and {below}, got {brief(factor)}.")
        for name, value, least in (("most_acts", most_acts, 1), ("patience", patience, 0), ("margin", margin, 0)):
            if type(value) is not int or value < least:
                raise ScheduleError(f"{name} must be a whole number, {least} or more, got {brief(value)}.")
        check_recorder(recorder)
        self.act, self.factor, self.most_acts, self.patience, self.margin = act, factor, most_acts, patience, margin
        self.recorder = recorder
        self.events: list[dict[str, Any]] = []
        self._losses = UpdateLosses()
        self._start: Moment | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        model, optimizer, scheduler = kwargs["model"], kwargs["optimizer"], kwargs.get("lr_scheduler")
        self._refuse(args, state, model, scheduler)
        self._scheduler = scheduler if isinstance(scheduler, ScheduleLR) else None
        # What a resume must know is in the schedule's checkpoint.
        self._kept = self._scheduler.guard if self._scheduler is not None else {}
        if self._scheduler is not None and "acts" not in self._kept:  # of a version that counted by the events
            self._kept["acts"] = sum(str(event.get("cause")).startswith(CAUSE) for event in self._scheduler.events)
        self.events = []
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._smallest = sorted(self._parameters, key=nn.Parameter.numel)
        self._reads_gradients = all(parameter.device.type == "cpu" for parameter in self._parameters)
        self._unbounded = {name for name, buffer in model.named_buffers() if not are_finite({name: buffer})}
        self._flags = LateFlags()
        self._test = SpikeTest(start=self._kept.get("start", _first_loss(state)))
        self._dropped: list[int] = []
        self._row = (0, 0)  # the latest updates in a row that were dropped: the first and the last of them
        self._is_scaled = False
        self._spike: Spike | None = None
        self._begun = self._acted = self._recorded = state.global_step
        self._saves_nothing = False
        self._saves: deque[int] = deque(maxlen=_MOST_SAVES)
        self._fits: bool | None = None  # whether the checkpoints fit the model; None before the first
        self._start = Moment.now(model, optimizer) if self.act == "rollback" else None
        self._losses.attach(model)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        optimizer = kwargs["optimizer"]
        self._is_scaled = getattr(optimizer, "scaler", None) is not None
        is_clipped = args.max_grad_norm is not None and args.max_grad_norm > 0
        if self._reads_gradients and is_clipped and are_surely_finite(gradients_of(self._smallest)):
            return
        gradients = list(gradients_of(self._parameters))
        if not gradients:
            return
        if not self._reads_gradients:
            flag = is_bad(gradients)
            if not self._is_scaled:  # else the scaler looks itself, and leaves the step out
                drop_if(flag, optimizer, gradients)
            self._flags.add(state.global_step + 1, flag)
        elif is_bad(gradients):
            self._dropped.append(state.global_step + 1)
            for parameter in () if self._is_scaled else self._parameters:
                parameter.grad = None  # which the optimizer then leaves alone, its moments included

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self._is_scaled:
            end_drop(kwargs["optimizer"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        update = state.global_step
        self._losses.end_update(update)
        # Trainer itself waits for the device there.
        waits = control.should_log or control.should_save or update >= state.max_steps
        dropped = [*self._dropped, *self._flags.arrived(update, wait=waits)]
        self._dropped = []
        for each, loss in self._losses.arrived(wait=control.should_log):
            self._look_at_loss(each, loss)
        trouble = self._trouble_of_gradients(dropped, state, kwargs["model"]) or self._trouble_of_loss(args, update)
        if trouble is not None:
            self._respond(trouble, args, state, control, kwargs["model"], kwargs["optimizer"])
        if self._saves and self._saves[0] + self.margin + _LONGEST_DELAY < update:
            self._start = None  # there is a checkpoint that is as good and newer

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not self._losses.sees:  # the mean of the updates since the record before
            self._look_at_loss(self._recorded + 1, float(loss))
            self._recorded = state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._saves_nothing:
            control.should_save = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.act != "rollback":
            return
        if self._fits is None:
            self._fits = on_main_process(lambda: self._look_at_save(_folder(args, state.global_step), kwargs["model"]))
        if self._fits:
            self._saves.append(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._losses.detach()
        self._start = None

    def _look_at_loss(self, update: int, loss: float) -> None:
        if update > self._acted:
            self._spike = self._test.add(update, loss) or self._spike
            if math.isfinite(self._test.start):
                self._kept["start"] = self._test.start

    def _look_at_save(self, folder: Path, model: nn.Module) -> bool:
        """Whether the checkpoints can be returned to, as far as the first one tells; if not, now is the time to say so."""
        try:
            check_fit(folder, model)
        except Exception as error:  # whatever is wrong with its files
            logger.warning(
                f"LossGuard('rollback') can't return to checkpoints such as {folder}: {error}. In this run the start, update "
                f"{self._begun}, is all that it can go back to; a copy stays in memory. LossGuard('lower') needs no checkpoint."
            )
            return False
        return True

    def _trouble_of_gradients(self, dropped: list[int], state: TrainerState, model: nn.Module) -> _Trouble | None:
        """Of updates that were dropped; those that are borne are told."""
        patience = max(self.patience, _SKIPS_IN_A_ROW) if self._is_scaled else self.patience
        for update in dropped:
            if update <= self._acted:
                continue
            first = self._row[0] if self._row[1] == update - 1 and self._row[0] else update
            self._row = (first, update)
            which = f"update {update}" if first == update else f"updates {first} to {update}"
            what = f"the gradients of {which} were not finite and were dropped"
            if update - first >= patience:
                return _Trouble(first, what, is_kept_out=True)
            if not self._is_scaled:
                if self._is_spoilt(model):
                    return _Trouble(first, f"{what}, but buffers or weights hold NaN or infinity", is_kept_out=True)
                self._tell(what, state)
        return None

    def _trouble_of_loss(self, args: TrainingArguments, update: int) -> _Trouble | None:
        spike = self._spike
        if args.world_size > 1:
            spike = on_main_process(lambda: self._spike) if update % _UPDATES_BETWEEN == 0 else None
        return None if spike is None else _Trouble(spike.since, spike.text, is_kept_out=False)

    def _respond(
        self,
        trouble: _Trouble,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        optimizer: Any,
    ) -> None:
        self._acted = state.global_step  # what comes in late is of the weights before
        self._row, self._spike = (0, 0), None
        self._test.forget()
        is_last = self._kept.get("acts", 0) >= self.most_acts
        what = trouble.text
        if self.act == "rollback":
            found = self._go_back(trouble, args, control, model, optimizer)
            if found is None:
                return self._stop(f"{what}, and no good checkpoint is there to go back to", args, state, control, model)
            what = f"{what}; {found}"
        if self._scheduler is None or self.act == "stop":
            return self._stop(what, args, state, control, model)
        if is_last:
            often = "once" if self.most_acts == 1 else f"{self.most_acts} times"
            return self._stop(f"{what}; it has acted {often} already", args, state, control, model)
        if self._is_spoilt(model):
            return self._stop(f"{what}, and a lower LR can't help", args, state, control, model)
        self._kept["acts"] += 1
        event = self._scheduler.rescale(self.factor, f"{CAUSE}{what}")
        self.events.append(event)
        if state.is_world_process_zero:
            print(
                f"update {state.global_step}: {event['cause']}: the LR goes from {event['lr_before']:.4g} to "
                f"{event['lr_after']:.4g} (scale {event['scale_before']:.4g} to {event['scale_after']:.4g})",
                flush=True,
            )

    def _stop(
        self, what: str, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module
    ) -> None:
        self._saves_nothing = self._is_spoilt(model)
        if self._saves_nothing:
            self._tell(f"{what}; the weights are not finite, so nothing is saved and the run ends", state)
            control.should_training_stop, control.should_save = True, False
        else:
            self._tell(f"{what}; a checkpoint is saved and the run ends", state)
            end_run(args, control)

    def _tell(self, what: str, state: TrainerState) -> None:
        cause = f"{CAUSE}{what}"
        self.events.append({"kind": "guard", "cause": cause, "t": state.global_step})
        if state.is_world_process_zero:
            print(f"update {state.global_step}: {cause}", flush=True)
        if self.recorder is not None:
            self.recorder.note(state, {"kind": "guard", "cause": cause})

    def _go_back(
        self, trouble: _Trouble, args: TrainingArguments, control: TrainerControl, model: nn.Module, optimizer: Any
    ) -> str | None:
        """Weights and moments as they were before the trouble; says where that is."""
        for update, moment in self._moments(trouble, args, model):
            if moment is None:
                return "no checkpoint is good, and the weights are: they stay"
            moment.restore(model, optimizer)
            control.should_save = True  # or a resume would take a checkpoint from within the trouble
            self._saves = deque((save for save in self._saves if save <= update), _MOST_SAVES)
            return f"back to {_folder(args, update).name if self._saves else f'the start, update {update}'}"
        return None

    def _moments(
        self, trouble: _Trouble, args: TrainingArguments, model: nn.Module
    ) -> Iterator[tuple[int, Moment | None]]:
        """What may be returned to, the best first, with the updates that it holds; None is to stay."""
        good = [save for save in self._saves if save + self.margin < trouble.since]
        for save in reversed(good):
            yield from self._moment_of(save, args, model)
        if self._start is not None and 0 < self._begun < trouble.since - self.margin:
            yield self._begun, self._start
        if trouble.is_kept_out and not self._is_spoilt(model):
            yield 0, None
        for save in [save for save in self._saves if save < trouble.first_suspect and save not in good]:
            logger.warning(
                f"no checkpoint from more than {self.margin} updates before update {trouble.since}, where the trouble began, can "
                f"be returned to. checkpoint-{save} is nearer; if it has the trouble in it, save more often, and set "
                "save_total_limit higher."
            )
            yield from self._moment_of(save, args, model)
        if self._start is not None:
            yield self._begun, self._start

    def _moment_of(self, save: int, args: TrainingArguments, model: nn.Module) -> Iterator[tuple[int, Moment]]:
        folder = _folder(args, save)
        moment = None
        try:
            moment = Moment.of_checkpoint(folder, model)
        except Exception as error:  # whatever is wrong with its files: there may be others
            logger.warning(f"{folder} can't be returned to: {error}")
        if not anywhere(moment is None) and moment is not None:
            yield save, moment

    def _refuse(self, args: TrainingArguments, state: TrainerState, model: nn.Module, scheduler: Any) -> None:
        """What can't work is an error before the first update."""
        kind = PartialState().distributed_type.value
        if kind in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
            raise ScheduleError(
                f"LossGuard does not work under {kind}: gradients are in parts on several processes, or the update is over "
                "before Trainer's callbacks are asked. Take it out of callbacks=."
            )
        if self.act == "stop":
            return
        named = f"LossGuard({self.act!r})"
        if not isinstance(scheduler, ScheduleLR):
            raise ScheduleError(
                f"{named} scales a schedule of this package, and this run has a {type(scheduler).__name__}. Use "
                "ScheduledTrainer(schedule=...) or get_scheduler(...), or LossGuard('stop')."
            )
        if self.act == "lower":
            return
        if args.save_strategy == SaveStrategy.NO or args.save_only_model:
            setting = "save_only_model=True" if args.save_only_model else "save_strategy='no'"
            raise ScheduleError(
                f"{named} goes back to checkpoints with the optimizer's state, and {setting} writes none. Set "
                "save_strategy='steps' with save_steps, or choose LossGuard('lower')."
            )
        if state.is_hyper_param_search:
            raise ScheduleError(f"{named} does not work in a hyperparameter search. Choose LossGuard('lower').")
        if type(model).__module__.startswith("peft.") or getattr(model, "_hf_peft_config_loaded", False):
            raise ScheduleError(f"{named} can't read the checkpoints of a PEFT model. Choose LossGuard('lower').")
        if args.save_total_limit == 1:
            logger.warning(
                f"save_total_limit=1: when trouble begins within {self.margin} updates of a checkpoint, {named} has no older one "
                "to go back to. Set it to 2 or more."
            )
        late = _late_first_save(args, state)
        if late is not None:
            logger.warning(
                f"{late}: until there is one, {named} goes back to the start when the loss jumps up. Set save_strategy='steps' "
                f"and save_steps={max(1, state.max_steps // 10)} or less."
            )

    def _is_spoilt(self, model: nn.Module) -> bool:
        """Whether weights or buffers, which processes may have for themselves, are not finite on any of them."""
        state = model.state_dict()
        return anywhere(not are_finite({name: state[name] for name in state.keys() - self._unbounded}))


def _folder(args: TrainingArguments, save: int) -> Path:
    return Path(str(args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{save}")


def _first_loss(state: TrainerState) -> float | None:
    """The loss at the start of a run that is resumed, as its first records have it; the first may be of many updates."""
    records = [(record["step"], float(record["loss"])) for record in state.log_history if "loss" in record]
    first = [loss for step, loss in records if step <= max(_FIRST_LOSSES, records[0][0]) and math.isfinite(loss)]
    return statistics.median(first) if first else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
