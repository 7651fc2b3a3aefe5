"""Several budgets of a recipe's run."""

import csv
import json
from pathlib import Path

import pytest

from hf_lrsched.runs.budgets import BUDGETS
from tests.recipe_runs import used_lrs

PEAK = 5e-5


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    from hf_lrsched.trainer import resume

    monkeypatch.setattr(resume, "save_resume_plot", lambda scheduler, folder: "no plot")


def test_each_budget_has_the_files_of_a_run(recipe, flags, capfd):
    held = {"schedule": "warmup(1) >> linear()", "budget_peak": "50%"}
    settings = {**flags, **held, "budgets": "1ep,2ep", "budget_cooldown": "50%"}
    assert recipe(settings) == 0
    folder = Path(flags["output_dir"])
    shown = capfd.readouterr().out
    assert "2ep: 8 updates, branches off at 4: warmup(1, to=0.5) >> hold() >> one_minus_sqrt(over=4)" in shown
    assert f"saved {folder / BUDGETS} and {folder / 'budgets.png'}" in shown
    longest = folder / "budget-2ep"
    names = {path.name for path in longest.iterdir()}
    assert {"model.safetensors", "README.md", "metrics.csv", "eval_results.json", "record"} <= names
    assert used_lrs(longest)[4:] == pytest.approx([PEAK / 2 * (1 - (u / 4) ** 0.5) for u in range(4)])
    with (longest / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["update"]) for row in rows] == [4, 8]
    found = json.loads((folder / BUDGETS).read_text())
    assert found["metric"] == "eval_accuracy"
    assert [branch["metrics"]["eval_accuracy"] for branch in found["branches"]][1] == float(rows[1]["accuracy"])
    assert json.loads((longest / "eval_results.json").read_text())["eval_accuracy"] == float(rows[1]["accuracy"])

    assert recipe(settings) == 0  # nothing is left to do
    assert "train_runtime" not in capfd.readouterr().out
    assert recipe({**settings, "learning_rate": 1e-3}) == 2
    assert "holds a search with learning_rate=5e-05" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budgets": "2ep,1ep"}, "budgets must rise, but 1ep (4 updates) follows 2ep (8)"),
        ({"budgets": "1ep", "budget_seeds": 0}, "seeds must be a whole number of at least 1, got 0"),
        ({"budgets": "1ep", "budget_peak": "half"}, "peak must be a finite number above 0, got 'half'"),
        ({"budgets": "2ep", "early_stopping_patience": 2}, "ResumableEarlyStopping may end or change a run"),
    ],
)
def test_invalid_budgets(recipe, flags, given, message, capfd):
    assert recipe({**flags, **given}) == 2
    assert message in capfd.readouterr().err
    assert not list(Path(flags["output_dir"]).glob("*"))
