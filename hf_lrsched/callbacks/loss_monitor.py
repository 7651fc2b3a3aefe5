"""LossMonitor: tells, while a run trains, what its losses say about the schedule."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..monitor.diagnosis import Diagnosis
from ..monitor.finding import LossFinding
from ..monitor.run_info import Plan
from ..monitor.update_losses import UpdateLosses
from ..optim.wrappers import is_adaptive, unwrap_optimizer, weight_rms
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules.errors import nearest
from ..trajectory.trajectory import lrs_at
from .recorder import RunRecorder, check_recorder

logger = logging.getLogger(__name__)


class LossMonitor(TrainerCallback):
    """Watches the training and the validation loss of a run, and tells when its schedule needs a change.

    It acts on nothing. What it finds is in `monitor.findings`, is printed by the main process as a warning, and is an event
    in the record and the report: what was seen, since which update, how sure, and what to change, as text that can be pasted.
    What it can tell apart and by which statistics is on [the page about it](docs/monitor.md).

    It sees the loss of every update that the model returns, before Trainer filters what is not finite, and does not wait for
    the device; where the model returns none (`compute_loss_func`, label smoothing) it sees the records of the Trainer. It
    needs the memory of a few hundred numbers, however long the run. A run that is resumed is judged by what is seen since.

    [`ScheduledTrainer`] has one. For a stock Trainer:

    ```python
    recorder = RunRecorder()
    monitor = LossMonitor(recorder)
    trainer = Trainer(..., callbacks=[monitor, recorder])
    ```

    Args:
        recorder ([`RunRecorder`], *optional*): Who writes the findings into the run's record.
        metric (`str`, *optional*): The metric that says whether the run gets better: `eval_accuracy`. Defaults to
            `metric_for_best_model`; without either, the first that the evaluation has whose direction its name tells.

    Raises:
        ScheduleError: `recorder` is something else.
    """

    def __init__(self, recorder: RunRecorder | None = None, metric: str | None = None):
        check_recorder(recorder)
        self.recorder = recorder
        self._metric = metric
        self._losses = UpdateLosses()
        self._diagnosis: Diagnosis | None = None
        self._is_training = self._has_told_metric = False

    @property
    def findings(self) -> list[LossFinding]:
        """What was found in this run, in order."""
        return [] if self._diagnosis is None else list(self._diagnosis.findings)

    @property
    def summary(self) -> str:
        """What was found, in a line."""
        if self._diagnosis is None or not self._diagnosis.has_seen_losses:
            return "no loss was seen"
        told = [
            f"{each.kind} after update {each.update}" + "".join(f"; {change}" for change in each.changes)
            for each in self.findings
        ]
        return " | ".join(told) or "nothing found" + (
            "" if self._diagnosis.is_long else ", of so few updates little is told"
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._diagnosis = None
        model, optimizer = kwargs.get("model"), unwrap_optimizer(kwargs.get("optimizer"))
        if not state.is_world_process_zero or model is None or optimizer is None or state.max_steps <= 0:
            return
        scheduler: Any = kwargs.get("lr_scheduler")
        self._peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        # Of groups with several LRs the one that is set; those of a head or of LoRA's B follow from it.
        peak = args.learning_rate if args.learning_rate in self._peaks else max(self._peaks, default=0.0)
        is_ours = isinstance(scheduler, ScheduleLR)
        plan = Plan(
            num_updates=state.max_steps,
            learning_rate=peak,
            schedule=str(scheduler.schedule) if is_ours else None,
            num_epochs=float(args.num_train_epochs) if args.max_steps <= 0 else None,
            curve=_curve(scheduler) if is_ours else None,
            horizon=scheduler.horizon if is_ours else None,
            step_ratio=peak / rms if is_adaptive(optimizer) and (rms := weight_rms(model)) else None,
            metric=self._metric or args.metric_for_best_model,
            greater_is_better=args.greater_is_better,
            updates_done=state.global_step,
        )
        self._diagnosis = Diagnosis(plan)
        self._is_training = True
        self._losses.attach(model)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # From the scheduler, where the LRs are plain numbers: reading one from a device would make the update wait for it.
        scheduler: Any = kwargs.get("lr_scheduler")
        if self._diagnosis is None or not hasattr(scheduler, "get_last_lr"):
            return
        self._diagnosis.lr = _highest_share(scheduler.get_last_lr(), self._peaks)
        # Tokens, time or an early cooldown may end the run before its last update.
        if isinstance(scheduler, ScheduleLR) and (scheduler.horizon.unit != "updates" or scheduler.is_cooling):
            self._diagnosis.done = scheduler.position / scheduler.end

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._diagnosis is None:
            return
        self._losses.end_update(state.global_step)
        for update, loss in self._losses.arrived():
            self._tell(self._diagnosis.loss(update, loss), state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._diagnosis is None or not logs or "loss" not in logs:
            return
        for update, loss in self._losses.arrived(wait=True):
            self._tell(self._diagnosis.loss(update, loss), state)
        self._tell(self._diagnosis.record(state.global_step, logs, has_losses=self._losses.sees), state)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._diagnosis is not None and self._is_training and metrics:
            self._tell_missing_metric(metrics)
            samples = _length(kwargs.get("eval_dataloader"))
            self._tell(self._diagnosis.evaluation(state.global_step, metrics, samples), state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._diagnosis is not None:
            for update, loss in self._losses.arrived(wait=True):
                self._tell(self._diagnosis.loss(update, loss), state)
            has_trained = self._is_training and state.global_step > self._diagnosis.plan.updates_done
            if has_trained and not self._diagnosis.has_seen_losses:
                logger.warning(
                    "LossMonitor saw no training loss: the model returned none, and no record had one. With logging_steps it sees "
                    "the records."
                )
        self._is_training = False  # an evaluation from here on may be of another model, such as the best one
        self.detach()

    def detach(self) -> None:
        """Listens to the model no longer: where a run ends without its `on_train_end`."""
        self._losses.detach()

    def _tell_missing_metric(self, metrics: dict[str, float]) -> None:
        names = [name for name in metrics if name.startswith("eval_")]
        is_missing = names and self._metric and not any(name.endswith(self._metric) for name in names)
        if is_missing and not self._has_told_metric:
            self._has_told_metric = True
            logger.warning(
                f"LossMonitor(metric={self._metric!r}): the evaluation has no such metric, only {', '.join(names)}."
                f"{nearest(str(self._metric), names)}"
            )

    def _tell(self, found: list[LossFinding], state: TrainerState) -> None:
        for finding in found:
            logger.warning(str(finding))
            if self.recorder is not None:
                told = {"since": finding.since, "confidence": round(finding.confidence, 3), "advice": finding.advice}
                changes = {"change": "; ".join(map(str, finding.changes))} if finding.changes else {}
                self.recorder.note(state, {"kind": finding.kind, "cause": finding.seen, **told, **changes})


def _length(dataloader: Any) -> int | None:
    """The samples of an evaluation, where its data has a length."""
    try:
        return len(dataloader.dataset)
    except (AttributeError, TypeError):
        return None


def _highest_share(lrs: Sequence[float], peaks: Sequence[float]) -> float:
    """The LR of the group that is nearest to its peak: a group that is frozen says nothing about the others."""
    return max((float(lr) / peak for lr, peak in zip(lrs, peaks, strict=True) if peak > 0), default=0.0)


def _curve(scheduler: ScheduleLR) -> Callable[[float], float]:
    def curve(share: float) -> float:
        lrs = lrs_at(scheduler.trajectory, share * scheduler.end, scheduler.curves)
        return _highest_share(lrs, scheduler.peaks)

    return curve
