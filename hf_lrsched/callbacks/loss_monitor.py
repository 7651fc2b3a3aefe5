"""LossMonitor: reports, while a run trains, what its losses show about the schedule."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from transformers import TrainerState
from transformers.trainer_utils import IntervalStrategy

from ..console import print_text
from ..monitor.diagnosis import Diagnosis
from ..monitor.finding import LossFinding
from ..monitor.run_info import RunInfo
from ..monitor.scope import describe_scope, explain_silence
from ..monitor.symptoms.table import ALL_KINDS, DEFAULT_KINDS
from ..optim.update_losses import UpdateLosses, get_loss
from ..optim.wrappers import get_guess_loss, get_step_ratio, has_random_weights, is_contrastive, unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules.arguments import one_of
from ..schedules.errors import nearest
from .fail_safe import FailSafeCallback
from .run_context import note_event

logger = logging.getLogger(__name__)

_Known = TypeVar("_Known")

#: The kinds of findings by level.
LEVELS = {"default": DEFAULT_KINDS, "all": frozenset(ALL_KINDS)}


class LossMonitor(FailSafeCallback):
    """Watch the training and the validation loss of a run, and report when its schedule needs a change.

    It changes nothing. Its findings are in `monitor.findings`, are logged as warnings by the main process, and are events in
    the record and the report: what was observed, since which update, and what to change, as text that can be pasted. The kinds
    of findings and their statistics are in docs/monitor.md.

    It reads the trained loss of every update without waiting for the device: see [`UpdateLosses`]. It needs the memory of a few
    hundred numbers, however long the run. A resumed run is judged by what is observed since.

    [`ScheduledTrainer`] has one. For a stock Trainer:

    ```python
    monitor = LossMonitor()
    trainer = Trainer(..., callbacks=[monitor, RunRecorder()])  # the second writes the findings into the record
    ```

    Args:
        metric (`str`, *optional*): The metric that decides whether the run improves: `eval_accuracy`. Defaults to
            `metric_for_best_model`, or the first metric of the evaluation with a known direction.
        level (`str`, defaults to `default`): `default` reports the kinds that were hardly ever wrong on kinds of runs that they
            were not made for; `all` reports also the others.

    Raises:
        ScheduleError: For an unknown level.
    """

    def __init__(self, metric: str | None = None, level: str = "default"):
        self.level = one_of(*LEVELS)(level, "level")
        self._metric = metric
        self._losses = UpdateLosses()
        self._diagnosis: Diagnosis | None = None
        self._is_training = self._has_warned_metric = False

    @property
    def findings(self) -> list[LossFinding]:
        """The findings of this run that still hold, in order."""
        return [] if self._diagnosis is None else list(self._diagnosis.findings)

    @property
    def recommendation(self) -> LossFinding | None:
        """The finding whose advice counts: the strongest and latest one."""
        return None if self._diagnosis is None else self._diagnosis.recommendation

    @property
    def summary(self) -> str:
        """The findings that still hold in one line, with the change that is advised, if there is one."""
        if self._diagnosis is None or not self._diagnosis.has_losses:
            return "no loss was observed"
        findings = [
            f"{each.kind} after update {each.update}"
            + "".join(f"; {change}" for change in each.changes if each is self.recommendation)
            for each in self.findings
        ]
        nothing = "no finding" if self._diagnosis.is_long else "no finding, but the run is too short for most tests"
        return " | ".join(findings) or nothing

    def on_train_begin(self, args, state, control, **kwargs):
        self._diagnosis = None
        optimizer = unwrap_optimizer(kwargs.get("optimizer"))
        if not state.is_world_process_zero or optimizer is None or state.max_steps <= 0:
            return
        scheduler: Any = kwargs.get("lr_scheduler")
        self._peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        # Of groups with several LRs the one that is set; those of a head or of LoRA's B follow from it.
        peak = args.learning_rate if args.learning_rate in self._peaks else max(self._peaks, default=0.0)
        is_ours = isinstance(scheduler, ScheduleLR)
        run = RunInfo(
            num_updates=state.max_steps,
            learning_rate=peak,
            schedule=str(scheduler.schedule) if is_ours else None,
            num_epochs=float(args.num_train_epochs) if args.max_steps <= 0 else None,
            curve=_get_curve(scheduler) if is_ours else None,
            horizon=scheduler.run_state.horizon if is_ours else None,
            step_ratio=_try(get_step_ratio, optimizer),
            has_random_weights=bool(_try(has_random_weights, kwargs.get("model"))),
            metric=self._metric or args.metric_for_best_model,
            greater_is_better=args.greater_is_better,
            updates_done=state.global_step,
            guess_loss=_try(get_guess_loss, kwargs.get("model")),
            is_contrastive=bool(_try(is_contrastive, kwargs.get("model"))),
        )
        self._diagnosis = Diagnosis(run, LEVELS[self.level])
        self._has_said_more = False
        evaluates = args.eval_strategy != IntervalStrategy.NO
        print_text(f"[hf_lrsched] loss monitor: {describe_scope(self._diagnosis, evaluates)}")
        self._is_training = True
        self._lr_scheduler = scheduler if hasattr(scheduler, "get_last_lr") else None
        self._lrs: list[float] = []
        self._has_clock = is_ours and scheduler.run_state.horizon.unit != "updates"
        self._may_end_early = self._has_clock or (is_ours and scheduler.run_state.cooldown is not None)
        self._losses.attach(kwargs.get("model"), args.gradient_accumulation_steps, args.world_size)

    def add_loss(self, loss: Any) -> None:
        """Add the loss of a micro-batch, as `training_step` returned it: [`ScheduledTrainer`] calls this."""
        if self._diagnosis is not None:
            self._losses.add_trained(loss)

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        # From the scheduler, whose LRs are plain numbers: reading one from a device would make the update wait for it.
        if self._diagnosis is None or self._lr_scheduler is None:
            return
        lrs = self._lr_scheduler.get_last_lr()
        if lrs != self._lrs:
            self._lrs, self._diagnosis.lr = lrs, _get_highest_share(lrs, self._peaks)
        # Tokens, time or an early cooldown may end the run before its last update.
        if self._may_end_early and (self._has_clock or self._lr_scheduler.run_state.is_cooling):
            self._diagnosis.history.clock_share = self._lr_scheduler.position / self._lr_scheduler.end

    def on_step_end(self, args, state, control, **kwargs):
        if self._diagnosis is not None:
            self._losses.end_update(state.global_step)
            self._add_losses(self._diagnosis, state)

    def on_log(self, args, state, control, logs=None, **kwargs):
        record = get_loss(logs)
        if self._diagnosis is None or record is None:
            return
        self._add_losses(self._diagnosis, state, wait=True)
        loss = self._losses.compare(record)
        if self._losses.was_wrong:  # what was read so far is not what is trained
            self._diagnosis = Diagnosis(self._diagnosis.run, self._diagnosis.kinds)
        self._report(self._diagnosis.add_record(state.global_step, {**logs, "loss": loss}), state)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if self._diagnosis is not None and self._is_training and metrics:
            self._warn_missing_metric(metrics)
            self._add_losses(self._diagnosis, state, wait=True)  # so that a block is judged after its evaluation
            samples = _count_samples(kwargs.get("eval_dataloader"))
            self._report(self._diagnosis.add_evaluation(state.global_step, metrics, samples), state)

    def on_train_end(self, args, state, control, **kwargs):
        if self._diagnosis is not None:
            self._add_losses(self._diagnosis, state, wait=True)
            self._report(self._diagnosis.look(), state)
            has_trained = self._is_training and state.global_step > self._diagnosis.run.updates_done
            if has_trained and not self._diagnosis.has_losses:
                logger.warning(
                    "LossMonitor observed no training loss: neither the model's outputs nor the logged records had one. Set "
                    "logging_steps, so that losses are logged."
                )
        self._is_training = False  # a later evaluation may be of another model, such as the best one
        self.detach()

    def detach(self) -> None:
        """Remove the hook from the model, also where a run ends without `on_train_end`."""
        self._losses.detach()

    def _add_losses(self, diagnosis: Diagnosis, state: TrainerState, wait: bool = False) -> None:
        for update, loss in self._losses.get(wait):
            self._report(diagnosis.add_loss(update, loss), state)
        if not self._has_said_more and len(diagnosis.history.blocks) == 2:
            self._has_said_more = True
            reason = explain_silence(diagnosis.history, diagnosis.run)
            if reason is not None and not diagnosis.run.updates_done:
                print_text(f"[hf_lrsched] loss monitor: stuck and too_slow are not judged in this run: {reason}.")

    def _warn_missing_metric(self, metrics: dict[str, float]) -> None:
        names = [name for name in metrics if name.startswith("eval_")]
        is_missing = names and self._metric and not any(name.endswith(self._metric) for name in names)
        if is_missing and not self._has_warned_metric:
            self._has_warned_metric = True
            logger.warning(
                f"LossMonitor(metric={self._metric!r}): the evaluation has no such metric, only {', '.join(names)}."
                f"{nearest(str(self._metric), names)}"
            )

    def _report(self, findings: list[LossFinding], state: TrainerState) -> None:
        for finding in findings:
            logger.warning(str(finding))
            row: dict[str, Any] = {"kind": finding.kind, "cause": finding.evidence, "since": finding.since}
            if finding.withdrawn is not None:
                row |= {"kind": "withdrawn", "cause": f"{finding.kind} of update {finding.update}", "advice": ""}
            else:
                row |= {"advice": finding.advice}
                row |= {"change": "; ".join(map(str, finding.changes))} if finding.changes else {}
            note_event(state, row)


def _try(look: Callable[..., _Known], *args: Any) -> _Known | None:
    """Return what is known of a model or an optimizer, or `None`: weights of an unknown kind must not turn the monitor off."""
    try:
        return look(*args)
    except Exception as error:
        logger.info(
            f"LossMonitor: {look.__name__} failed ({type(error).__name__}: {error}), so it is taken as unknown."
        )
        return None


def _count_samples(dataloader: Any) -> int | None:
    """Return the size of an evaluation's data, if it has a length."""
    try:
        return len(dataloader.dataset)
    except (AttributeError, TypeError):
        return None


def _get_highest_share(lrs: Sequence[float], peaks: Sequence[float]) -> float:
    """Return the LR of the group nearest to its peak, as a share of it: a frozen group says nothing about the others."""
    return max((float(lr) / peak for lr, peak in zip(lrs, peaks, strict=True) if peak > 0), default=0.0)


def _get_curve(scheduler: ScheduleLR) -> Callable[[float], float]:
    def curve(share: float) -> float:
        lrs = scheduler.run_state.trajectory.lrs_at(share * scheduler.end, scheduler.curves)
        return _get_highest_share(lrs, scheduler.run_state.peaks)

    return curve
