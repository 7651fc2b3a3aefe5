"""Findings as text for a terminal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched.doctor.checks import CHECKS
from hf_lrsched.doctor.finding import Finding
from hf_lrsched.doctor.text import format_findings, printable

ERROR, WARNING, NOTE = (
    Finding(severity, f"a {severity}", "why", "fix", "check") for severity in ("error", "warning", "note")
)


def test_worst_finding_comes_first_and_equal_ones_keep_their_order():
    other = Finding("error", "another error", "why", "fix", "check")
    lines = format_findings("run", [NOTE, WARNING, ERROR, other]).splitlines()
    heads = [line for line in lines if "[check]" in line]
    assert heads == [
        "error [check] a error",
        "error [check] another error",
        "warning [check] a warning",
        "note [check] a note",
    ]


@pytest.mark.parametrize(
    ("findings", "counted"),
    [
        ([], "no problems found"),
        ([NOTE, NOTE], "no problems found, 2 notes"),
        ([ERROR, NOTE], "1 error, 1 note"),
        ([WARNING, WARNING, ERROR], "1 error, 2 warnings"),
    ],
)
def test_first_line_counts(findings, counted):
    assert format_findings("runs/a", findings).splitlines()[0] == f"runs/a: {counted} ({len(CHECKS)} checks)"


def test_lines_fit_the_terminal():
    finding = Finding("warning", "a " * 90, "because " * 30, "do it", "long_warmup")
    text = format_findings("runs/a", [finding], width=60)
    assert max(map(len, text.splitlines())) <= 60 and text.count("why: because") == 1


@settings(max_examples=25)
@given(st.text())
def test_printable_text_has_no_control_characters_and_stays_where_it_had_none(text):
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()
