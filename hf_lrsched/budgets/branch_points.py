"""BranchPoints: saves a run where others branch off, and measures its time."""

import time
from collections.abc import Iterable

from transformers import TrainerCallback

#: Whose numbers these are in the scheduler's state.
OWNER = "budgets"


class BranchPoints(TrainerCallback):
    """Save a checkpoint after each of some updates, end the run at the last of them, and keep its seconds in its checkpoints.

    The run does not know that it ends there: Trainer would evaluate at its end, and that draws random numbers which a separate
    run does not draw. The seconds go on at a resume, so those of a branch include its part of the trunk.

    Args:
        updates (`Iterable[int]`): The updates. Without any, the run is only timed.
    """

    def __init__(self, updates: Iterable[int] = ()):
        self.updates = frozenset(updates)
        #: What the run took up to its last update.
        self.seconds = 0.0

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        before = lr_scheduler.run_state.owners.get(OWNER, {}).get("seconds", 0.0)
        self._start = time.perf_counter() - before

    def on_step_end(self, args, state, control, lr_scheduler=None, **kwargs):
        self.seconds = time.perf_counter() - self._start
        lr_scheduler.run_state.owners[OWNER] = {"seconds": self.seconds}
        if state.global_step in self.updates:
            control.should_save |= not float(state.epoch).is_integer()
            control.should_training_stop |= state.global_step == max(self.updates)

    def on_epoch_end(self, args, state, control, **kwargs):
        # After an evaluation at the end of the epoch, as a run with save_strategy="epoch" saves.
        control.should_save |= state.global_step in self.updates and float(state.epoch).is_integer()
