"""The plot of several budgets."""

import pytest

from hf_lrsched.budgets import Branch, Budgets
from hf_lrsched.plots.budgets import draw_budgets


@pytest.fixture
def data():
    branches = [
        Branch(name, updates, 20, {"eval_accuracy": value}, seed=seed)
        for name, updates, values in (("1ep", 100, (0.8, 0.82)), ("4ep", 400, (0.9, None)))
        for seed, value in enumerate(values)
        if value is not None
    ]
    start = {"eval_accuracy": 0.33}
    return Budgets("eval_accuracy", "max", tuple(branches), "hold()", 1e-4, start=start).to_data()


def test_means_seeds_recommendation_and_start_are_drawn(data, tmp_path):
    figure = draw_budgets(data, tmp_path / "budgets.png")
    (axes,) = figure.axes
    means, seeds, star, start = axes.lines
    assert means.get_xydata().tolist() == [[100, pytest.approx(0.81)], [400, 0.9]]
    assert seeds.get_xydata().tolist() == [[100, 0.8], [100, 0.82], [400, 0.9]]
    assert star.get_xydata().tolist() == [[400, 0.9]] and star.get_label() == "recommended: 4ep"
    assert not star.get_clip_on()  # at the right edge it is drawn completely
    assert start.get_ydata() == [0.33, 0.33]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1ep\n100", "4ep\n400"]
    assert (tmp_path / "budgets.png").stat().st_size > 1000


def test_title_has_whole_sentences():
    branches = (Branch("1ep", 100, 20, {"eval_accuracy": 0.7}), Branch("4ep", 400, 80, {"eval_accuracy": 0.9}))
    found = Budgets("eval_accuracy", "max", branches, "hold()", 1e-4)
    title = draw_budgets(found.to_data()).get_suptitle().replace("\n", " ")
    assert title and "…" not in title and found.recommendation.startswith(title)


def test_values_that_are_not_finite_are_left_out(data):
    for branch in data["branches"]:
        branch["metrics"]["eval_accuracy"] = None
    assert draw_budgets(data | {"recommended": None}).axes
