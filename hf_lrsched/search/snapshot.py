"""What a probe changes in a Trainer, and how it is brought back."""

import contextlib
import copy
import gc
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate.state import GradientState


@contextlib.contextmanager
def undisturbed(trainer: Any) -> Iterator[Callable[[], None]]:
    """Bring a Trainer back to its present state at the end, whatever happens.

    Weights that train, buffers, gradients, the optimizer, random number generators, the model's settings and the accelerator are
    restored. One copy of the trained weights and buffers is kept, on the CPU.

    Args:
        trainer (`transformers.Trainer`): The Trainer. Its own attributes must not be changed: train a `copy.copy` of it.

    Yields:
        `Callable`: Brings it back in between.
    """
    parts = [_keep_rng(trainer.args.device), _keep_accelerator(trainer.accelerator), _keep_optimizer(trainer.optimizer)]
    if trainer.model is not None:
        parts += [_keep_modules(trainer), _keep_weights(trainer)]

    def restore() -> None:
        gc.collect()  # a probe's optimizer and DDP wrapper hold references in cycles
        for part in reversed(parts):
            part()

    try:
        yield restore
    finally:
        restore()


def copy_plain(value: Any) -> Any:
    """Copy containers of plain data, in which subclasses of Trainer count; other objects stay the same objects."""
    if isinstance(value, dict):
        copied = copy.copy(value)  # keeps the factory of a defaultdict
        copied.update({key: copy_plain(each) for key, each in value.items()})
        return copied
    if type(value) in (list, set):
        return type(value)(map(copy_plain, value))
    return copy.copy(value) if isinstance(value, deque | defaultdict) else value


def _keep_rng(device: torch.device) -> Callable[[], None]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    module: Any = None if device.type == "cpu" else torch.get_device_module(device.type)
    on_device = None if module is None else module.get_rng_state()

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if module is not None:
            module.set_rng_state(on_device)

    return restore


def _keep_accelerator(accelerator: Any) -> Callable[[], None]:
    # Lists are copied: accelerate appends to them. Both states are shared by all accelerators of a process.
    places = [vars(accelerator), GradientState._shared_state]
    kept = [{name: copy_plain(value) for name, value in place.items()} for place in places]
    scaler = getattr(accelerator, "scaler", None)
    scale = None if scaler is None else scaler.state_dict()

    def restore() -> None:
        for place, values in zip(places, kept, strict=True):
            _refill(place, {name: copy_plain(value) for name, value in values.items()})
        if scaler is not None:
            scaler.load_state_dict(scale)

    return restore


def _keep_optimizer(optimizer: Any) -> Callable[[], None]:
    """An optimizer that the user made: Trainer has none of its own before `train()`."""
    if optimizer is None:
        return lambda: None
    state = copy.deepcopy(optimizer.state_dict())
    groups = [dict(group) for group in optimizer.param_groups]

    def restore() -> None:
        optimizer.state.clear()
        optimizer.load_state_dict(copy.deepcopy(state))
        for group, kept in zip(optimizer.param_groups, groups, strict=True):
            _refill(group, kept)

    return restore


def _keep_modules(trainer: Any) -> Callable[[], None]:
    model = trainer.model
    modes = [(module, module.training) for module in model.modules()]
    attributes = dict(vars(model))  # accelerate wraps `forward` under mixed precision
    configs = [getattr(model, name, None) for name in ("config", "generation_config")]
    kept = [(config, copy.deepcopy(vars(config))) for config in configs if hasattr(config, "__dict__")]

    def restore() -> None:
        for module, mode in modes:
            module.training = mode
        _refill(vars(model), attributes)
        for config, values in kept:
            _refill(vars(config), values)

    return restore


def _keep_weights(trainer: Any) -> Callable[[], None]:
    groups = [] if trainer.optimizer is None else trainer.optimizer.param_groups
    trained = {each: None for each in trainer.model.parameters() if each.requires_grad}
    trained |= {each: None for group in groups for each in group["params"]}
    tensors = [*trained, *trainer.model.buffers()]
    kept = [(tensor, tensor.detach().to("cpu", copy=True), tensor.device) for tensor in tensors]
    gradients = [(each, each.requires_grad, each.grad) for each in trainer.model.parameters()]

    def restore() -> None:
        with torch.no_grad():
            for tensor, value, device in kept:
                tensor.data = tensor.data.to(device=device, dtype=value.dtype)
                tensor.copy_(value)
        for parameter, requires_grad, gradient in gradients:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient

    return restore


def _refill(place: dict[str, Any], values: dict[str, Any]) -> None:
    place.clear()
    place.update(values)
