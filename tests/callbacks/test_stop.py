"""Ending a run, and a request to stop that an earlier callback takes."""

import transformers

from hf_lrsched.callbacks.stop import end_run, forbid_saving, to_own_control


def end(training_args, **settings):
    control = transformers.TrainerControl()
    end_run(training_args(**settings), control)
    return control.should_log, control.should_evaluate, control.should_save, control.should_training_stop


def test_a_run_ends_with_all_that_it_has(training_args):
    assert end(training_args, eval_strategy="epoch") == (True, True, True, True)
    assert end(training_args) == (True, False, True, True)
    assert end(training_args, logging_strategy="no") == (False, False, True, True)


def test_a_deferred_stop_does_not_end_the_training():
    control, asked = to_own_control(transformers.TrainerControl(should_save=True)), []
    control.should_training_stop = True
    assert control.should_training_stop and control.should_save  # nobody defers yet
    control.should_training_stop = False
    control.defer_stop = lambda: not asked.append("asked")
    control.should_training_stop = True
    control.should_evaluate = True  # only a stop is deferred
    assert (control.should_training_stop, control.should_evaluate, asked) == (False, True, ["asked"])
    control.defer_stop = lambda: False
    control.should_training_stop = True
    assert control.should_training_stop


def test_a_checkpoint_has_the_state_of_trainers_own_control():
    own = transformers.TrainerControl(should_log=True)
    control = to_own_control(own)
    control.defer_stop = lambda: True
    assert control.state() == own.state() and type(control).__name__ == type(own).__name__


def test_a_run_that_must_not_save_does_not_whoever_asks():
    control = forbid_saving(transformers.TrainerControl(should_save=True, should_log=True))
    assert (control.should_save, control.should_log) == (False, True)
    control.should_save = control.should_evaluate = True
    assert (control.should_save, control.should_evaluate) == (False, True)
    assert forbid_saving(control) is control
