"""The callbacks that a Trainer with a schedule has: each once, the recorder last."""

from types import SimpleNamespace

from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from hf_lrsched import LossMonitor, LRLogger, RunRecorder, ScheduleCallback
from hf_lrsched.callbacks.progress import SchedulePrinterCallback, ScheduleProgressCallback
from hf_lrsched.trainer.callback_stack import add_callbacks, find_callback, put_recorder_last, release_callbacks


class Own(ProgressCallback):
    """A user's own progress bar."""


def make(*callbacks):
    handler = SimpleNamespace(callbacks=list(callbacks))
    return SimpleNamespace(callback_handler=handler, add_callback=handler.callbacks.append)


def kinds(trainer):
    return [type(callback) for callback in trainer.callback_handler.callbacks]


def test_what_is_missing_is_added_once():
    mine = LossMonitor()
    trainer = make(mine)
    for _ in range(2):
        add_callbacks(trainer)
        assert kinds(trainer) == [LossMonitor, ScheduleCallback, LRLogger, RunRecorder]
    assert trainer.callback_handler.callbacks[0] is mine


def test_trainers_displays_are_replaced_in_their_place_and_ones_own_stay():
    trainer = make(PrinterCallback(), Own(), ProgressCallback(max_str_len=7))
    add_callbacks(trainer)
    assert kinds(trainer)[:3] == [SchedulePrinterCallback, Own, ScheduleProgressCallback]
    assert trainer.callback_handler.callbacks[2].max_str_len == 7


def test_the_recorder_is_called_last_and_the_others_keep_their_order():
    first, recorder, second = TrainerCallback(), RunRecorder(), TrainerCallback()
    trainer = make(first, recorder, second)
    put_recorder_last(trainer)
    assert trainer.callback_handler.callbacks == [first, second, recorder]


def test_what_callbacks_changed_is_undone(monkeypatch):
    undone = []
    monkeypatch.setattr(ScheduleCallback, "release", lambda self: undone.append("released"))
    monkeypatch.setattr(LossMonitor, "detach", lambda self: undone.append("detached"))
    release_callbacks(make(TrainerCallback(), LossMonitor(), ScheduleCallback()))
    assert undone == ["detached", "released"]


def test_the_first_callback_of_a_class_is_found():
    first, second = LRLogger(), LRLogger()
    assert find_callback(make(TrainerCallback(), first, second), LRLogger) is first
    assert find_callback(make(first), RunRecorder) is None
