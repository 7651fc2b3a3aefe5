"""A search for the peak LR before the first update of a Trainer's run, and what a resumed run knows of it."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.trainer import SCHEDULER_NAME

from ..callbacks import RunRecorder
from ..console import print_text
from ..integrations.distributed import on_main_process
from ..schedules import ScheduleError
from ..schedules.errors import brief
from ..search import find_lr
from ..search.trial import get_peaks, scale_fixed_peaks
from ..trajectory.state import RunState
from .callback_stack import find_callback

#: Whose numbers these are in the scheduler's state.
OWNER = "lr_search"


class PeakSearch:
    """Finds the peak LR of a Trainer's run: the `find_lr=` of [`ScheduleMixin`].

    Args:
        wanted (`bool` or `dict[str, Any]`): Whether to search, or the arguments of [`find_lr`].
        trainer (`transformers.Trainer`): The Trainer.

    Raises:
        ScheduleError: The optimizer was made by the user, with an LR of its own; or `wanted` is something else.
    """

    def __init__(self, wanted: Any, trainer: Any):
        if not isinstance(wanted, bool | Mapping):
            raise ScheduleError(
                f"find_lr must be True, False or the arguments of find_lr() as a dict, got {brief(wanted)}."
            )
        self.is_wanted, self.options = wanted is not False, dict(wanted) if isinstance(wanted, Mapping) else {}
        #: What the scheduler's state keeps of the search for a resume.
        self.kept: dict[str, float] = {}
        self._peaks: list[float] = []
        if self.is_wanted and trainer.optimizer is not None:
            raise ScheduleError(
                f"two learning rates: find_lr and that of the {type(trainer.optimizer).__name__} in optimizers=. Leave the optimizer "
                "to Trainer (optim, groups=); or call find_lr(trainer) and set the LR yourself."
            )

    def run(self, trainer: Any, checkpoint: Any) -> None:
        """Set `args.learning_rate`, once for each Trainer: from a checkpoint that is resumed, else by a search."""
        if not self.is_wanted or self.kept or trainer.is_probe:
            return
        if checkpoint:
            self.kept = on_main_process(lambda: read_found(None if checkpoint is True else Path(checkpoint)))
        else:
            trainer.lr_search = search = find_lr(trainer, **self.options)
            if trainer.is_world_process_zero():
                print_text(str(search))
            if not search.is_complete or search.suggestion is None:
                raise KeyboardInterrupt
            find_callback(trainer, RunRecorder).lr_search = search.to_data()
            names = ("low", "high", "reference", "updates")
            numbers = {"lr": search.suggestion, **{name: getattr(search, name) for name in names}}
            self.kept = {name: float(value or 0.0) for name, value in numbers.items()}
        if trainer.groups is not None:
            self._peaks = get_peaks(trainer, self.kept["reference"])
        trainer.args.learning_rate = self.kept["lr"]

    def scale(self, optimizer: Any) -> Any:
        """Scale the groups of a new optimizer whose LR does not follow `args.learning_rate`, and return it."""
        if self._peaks:
            scale_fixed_peaks(optimizer.param_groups, self._peaks, self.kept["lr"] / self.kept["reference"])
        return optimizer

    def keep(self, state: RunState) -> None:
        """Keep the numbers of the search in the state of a new scheduler, for a resume."""
        if self.kept:
            state.owners[OWNER] = dict(self.kept)

    def refuse_trial(self, trial: Any) -> None:
        """Refuse a hyperparameter search, which chooses an LR for each trial."""
        if trial is not None and self.is_wanted:
            raise ScheduleError(
                "two searches: hyperparameter_search() and find_lr. Leave find_lr out, and give learning_rate in hp_space."
            )


def renew_peaks(groups: list[dict[str, Any]], before: float | None, now: float) -> None:
    """Give groups that had the peak LR `before` another one: `args.learning_rate` was changed since an earlier `train()`."""
    for group in groups:
        if float(group.get("initial_lr", -1.0)) == before:
            group["initial_lr"] = now


def read_found(checkpoint: Path | None) -> dict[str, float]:
    """Read from a checkpoint which LR its run had found.

    Raises:
        ScheduleError: Its run had not searched, or there is no checkpoint.
    """
    found = None
    if checkpoint is not None and (path := checkpoint / SCHEDULER_NAME).is_file():
        state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        found = state.get("owners", {}).get(OWNER)
    if not found:
        raise ScheduleError(
            f"cannot resume {checkpoint} with find_lr: its run has not searched for its peak LR. Leave find_lr out, and give the "
            "learning_rate of that run."
        )
    return {name: float(value) for name, value in found.items()}
