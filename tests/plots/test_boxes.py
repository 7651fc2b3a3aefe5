"""What draw_boxes draws."""

import math
import statistics

import pytest

pytest.importorskip("matplotlib")
from matplotlib import cbook

from hf_lrsched import ScheduleError
from hf_lrsched.plots import draw_boxes
from tests.plots.drawn import legend, lines

FIVE = [0.81, 0.86, 0.84, 0.9, 0.82]


def test_quartiles_median_ends_and_every_seed():
    figure = draw_boxes({"linear()": FIVE}, metric="eval_accuracy")
    (axes,) = figure.axes
    first, median, third = statistics.quantiles(FIVE, n=4, method="inclusive")
    (box,) = axes.patches
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((first, third))
    drawn = lines(figure)
    assert drawn["median"][0] == pytest.approx([median, median])
    assert drawn["one seed"][0] == FIVE
    whiskers = [tuple(line.get_xdata()) for line in axes.get_lines() if line.get_label().startswith("_")]
    assert whiskers == [(0.81, pytest.approx(first)), (pytest.approx(third), 0.9)]
    assert axes.get_xlabel() == "accuracy" and figure.get_suptitle() == "accuracy over seeds, by schedule"


def test_schedules_from_top_to_bottom_with_their_seeds():
    (axes,) = draw_boxes({"linear()": FIVE, "cosine()": [0.5], "hold()": [0.5, math.nan]}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "linear()\n(n = 5)",
        "cosine()\n(n = 1)",
        "hold()\n(1 of 2 seeds)",  # one broke down
    ]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert len(axes.patches) == 1  # one seed is no box
    heights = [
        sum(line.get_ydata()) / len(line.get_ydata()) for line in axes.get_lines() if line.get_label() == "one seed"
    ]
    assert heights == pytest.approx([0, 1, 2])


def test_points_lie_within_their_row():
    (axes,) = draw_boxes({"a": FIVE * 20, "b": FIVE}).axes
    for row, line in enumerate(line for line in axes.get_lines() if line.get_label() == "one seed"):
        assert all(abs(y - row) < 0.5 for y in line.get_ydata())


def test_a_baseline():
    figure = draw_boxes({"linear()": FIVE}, baseline=0.52)
    assert lines(figure)["majority class: 0.52"][0] == [0.52, 0.52]
    assert legend(figure) == ["median", "one seed", "majority class: 0.52"]
    assert "always 'yes': 0.52" in legend(draw_boxes({"linear()": FIVE}, baseline=0.52, baseline_name="always 'yes'"))


def test_ugly_and_long_schedules(tmp_path):
    names = ["$a$", "_b", " >> ".join(["hold(10)"] * 50)]
    figure = draw_boxes(dict.fromkeys(names, FIVE), tmp_path / "boxes.pdf", metric="$f_1$")
    found = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert not any(map(cbook.is_math_text, [*found, figure.axes[0].get_xlabel(), figure.get_suptitle()]))
    assert found[2].count("\n") == 3 and "…" in found[2]


@pytest.mark.parametrize("metrics", [{}, {"linear()": []}, {"linear()": [math.nan]}])
def test_refused(metrics):
    with pytest.raises(ScheduleError, match="nothing to draw"):
        draw_boxes(metrics)
