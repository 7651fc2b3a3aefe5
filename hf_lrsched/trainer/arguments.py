"""ScheduleArguments: the schedule on a command line or in YAML."""

from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from ..base_order import check_base_order
from ..schedules import parse
from ..schedules.registry import import_names
from ..trajectory.clocks import as_clock
from ..trajectory.resume import check_on_resume


@dataclass
class ScheduleArguments:
    """The schedule on a command line or in YAML, beside `TrainingArguments` in `HfArgumentParser`.

    Args:
        schedule (`str`, *optional*): The text of a schedule.
        on_resume (`str`, defaults to `strict`): See [`ScheduleMixin`].
        schedule_module (`str`, *optional*): A Python module to import first: it registers names of its own.
        clock (`str`, defaults to `updates`): What the schedule counts. See [`ScheduleMixin`].

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
            "help": "What to do with a checkpoint that was trained with other settings: strict (refuse), keep (finish the old curve), "
            "stretch (spread its rest over the rest of the new run), switch (the new curve at the same position), rewarm(LENGTH)."
        },
    )

    schedule_module: str | None = field(
        default=None, metadata={"help": "A Python module to import first, which registers names of schedules."}
    )

    clock: str = field(
        default="updates",
        metadata={
            "help": "What the schedule counts: updates, epochs (right when the batch size changes), tokens(2000000) or "
            "time(30min); the run ends when the tokens or the time are spent."
        },
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_base_order(cls, ScheduleArguments, TrainingArguments, "its checks are skipped")

    def __post_init__(self) -> None:
        if self.schedule_module is not None:
            import_names(self.schedule_module)
        if self.schedule is not None:
            self.schedule = str(parse(self.schedule))
        check_on_resume(self.on_resume)
        self.clock = str(as_clock(self.clock))
        following = getattr(super(), "__post_init__", None)  # TrainingArguments', where this is one of its bases
        if following is not None:
            following()
