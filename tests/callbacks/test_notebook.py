"""ScheduleNotebookCallback: the rows that it writes. End to end: tests/end_to_end/test_notebook.py."""

import pytest

pytest.importorskip("IPython")

from transformers import TrainerState

from hf_lrsched.callbacks.notebook import ScheduleNotebookCallback
from hf_lrsched.callbacks.run_context import get_context


class Tracker:
    def __init__(self):
        self.rows = []

    def write_line(self, row):
        self.rows.append(row)


@pytest.fixture
def logged(training_args):
    """Write a training record; return the rows of the table."""

    def log(logs, lr=None, **settings):
        callback, state = ScheduleNotebookCallback(), TrainerState(global_step=4)
        callback.training_tracker = Tracker()
        if lr is not None:
            get_context(state).used_lrs.read(4, [{"params": [], "lr": lr}])
        callback.on_log(training_args(**settings), state, None, logs=logs)
        return callback.training_tracker.rows

    return log


def test_a_record_without_evaluations_is_a_row_with_the_lr(logged):
    assert logged({"loss": 0.5}, lr=1.25e-5) == [{"Step": 4, "Learning Rate": "1.25e-05", "Training Loss": 0.5}]
    assert logged({"loss": 0.5}) == [{"Step": 4, "Learning Rate": "No log", "Training Loss": 0.5}]


def test_other_records_are_no_rows(logged):
    assert logged({"train_runtime": 3.0}, lr=1.0) == logged(None, lr=1.0) == []
    assert logged({"loss": 0.5}, lr=1.0, eval_strategy="epoch") == []  # the evaluation writes the row
