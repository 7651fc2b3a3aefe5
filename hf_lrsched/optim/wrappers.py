"""The optimizer within accelerate's wrappers, and how large its steps are."""

import math
from typing import Any

import torch

# Optimizers whose steps have about the size of the LR, whatever the gradients.
_ADAPTIVE = ("adam", "lion", "adagrad", "rmsprop", "lamb", "adafactor")
# D-Adaptation finds the LR by itself: the one that is set is a factor of it, usually 1.
_FINDS_LR = "dadapt"

# How many weights of a matrix are looked at, and how much of all weights makes a model one with random weights.
_MAX_SAMPLES, _MOST = 10_000, 0.5


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
    kind = type(optimizer).__name__.lower()
    return _FINDS_LR not in kind and any(name in kind for name in _ADAPTIVE)


def weight_rms(optimizer: Any) -> float:
    """Compute the root mean square of the weight matrices that an optimizer trains; 0 where it has none.

    Of sharded weights only the part on this process counts: an operation on all parts would wait for processes that do not
    join it.
    """
    matrices = [matrix for group in optimizer.param_groups for matrix in _get_matrices(group)]
    count = sum(matrix.numel() for matrix in matrices)
    if not count:
        return 0.0
    norms = torch.stack([torch.linalg.vector_norm(matrix.float()).to(matrices[0].device) for matrix in matrices])
    return float(torch.linalg.vector_norm(norms).item()) / math.sqrt(count)


def _get_matrices(group: Any) -> list[torch.Tensor]:
    return [_local(each.detach()) for each in group["params"] if each.requires_grad and each.ndim > 1]


def get_step_ratio(optimizer: Any) -> float | None:
    """Return how large Adam's step at the peak LR is, relative to the RMS of the weights; `None` for other sizes than the LR.

    Of groups with several LRs their RMS counts, over all weights: a few weights with a high LR of their own do not stand for the model.
    LAMB, torch's Adafactor, and others with `scale_parameter`, multiply the LR by the RMS of each matrix, so the ratio is the LR
    itself. Lion's steps are always as large as its LR, so it needs 3 to 10 times less of it than Adam (Chen et al., 2023,
    arXiv:2302.06675); here 3.
    """
    kind = type(optimizer).__name__.lower()
    is_relative = "lamb" in kind or kind == "adafactor"
    counts = [sum(matrix.numel() for matrix in _get_matrices(group)) for group in optimizer.param_groups]
    if not sum(counts):
        return None
    peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    peak = math.sqrt(sum(count * lr**2 for count, lr in zip(counts, peaks, strict=True)) / sum(counts))
    if any(group.get("scale_parameter", is_relative) for group in optimizer.param_groups):
        return peak
    rms = weight_rms(optimizer) if is_adaptive(optimizer) else 0.0
    factor = 3 if "lion" in kind else 1
    return factor * peak / rms if rms else None


def has_random_weights(model: Any) -> bool:
    """Return whether a model begins with random weights.

    No part of it was loaded by its name, the weights of each norm are still equal, and most others are uniform or normal, by their
    kurtosis: 1.8 or 3, within three standard errors of the sample, `sqrt(24 / n)`. Training makes the tails of weights heavier: in
    MiniLM's matrices the median is 3.9.
    """
    module = find_module(model)
    if module is None or any(
        getattr(each, "name_or_path", None) or _is_trained_norm(each) for each in module.modules()
    ):
        return False
    matrices = [part for each in module.parameters() if each.ndim > 1 and (part := _local(each.detach())).numel() > 1]
    if not matrices or not all(each.is_floating_point() for each in matrices):
        return False  # quantized weights are trained ones
    random = sum(each.numel() for each in matrices if _is_random(each))
    return random > _MOST * sum(each.numel() for each in matrices)


def _is_trained_norm(module: torch.nn.Module) -> bool:
    """Return whether a layer is a norm whose weights differ: all begin at 1 or 0, and training moves each by itself."""
    weight = getattr(module, "weight", None)
    if "norm" not in type(module).__name__.lower() or not isinstance(weight, torch.Tensor) or weight.ndim != 1:
        return False
    part = _local(weight.detach())
    return part.numel() > 1 and bool((part != part[0]).any())


def _is_random(weights: torch.Tensor) -> bool:
    sample = weights.flatten()[:: -(-weights.numel() // _MAX_SAMPLES)].float()
    centered = sample - sample.mean()
    kurtosis = float(centered.pow(4).mean() / centered.pow(2).mean() ** 2)
    return min(abs(kurtosis - 1.8), abs(kurtosis - 3)) < 3 * math.sqrt(24 / sample.numel())


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
