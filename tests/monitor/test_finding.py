"""LossFinding: its text, and numbers that must look different."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched.monitor.finding import Change, LossFinding, format_distinct

FOUND = LossFinding("stuck", 60, 60, "the loss is flat", "Raise the LR.")


def test_text_names_the_update_since_which_it_holds():
    since = LossFinding("stuck", 60, 20, "the loss is flat", "Raise the LR.")
    assert "update 60: stuck: the loss" in str(FOUND) and "update 60: stuck since update 20: the loss" in str(since)


def test_each_change_has_a_line():
    changes = Change("learning_rate", "1e-05", "5e-05"), Change("schedule", "linear()", "warmup(10%) >> linear()")
    head, *lines = str(LossFinding("stuck", 60, 60, "flat", "Raise it.", changes)).splitlines()
    assert head.endswith("(docs/monitor.md#stuck)")
    assert lines == ["    learning_rate: 1e-05  →  5e-05", "    schedule: linear()  →  warmup(10%) >> linear()"]


def test_a_withdrawn_finding_advises_nothing():
    text = str(LossFinding("stuck", 60, 20, "the loss is flat", "Raise the LR.", withdrawn=80))
    assert "update 80: stuck of update 60 is withdrawn" in text and "Raise the LR" not in text


@pytest.mark.parametrize(
    ("values", "texts"),
    [((1.0, 2.0), ["1", "2"]), ((0.12345, 0.12349), ["0.12345", "0.12349"]), ((0.5, 0.5), ["0.5", "0.5"])],
)
def test_as_many_digits_as_it_takes(values, texts):
    assert format_distinct(*values) == texts


@settings(max_examples=25)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_different_numbers_look_different(values):
    assert len(set(format_distinct(*values))) == len(set(values))
