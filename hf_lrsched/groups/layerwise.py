"""Layer-wise learning rates, a separate LR for the head, and LoRA+: groups by the layers in the parameters' names."""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..schedules import Schedule, ScheduleError, as_length
from ..schedules.arguments import as_factor, as_lr, as_positive, number
from ..schedules.errors import brief
from .freezing import freeze_groups, gradual_unfreezing
from .layers import HEAD, compile_pattern, find_layers, list_some
from .split import ParamGroup, get_decayed_names, get_parameter_names, make_stock_groups, split_groups

logger = logging.getLogger(__name__)

LORA_B = "/lora_B"
_LORA_B = re.compile(r"(?:^|\.)lora_(?:embedding_)?B(?:\.|$)")


as_layer_decay = number(
    "the LR of each layer as a fraction of the LR of the layer above it, above 0 and at most 1", lambda x: 0 < x <= 1
)


def as_group_names(value: object, name: str) -> tuple[str, ...]:
    """Read names of groups: a list of them, or a text with commas."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, Sequence) or not all(isinstance(each, str) and each.strip() for each in given):
        raise ScheduleError(f"{name} must be names of groups, like embeddings,layer_0, got {brief(value)}.")
    return tuple(each.strip() for text in given for each in text.split(","))


#: How each field of [`LayerwiseGroups`] is read; the second argument is what an error calls it.
CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "decay": as_layer_decay,
    "head_lr": as_lr,
    "lora_plus_ratio": as_positive,
    "layer_pattern": lambda value, name: compile_pattern(value, name).pattern,
    "unfreeze_every": lambda value, name: str(as_length(value, name)),
    "freeze": as_group_names,
}


@dataclass(frozen=True)
class LayerwiseGroups:
    """A rule for the parameter groups of a run: `ScheduledTrainer(..., groups=LayerwiseGroups(decay=0.95))`.

    It splits the groups of Trainer's own optimizer, so that all options of that optimizer stay as they are.

    Args:
        decay (`float`, defaults to 1): The LR of each layer is `decay` times that of the layer above it; see
            [`layerwise_groups`].
        head_lr (`float`, *optional*): The peak LR of the head. Defaults to `learning_rate`.
        lora_plus_ratio (`float`, *optional*): LoRA+; see [`layerwise_groups`].
        layer_pattern (`str`, *optional*): Finds the layer's number in a name; see [`layerwise_groups`].
        unfreeze_every (length, *optional*): Gradual unfreezing; see [`gradual_unfreezing`].
        freeze (`Sequence[str]` or `str`, defaults to `()`): Names of groups that stay frozen: `("embeddings", "layer_0")`.

    Raises:
        ScheduleError: A value is invalid.

    Example:
    ```python
    >>> LayerwiseGroups(decay=0.95, head_lr=1e-4, freeze="embeddings, layer_0").freeze
    ('embeddings', 'layer_0')

    ```
    """

    decay: float = 1.0
    head_lr: float | None = None
    lora_plus_ratio: float | None = None
    layer_pattern: str | None = None
    unfreeze_every: Any = None
    freeze: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            value = getattr(self, name)
            if value is not None or name == "decay":
                object.__setattr__(self, name, check(value, name))

    def split(
        self, model: torch.nn.Module, groups: Sequence[ParamGroup], decayed: Collection[str] | None = None
    ) -> list[ParamGroup]:
        """Split groups by this rule, without its freezing.

        Args:
            model (`torch.nn.Module`): The model.
            groups (`Sequence[dict]`): An optimizer's groups, each with an `lr`.
            decayed (`Collection[str]`, *optional*): The names of the parameters that have weight decay. Defaults to those
                of Trainer.

        Raises:
            ScheduleError: No layers are found, the groups hold no parameter of the model, or LoRA+ would have no effect.
        """
        names, layers = get_parameter_names(model), find_layers(model, self.layer_pattern)
        if layers.num_hidden_layers is not None:
            logger.warning(
                f"the {layers.num_hidden_layers} layers of {type(model).__name__} share the weights of {layers.num_layers}: "
                f"the groups treat them as {layers.num_layers}, and the topmost has the LR of a top layer."
            )
        self._check_effect([names.get(id(parameter)) for group in groups for parameter in group["params"]])
        ratio = self.lora_plus_ratio

        def part_of(name: str | None) -> str:
            if name is None:
                return HEAD  # outside the model, such as a classifier in a loss
            part = f"{layers.part_of[name]}/{layers.kind_of[name]}" if name in layers.kind_of else layers.part_of[name]
            return part + LORA_B if ratio is not None and _LORA_B.search(name) else part

        def part_lr(part: str, lr: float) -> float:
            depth = layers.parts.index(part.partition("/")[0])
            peak = self.head_lr if depth == 0 and self.head_lr is not None else lr * self.decay**depth
            return peak * ratio if ratio is not None and part.endswith(LORA_B) else peak

        kinds = ("", *(f"/{kind}" for kind in dict.fromkeys(layers.kind_of.values())))
        parts = [part + kind + lora for part in layers.parts for kind in kinds for lora in ("", LORA_B)]
        decayed = get_decayed_names(model) if decayed is None else decayed
        return split_groups(groups, names, part_of, parts, part_lr, decayed)

    def _check_effect(self, trained: Sequence[str | None]) -> None:
        if not any(trained):
            raise ScheduleError(
                "the optimizer's groups hold none of the model's parameters, so they can't be split by layers: an optimizer "
                "that steps within the backward pass has no groups."
            )
        if self.lora_plus_ratio is not None and not any(_LORA_B.search(name or "") for name in trained):
            raise ScheduleError(
                f"lora_plus_ratio={self.lora_plus_ratio:g} would have no effect: no trained parameter is called …lora_B… or "
                f"…lora_embedding_B…. Examples of their names: {list_some([name for name in trained if name])}."
            )

    def freeze_by(self, groups: Sequence[ParamGroup], schedule: Schedule | str) -> list[ParamGroup]:
        """Return the groups with the schedules that this rule's freezing gives to some of them."""
        plain = [{key: value for key, value in group.items() if key != "schedule"} for group in groups]
        if self.unfreeze_every is not None:
            plain = gradual_unfreezing(plain, schedule, self.unfreeze_every)
        return freeze_groups(plain, self.freeze) if self.freeze else plain


def layerwise_groups(
    model: torch.nn.Module,
    *,
    lr: float,
    decay: float = 1.0,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
    layer_pattern: str | None = None,
    lora_plus_ratio: float | None = None,
) -> list[ParamGroup]:
    """Make parameter groups for any torch optimizer: the head, each layer from the top down, the embeddings.

    With ξ = `decay` and L layers, the head has the LR η (`head_lr`, else `lr`), the k-th layer from the top, k = 1 … L,
    has `lr`·ξ^k, and the embeddings have `lr`·ξ^(L+1): the more general a layer is, the less it changes. Zhang et al. 2021,
    https://arxiv.org/abs/2006.05987, use ξ = 0.95. ELECTRA's code (https://arxiv.org/abs/2003.10555) has one ξ more below
    the head: the top layer has ξ², the embeddings ξ^(L+2).

    Layers are found by the names of the parameters: `….layer.11.…` or `….layers.11.…`, as in BERT, RoBERTa, XLM-R,
    DistilBERT, ELECTRA, DeBERTa, MPNet, ModernBERT. Other parameters of the base model belong to the embeddings if they
    feed the layers: relative position embeddings, ELECTRA's projection, everything declared before the first layer. They
    belong to the head if they come after the layers: the pooler, as in Zhang's code, and a final norm. So do peft's soft
    prompts. Layers that share their weights, as in ALBERT, count as one layer, the top one, with a warning.

    Each group is split in two, as in Trainer: biases and norms are in `…/no_decay`. BERT base has 28 groups: `head`,
    `head/no_decay`, `layer_11`, `layer_11/no_decay`, …, `embeddings/no_decay`. Parameters with `requires_grad=False` and
    empty groups are left out; a tied parameter belongs to the part of its first name. Embeddings that are the output layer,
    too, are in `embeddings/tied_head`; a head of which then only the final norm is left is `head/final_norm`.

    LoRA+ (Hayou et al. 2024, https://arxiv.org/abs/2402.12354) gives LoRA's B matrices a higher LR than its A matrices:
    parameters called `lora_B` or `lora_embedding_B` get `lora_plus_ratio` times the LR of their part, in groups of their
    own, `layer_11/lora_B`. No other parameter does, whereas peft's `create_loraplus_optimizer` also raises the LR of every
    vector, including a head's bias.

    Args:
        model (`torch.nn.Module`): The model.
        lr (`float`): The peak LR, η of the layers.
        decay (`float`, defaults to 1): ξ, above 0 and at most 1.
        head_lr (`float`, *optional*): The peak LR of the head. Defaults to `lr`.
        weight_decay (`float`, defaults to 0): The weight decay of all parameters except biases and norms.
        layer_pattern (`str`, *optional*): For models with other names, a regular expression that is searched in each
            name, with one group for the layer's number: `r"\\.h\\.(\\d+)\\."` for GPT-2. The largest number is the top.
        lora_plus_ratio (`float`, *optional*): LoRA+'s λ. The paper suggests 16.

    Returns:
        `list[dict]`: Groups with `params`, `lr`, `weight_decay` and `name`.

    Raises:
        ScheduleError: No layers are found, LoRA+ would have no effect, or a value is invalid.

    Example:
    ```python
    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=99)
    >>> groups = layerwise_groups(BertForSequenceClassification(config), lr=2e-5, decay=0.5, head_lr=1e-4)
    >>> [(group["name"], group["lr"]) for group in groups if not group["name"].endswith("/no_decay")]
    [('head', 0.0001), ('layer_1', 1e-05), ('layer_0', 5e-06), ('embeddings', 2.5e-06)]
    >>> optimizer = torch.optim.AdamW(groups)

    ```
    """
    rule = LayerwiseGroups(decay, head_lr, lora_plus_ratio, layer_pattern)
    return rule.split(model, make_stock_groups(model, as_lr(lr, "lr"), as_factor(weight_decay, "weight_decay")))
