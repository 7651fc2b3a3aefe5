"""Findings by severity, and numbers in them."""

import pytest

from hf_lrsched.doctor.checks.format import error, format_lr, format_updates, note, warning
from hf_lrsched.doctor.facts import Facts


@pytest.mark.parametrize(("make", "severity"), [(error, "error"), (warning, "warning"), (note, "note")])
def test_each_severity_has_the_name_of_its_function(make, severity):
    finding = make("what", "why", "fix")
    assert (finding.severity, finding.what, finding.why, finding.fix) == (severity, "what", "why", "fix")


@pytest.mark.parametrize(
    ("factor", "lr", "text"),
    [
        (1.0, 2e-5, "2e-05"),  # the peak itself needs no share
        (0.25, 2e-5, "5e-06 (25% of the peak)"),
        (0.0, 2e-5, "0 (0% of the peak)"),
        (0.25, None, "25% of the peak"),
        (1.0, None, "100% of the peak"),
    ],
)
def test_an_lr_is_a_number_where_the_peak_is_known(factor, lr, text):
    assert format_lr(factor, Facts("run", learning_rate=lr)) == text


def test_updates_are_a_share_where_the_length_is_unknown():
    known = Facts("run", schedule="linear()", num_updates=400)
    assert format_updates(100, known.curve) == "100 of 400 updates"
    unknown = Facts("run", schedule="linear()").curve
    assert format_updates(unknown.num_updates / 4, unknown) == "25% of the run"
    assert format_updates(30, Facts("run", schedule="linear()", clock="time(2min)").curve) == "30 of 120 seconds"
