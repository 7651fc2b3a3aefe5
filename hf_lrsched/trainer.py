"""Schedules in Trainer: ScheduledTrainer, ScheduleMixin, scheduled() and ScheduleArguments."""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import has_length

from .callbacks import LRCheck, LRLogger
from .course import check_on_resume
from .modules import import_names
from .scheduler import ScheduleLR, as_schedule
from .schedules import Horizon, Schedule, ScheduleError, parse

# A mixin: its methods speak of a Trainer, which the class it is mixed into brings.
if TYPE_CHECKING:
    _Trainer = Trainer
else:
    _Trainer = object


@dataclass
class ScheduleArguments:
    """The schedule on a command line or in YAML, beside `TrainingArguments` in `HfArgumentParser`.

    Args:
        schedule (`str`, *optional*): The text of a schedule.
        on_resume (`str`, defaults to `strict`): See [`ScheduleMixin`].
        schedule_module (`str`, *optional*): A Python module to import first: it registers names of its own.

    Raises:
        ScheduleError: The text is not a schedule, `on_resume` is no choice, or the module can't be imported.

    Example:
    ```python
    >>> from transformers import HfArgumentParser, TrainingArguments
    >>> parser = HfArgumentParser((ScheduleArguments, TrainingArguments))
    >>> arguments = ["--schedule", "warmup(10%) >> linear()", "--output_dir", "out"]
    >>> schedule_args, training_args = parser.parse_args_into_dataclasses(arguments)
    >>> schedule_args.schedule
    'warmup(10%) >> linear()'

    ```
    """

    schedule: str | None = field(
        default=None,
        metadata={"help": "The learning-rate schedule, e.g. 'warmup(10%%) >> linear()' or 'warmup(500) >> cosine()'."},
    )

    on_resume: str = field(
        default="strict",
        metadata={
            "help": "What a checkpoint of a run with other settings means: strict (refuse), keep (finish the old curve), "
            "stretch (its rest over the rest of the new run), switch (the new curve at the same position), rewarm(LENGTH)."
        },
    )

    schedule_module: str | None = field(
        default=None, metadata={"help": "A Python module to import first, which registers names of schedules."}
    )

    def __post_init__(self) -> None:
        if self.schedule_module is not None:
            import_names(self.schedule_module)
        if self.schedule is not None:
            self.schedule = str(parse(self.schedule))
        check_on_resume(self.on_resume)
        following = getattr(super(), "__post_init__", None)  # TrainingArguments', where this is one of its bases
        if following is not None:
            following()


class ScheduleMixin(_Trainer):
    """Gives any subclass of Trainer a `schedule=` and the LR beside every metric.

    Every `train()` makes a fresh scheduler from the schedule and that run's updates: also a second `train()`, every
    try of `auto_find_batch_size` and every trial of `hyperparameter_search`. What the lengths came out as is printed
    before the first update.

    Args:
        schedule ([`Schedule`] or `str`, *optional*): The schedule. Without it, `args.schedule` is used: put
            [`ScheduleArguments`] among the bases of the training arguments to search over schedules.
        on_resume (`str`, *optional*): What it means to resume a checkpoint whose run had another length, other peak LRs
            or another schedule. `strict` (default) refuses, with both LRs; `keep` finishes the old curve and stays at its
            end; `stretch` lets the rest of the old curve last for the rest of the new run; `switch` takes the new curve
            at the same position, as the stock Trainer does in silence; `rewarm(5%)` goes in a straight line from the
            checkpoint's LR to the new curve.

    Raises:
        ScheduleError: No schedule is given; or it contradicts `lr_scheduler_type`, `warmup_steps`, `warmup_ratio`,
            `lr_scheduler_kwargs` or a scheduler in `optimizers=`; or it can't be meant in this run.

    Example:
    ```python
    class MyTrainer(ScheduleMixin, Trainer): ...

    trainer = MyTrainer(model=model, args=args, train_dataset=train, schedule="warmup(10%) >> linear()")
    ```
    """

    def __init__(self, *args: Any, schedule: Schedule | str | None = None, on_resume: str | None = None, **kwargs: Any):
        given = None if schedule is None else as_schedule(schedule)
        if on_resume is not None:
            check_on_resume(on_resume)
        super().__init__(*args, **kwargs)
        self._given_schedule = given
        self._on_resume: Any = on_resume or getattr(self.args, "on_resume", "strict")
        self._updates_per_epoch: int | None = None
        self._samples_per_update: int | None = None
        _refuse_second_schedule(self.schedule, self.args, self.lr_scheduler)
        self._lr_logger = LRLogger()
        self.add_callback(self._lr_logger)
        self.add_callback(LRCheck())

    @property
    def schedule(self) -> Schedule:
        """The schedule of the next `train()`."""
        given, in_args = self._given_schedule, getattr(self.args, "schedule", None)
        found = [as_schedule(schedule) for schedule in (given, in_args) if schedule is not None]
        if not found:
            raise ScheduleError(
                f"{type(self).__name__} needs a schedule, e.g. schedule='warmup(10%) >> linear()'; the stock Trainer is "
                "for runs without one."
            )
        if found[0] != found[-1]:
            raise ScheduleError(f"two schedules: schedule={str(given)!r} and args.schedule={str(in_args)!r}. Give one.")
        return found[0]

    def set_initial_training_values(self, args: TrainingArguments, dataloader: Any, *rest: Any, **kwargs: Any) -> Any:
        values = super().set_initial_training_values(args, dataloader, *rest, **kwargs)
        # Without a length Trainer calls the whole run one epoch; here an epoch then has no meaning.
        self._updates_per_epoch = values[1] if has_length(dataloader) else None
        self._samples_per_update = int(self.get_total_train_batch_size(args))
        return values

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            _refuse_second_schedule(self.schedule, self.args, None)  # again: a sweep sets arguments after __init__
            horizon = Horizon(num_training_steps, self._updates_per_epoch, self._samples_per_update)
            optimizer = self.optimizer if optimizer is None else optimizer
            scheduler: Any = ScheduleLR(optimizer, self.schedule, horizon, on_resume=self._on_resume)
            self.lr_scheduler = scheduler
            self._created_lr_scheduler = True  # so that Trainer drops it at the next train()
            if self.is_world_process_zero():
                print(scheduler.curves[0].explain(), flush=True)
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        scheduler: Any = self.lr_scheduler
        if checkpoint is not None and isinstance(scheduler, ScheduleLR) and self.is_world_process_zero():
            print(scheduler.explain_resume(), flush=True)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        added = self._lr_logger.entries(logs)
        record = {**logs, **added}
        super().log(record, *args, **kwargs)
        # Trainer's own additions (the epoch) stay visible to the caller of evaluate(), as ever. The LR does not: the
        # default objective of hyperparameter_search is the sum of all metrics.
        logs.update({key: value for key, value in record.items() if key not in added})

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        super().create_model_card(*args, **kwargs)
        card = Path(str(self.args.output_dir), "README.md")
        if self.is_world_process_zero() and card.exists():
            card.write_text(_true_card(card.read_text(encoding="utf-8"), self), encoding="utf-8")


class ScheduledTrainer(ScheduleMixin, Trainer):
    """`transformers.Trainer` with a `schedule=`. See [`ScheduleMixin`].

    Example:
    ```python
    trainer = ScheduledTrainer(model=model, args=args, train_dataset=train, eval_dataset=dev,
                               schedule=warmup("10%") >> linear())
    trainer.train()
    ```
    """


@functools.cache
def scheduled(trainer_class: type[Trainer]) -> type[Trainer]:
    """Any subclass of Trainer, with a `schedule=`: `scheduled(SFTTrainer)(..., schedule="warmup(10%) >> cosine()")`.

    Args:
        trainer_class (`type[Trainer]`): The class; one that has a schedule already is returned as it is.

    Raises:
        TypeError: Not a subclass of `transformers.Trainer`.

    Example:
    ```python
    >>> from transformers import Seq2SeqTrainer
    >>> scheduled(Seq2SeqTrainer).__name__
    'ScheduledSeq2SeqTrainer'

    ```
    """
    if not (isinstance(trainer_class, type) and issubclass(trainer_class, Trainer)):
        raise TypeError(f"scheduled() takes a subclass of transformers.Trainer, got {trainer_class!r}")
    if issubclass(trainer_class, ScheduleMixin):
        return trainer_class
    doc = f"`{trainer_class.__name__}` with a `schedule=`. See [`ScheduleMixin`]."
    return type(f"Scheduled{trainer_class.__name__}", (ScheduleMixin, trainer_class), {"__doc__": doc})


def _true_card(text: str, trainer: Any) -> str:
    """Trainer's model card with the schedule that ran, and with LRs that are not rounded to 0."""
    schedule = f"- learning_rate_schedule: `{trainer.schedule}`"
    text = re.sub(r"^- lr_scheduler_type: .*$", lambda _: schedule, text, count=1, flags=re.MULTILINE)
    lrs = {
        str(record["step"]): record["eval_learning_rate"]
        for record in trainer.state.log_history
        if "eval_learning_rate" in record
    }
    if lrs:
        latest = f"- Learning Rate: {list(lrs.values())[-1]:.4g}"
        text = re.sub(r"^- Learning Rate: .*$", latest, text, count=1, flags=re.MULTILINE)
    rows = text.splitlines()
    header = next((i for i, row in enumerate(rows) if row.startswith("|") and "| Learning Rate" in row), None)
    if header is None:
        return text
    names = [cell.strip() for cell in rows[header].strip("|").split("|")]
    update, column = names.index("Step"), names.index("Learning Rate")
    for i in range(header + 2, len(rows)):
        cells = rows[i].strip("|").split("|")
        if not rows[i].startswith("|") or len(cells) != len(names):
            break
        lr = lrs.get(cells[update].strip())
        if lr is not None:
            cells[column] = f" {lr:.4g}".ljust(len(cells[column]))
            rows[i] = f"|{'|'.join(cells)}|"
    return "\n".join(rows) + "\n"


def _refuse_second_schedule(schedule: Schedule, args: TrainingArguments, scheduler: Any) -> None:
    """Two schedules for one run: a mistake, whichever would win."""
    settings = {
        "lr_scheduler_type": getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type) not in ("linear", None),
        "lr_scheduler_kwargs": bool(args.lr_scheduler_kwargs),
        "warmup_steps": bool(args.warmup_steps),
        "warmup_ratio": bool(getattr(args, "warmup_ratio", None)),  # gone in transformers 5
    }
    for name in (name for name, is_set in settings.items() if is_set):
        raise ScheduleError(
            f"two schedules: schedule={str(schedule)!r} and {name}={str(getattr(args, name))!r} in the training arguments. "
            f"Delete {name}; a warmup is part of the schedule, e.g. 'warmup(10%) >> linear()'."
        )
    if scheduler is not None:
        raise ScheduleError(
            f"two schedules: schedule={str(schedule)!r} and a {type(scheduler).__name__} in optimizers=. Give one; "
            "optimizers=(optimizer, None) passes an optimizer alone."
        )
