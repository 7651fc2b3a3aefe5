"""The table of symptoms: each is a kind, each kind has a strength, and each is explained in the docs."""

from pathlib import Path

from hf_lrsched.monitor.symptoms.table import ALL_KINDS, DEFAULT_KINDS, OF_EVALUATIONS, STRENGTH, SYMPTOMS

PAGE = Path(__file__).parents[3] / "docs" / "monitor.md"


def test_each_kind_is_a_symptom_or_found_at_once():
    names = [symptom.__name__ for symptom in SYMPTOMS]
    assert len(names) == len(set(names)) and {*names, "spike", "not_finite"} == set(ALL_KINDS)
    assert set(OF_EVALUATIONS) < set(SYMPTOMS)


def test_kinds_are_listed_once_and_the_strongest_is_last():
    assert len(set(ALL_KINDS)) == len(ALL_KINDS)
    assert max(ALL_KINDS, key=STRENGTH.get) == "not_finite" and STRENGTH["diverging"] > STRENGTH["warmup_too_short"]


def test_kinds_that_are_on_are_kinds():
    assert set(ALL_KINDS) > DEFAULT_KINDS


def test_the_page_says_which_kinds_are_off_by_default():
    sections = PAGE.read_text(encoding="utf-8").split("\n### ")[1:]
    off = {each.split("\n")[0] for each in sections if each.split("\n")[1].startswith('Only with `level="all"`')}
    assert off == set(ALL_KINDS) - DEFAULT_KINDS


def test_each_kind_has_a_heading_of_the_page_that_findings_name():
    headings = [
        line.lstrip("# ").strip("`") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    assert set(ALL_KINDS) <= set(headings)
