"""Finding: what counts against a run, and its text."""

import json
from dataclasses import asdict

import pytest

from hf_lrsched.doctor.finding import SEVERITIES, Finding


@pytest.mark.parametrize(("severity", "is_wrong"), [("error", True), ("warning", True), ("note", False)])
def test_all_but_notes_count(severity, is_wrong):
    assert Finding(severity, "a", "b", "c").is_wrong == is_wrong


def test_severities_are_listed_from_the_worst():
    assert SEVERITIES == ("error", "warning", "note")


def test_text_has_three_sentences_and_keeps_a_question():
    finding = Finding("note", "it is slow", "3 of 4 updates wait", "Is this meant?", "slow")
    assert str(finding) == "slow: it is slow. 3 of 4 updates wait. Is this meant?"


def test_data_is_json_and_makes_the_same_finding():
    finding = Finding("error", "what", "why", "fix", "check")
    assert Finding(**json.loads(json.dumps(asdict(finding)))) == finding
