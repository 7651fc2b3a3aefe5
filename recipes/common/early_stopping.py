"""Early stopping whose count survives a resume."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments


class ResumableEarlyStopping(EarlyStoppingCallback):
    """An EarlyStoppingCallback that resumes its count from the checkpoint.

    The stock callback begins to count anew, unless `restore_callback_states_from_checkpoint` is set, which restores the
    patience of the checkpoint, too, and makes all callbacks with a state anew.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        saved = state.stateful_callbacks.get(type(self).__name__) if state.global_step else None
        self.early_stopping_patience_counter = 0
        if saved is not None:
            self.early_stopping_patience_counter = int(saved["attributes"]["early_stopping_patience_counter"])
        state.stateful_callbacks[type(self).__name__] = (
            self.state()
        )  # a checkpoint of a run without it has no such entry
