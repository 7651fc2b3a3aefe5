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


def test_two_evaluations_at_one_update_are_one_row():
    from common.summary import make_rows

    losses = [{"step": step, "loss": float(step)} for step in (1, 2, 3)]
    ends = [{"step": step, "eval_loss": loss} for step, loss in ((2, 0.5), (3, 0.4), (3, 0.4))]
    rows = make_rows([*losses[:2], ends[0], losses[2], *ends[1:]])
    assert [(row["update"], row["training_loss"], row["validation_loss"]) for row in rows] == [
        (2, 1.5, 0.5),
        (3, 3.0, 0.4),
    ]
