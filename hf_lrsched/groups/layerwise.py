"""Layer-wise decay of the learning rate, a head's own, and LoRA+: groups by the layers that a model's names tell."""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..schedules import Schedule, ScheduleError, as_length
from ..schedules.arguments import as_factor, as_lr, as_number, as_positive
from ..schedules.errors import brief
from .freezing import freeze_groups, gradual_unfreezing
from .layers import compiled, find_places, some
from .split import Group, decayed_names, names_of, refine, stock_groups

logger = logging.getLogger(__name__)

LORA_B = "/lora_B"
_LORA_B = re.compile(r"(?:^|\.)lora_(?:embedding_)?B(?:\.|$)")


@dataclass(frozen=True)
class LayerwiseGroups:
    """A rule for the parameter groups of a run: `ScheduledTrainer(..., groups=LayerwiseGroups(decay=0.95))`.

    It splits the groups of Trainer's own optimizer, so that all options of that optimizer stay as they are.

    Args:
        decay (`float`, defaults to 1): Each layer has `decay` times the LR of the one above it; see [`layerwise_groups`].
        head_lr (`float`, *optional*): The peak LR of the head. Defaults to `learning_rate`.
        lora_plus_ratio (`float`, *optional*): LoRA+; see [`layerwise_groups`].
        layer_pattern (`str`, *optional*): Where the layers' numbers are; see [`layerwise_groups`].
        unfreeze_every (length, *optional*): Gradual unfreezing; see [`gradual_unfreezing`].
        freeze (`tuple[str, ...]`, *optional*): Groups that keep what they learnt, by name: `("embeddings", "layer_0")`.

    Raises:
        ScheduleError: A value can't be meant.

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
        checks: dict[str, Callable[[Any, str], Any]] = {
            "decay": as_layer_decay,
            "head_lr": _or_none(as_lr),
            "lora_plus_ratio": _or_none(as_positive),
            "layer_pattern": _or_none(lambda value, name: compiled(value, name).pattern),
            "unfreeze_every": _or_none(lambda value, name: str(as_length(value, name))),
            "freeze": as_names,
        }
        for name, check in checks.items():
            object.__setattr__(self, name, check(getattr(self, name), name))

    def split(
        self, model: torch.nn.Module, groups: Sequence[Group], decayed: Collection[str] | None = None
    ) -> list[Group]:
        """The groups, split by this rule, without its freezing."""
        names = names_of(model)
        places = find_places(model, self.layer_pattern)
        if places.passes is not None:
            count = len(places.order) - 2  # without the head and the embeddings
            logger.warning(
                f"the {places.passes} layers of {type(model).__name__} share the weights of {count}: they are "
                f"{'one layer' if count == 1 else f'{count} layers'} here, the topmost with the LR of a top layer."
            )
        ratio = self.lora_plus_ratio
        lr_of: dict[str, Callable[[float], float]] = {}
        for depth, place in enumerate(places.order):
            lr_of[place] = self._lr_at(depth)
            if ratio is not None:
                lr_of[place + LORA_B] = self._lr_at(depth, ratio)

        def part_of(name: str | None) -> str:
            if name is None:
                return places.order[0]  # not the model's own, such as a classifier in a loss
            is_b = ratio is not None and _LORA_B.search(name)
            return places.of[name] + (LORA_B if is_b else "")

        trained = [names.get(id(parameter)) for group in groups for parameter in group["params"]]
        if not any(trained):
            raise ScheduleError(
                "the optimizer's groups hold none of the model's parameters, so that they can't be split by layers: an "
                "optimizer that steps within the backward pass has no groups."
            )
        if ratio is not None and not any(_LORA_B.search(name or "") for name in trained):
            raise ScheduleError(
                f"lora_plus_ratio={ratio:g} would have no effect: no parameter that is trained is called …lora_B… or "
                f"…lora_embedding_B…; they are like {some([name for name in trained if name])}."
            )
        return refine(groups, names, part_of, lr_of, decayed_names(model) if decayed is None else decayed)

    def _lr_at(self, depth: int, ratio: float = 1.0) -> Callable[[float], float]:
        if depth == 0 and self.head_lr is not None:
            head_lr = self.head_lr
            return lambda lr: head_lr * ratio
        return lambda lr: lr * self.decay**depth * ratio

    def frozen(self, groups: Sequence[Group], schedule: Schedule | str) -> list[Group]:
        """The groups with the schedules that this rule's freezing gives to some of them."""
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
) -> list[Group]:
    """Parameter groups for any torch optimizer: the head, each layer from the top down, the embeddings.

    With ξ = `decay` and L layers, the head has the LR η (`head_lr`, else `lr`), the k-th layer from the top, k = 1 … L,
    has `lr`·ξ^k, and the embeddings have `lr`·ξ^(L+1): what is learnt in pretraining changes the less, the more general
    it is. So Zhang et al. 2021, https://arxiv.org/abs/2006.05987, whose ξ is 0.95. ELECTRA's code
    (https://arxiv.org/abs/2003.10555) has one ξ more below the head: the top layer has ξ², the embeddings ξ^(L+2).

    Layers are told by the names of the parameters: `….layer.11.…` or `….layers.11.…`, as in BERT, RoBERTa, XLM-R,
    DistilBERT, ELECTRA, DeBERTa, MPNet, ModernBERT. Of the rest of the base model, what feeds the layers is with the
    embeddings: relative position embeddings, ELECTRA's projection, whatever is declared before the first layer. What
    stands above them, the pooler and a final norm, is with the head, as the pooler is in Zhang's code. Layers that share
    their weights, as ALBERT's do, are one layer, the top one, with a warning.

    Each group is split in two, as Trainer splits: biases and norms are in `…/no_decay`. BERT base has 28 groups: `head`,
    `head/no_decay`, `layer_11`, `layer_11/no_decay`, …, `embeddings/no_decay`. Parameters with `requires_grad=False` and
    empty groups are left out; tied parameters come once, where their first name is.

    LoRA+ (Hayou et al. 2024, https://arxiv.org/abs/2402.12354) gives LoRA's B matrices a higher LR than its A matrices:
    parameters called `lora_B` or `lora_embedding_B` have `lora_plus_ratio` times the LR of their place, in groups of
    their own, `layer_11/lora_B`. Nothing else has: peft's `create_loraplus_optimizer` also raises the LR of every
    vector, a head's bias among them.

    Args:
        model (`torch.nn.Module`): The model.
        lr (`float`): The peak LR, η of the layers.
        decay (`float`, defaults to 1): ξ, above 0 and at most 1.
        head_lr (`float`, *optional*): The peak LR of the head. Defaults to `lr`.
        weight_decay (`float`, defaults to 0): The weight decay of what has one.
        layer_pattern (`str`, *optional*): For models with other names, a regular expression with one group for the
            layer's number, which is searched in each name: `r"\\.h\\.(\\d+)\\."` for GPT-2. The largest number is the top.
        lora_plus_ratio (`float`, *optional*): LoRA+'s λ. The paper suggests 16.

    Returns:
        `list[dict]`: Groups with `params`, `lr`, `weight_decay` and `name`.

    Raises:
        ScheduleError: No layers can be found; LoRA+ would have no effect; a value can't be meant.

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
    return rule.split(model, stock_groups(model, as_lr(lr, "lr"), as_factor(weight_decay, "weight_decay")))


def as_layer_decay(value: object, name: str) -> float:
    """What each layer has of the LR of the one above it: above 0, at most 1."""
    try:
        decay = as_number(value, name)
    except ScheduleError:
        decay = 0.0
    if not 0 < decay <= 1:
        raise ScheduleError(
            f"{name} must be above 0 and at most 1, got {brief(value)}: each layer has so much of the LR of the one above it."
        )
    return decay


def as_names(value: object, name: str) -> tuple[str, ...]:
    """Names of groups: a list of them, or a text with commas."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) and each.strip() for each in given):
        raise ScheduleError(f"{name} must be names of groups, like embeddings,layer_0, got {brief(value)}.")
    return tuple(each.strip() for text in given for each in text.split(","))


def _or_none(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The check of a value that may be left out."""
    return lambda value, name: None if value is None else check(value, name)
