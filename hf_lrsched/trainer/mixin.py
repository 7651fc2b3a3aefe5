"""ScheduleMixin: a schedule for any subclass of Trainer."""

import logging
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import has_length

from ..base_order import check_base_order
from ..callbacks import LossGuard, LossMonitor
from ..callbacks.reported_settings import report_schedule, restore_settings
from ..callbacks.run_context import get_context
from ..console import print_text
from ..groups import GroupArguments, apply_rule, check_rule
from ..integrations.deepspeed import refuse_checkpoint_of_engine, take_from_engine
from ..integrations.distributed import on_main_process
from ..runs.checkpoints import get_checkpoint_folder, mark_incomplete, resolve_checkpoint, write_checksums
from ..scheduler.frozen_groups import drop_frozen_gradients
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Horizon, Schedule
from ..schedules.parser import as_schedule
from ..search import LRSearch
from ..trajectory.clocks import Clock, as_clock
from ..trajectory.resume import check_on_resume
from .callback_stack import add_callbacks, find_callback, put_recorder_last, release_callbacks
from .conflicts import (
    check_groups_are_used,
    check_schedule_is_used,
    check_search_space,
    check_settings,
    choose_schedule,
    refuse_second_schedule,
)
from .mean_losses import OWNER as MEAN_LOSSES
from .mean_losses import compute_mean_over_run, continue_mean_losses, save_mean_losses
from .model_card import format_readable_lrs, name_schedule
from .old_log import accept_old_log
from .peak_search import PeakSearch, renew_peaks
from .preflight import log_findings
from .resume import load_scheduler
from .summary import explain_trainer

logger = logging.getLogger(__name__)

# A mixin: its methods use those of the Trainer class that it is mixed into.
if TYPE_CHECKING:
    _Trainer = Trainer
else:
    _Trainer = object


class ScheduleMixin(_Trainer):
    """Give any subclass of Trainer a `schedule=` and the LR beside every metric.

    Every `train()` makes a fresh scheduler from the schedule and the updates of that run: also a second `train()`, every
    try of `auto_find_batch_size` and every trial of `hyperparameter_search`. A summary of the run, with each length in
    updates, is printed before the first update.

    Args:
        schedule ([`Schedule`] or `str`, *optional*): The schedule. Without it, `args.schedule` is used: put
            [`ScheduleArguments`] among the bases of the training arguments to search over schedules. Without both, Trainer's
            own scheduler trains, if `lr_scheduler_type`, a warmup or a scheduler in `optimizers=` asks for one.
        on_resume (`str`, *optional*): How to resume a checkpoint whose run had another length, other peak LRs or another
            schedule. `strict` (default) refuses, and the error shows both LRs; `keep` finishes the old curve and stays at
            its end; `stretch` spreads the rest of the old curve over the rest of the new run; `switch` takes the new curve
            at the same position, as the stock Trainer does without a warning; `rewarm(5%)` goes in a straight line from
            the checkpoint's LR to the new curve.
        groups ([`LayerwiseGroups`] or `Callable`, *optional*): Parameter groups: a rule, or a function of the model and
            Trainer's own groups that returns others. Every option that it does not set stays as Trainer has it. Without
            it, [`GroupArguments`] among the bases of the training arguments are used.
        clock ([`Clock`] or `str`, *optional*): What the schedule counts: `updates` (default), `epochs`, for a run that may
            be resumed with another batch size, `tokens(2_000_000)` or `time("30min")`, after which the run ends.
        find_lr (`bool` or `dict[str, Any]`, defaults to `False`): Search the peak LR before the first update, instead of
            `args.learning_rate`: see [`find_lr`], whose arguments may be given as a dict. A resumed run does not search again.

    Raises:
        ScheduleError: No schedule is given; or it contradicts `lr_scheduler_type`, `warmup_steps`, `warmup_ratio`,
            `lr_scheduler_kwargs` or a scheduler in `optimizers=`; or it is invalid for this run.

    Example:
    ```python
    class MyTrainer(ScheduleMixin, Trainer): ...

    trainer = MyTrainer(model=model, args=args, train_dataset=train, schedule="warmup(10%) >> linear()")
    ```
    """

    #: Whether this is a copy that `find_lr` trains: it prints nothing.
    is_probe = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_base_order(cls, ScheduleMixin, Trainer, "its schedule is never used")

    def __init__(
        self,
        *args: Any,
        schedule: Schedule | str | None = None,
        on_resume: str | None = None,
        groups: Any = None,
        clock: Clock | str | None = None,
        find_lr: bool | dict[str, Any] = False,
        **kwargs: Any,
    ):
        given = None if schedule is None else as_schedule(schedule)
        if on_resume is not None:
            check_on_resume(on_resume)
        given_clock = None if clock is None else as_clock(clock)
        super().__init__(*args, **kwargs)
        self._given_schedule = given
        self._given_groups = groups
        self._has_own_groups = False
        self._optimizer_lr: float | None = None
        check_rule(groups, self._groups_in_args, self.optimizer)
        self._on_resume: Any = on_resume or getattr(self.args, "on_resume", "strict")
        self._updates_per_epoch: int | None = None
        self._samples_per_update: int | None = None
        self._sums_before: dict[str, float] | None = None
        self._has_continued = self._is_resumed = False
        self._passed_scheduler = self.lr_scheduler
        check_settings(self, on_resume=on_resume, clock=clock, find_lr=find_lr)
        self.clock = given_clock or as_clock(getattr(self.args, "clock", "updates"))
        self._logged_findings: set[Any] = set()
        add_callbacks(self)
        accept_old_log(self)
        self._search = PeakSearch(find_lr, self)
        #: The search for the peak LR; `None` before the first `train()` with `find_lr`, and in a run that was resumed.
        self.lr_search: LRSearch | None = None
        #: The callback that watches the losses of the run, with its `findings`.
        self.monitor: LossMonitor = find_callback(self, LossMonitor)

    @property
    def lr_scheduler(self) -> Any:
        """The scheduler of the run."""
        return self._lr_scheduler

    @lr_scheduler.setter
    def lr_scheduler(self, scheduler: Any) -> None:
        # A property, since Trainer sets it in the middle of train() to what DeepSpeed's engine would step too early.
        self._lr_scheduler = take_from_engine(scheduler, getattr(self, "accelerator", None))

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the next `train()`; `None` if Trainer's own scheduler trains."""
        return choose_schedule(type(self).__name__, self._given_schedule, self.args, self._passed_scheduler)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        if resume_from_checkpoint:
            wanted, folder = resume_from_checkpoint, str(self.args.output_dir)
            checkpoint = on_main_process(lambda: resolve_checkpoint(wanted, folder))
            resume_from_checkpoint = True if checkpoint is None else str(checkpoint)
        self._is_resumed = bool(resume_from_checkpoint)
        self._search.run(self, resume_from_checkpoint)
        try:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            release_callbacks(self)
            restore_settings(self.args)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        check_schedule_is_used(self, self.lr_scheduler)
        if self._sums_before is not None and not self._has_continued:
            continue_mean_losses(self, self._sums_before)
            self._has_continued = True
        loss = super().training_step(*args, **kwargs)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, LossGuard | LossMonitor):
                callback.add_loss(loss)
        if isinstance(self.lr_scheduler, ScheduleLR):
            drop_frozen_gradients(self.lr_scheduler.optimizer)  # before the norm of the gradients is taken
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)  # type: ignore[no-untyped-call]
        guard = find_callback(self, LossGuard)
        if guard is not None and type(self)._clip_grad_norm is Trainer._clip_grad_norm:
            guard.add_norm(norm)
        return norm

    def set_initial_training_values(self, args: TrainingArguments, dataloader: Any, *rest: Any, **kwargs: Any) -> Any:
        values = super().set_initial_training_values(args, dataloader, *rest, **kwargs)
        # Without a length Trainer calls the whole run one epoch; here an epoch then has no meaning.
        self._updates_per_epoch = values[1] if has_length(dataloader) else None
        self._samples_per_update = int(self.get_total_train_batch_size(args))
        return values

    @property
    def groups(self) -> Any:
        """The rule for the parameter groups of the next optimizer, or `None`."""
        return check_rule(self._given_groups, self._groups_in_args)

    @property
    def _groups_in_args(self) -> Any:
        return self.args.rule if isinstance(self.args, GroupArguments) else None

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        is_new = self.optimizer is None
        # Trainer ignores what it returns, so an own one may return nothing.
        optimizer: Any = super().create_optimizer(*args, **kwargs) or self.optimizer
        if not is_new and self._optimizer_lr not in (None, self.args.learning_rate) and self.groups is None:
            renew_peaks(optimizer.param_groups, self._optimizer_lr, self.args.learning_rate)
        self._optimizer_lr = self.args.learning_rate if is_new or self._optimizer_lr is not None else None
        if self.groups is not None and (is_new or self._has_own_groups) and (schedule := self.schedule) is not None:
            given = args[0] if args else kwargs.get("model")
            model: Any = self.model if given is None else given
            decayed = self.get_decay_parameter_names(model)
            try:
                apply_rule(self.groups, optimizer, model, schedule, decayed, is_new=is_new)
            except Exception:
                self.optimizer = None if is_new else self.optimizer  # a second try must not train with the stock groups
                raise
            self._has_own_groups = True
        return self._search.scale(optimizer) if is_new else optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        put_recorder_last(self)
        schedule = self.schedule
        if schedule is None:
            check_settings(self)  # again: arguments may be set after __init__
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            check_groups_are_used(self.groups, self._has_own_groups)
            refuse_second_schedule(schedule, self.args, None)  # again: a sweep sets arguments after __init__
            horizon = Horizon(num_training_steps, self._updates_per_epoch, self._samples_per_update)
            self._horizon = horizon
            optimizer = self.optimizer if optimizer is None else optimizer
            scheduler: Any = ScheduleLR(optimizer, schedule, horizon, on_resume=self._on_resume, clock=self.clock)
            scheduler.saved_optimizer.name_parameters(self.model, optimizer)
            self.lr_scheduler = scheduler
            self._search.keep(scheduler.run_state)
            report_schedule(self.args, scheduler)  # now, since the reporters come before this package's callbacks
            self._created_lr_scheduler = True  # so that Trainer drops it at the next train()
            if self.is_world_process_zero() and not self.is_probe:
                if not self._is_resumed:  # a resume may change the curve, and explains it then
                    print_text(explain_trainer(self, scheduler))
                log_findings(self, num_training_steps, self._updates_per_epoch, self._logged_findings, logger)
        return self.lr_scheduler

    def _hp_search_setup(self, trial: Any) -> None:
        super()._hp_search_setup(trial)
        check_search_space(self.args, trial)
        self._search.refuse_trial(trial)

    def _save_checkpoint(self, model: Any, trial: Any, *args: Any, **kwargs: Any) -> None:
        folder = get_checkpoint_folder(self._get_output_dir(trial=trial), self.state.global_step)
        if self.args.should_save:
            mark_incomplete(folder)
        if isinstance(self.lr_scheduler, ScheduleLR):
            save_mean_losses(self)
        super()._save_checkpoint(model, trial, *args, **kwargs)
        if self.args.should_save:
            write_checksums(folder)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # the state, which is written next, comes after the file of every process

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and self.is_deepspeed_enabled:
            refuse_checkpoint_of_engine(checkpoint)
        scheduler: Any = self.lr_scheduler
        self._sums_before, self._has_continued = None, False
        if checkpoint is None or not isinstance(scheduler, ScheduleLR):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        load_scheduler(self, scheduler, checkpoint, super()._load_optimizer_and_scheduler)
        self._sums_before = scheduler.run_state.owners.get(MEAN_LOSSES)
        if self.is_world_process_zero():
            print_text(explain_trainer(self, scheduler))

    def _get_learning_rate(self) -> float:
        scheduler: Any = self.lr_scheduler
        if not isinstance(scheduler, ScheduleLR):
            return float(super()._get_learning_rate())
        return scheduler.get_last_lr()[get_context(self.state).used_lrs.main]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        run = get_context(self.state)
        lrs = run.used_lrs.make_evaluation_entries(logs)
        for_reporters = {**run.used_lrs.make_training_entries(logs), **(run.step_sizes if "loss" in logs else {})}
        if self._sums_before is not None and "train_loss" in logs:
            logs["train_loss"] = compute_mean_over_run(self, logs["train_loss"])
        record = {**logs, **lrs, **for_reporters}
        # At an evaluation before the training reporters store the settings already.
        if self.lr_scheduler is None and (schedule := self.schedule) is not None:
            report_schedule(self.args, schedule)
        super().log(record, *args, **kwargs)
        restore_settings(self.args)
        # trainer_state.json is written anew at each checkpoint, so it does not keep what the record of the run has.
        for key in for_reporters:
            self.state.log_history[-1].pop(key, None)
        # The caller of evaluate() gets Trainer's own additions (the epoch), but not the LR: the default objective of
        # hyperparameter_search is the sum of all metrics.
        logs.update({key: value for key, value in record.items() if key not in lrs and key not in for_reporters})

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        with format_readable_lrs(self.state):
            super().create_model_card(*args, **kwargs)
        if self.is_world_process_zero():
            name_schedule(self)
