"""The optimizer within accelerate's wrappers, and how large its steps are."""

import math
from typing import Any

import torch

# Optimizers whose steps have about the size of the LR, whatever the gradients.
_ADAPTIVE = ("adam", "lion", "adagrad", "rmsprop", "lamb")


def unwrap_optimizer(optimizer: Any) -> Any:
    """Return the optimizer within accelerate's wrappers."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def replace_hooks(optimizer: Any, handles: list[Any]) -> None:
    """Keep the handles of the hooks that a scheduler added to an optimizer, and remove those of an earlier scheduler."""
    inner = unwrap_optimizer(optimizer)
    for handle in getattr(inner, "_hf_lrsched_hooks", ()):
        handle.remove()
    inner._hf_lrsched_hooks = handles


def is_adaptive(optimizer: Any) -> bool:
    """Return whether the optimizer's steps have about the size of the LR, whatever the size of the gradients."""
    return any(name in type(optimizer).__name__.lower() for name in _ADAPTIVE)


def weight_rms(optimizer: Any) -> float:
    """Compute the root mean square of the weight matrices that an optimizer trains; 0 where it has none.

    Of sharded weights only the part on this process counts: an operation on all parts would wait for processes that do not
    join it.
    """
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    matrices = [_local(each.detach()) for each in parameters if each.requires_grad and each.ndim > 1]
    count = sum(matrix.numel() for matrix in matrices)
    if not count:
        return 0.0
    norms = torch.stack([torch.linalg.vector_norm(matrix.float()).to(matrices[0].device) for matrix in matrices])
    return float(torch.linalg.vector_norm(norms).item()) / math.sqrt(count)


def _local(weights: Any) -> torch.Tensor:
    part: torch.Tensor = weights.to_local() if hasattr(weights, "to_local") else weights
    return part


def steps_in_backward(optimizer: Any) -> bool:
    """Whether an optimizer steps within the backward pass: LOMO, and layer-wise GaLore or APOLLO as transformers makes them."""
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    kind = type(unwrap_optimizer(optimizer)).__name__
    return kind in ("Lomo", "AdaLomo", "LayerWiseDummyOptimizer") or any(
        getattr(parameter, "_post_accumulate_grad_hooks", None) for parameter in parameters
    )


def find_module(model: Any) -> torch.nn.Module | None:
    """Return the torch module of what a Trainer trains; SetFit's model holds its encoder in `model_body`."""
    module = getattr(model, "model_body", None) if not isinstance(model, torch.nn.Module) else model
    return module if isinstance(module, torch.nn.Module) else None


def get_guess_loss(model: Any) -> float | None:
    """Return the loss of uniform guesses: ln(classes) of a classifier, ln(tokens) of a language model, else `None`."""
    model = _unwrap_peft(model)
    config, name = getattr(model, "config", None), type(model).__name__
    is_regression = getattr(config, "problem_type", None) in ("regression", "multi_label_classification")
    if name.endswith(("ForCausalLM", "ForMaskedLM", "ForConditionalGeneration", "LMHeadModel")):
        count = getattr(config, "vocab_size", None)
    elif name.endswith("Classification") and not is_regression:
        count = getattr(config, "num_labels", None)
    else:
        return None
    return math.log(count) if isinstance(count, int) and count > 1 else None


def _unwrap_peft(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_contrastive(model: Any) -> bool:
    """Return whether a model's loss may compare the samples of a batch: the encoders of sentence-transformers, and CLIP's kind.

    Which loss trains an encoder is unknown here; a `CrossEncoder` scores each pair by itself.
    """
    model = _unwrap_peft(model)
    config = getattr(model, "config", None)
    is_of_two = (
        hasattr(config, "text_config") and hasattr(config, "vision_config") and type(model).__name__.endswith("Model")
    )
    modules = [each.__module__ for each in type(model).__mro__]
    is_encoder = any(name.startswith("sentence_transformers.") for name in modules)
    is_cross_encoder = any(name.startswith("sentence_transformers.cross_encoder") for name in modules)
    return is_of_two or (is_encoder and not is_cross_encoder)
