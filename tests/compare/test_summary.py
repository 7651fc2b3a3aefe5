"""What a comparison shows."""

import csv
import io

import pytest

pytest.importorskip("scipy")

from hf_lrsched.compare.cells import AUTO, Grid
from hf_lrsched.compare.summary import Comparison, format_summary
from hf_lrsched.compare.worker import Outcome

from .fake_recipe import COSINE, LINEAR, STEP, get_accuracy


def make_comparison(lrs=(1e-4,), num_seeds=10, metric="accuracy", **changed):
    grid = Grid((LINEAR, COSINE, STEP), lrs, num_seeds)
    outcomes = [Outcome(cell, "complete", 3e-4) for cell in grid.searches]
    for cell in grid.runs:
        value = get_accuracy(cell.arm.schedule, cell.seed) + cell.seed % 4 / 1000 * (cell.arm.schedule != LINEAR)
        metrics = {"eval_accuracy": value, "eval_loss": 1 - value, "baseline_accuracy": 0.4}
        outcomes.append(Outcome(cell, "complete", 3e-4 if cell.arm.lr == AUTO else cell.arm.lr, metrics, 2.0))
    for index, outcome in changed.items():
        outcomes[int(index.removeprefix("run"))] = outcome
    return Comparison(grid, outcomes, metric)


def test_table_says_which_differences_the_seeds_show():
    table = make_comparison().make_table()
    linear, cosine, step = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert (linear["verdict"], cosine["verdict"], step["verdict"]) == ("compared with", "better", "tie")
    assert cosine["difference"] == "+0.0213" and cosine["seeds"] == "10" and cosine["peak LR"] == "1e-4"
    assert int(step["seeds needed"]) > 10 and step["95 % interval"].startswith("-0.00")
    assert "Majority class: 0.4." in table.note


def test_lower_losses_are_better():
    table = make_comparison(metric="loss").make_table()
    assert [row[8] for row in table.rows] == ["compared with", "better", "tie"]
    assert "Majority" not in table.note


def test_lr_that_was_searched_stands_beside_each_metric():
    table = make_comparison(lrs=(1e-4, AUTO)).make_table()
    assert [row[1] for row in table.rows] == ["1e-4"] * 3 + ["3e-4 (auto)"] * 3
    assert "Each learning rate is compared and corrected on its own." in table.note


def test_run_that_is_missing_is_no_pair():
    comparison = make_comparison(num_seeds=3)
    comparison = make_comparison(num_seeds=3, run1=Outcome(comparison.outcomes[1].cell, "failed", error="no memory"))
    assert [row[2] for row in comparison.make_table().rows] == ["3", "2", "3"]


def test_one_seed_shows_nothing():
    assert [row[8] for row in make_comparison(num_seeds=1).make_table().rows] == [
        "compared with",
        "one seed",
        "one seed",
    ]


def test_files(tmp_path):
    comparison = make_comparison(num_seeds=2)
    lines = comparison.write(tmp_path)
    assert lines[:2] == [f"wrote {tmp_path / 'accuracy.csv'}", f"wrote {tmp_path / 'accuracy.png'}"]
    assert lines[2].startswith("no accuracy.html: no run")  # their folders are on another machine
    rows = list(csv.DictReader(io.StringIO((tmp_path / "accuracy.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 6 and rows[1]["schedule"] == COSINE and rows[1]["learning_rate"] == "0.0001"
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"accuracy.csv", "accuracy.png"}


def test_report_has_the_table_and_the_plot(tmp_path, trainer_state):
    comparison = make_comparison(num_seeds=2)
    for outcome in comparison.outcomes[:3]:
        folder = tmp_path / outcome.cell.folder
        folder.mkdir()
        (folder / "trainer_state.json").write_text(trainer_state, encoding="utf-8")
    comparison.write(tmp_path)
    page = (tmp_path / "accuracy.html").read_text(encoding="utf-8")
    assert "accuracy of 3 arms, 2 seeds" in page and "data:image/png;base64," in page
    assert page.index("seeds needed") < page.index('id="chart"')


def test_report_leaves_out_runs_that_cannot_be_read(tmp_path, trainer_state):
    """The first seed's run failed before its training, and the second's is read."""
    comparison = make_comparison(num_seeds=2)
    first, second = comparison.outcomes[0].cell, comparison.outcomes[3].cell
    comparison = make_comparison(num_seeds=2, run0=Outcome(first, "failed", error="no memory"))
    for cell in (first, second):
        (tmp_path / cell.folder).mkdir()
    (tmp_path / second.folder / "trainer_state.json").write_text(trainer_state, encoding="utf-8")
    assert comparison.write(tmp_path)[2] == f"wrote {tmp_path / 'accuracy.html'}"
    page = (tmp_path / "accuracy.html").read_text(encoding="utf-8")
    assert second.folder in page and first.folder not in page


def test_table_in_the_terminal():
    lines = format_summary(make_comparison().make_table()).splitlines()
    assert lines[0] == "accuracy of 3 arms, 10 seeds"
    assert lines[2].index("peak LR") == lines[3].index("1e-4")
