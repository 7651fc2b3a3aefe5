"""Facts: what is known of a run, from whichever source. Plain data; None where nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..runs.rows import Rows
from ..schedules import ScheduleError
from .expected_curve import ExpectedCurve, resolve_curve


@dataclass(frozen=True)
class ModelFacts:
    """The model.

    Args:
        name (`str`, *optional*): As given, or its class.
        is_pretrained (`bool`, *optional*): True for a model that is fine-tuned, False for a toy.
        averages_per_batch (`bool`, *optional*): Whether it averages its loss over each batch, although Trainer assumes an
            average over the whole update.
        has_adapter (`bool`): Whether only an adapter is trained, such as LoRA's.
    """

    name: str | None = None
    is_pretrained: bool | None = None
    averages_per_batch: bool | None = None
    has_adapter: bool = False


@dataclass(frozen=True)
class SchedulerFacts:
    """A scheduler that exists already: in a checkpoint, or passed in `optimizers=`.

    Args:
        name (`str`): Its class, as far as it is known.
        update (`int`, *optional*): Updates that it has counted.
        num_updates (`int`, *optional*): Updates that it was made for.
        is_passed (`bool`): Whether it was passed in `optimizers=`.
        next_lrs (`tuple[float, ...]`): The LRs that it says are next.
        optimizer_lrs (`tuple[float, ...]`): The LRs in the optimizer's state.
        drives_other_optimizer (`bool`): Whether it is bound to another optimizer than the one that will train.
        cooled_down (`bool`): Whether `cooldown()` has begun, so that the run may end early.
    """

    name: str
    update: int | None = None
    num_updates: int | None = None
    is_passed: bool = False
    next_lrs: tuple[float, ...] = ()
    optimizer_lrs: tuple[float, ...] = ()
    drives_other_optimizer: bool = False
    cooled_down: bool = False


@dataclass(frozen=True)
class LaunchFacts:
    """How processes are started.

    Args:
        num_processes (`int`): Processes that are asked for.
        distributed_type (`str`, *optional*): accelerate's, from its configuration.
        uses_mpirun (`bool`): Whether mpirun starts them.
        trainer_processes (`int`, *optional*): Processes that a built Trainer counts.
    """

    num_processes: int
    distributed_type: str | None = None
    uses_mpirun: bool = False
    trainer_processes: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a run. Fields without a description have the meaning and the name of TrainingArguments'.

    Args:
        source (`str`): Where the facts come from.
        uses_our_trainer (`bool`): Whether a Trainer of this package trains the run.
        schedule (`str`, *optional*): The text of this package's schedule.
        unused_schedule (`str`, *optional*): A schedule in the arguments of a Trainer that does not use it.
        lr_scheduler_type (`str`, *optional*): The stock schedule's name.
        group_lrs (`tuple[float, ...]`): The peak LR of each parameter group.
        num_updates (`int`, *optional*): All updates of the run.
        has_length (`bool`): False where the data is known to have no length.
        num_processes (`int`): Processes that train.
        averages_over_processes (`bool`): `average_tokens_across_devices`.
        logging_steps (`float`, *optional*): Where it is set; Trainer's default is 500.
        eval_strategy (`str`, *optional*): `no`, `steps` or `epoch`.
        log_history ([`Rows`]): Trainer's.
        updates_done (`int`, *optional*): Updates that are over.
        is_over (`bool`): Whether the run has ended, early or not.
        deepspeed (`Mapping`, *optional*): DeepSpeed's configuration.
        drops_optimizers (`bool`): Whether Trainer would drop what was passed in `optimizers=`.
        earlier_stages (`tuple[Facts, ...]`): What was saved in this run before, oldest first.
        foreign_checkpoints (`tuple[str, ...]`): Checkpoints in the folder that belong to another run.
        unreadable (`tuple[str, ...]`): Files that could not be read, each with the reason.
        numbers_as_text (`tuple[tuple[str, str], ...]`): Settings of a Trainer that does not convert text, which are text.
        misspelled (`tuple[tuple[str, str], ...]`): Unknown settings, each with the known one that it resembles.
    """

    source: str
    uses_our_trainer: bool = False
    schedule: str | None = None
    schedule_module: str | None = None
    unused_schedule: str | None = None
    clock: str = "updates"
    lr_scheduler_type: str | None = None
    lr_scheduler_kwargs: Mapping[str, Any] = field(default_factory=dict)
    warmup_steps: float = 0
    warmup_ratio: float = 0
    learning_rate: float | None = None
    group_lrs: tuple[float, ...] = ()
    optim: str = "adamw_torch"
    num_updates: int | None = None
    num_train_epochs: float | None = None
    updates_per_epoch: int | None = None
    samples_per_update: int | None = None
    has_length: bool = True
    auto_find_batch_size: bool = False
    gradient_accumulation_steps: int = 1
    num_processes: int = 1
    averages_over_processes: bool = True
    fp16: bool = False
    logging_strategy: str = "steps"
    logging_steps: float | None = None
    logging_first_step: bool = False
    eval_strategy: str | None = None
    eval_steps: float | None = None
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    model: ModelFacts = field(default_factory=ModelFacts)
    scheduler: SchedulerFacts | None = None
    launch: LaunchFacts | None = None
    deepspeed: Mapping[str, Any] | None = None
    drops_optimizers: bool = False
    log_history: Rows = field(default_factory=Rows)
    updates_done: int | None = None
    is_over: bool = False
    earlier_stages: tuple["Facts", ...] = ()
    foreign_checkpoints: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    numbers_as_text: tuple[tuple[str, str], ...] = ()
    misspelled: tuple[tuple[str, str], ...] = ()

    @property
    def has_training(self) -> bool:
        """Whether settings of a training are known. A file of accelerate or DeepSpeed has none."""
        return self.learning_rate is not None or self.schedule is not None or self.lr_scheduler_type is not None

    @property
    def stock_schedule(self) -> str | None:
        """The name of the stock schedule, where the stock Trainer's schedule is the one that trains."""
        return None if self.schedule is not None else self.lr_scheduler_type

    @property
    def batches_per_update(self) -> int:
        """Batches over which a loss is averaged: gradient accumulation × processes that average together."""
        return self.gradient_accumulation_steps * (self.num_processes if self.averages_over_processes else 1)

    @property
    def curve(self) -> ExpectedCurve | None:
        """The curve that the settings ask for; None where it is unknown or invalid."""
        return self._curve_or_error if isinstance(self._curve_or_error, ExpectedCurve) else None

    @property
    def schedule_error(self) -> ScheduleError | None:
        """Why the schedule is invalid in this run."""
        return self._curve_or_error if isinstance(self._curve_or_error, ScheduleError) else None

    @cached_property
    def _curve_or_error(self) -> ExpectedCurve | ScheduleError | None:
        try:
            return resolve_curve(self)
        except ScheduleError as error:
            return error
