"""A search over budgets on disk."""

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.budgets import Branch, Budgets
from hf_lrsched.runs.budgets import BUDGETS, read_branches


def test_branches_are_found_where_the_search_is_now(tmp_path):
    branches = (
        Branch("1ep", 10, 2, {}, folder="/elsewhere/budget-1ep"),
        Branch("1ep", 10, 2, {}, folder="/elsewhere/seed-1/budget-1ep", seed=1),
    )
    (tmp_path / BUDGETS).write_text(Budgets("eval_loss", "min", branches, "hold()", 1e-4).to_json(), encoding="utf-8")
    data, folders = read_branches(tmp_path)
    assert data["metric"] == "eval_loss"
    assert folders == [tmp_path / "budget-1ep", tmp_path / "seed-1" / "budget-1ep"]


def test_folder_without_a_search(tmp_path):
    assert read_branches(tmp_path) is None


def test_corrupted_result(tmp_path):
    (tmp_path / BUDGETS).write_text('{"branches": [{"seed": "x"}]}', encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"budgets\.json is corrupted"):
        read_branches(tmp_path)
