"""GroupArguments: the parameter groups on a command line or in YAML."""

from dataclasses import dataclass, field, fields
from typing import Any

from ..schedules import as_length
from ..schedules.arguments import as_lr, as_positive
from .layers import compiled
from .layerwise import LayerwiseGroups, as_layer_decay, as_names


@dataclass
class GroupArguments:
    """The parameter groups on a command line or in YAML, beside [`ScheduleArguments`] in `HfArgumentParser`.

    Among the bases of the training arguments, a [`ScheduledTrainer`] finds them by itself, and a search can set them.

    Args:
        layer_decay (`float`, *optional*): Each layer has so much of the LR of the one above it.
        head_learning_rate (`float`, *optional*): The peak LR of the head.
        lora_plus_ratio (`float`, *optional*): LoRA+: B matrices have so many times the LR.
        layer_pattern (`str`, *optional*): A regular expression with one group for the layer's number.
        unfreeze_every (length, *optional*): One more layer is trained after each of these, from the top down.
        freeze (`list[str]`, *optional*): Groups that are not trained, by name.

    Raises:
        ScheduleError: A value can't be meant.

    Example:
    ```python
    >>> from transformers import HfArgumentParser
    >>> parser = HfArgumentParser(GroupArguments)
    >>> arguments = ["--layer_decay", "0.95", "--freeze", "embeddings", "layer_0"]
    >>> (group_args,) = parser.parse_args_into_dataclasses(arguments)
    >>> group_args.rule.decay, group_args.rule.freeze
    (0.95, ('embeddings', 'layer_0'))

    ```
    """

    layer_decay: float | None = field(
        default=None,
        metadata={"help": "Layer-wise decay: each layer has so much of the LR of the one above it, e.g. 0.95."},
    )

    head_learning_rate: float | None = field(
        default=None, metadata={"help": "The peak LR of the head (pooler and task layers); default: learning_rate."}
    )

    lora_plus_ratio: float | None = field(
        default=None, metadata={"help": "LoRA+: LoRA's B matrices have so many times the LR of their layer, e.g. 16."}
    )

    layer_pattern: str | None = field(
        default=None,
        metadata={
            "help": "Where the layers' numbers are in the names of the parameters: a regular expression with one group, for "
            "models that do not call them layer.0 or layers.0."
        },
    )

    unfreeze_every: str | None = field(
        default=None,
        metadata={
            "help": "Gradual unfreezing: at first only the head, then one layer more after each, e.g. 1ep or 5%%."
        },
    )

    freeze: list[str] | None = field(
        default=None, metadata={"help": "Groups that are not trained, e.g. embeddings layer_0 layer_1."}
    )

    def __post_init__(self) -> None:
        # By the names of the flags; the rule itself would say decay and head_lr.
        checks: dict[str, Any] = {
            "layer_decay": as_layer_decay,
            "head_learning_rate": as_lr,
            "lora_plus_ratio": as_positive,
            "layer_pattern": lambda value, name: compiled(value, name).pattern,
            "unfreeze_every": lambda value, name: str(as_length(value, name)),
            "freeze": lambda value, name: list(as_names(value, name)),
        }
        for name, check in checks.items():
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, check(value, name))
        following = getattr(super(), "__post_init__", None)  # TrainingArguments', where this is one of its bases
        if following is not None:
            following()

    @property
    def rule(self) -> LayerwiseGroups | None:
        """What they ask for, or `None` where nothing is set."""
        if all(getattr(self, each.name) is None for each in fields(GroupArguments)):
            return None
        return LayerwiseGroups(
            1.0 if self.layer_decay is None else self.layer_decay,
            self.head_learning_rate,
            self.lora_plus_ratio,
            self.layer_pattern,
            self.unfreeze_every,
            tuple(self.freeze or ()),
        )
