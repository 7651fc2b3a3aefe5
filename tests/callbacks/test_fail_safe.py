"""FailSafeCallback: an error in a callback that only watches does not end the run."""

import pytest

from hf_lrsched import LossMonitor, ScheduleError, StepSizes
from hf_lrsched.callbacks.fail_safe import FailSafeCallback


class Fails(FailSafeCallback):
    def __init__(self, error):
        self.error, self.updates = error, []

    def on_step_end(self, args, state, control, **kwargs):
        self.updates.append(state.global_step)
        if state.global_step == 2:
            raise self.error


def test_an_error_turns_it_off_until_the_next_run(make_trainer, caplog):
    watcher = Fails(ZeroDivisionError("by zero"))
    trainer = make_trainer("linear()", callbacks=[watcher])
    trainer.train()
    assert trainer.state.global_step == 6
    assert watcher.updates == [1, 2]
    message = "Fails failed and is off for the rest of this run (ZeroDivisionError: by zero). The training continues."
    assert caplog.text.count(message) == 1
    trainer.train()
    assert watcher.updates == [1, 2, 1, 2]


def test_an_error_for_the_user_ends_the_run(make_trainer):
    with pytest.raises(ScheduleError, match="invalid"):
        make_trainer("linear()", callbacks=[Fails(ScheduleError("invalid"))]).train()


@pytest.mark.parametrize("kind", [LossMonitor, StepSizes])
def test_which_callbacks_only_watch(kind):
    assert issubclass(kind, FailSafeCallback)
