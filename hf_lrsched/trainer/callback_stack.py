"""The callbacks that a Trainer with a schedule has."""

from typing import Any

from transformers import PrinterCallback, ProgressCallback

from ..callbacks import LossMonitor, LRLogger, RunRecorder, ScheduleCallback, ScheduleProgressCallback
from ..callbacks.progress import SchedulePrinterCallback


def add_callbacks(trainer: Any) -> None:
    """Add the callbacks of a Trainer with a schedule: those that it does not have yet, and the LR in its progress bar."""
    handler = trainer.callback_handler
    for kind in (ScheduleCallback, LRLogger, LossMonitor, RunRecorder):
        if not any(isinstance(callback, kind) for callback in handler.callbacks):
            trainer.add_callback(kind())
    handler.callbacks = [_replace_display(callback) for callback in handler.callbacks]


def _replace_display(callback: Any) -> Any:
    """Give the place of Trainer's own progress bar or printer to this package's."""
    if type(callback) is ProgressCallback:
        return ScheduleProgressCallback(callback.max_str_len)
    if type(callback).__name__ == "NotebookProgressCallback":  # importing its class needs IPython
        from ..callbacks.notebook import ScheduleNotebookCallback

        return ScheduleNotebookCallback()
    return SchedulePrinterCallback() if type(callback) is PrinterCallback else callback


def put_recorder_last(trainer: Any) -> None:
    """Call the recorder after all others: a callback of the user may change the LR in any hook, and the record dates it."""
    recorder, handler = find_callback(trainer, RunRecorder), trainer.callback_handler
    handler.callbacks = sorted(handler.callbacks, key=lambda callback: callback is recorder)


def release_callbacks(trainer: Any) -> None:
    """Undo what callbacks changed outside of the run, also where an error ended it before their `on_train_end`."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, ScheduleCallback):
            callback.release()
        if isinstance(callback, LossMonitor):
            callback.detach()


def find_callback(trainer: Any, kind: type) -> Any:
    """Return the first callback of a class, or `None`."""
    return next((callback for callback in trainer.callback_handler.callbacks if isinstance(callback, kind)), None)
