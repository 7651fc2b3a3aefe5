"""Going back: weights and the optimizer's moments of a checkpoint, into the model and the optimizer that train."""

import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..integrations.distributed import anywhere, on_main_process
from ..runs.checkpoints import find_corruption

logger = logging.getLogger(__name__)

_MAX_SAVES = 100
# From the first sign of trouble until it is certain: a row of high losses, and the processes' agreement.
_MAX_DELAY = 40


class UnusableCheckpointError(Exception):
    """Raised for a checkpoint that a run cannot go back to, with the reason."""


@dataclass(frozen=True)
class Snapshot:
    """The model's weights and buffers and the optimizer's state, on the CPU.

    Args:
        weights (`dict[str, torch.Tensor]`): The tensors by their names in the model.
        optimizer (`dict[Any, Any]`): The `"state"` of the optimizer's `state_dict()`.
    """

    weights: dict[str, torch.Tensor]
    optimizer: dict[Any, Any]

    @classmethod
    def take(cls, model: nn.Module, optimizer: Any) -> "Snapshot":
        """Copy the present state."""
        return cls(_copy(model.state_dict()), _copy(optimizer.state_dict()["state"]))

    @classmethod
    def load(cls, folder: Path, model: nn.Module) -> "Snapshot":
        """Read a Trainer's checkpoint.

        Raises:
            UnusableCheckpointError: It is missing or corrupted, has no optimizer's state, does not fit the model, or is not finite.
        """
        corruption = find_corruption(folder)
        if corruption is not None:
            raise UnusableCheckpointError(corruption)
        if not (folder / "optimizer.pt").is_file():
            raise UnusableCheckpointError("it has no optimizer.pt")
        weights = {name: tensor for file in _list_files(folder) for name, tensor in _read(file).items()}
        _check_shapes({name: tensor.shape for name, tensor in weights.items()}, model)
        saved = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        snapshot = cls(weights, saved["state"])
        if not all(map(are_finite, (snapshot.weights, *snapshot.optimizer.values()))):
            raise UnusableCheckpointError("it holds NaN or infinity")
        return snapshot

    def restore(self, model: nn.Module, optimizer: Any) -> None:
        """Write it into the model and the optimizer. The groups' options, such as the LR, stay as they are."""
        model.load_state_dict(self.weights, strict=False)  # tied weights are saved once
        lrs = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict({**optimizer.state_dict(), "state": self.optimizer})
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr  # the same tensor, if it is one that a compiled step reads


class Rollback:
    """What a run can go back to: its checkpoints, and a copy of its start until there is a good one.

    Args:
        output_dir (`Path`): The folder of the checkpoints.
        model (`nn.Module`), optimizer (`torch.optim.Optimizer`): The present state, copied as the start.
        update (`int`): The updates that are done.
        margin (`int`): A checkpoint that was saved so many updates or fewer before the trouble is not good.
    """

    def __init__(self, output_dir: Path, model: nn.Module, optimizer: Any, update: int, margin: int):
        self.output_dir, self.margin = output_dir, margin
        self._begin = update
        self._start: Snapshot | None = Snapshot.take(model, optimizer)
        self._saves: deque[int] = deque(maxlen=_MAX_SAVES)
        self._fits: bool | None = None  # whether the checkpoints fit the model; None before the first one

    def add_save(self, update: int, model: nn.Module) -> None:
        """Add a checkpoint that was saved; warn at the first one if the run cannot go back to it."""
        if self._fits is None:
            self._fits = on_main_process(lambda: self._check_first(self._folder(update), model))
        if self._fits:
            self._saves.append(update)

    def forget_start(self, update: int) -> None:
        """Free the copy of the start once there is a checkpoint that is as good and newer."""
        if self._saves and self._saves[0] + self.margin + _MAX_DELAY < update:
            self._start = None

    def go_back(self, since: int, first_suspect: int, model: nn.Module, optimizer: Any, may_stay: bool) -> str | None:
        """Restore the newest state from before the trouble.

        Args:
            since (`int`): The first update that shows the trouble.
            first_suspect (`int`): The first checkpoint that may hold it.
            model (`nn.Module`), optimizer (`torch.optim.Optimizer`): What is restored.
            may_stay (`bool`): Whether the present weights are free of the trouble.

        Returns:
            `str`, *optional*: Where it went, in words; `None` if there was nothing to go back to.
        """
        for update, snapshot in self._list_snapshots(since, first_suspect, model, may_stay):
            if snapshot is None:
                return "no usable checkpoint, but the current weights are finite: training continues from them"
            snapshot.restore(model, optimizer)
            self._saves = deque((save for save in self._saves if save <= update), _MAX_SAVES)
            return f"back to {self._folder(update).name if self._saves else f'the start, update {update}'}"
        return None

    def _list_snapshots(
        self, since: int, first_suspect: int, model: nn.Module, may_stay: bool
    ) -> Iterator[tuple[int, Snapshot | None]]:
        """Yield the updates and states to go back to, the best first; `None` is the present state."""
        good = [save for save in self._saves if save + self.margin < since]
        for save in reversed(good):
            yield from self._load(save, model)
        if self._start is not None and 0 < self._begin < since - self.margin:
            yield self._begin, self._start
        if may_stay:
            yield 0, None
        for save in [save for save in self._saves if save < first_suspect and save not in good]:
            logger.warning(
                f"No usable checkpoint from more than {self.margin} updates before update {since}, where the trouble began. "
                f"checkpoint-{save} is nearer; if it holds the trouble already, save more often, and raise save_total_limit."
            )
            yield from self._load(save, model)
        if self._start is not None:
            yield self._begin, self._start

    def _load(self, save: int, model: nn.Module) -> Iterator[tuple[int, Snapshot]]:
        folder, snapshot = self._folder(save), None
        try:
            snapshot = Snapshot.load(folder, model)
        except Exception as error:  # whatever is wrong with its files: there may be others
            logger.warning(f"The guard cannot go back to {folder}: {error}.")
        if not anywhere(snapshot is None) and snapshot is not None:
            yield save, snapshot

    def _check_first(self, folder: Path, model: nn.Module) -> bool:
        try:
            check_fit(folder, model)
        except Exception as error:  # whatever is wrong with its files
            logger.warning(
                f"LossGuard('rollback') cannot go back to checkpoints such as {folder}: {error}. It can only go back to the start "
                f"of this run, update {self._begin}, and keeps a copy of it in memory. LossGuard('lower') needs no checkpoint."
            )
            return False
        return True

    def _folder(self, save: int) -> Path:
        return self.output_dir / f"{PREFIX_CHECKPOINT_DIR}-{save}"


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, dict) else value


def are_finite(state: dict[Any, Any]) -> bool:
    """Whether all numbers of a state are finite: `model.state_dict()`, or an optimizer's state of one parameter.

    Example:
    ```python
    >>> are_finite({"weight": torch.ones(2), "step": 3}), are_finite({"weight": torch.tensor([1.0, torch.nan])})
    (True, False)

    ```
    """
    tensors = [each for each in state.values() if isinstance(each, torch.Tensor) and each.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def check_fit(folder: Path, model: nn.Module) -> None:
    """Check that a checkpoint's weights have the model's names and shapes; of safetensors only the headers are read.

    Transformers saves some models under other names than those of `state_dict()`: from 5.0 on models with experts, and models
    of images and text.

    Raises:
        UnusableCheckpointError: They do not fit the model, or there are none.
    """
    _check_shapes({name: shape for file in _list_files(folder) for name, shape in _read_shapes(file).items()}, model)


def _list_files(folder: Path) -> list[Path]:
    """List the files of the weights: one or several, of safetensors or of torch.save."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            return [folder / shard for shard in shards]
    raise UnusableCheckpointError("it has no model.safetensors and no pytorch_model.bin")


def _read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _read_shapes(path: Path) -> dict[str, torch.Size]:
    if path.suffix != ".safetensors":
        return {name: tensor.shape for name, tensor in torch.load(path, map_location="meta", weights_only=True).items()}
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: torch.Size(file.get_slice(name).get_shape()) for name in names}


def _check_shapes(shapes: Mapping[str, torch.Size], model: nn.Module) -> None:
    """Check that each of the model's tensors is there; of several tied ones, one is enough."""
    unsaved = getattr(model, "_keys_to_ignore_on_save", None) or ()
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in unsaved}
    fits = {name for name, shape in shapes.items() if name in own and own[name].shape == shape}
    written = {own[name].data_ptr() for name in fits}
    for name, tensor in own.items():
        if name not in fits and tensor.data_ptr() not in written:
            raise UnusableCheckpointError(f"its weights do not fit the model: {name} is missing")
