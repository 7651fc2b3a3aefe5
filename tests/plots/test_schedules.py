"""The plot of schedules before training."""

import pytest

from hf_lrsched import cosine, linear, parse, warmup
from hf_lrsched.plots import draw_schedules


def test_figure_draws_the_curves():
    curves = [schedule.resolve(100, 50) for schedule in (warmup("10%") >> cosine(), linear())]
    axes = draw_schedules(curves, lr=1e-3).axes[0]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 101]
    assert [line.get_label() for line in lines] == ["warmup(10%) >> cosine()", "linear()"]
    assert lines[1].get_ydata() == pytest.approx([1e-3 * (1 - t / 100) for t in [*range(100), 99]], rel=1e-12)
    assert [*lines[1].get_xdata()] == [*range(101)]  # update u uses its LR from u - 1 to u
    assert lines[1].get_drawstyle() == "steps-post"
    assert axes.get_xlabel() == "update (optimizer step)" and axes.get_ylabel() == "learning rate"


def test_zero_lr_line_is_inside_the_axes():
    figure = draw_schedules([parse("freeze(50%) >> linear()").resolve(100)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (line,) = (line for line in axes.get_lines() if len(line.get_xdata()) == 101)
    lowest = axes.transData.transform(line.get_xydata())[:, 1].min()
    assert lowest - line.get_linewidth() / 2 * figure.dpi / 72 >= axes.get_window_extent().y0
