"""What draw_heat_map draws."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib import cbook
from matplotlib.colors import LogNorm, to_rgb

from hf_lrsched import ScheduleError
from hf_lrsched.plots import draw_heat_map
from tests.plots.drawn import made, segment, trajectory


def mesh(figure):
    return next(each for each in figure.axes[0].collections if hasattr(each, "get_coordinates"))


def cells(figure):
    values = mesh(figure).get_array()
    return values.reshape(mesh(figure).get_coordinates().shape[0] - 1, -1)


def names(figure):
    return [label.get_text().rsplit(maxsplit=1) for label in figure.axes[0].get_yticklabels()]


def test_a_row_for_each_group_a_column_for_each_update():
    of = trajectory("linear()", 4, [1.0, 0.5])
    figure = draw_heat_map(made(segment(of), groups=["head", "body"], num_updates=4, train=[(4, {"loss": 1.0})]))
    assert cells(figure).tolist() == [[1, 0.75, 0.5, 0.25], [0.5, 0.375, 0.25, 0.125]]
    edges = mesh(figure).get_coordinates()[0, :, 0]
    assert edges.tolist() == [0, 1, 2, 3, 4]  # update 1's LR is used from 0 to 1
    assert names(figure) == [["head", "1"], ["body", "5e-1"]]
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top < bottom  # the first on top
    assert figure.axes[1].get_ylabel() == "learning rate" and figure.get_suptitle() == "made: linear()"


def test_weights_and_biases_of_a_layer_are_one_row_where_their_lrs_are():
    lrs = {"a": [1, 1], "a/no_decay": [1, 1], "b": [1, 1], "c": [1, 1], "c/no_decay": [1, 0.5]}
    assert [name for name, _ in names(draw_heat_map(lrs))] == ["a", "b", "c", "c/no_decay"]


def test_the_colours_are_logarithmic_over_more_than_a_decade():
    assert isinstance(mesh(draw_heat_map({"a": [1.0], "b": [0.09]})).norm, LogNorm)
    linear = mesh(draw_heat_map({"a": [1.0], "b": [0.11]})).norm
    assert not isinstance(linear, LogNorm) and (linear.vmin, linear.vmax) == (0.11, 1.0)


def test_lrs_near_0_do_not_use_up_the_colours():
    norm = mesh(draw_heat_map({"a": [1.0, 1e-12]})).norm
    assert (norm.vmin, norm.vmax) == (1e-3, 1.0)


def test_lr_of_0_is_hatched():
    figure = draw_heat_map({"a": [0.0, 1.0], "b": [1.0, 1.0]})
    assert cells(figure).mask.tolist() == [[True, False], [False, False]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["LR 0"]
    assert draw_heat_map({"b": [1.0, 1.0]}).legends == []


def test_the_colours_get_lighter_evenly():
    colours = mesh(draw_heat_map({"a": [1.0, 2.0]})).get_cmap()(np.linspace(0, 1, 20))
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, colours)]
    assert all(np.diff(grey) > 0.01)


def test_a_long_run_is_drawn_by_some_of_its_updates():
    of = trajectory("warmup(50%) >> linear()", 1_000_000)
    figure = draw_heat_map(made(segment(of), num_updates=1_000_000, train=[(1_000_000, {"loss": 1.0})]))
    (row,) = cells(figure)
    edges = mesh(figure).get_coordinates()[0, :, 0]
    assert len(row) <= 2000 and edges[-1] == 1_000_000
    t = edges[:-1]
    assert np.ma.filled(row, 0) == pytest.approx(np.where(t < 5e5, t / 5e5, (1e6 - t) / 5e5))


def test_a_line_marks_where_planned_lrs_begin():
    run = made(segment(trajectory("linear()", 10)), num_updates=10, train=[(step, {"loss": 1.0}) for step in (1, 2, 3)])
    figure = draw_heat_map(run)
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata()[0] == 3 and line.get_label() == "planned from here on"


def test_without_a_record_the_lrs_at_the_evaluations():
    rows = [
        (4, {"lr/a": 1.0, "lr/b": 0.5, "learning_rate": 1.0}),
        (8, {"lr/a": 0.5, "lr/b": 0.25, "learning_rate": 0.5}),
    ]
    figure = draw_heat_map(made(evaluations=rows, groups=["a", "b"]))
    assert cells(figure).tolist() == [[1.0, 0.5], [0.5, 0.25]]
    assert mesh(figure).get_coordinates()[0, :, 0].tolist() == [0, 4, 8]


def test_peaks_near_each_other_have_the_digits_that_they_need():
    assert [peak for _, peak in names(draw_heat_map({"a": [2e-5], "b": [2.0001e-5]}))] == ["2e-5", "2.0001e-5"]


def test_many_groups_and_ugly_names(tmp_path):
    figure = draw_heat_map({f"_$layer${index}": [1.0 + index] for index in range(200)}, tmp_path / "groups.svg")
    assert cells(figure).shape == (200, 1) and len(figure.axes[0].get_yticklabels()) <= 64
    assert not any(cbook.is_math_text(label.get_text()) for label in figure.axes[0].get_yticklabels())
    assert figure.get_size_inches()[1] < 20


@pytest.mark.parametrize(
    ("lrs", "message"),
    [
        (made(train=[(1, {"loss": 1.0, "learning_rate": 1.0})], groups=[]), "not known: it has no record"),
        ({"a": [1.0, 1.0], "b": [1.0]}, "of the same updates for each group, got 1, 2"),
        ({}, "got none"),
        ({"a": []}, "got 0"),
        ({"a": [0.0]}, "every LR is 0"),
    ],
)
def test_refused(lrs, message):
    with pytest.raises(ScheduleError, match=message):
        draw_heat_map(lrs)
