"""hf-lrsched report: the names of its files, and its exit status."""

import json

import pytest

from hf_lrsched.budgets import Branch, Budgets
from hf_lrsched.cli.main import main
from hf_lrsched.runs.budgets import BUDGETS

HISTORY = [{"step": 2, "epoch": 1.0, "loss": 1.5, "learning_rate": 1e-5}]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({"log_history": HISTORY, "max_steps": 4}))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["first"], "first.html"),
        (["first", "second"], "report.html"),
        (["first", "--output", "mine.html"], "mine.html"),
    ],
)
def test_the_file_is_named_after_the_run(runs, arguments, name, capsys):
    assert main(["report", *arguments]) == 0
    assert capsys.readouterr().out == f"wrote {name}\n"
    assert (runs / name).read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")


def test_a_file_is_replaced_with_force_only(runs, capsys):
    (runs / "first.html").write_text("mine")
    assert main(["report", "first"]) == 2
    assert (runs / "first.html").read_text() == "mine" and "--force" in capsys.readouterr().err
    assert main(["report", "first", "--force"]) == 0 and (runs / "first.html").read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "says"), [(["none"], "none"), (["none", "--output", "a.txt"], ".html"), (["first", "none"], "none")]
)
def test_invalid_input_is_one_clear_error_and_no_file(runs, arguments, says, capsys):
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error and not list(runs.glob("*.html"))


def test_folder_of_a_search_over_budgets_is_the_report_of_its_branches(runs, capsys):
    branches = tuple(
        Branch(name, updates, 1, {"eval_accuracy": 0.5}, folder=str(runs / name))
        for name, updates in (("first", 2), ("second", 4))
    )
    text = Budgets("eval_accuracy", "max", branches, "hold()", 1e-4).to_json()
    (runs / BUDGETS).write_text(text, encoding="utf-8")
    assert main(["report", str(runs)]) == 0
    page = (runs / "report.html").read_text(encoding="utf-8")
    assert "How long to train" in page and "first, the smallest of 2 budgets, is the best." in page
    assert '<div id="comparison">' in page and "data:image/png" in page
