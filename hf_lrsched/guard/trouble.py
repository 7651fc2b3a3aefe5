"""Trouble of a run: updates whose gradients were dropped, and spikes of the training loss."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn
from transformers import TrainerState

from ..integrations.distributed import is_true_anywhere, on_main_process
from ..monitor.spikes import Spike, SpikeTest
from .rollback import are_finite

# fp16's loss scaling skips updates while it searches its scale: 16 in a row from 65,536 down to 1.
_MAX_SKIPS = 20
# Several processes ask the main one whether its loss has a spike each time after so many updates.
_UPDATES_BETWEEN = 10
# The records of so many updates show the loss at the start of a run.
_FIRST_UPDATES = 10


@dataclass(frozen=True)
class Trouble:
    """Dropped updates, or a spike of the loss.

    Args:
        since (`int`): The first update that shows it.
        text (`str`): What happened.
        was_dropped (`bool`): Whether its updates were dropped, so that they never reached the weights.
        needs_action (`bool`, defaults to `True`): `False` for dropped updates within the patience.
    """

    since: int
    text: str
    was_dropped: bool
    needs_action: bool = True

    @property
    def first_suspect(self) -> int:
        """The first checkpoint that may hold the trouble: a high loss is that of weights one update older."""
        return self.since if self.was_dropped else self.since - 1


class WeightCheck:
    """Whether weights and buffers are finite on every process.

    Args:
        model (`nn.Module`): The model before the first update. Buffers that are infinite in it, such as masks, are ignored.
    """

    def __init__(self, model: nn.Module):
        self._model = model
        self._ignored = {name for name, buffer in model.named_buffers() if not are_finite({name: buffer})}

    def are_finite(self) -> bool:
        """Check the present weights and buffers. Every process must call it."""
        state = self._model.state_dict()
        return not is_true_anywhere(not are_finite({name: state[name] for name in state.keys() - self._ignored}))


class TroubleDetector:
    """Decide when dropped updates or high losses need an action.

    Args:
        patience (`int`): How many updates in a row may be dropped before it is trouble.
        update (`int`): The updates that were done before the first one.
        start (`float`, *optional*): The loss at the start of the run, if it is a resumed one.
    """

    def __init__(self, patience: int, update: int, start: float | None = None):
        self.patience = patience
        self._test = SpikeTest(start=math.nan if start is None else start)
        self._spike: Spike | None = None
        # What arrives late about updates until this one is of weights that are gone.
        self._handled = update
        # The latest dropped updates in a row: the first and the last of them.
        self._row = (0, 0)

    @property
    def start(self) -> float | None:
        """The loss at the start of the run, once it is known."""
        return self._test.start if math.isfinite(self._test.start) else None

    def add_loss(self, update: int, loss: float) -> None:
        """Add the training loss of an update."""
        if update > self._handled:
            self._spike = self._test.add(update, loss) or self._spike

    def check_dropped(
        self, dropped: list[int], is_scaled: bool, are_weights_finite: Callable[[], bool]
    ) -> Iterator[Trouble]:
        """Check dropped updates: yield the tolerated ones, and the first trouble that needs an action.

        Args:
            dropped (`list[int]`): The updates that were dropped.
            is_scaled (`bool`): Whether fp16's loss scaling skipped them: a few of those are normal.
            are_weights_finite (`Callable`): Called after each tolerated update: NaN in buffers needs an action at once.
        """
        patience = max(self.patience, _MAX_SKIPS) if is_scaled else self.patience
        for update in dropped:
            if update <= self._handled:
                continue
            first = self._row[0] if self._row[1] == update - 1 and self._row[0] else update
            self._row = (first, update)
            which = f"update {update}" if first == update else f"updates {first} to {update}"
            text = f"the gradients of {which} were not finite and were dropped"
            if update - first >= patience:
                yield Trouble(first, text, was_dropped=True)
            elif not is_scaled and are_weights_finite():
                yield Trouble(first, text, was_dropped=True, needs_action=False)
            elif not is_scaled:
                yield Trouble(first, f"{text}, but buffers or weights hold NaN or infinity", was_dropped=True)

    def check_losses(self, update: int, num_processes: int) -> Trouble | None:
        """Return the spike that the losses have shown, the same on all processes."""
        spike = self._spike
        if num_processes > 1:
            spike = on_main_process(lambda: self._spike) if update % _UPDATES_BETWEEN == 0 else None
        return None if spike is None else Trouble(spike.since, spike.text, was_dropped=False)

    def reset(self, update: int) -> None:
        """Begin again after an action at this update."""
        self._handled, self._row, self._spike = update, (0, 0), None
        self._test.reset()


def get_start_loss(state: TrainerState) -> float | None:
    """Return the loss at the start of a resumed run from its first records; the first one may be of many updates."""
    records = [(record["step"], float(record["loss"])) for record in state.log_history if "loss" in record]
    first = [loss for step, loss in records if step <= max(_FIRST_UPDATES, records[0][0]) and math.isfinite(loss)]
    return statistics.median(first) if first else None
