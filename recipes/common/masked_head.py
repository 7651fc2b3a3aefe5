"""Compute the logits of masked tokens only, while a model trains."""

from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from .losses import IGNORED

#: The first layer of the head, by type of model. All that follows treats each token by itself.
_HEADS = {
    "albert": "predictions",
    "bert": "cls",
    "camembert": "lm_head",
    "distilbert": "vocab_transform",
    "electra": "generator_predictions",
    "mpnet": "lm_head",
    "roberta": "lm_head",
    "xlm-roberta": "lm_head",
}


class _MaskedHead:
    def __init__(self) -> None:
        self.chosen: torch.Tensor | None = None

    def keep_labels(self, model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        labels = kwargs.get("labels")
        self.chosen = labels != IGNORED if model.training and labels is not None else None
        return args, kwargs if self.chosen is None else {**kwargs, "labels": labels[self.chosen]}

    def keep_states(self, layer: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        chosen, self.chosen = self.chosen, None
        return args if chosen is None else (args[0][chosen],)


def skip_unmasked_logits(model: Any, args: TrainingArguments) -> bool:
    """Let a model's head compute the logits of those tokens only that have a label, in training.

    The loss and the gradients stay the same. The head of a small model costs as much as its layers, and about 15 % of the tokens
    have a label. In training, the `logits` of the output have the shape (tokens with a label, words); evaluations have all.

    Args:
        model (`PreTrainedModel`): A model for masked words.
        args (`TrainingArguments`): Where one process trains on several devices, nothing changes.

    Returns:
        `bool`: Whether the model is one whose head is known.
    """
    head = _HEADS.get(model.config.model_type)
    # Code from the Hub may give its model the type of another one.
    if head is None or not type(model).__module__.startswith("transformers.models.") or args.n_gpu > 1:
        return False
    masked = _MaskedHead()
    model.register_forward_pre_hook(masked.keep_labels, with_kwargs=True)
    getattr(model, head).register_forward_pre_hook(masked.keep_states)
    return True
