"""Going back: weights and the optimizer's moments from before the trouble, into the model and the optimizer that train."""

import logging
import zipfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..integrations.distributed import is_true_anywhere
from ..runs.checkpoints import find_corruption, get_checkpoint_folder

logger = logging.getLogger(__name__)

#: The guard's file in a checkpoint: the weights that are trained and the buffers, by their names in the model.
WEIGHTS_FILE = "guard.pt"

_MAX_SAVES = 100
# From the first sign of trouble until it is certain: a row of high losses, and the processes' agreement.
_MAX_DELAY = 40


class UnusableCheckpointError(Exception):
    """Raised for a checkpoint that a run cannot go back to, with the reason."""


@dataclass(frozen=True)
class Snapshot:
    """The weights that an optimizer trains, the model's buffers, and the optimizer's state, on the CPU.

    Args:
        weights (`dict[str, torch.Tensor]`): The tensors by their names in the model.
        optimizer (`dict[Any, Any]`): The `"state"` of the optimizer's `state_dict()`.
    """

    weights: dict[str, torch.Tensor]
    optimizer: dict[Any, Any]

    @classmethod
    def take(cls, model: nn.Module, optimizer: Any) -> "Snapshot":
        """Copy the present state."""
        return cls(_copy(get_weights(model, optimizer)), _copy(optimizer.state_dict()["state"]))

    @classmethod
    def load(cls, folder: Path) -> "Snapshot":
        """Read a checkpoint.

        The optimizer's state is in Trainer's file, the weights are in the guard's own: libraries save models in many ways, such as
        adapters alone, several modules, or under other names.

        Raises:
            UnusableCheckpointError: It is missing or corrupted, or holds NaN or infinity.
        """
        corruption = find_corruption(folder)
        if corruption is not None:
            raise UnusableCheckpointError(corruption)
        for name in (WEIGHTS_FILE, "optimizer.pt"):
            if not (folder / name).is_file():
                raise UnusableCheckpointError(f"it has no {name}")
        with zipfile.ZipFile(folder / WEIGHTS_FILE) as file:
            if file.testzip() is not None:
                raise UnusableCheckpointError(f"{WEIGHTS_FILE} is corrupted")
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        saved = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        snapshot = cls(weights, saved["state"])
        if not all(map(are_finite, (snapshot.weights, *snapshot.optimizer.values()))):
            raise UnusableCheckpointError("it holds NaN or infinity")
        return snapshot

    def restore(self, model: nn.Module, optimizer: Any) -> None:
        """Write it into the model and the optimizer. The groups' options, such as the LR, stay as they are."""
        model.load_state_dict(self.weights, strict=False)  # what is not trained is not in it
        lrs = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict({**optimizer.state_dict(), "state": self.optimizer})
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr  # the same tensor, if it is one that a compiled step reads


class Rollback:
    """What a run can go back to: its checkpoints, and a copy of its start until there is a good one.

    Args:
        output_dir (`Path`): The folder of the checkpoints.
        model (`nn.Module`), optimizer (`torch.optim.Optimizer`): What is restored; the present state is copied as the start.
        update (`int`): The updates that are done.
        margin (`int`): A checkpoint that was saved so many updates or fewer before the trouble is not good.
    """

    def __init__(self, output_dir: Path, model: nn.Module, optimizer: Any, update: int, margin: int):
        self.output_dir, self.margin = output_dir, margin
        self._model, self._optimizer = model, optimizer
        self._begin = update
        self._start: Snapshot | None = Snapshot.take(model, optimizer)
        self._saves: deque[int] = deque(maxlen=_MAX_SAVES)

    def add_save(self, update: int, should_write: bool) -> None:
        """Add the weights to a checkpoint that Trainer has just saved. Every process must call it."""
        has_failed = False
        try:
            if should_write:
                torch.save(get_weights(self._model, self._optimizer), self._folder(update) / WEIGHTS_FILE)
        except Exception as error:  # such as a full disk: the training continues
            logger.warning(f"The guard cannot go back to {self._folder(update)}: {error}.")
            has_failed = True
        if not is_true_anywhere(has_failed):
            self._saves.append(update)

    def forget_start(self, update: int) -> None:
        """Free the copy of the start once there is a checkpoint that is as good and newer."""
        if self._saves and self._saves[0] + self.margin + _MAX_DELAY < update:
            self._start = None

    def go_back(self, since: int, first_suspect: int, may_stay: bool) -> str | None:
        """Restore the newest state from before the trouble.

        Args:
            since (`int`): The first update that shows the trouble.
            first_suspect (`int`): The first checkpoint that may hold it.
            may_stay (`bool`): Whether the present weights are free of the trouble.

        Returns:
            `str`, *optional*: Where it went, in words; `None` if there was nothing to go back to.
        """
        for update, snapshot in self._list_snapshots(since, first_suspect, may_stay):
            if snapshot is None:
                return "no usable checkpoint, but the current weights are finite: training continues from them"
            snapshot.restore(self._model, self._optimizer)
            self._saves = deque((save for save in self._saves if save <= update), _MAX_SAVES)
            return f"back to {self._folder(update).name if self._saves else f'the start, update {update}'}"
        return None

    def _list_snapshots(self, since: int, first_suspect: int, may_stay: bool) -> Iterator[tuple[int, Snapshot | None]]:
        """Yield the updates and states to go back to, the best first; `None` is the present state."""
        good = [save for save in self._saves if save + self.margin < since]
        for save in reversed(good):
            yield from self._load(save)
        if self._start is not None and 0 < self._begin < since - self.margin:
            yield self._begin, self._start
        if may_stay:
            yield 0, None
        for save in [save for save in self._saves if save < first_suspect and save not in good]:
            logger.warning(
                f"No usable checkpoint from more than {self.margin} updates before update {since}, where the trouble began. "
                f"{self._folder(save).name} is used, although it is nearer. If the trouble returns, save more often and raise save_total_limit."
            )
            yield from self._load(save)
        if self._start is not None:
            yield self._begin, self._start

    def _load(self, save: int) -> Iterator[tuple[int, Snapshot]]:
        folder, snapshot = self._folder(save), None
        try:
            snapshot = Snapshot.load(folder)
        except Exception as error:  # whatever is wrong with its files: there may be others
            logger.warning(f"The guard cannot go back to {folder}: {error}.")
        if not is_true_anywhere(snapshot is None) and snapshot is not None:
            yield save, snapshot

    def _folder(self, save: int) -> Path:
        return get_checkpoint_folder(self.output_dir, save)


def get_weights(model: nn.Module, optimizer: Any) -> dict[str, torch.Tensor]:
    """Return what training changes in a model: the optimizer's parameters, each once, and the buffers."""
    trained = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter in trained}
    saved = model.state_dict().keys()
    return parameters | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def are_finite(state: dict[Any, Any]) -> bool:
    """Return whether all numbers of a state are finite: `model.state_dict()`, or an optimizer's state of one parameter.

    Example:
    ```python
    >>> are_finite({"weight": torch.ones(2), "step": 3}), are_finite({"weight": torch.tensor([1.0, torch.nan])})
    (True, False)

    ```
    """
    tensors = [each for each in state.values() if isinstance(each, torch.Tensor) and each.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, dict) else value
