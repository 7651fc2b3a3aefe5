"""hf-lrsched report: the names of its files, and its exit status."""

import json

import pytest

from hf_lrsched.cli.main import main

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
