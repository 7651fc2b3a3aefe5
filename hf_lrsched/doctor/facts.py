"""Facts: what is known of a run, from whichever source. Plain data; `None` where nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelFacts:
    """The model.

    Args:
        name (`str`, *optional*): As given, or its class.
        is_pretrained (`bool`, *optional*): True for one that is fine-tuned, False for a toy.
        ignores_item_count (`bool`): Does it average its loss over each batch, although Trainer takes it to average over the
            whole update?
        has_adapter (`bool`): Is only an adapter trained, such as LoRA's?
    """

    name: str | None = None
    is_pretrained: bool | None = None
    ignores_item_count: bool = False
    has_adapter: bool = False


@dataclass(frozen=True)
class SchedulerFacts:
    """A scheduler that is there already: in a checkpoint, or passed in `optimizers=`.

    Args:
        kind (`str`): Its class, as far as it is known.
        position (`int`, *optional*): Updates that it has counted.
        total (`int`, *optional*): Updates that it was made for.
        is_users (`bool`): Was it passed in `optimizers=`?
        shows (`tuple[float, ...]`): The LRs that it says are next, where the optimizer is known to have others.
        trains (`tuple[float, ...]`): Those of the optimizer.
        drives_another (`bool`): Is it tied to another optimizer than the one that will train?
        events (`tuple[Mapping, ...]`): What this package's scheduler has written down.
    """

    kind: str
    position: int | None = None
    total: int | None = None
    is_users: bool = False
    shows: tuple[float, ...] = ()
    trains: tuple[float, ...] = ()
    drives_another: bool = False
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class LaunchFacts:
    """How processes are started.

    Args:
        wanted (`int`): Processes that are asked for.
        distributed_type (`str`, *optional*): accelerate's, from its configuration.
        uses_mpirun (`bool`): Does mpirun start them?
        seen (`int`, *optional*): Processes that the Trainer knows of, where it is built.
    """

    wanted: int
    distributed_type: str | None = None
    uses_mpirun: bool = False
    seen: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Args:
        source (`str`): Where from, for the report.
        is_ours (`bool`): Does this package's Trainer train it?
        schedule (`str`, *optional*): The text of this package's schedule.
        lr_scheduler_type (`str`, *optional*): The stock schedule's name.
        warmup_ratio (`float`): The share of the run that the stock schedule warms up, where `warmup_steps` is not set.
        group_lrs (`tuple[float, ...]`): The peak LR of each parameter group, where they are known.
        num_updates (`int`, *optional*): All updates of the run.
        has_length (`bool`): False where the data is known to have none.
        logging_steps (`float`, *optional*): Where it is set; Trainer's own is 500.
        eval_strategy (`str`, *optional*): `no`, `steps` or `epoch`.
        history (`tuple[Mapping, ...]`): Trainer's `log_history`.
        steps_done (`int`, *optional*): Updates that are over.
        is_over (`bool`): Has the run ended, in its time or before?
        deepspeed (`Mapping`, *optional*): Its configuration.
        flattens (`bool`): Does FSDP melt parameters of several groups into one?
        drops_optimizers (`bool`): Would Trainer drop what was passed in `optimizers=`?
        earlier (`tuple[Facts, ...]`): What was saved in this run before, oldest first.
        strangers (`tuple[str, ...]`): Checkpoints in the folder that belong to another run.
        unread (`tuple[str, ...]`): What could not be looked at, and why.
        misspelt (`tuple[tuple[str, str], ...]`): Settings of unknown names, each with the one that it is near.
    """

    source: str
    is_ours: bool = False
    schedule: str | None = None
    schedule_module: str | None = None
    clock: str = "updates"
    on_resume: str = "strict"
    lr_scheduler_type: str | None = None
    lr_scheduler_kwargs: Mapping[str, Any] = field(default_factory=dict)
    warmup_steps: float = 0
    warmup_ratio: float = 0
    learning_rate: float | None = None
    group_lrs: tuple[float, ...] = ()
    optim: str | None = None
    num_updates: int | None = None
    num_train_epochs: float | None = None
    updates_per_epoch: int | None = None
    samples_per_update: int | None = None
    has_length: bool = True
    finds_batch_size: bool = False
    accumulation: int = 1
    processes: int = 1
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
    flattens: bool = False
    drops_optimizers: bool = False
    history: tuple[Mapping[str, Any], ...] = ()
    steps_done: int | None = None
    is_over: bool = False
    earlier: tuple["Facts", ...] = ()
    strangers: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    misspelt: tuple[tuple[str, str], ...] = ()

    @property
    def has_training(self) -> bool:
        """Are the settings of a training known? A file of accelerate or DeepSpeed has none."""
        return self.learning_rate is not None or self.schedule is not None or self.lr_scheduler_type is not None
