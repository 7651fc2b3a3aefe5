"""Going back: weights and the optimizer's moments from a checkpoint, into the model and the optimizer that train."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from ..runs.checkpoints import find_corruption


class NotGoodError(Exception):
    """A checkpoint that can't be returned to, with the reason."""


@dataclass(frozen=True)
class Moment:
    """What is returned to: the model's weights and buffers, and the optimizer's state, on the CPU.

    Args:
        weights (`dict[str, torch.Tensor]`): By their names in the model.
        optimizer (`dict[Any, Any]`): The `"state"` of the optimizer's `state_dict()`.
    """

    weights: dict[str, torch.Tensor]
    optimizer: dict[Any, Any]

    @classmethod
    def now(cls, model: nn.Module, optimizer: Any) -> "Moment":
        """A copy of what is there now."""
        return cls(_copied(model.state_dict()), _copied(optimizer.state_dict()["state"]))

    @classmethod
    def of_checkpoint(cls, folder: Path, model: nn.Module) -> "Moment":
        """What a Trainer's checkpoint holds.

        Raises:
            NotGoodError: It is gone or torn, has no optimizer's state, does not fit the model, or is not finite.
        """
        found = find_corruption(folder)
        if found is not None:
            raise NotGoodError(found)
        if not (folder / "optimizer.pt").is_file():
            raise NotGoodError("it has no optimizer.pt")
        weights = {name: tensor for file in _files(folder) for name, tensor in _read(file).items()}
        _refuse_misfits({name: tensor.shape for name, tensor in weights.items()}, model)
        saved = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        moment = cls(weights, saved["state"])
        for tensors in (moment.weights, *moment.optimizer.values()):
            if not are_finite(tensors):
                raise NotGoodError("it holds NaN or infinity")
        return moment

    def restore(self, model: nn.Module, optimizer: Any) -> None:
        """Writes it into the model and the optimizer. The groups' options, such as the LR, stay as they are."""
        model.load_state_dict(self.weights, strict=False)  # tied weights are saved once
        lrs = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict({**optimizer.state_dict(), "state": self.optimizer})
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr  # the same tensor, where it is one that a compiled step reads


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    return {key: _copied(each) for key, each in value.items()} if isinstance(value, dict) else value


def are_finite(state: dict[Any, Any]) -> bool:
    """Whether all numbers of a state are: `model.state_dict()`, or an optimizer's of a parameter.

    Example:
    ```python
    >>> are_finite({"weight": torch.ones(2), "step": 3}), are_finite({"weight": torch.tensor([1.0, torch.nan])})
    (True, False)

    ```
    """
    tensors = [each for each in state.values() if isinstance(each, torch.Tensor) and each.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def check_fit(folder: Path, model: nn.Module) -> None:
    """Whether a checkpoint's weights have the model's names and shapes. Of safetensors only the headers are read.

    Transformers saves some models under other names than those of `state_dict()`: from 5.0 on those with experts, and
    models of images and text.

    Raises:
        NotGoodError: They do not fit the model, or there are none.
    """
    _refuse_misfits({name: shape for file in _files(folder) for name, shape in _shapes(file).items()}, model)


def _files(folder: Path) -> list[Path]:
    """The weights: one file or shards, of safetensors or of torch.save."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return [folder / whole]
        index = folder / f"{whole}.index.json"
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            return [folder / shard for shard in shards]
    raise NotGoodError("it has no model.safetensors and no pytorch_model.bin")


def _read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _shapes(path: Path) -> dict[str, torch.Size]:
    if path.suffix != ".safetensors":
        return {name: tensor.shape for name, tensor in torch.load(path, map_location="meta", weights_only=True).items()}
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: torch.Size(file.get_slice(name).get_shape()) for name in names}


def _refuse_misfits(shapes: Mapping[str, torch.Size], model: nn.Module) -> None:
    """Each of the model's tensors must be written; of several tied ones, one is enough."""
    unsaved = getattr(model, "_keys_to_ignore_on_save", None) or ()
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in unsaved}
    fits = {name for name, shape in shapes.items() if name in own and own[name].shape == shape}
    written = {own[name].data_ptr() for name in fits}
    for name, tensor in own.items():
        if name not in fits and tensor.data_ptr() not in written:
            raise NotGoodError(f"its weights do not fit the model: {name} is missing")
