"""GroupArguments: the parameter groups on a command line or in YAML."""

from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

from ..base_order import check_base_order
from .layerwise import CHECKS, LayerwiseGroups

# Flags whose names differ from the fields of the rule.
_RULE_FIELDS = {"layer_decay": "decay", "head_learning_rate": "head_lr"}


@dataclass
class GroupArguments:
    """The parameter groups on a command line or in YAML, next to [`ScheduleArguments`] in `HfArgumentParser`.

    Among the bases of the training arguments, a [`ScheduledTrainer`] finds them by itself, and a search can set them.

    Args:
        layer_decay (`float`, *optional*): The LR of each layer is this fraction of the LR of the layer above it.
        head_learning_rate (`float`, *optional*): The peak LR of the head. Defaults to `learning_rate`.
        lora_plus_ratio (`float`, *optional*): LoRA+: the LR of B matrices is this multiple of their layer's LR.
        layer_pattern (`str`, *optional*): A regular expression with one group for the layer's number.
        unfreeze_every (length, *optional*): One more layer is trained after each of these, from the top down.
        freeze (`list[str]`, *optional*): Names of groups that are not trained.

    Raises:
        ScheduleError: A value is invalid.

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
        default=None, metadata={"help": "Each layer's LR as a fraction of the one above it, e.g. 0.95."}
    )
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "The peak LR of the head. Default: learning_rate."}
    )
    lora_plus_ratio: float | None = field(
        default=None, metadata={"help": "LoRA+: the LR of B matrices as a multiple of their layer's LR, e.g. 16."}
    )
    layer_pattern: str | None = field(
        default=None,
        metadata={"help": "Finds a layer's number in a parameter's name, e.g. '\\.h\\.(\\d+)\\.' for GPT-2."},
    )
    unfreeze_every: str | None = field(
        default=None,
        metadata={"help": "Train the head only, then one more layer after each of these, e.g. 1ep or 5%%."},
    )
    freeze: list[str] | None = field(default=None, metadata={"help": "Groups not to train: embeddings layer_0 …"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_base_order(cls, GroupArguments, TrainingArguments, "its checks are skipped")

    def __post_init__(self) -> None:
        for name, value in self._given().items():
            # Errors name the flag; the rule's own checks would say decay and head_lr.
            checked = CHECKS[_RULE_FIELDS.get(name, name)](value, name)
            setattr(self, name, list(checked) if name == "freeze" else checked)
        following = getattr(super(), "__post_init__", None)  # TrainingArguments', if it is among the bases
        if following is not None:
            following()

    @property
    def rule(self) -> LayerwiseGroups | None:
        """The rule that the flags ask for, or `None` if no flag is set."""
        given = {_RULE_FIELDS.get(name, name): value for name, value in self._given().items()}
        return LayerwiseGroups(**given) if given else None

    def _given(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(GroupArguments)}
        return {name: value for name, value in values.items() if value is not None}
