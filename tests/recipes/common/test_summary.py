"""The table of a run."""

import re

import pytest


@pytest.mark.parametrize("columns", [60, 80])
def test_narrow_terminal_shows_complete_lrs(columns, capsys, monkeypatch):
    from common.summary import show_table

    row = {"epoch": 0.33, "update": 19, "learning_rate": 6.111e-5, "training_loss": 1.1, "validation_loss": 1.1}
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", str(columns))
    show_table([row | {"accuracy": 0.3, "f1": 0.2, "matthews_correlation": 0.0}], "title", "caption")
    lines = capsys.readouterr().out.splitlines()
    assert any("6.111e-05" in line for line in lines)
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= columns for line in lines)
