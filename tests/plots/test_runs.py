"""What draw_runs draws."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
from matplotlib import cbook

from hf_lrsched import ScheduleError
from hf_lrsched.plots import draw_runs
from hf_lrsched.runs.metrics import make_distinct_names
from hf_lrsched.runs.run import run_from_history
from tests.plots.drawn import cut_off, legend, lines, made, segment, trajectory


def run(name, values, schedule=None, metric="eval_accuracy", **more):
    """A run with an evaluation every two updates."""
    evaluations = [(2 * (index + 1), {metric: value}) for index, value in enumerate(values)]
    segments = [] if schedule is None else [segment(trajectory(schedule, 2 * len(values)))]
    more = {"num_updates": 2 * len(values) * bool(schedule), "path": Path(name, "record"), **more}
    return made(*segments, name=name, evaluations=evaluations, **more)


def panels(figure):
    """For each panel, the lines of its runs by their colours: their y; stars apart."""
    return [
        {
            line.get_color(): [*map(float, line.get_ydata())]
            for line in axes.get_lines()
            if line.get_marker() != "*" and line.get_linestyle() != "None"
        }
        for axes in figure.axes
    ]


def stars(axes):
    return [
        (float(x), float(y))
        for line in axes.get_lines()
        if line.get_marker() == "*"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_a_panel_of_the_metric_and_one_of_the_lrs_a_colour_for_each_run():
    figure = draw_runs([run("a", [0.5, 0.7, 0.6], "linear()"), run("b", [0.4, 0.8], "hold()")])
    metrics, lrs = panels(figure)
    assert list(metrics.values()) == [[0.5, 0.7, 0.6], [0.4, 0.8]]
    assert list(lrs) == list(metrics) and len(set(lrs)) == 2  # the same colours in both
    assert list(lrs.values()) == [pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 1 / 6]), [1] * 5]
    assert stars(figure.axes[0]) == [(4, 0.7), (4, 0.8)] and stars(figure.axes[1]) == []
    assert legend(figure) == ["a: linear(); best 0.7 at update 4", "b: hold(); best 0.8 at update 4"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "learning rate used"]
    assert figure.axes[0].get_xlim()[1] == pytest.approx(6 * 1.01)  # as long as the longest
    assert figure.get_suptitle() == "2 runs: accuracy"


def test_all_lrs_of_all_runs_are_within_the_plot():
    rows, higher = [(8, {"eval_accuracy": 0.5})], trajectory("linear() >> freeze(50%)", 8, peaks=[5.0])
    figure = draw_runs([run("low", [0.5], "linear()"), made(segment(higher), name="high", evaluations=rows)])
    assert max(max(line.get_ydata()) for line in figure.axes[-1].get_lines()) == 5
    assert cut_off(figure.axes[-1]) == []


def test_the_validation_loss_has_a_panel_of_its_own():
    rows = [(2, {"eval_loss": 0.3, "eval_accuracy": 0.5, "eval_f1": 0.4})]
    figure = draw_runs([made(name="a", evaluations=rows), made(name="b", evaluations=rows)])
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "validation loss"]


def test_the_metric_of_the_best_model_comes_first():
    rows = [(2, {"eval_accuracy": 0.5, "eval_f1": 0.4})]
    figure = draw_runs([made(name="a", evaluations=rows, best_metric="f1"), made(name="b", evaluations=rows)])
    assert [axes.get_ylabel() for axes in figure.axes] == ["F1"]


def test_named_metrics_a_panel_each_of_the_runs_that_have_them():
    runs = [run("a", [0.5]), run("b", [0.4], metric="eval_f1", train=[(1, {"loss": 2.0})])]
    figure = draw_runs(runs, metrics=["accuracy", "eval_f1", "train_loss"])
    by_run = [[y for y in panel.values() if y] for panel in panels(figure)]
    assert by_run == [[[0.5]], [[0.4]], [[2.0]]]
    assert legend(figure) == ["a; best 0.5 at update 2", "b; no accuracy"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "F1", "training loss"]


def test_runs_without_a_common_metric_are_compared_by_their_training_loss_with_a_note():
    train = [(1, {"loss": 2.0}), (2, {"loss": 1.0})]
    linear = segment(trajectory("linear()", 2))
    figure = draw_runs([run("a", [0.5], "linear()", train=train), made(linear, name="b", train=train)])
    assert [*panels(figure)[0].values()] == [[2.0, 1.0]] * 2
    assert figure.legends[0].get_title().get_text() == "the runs have no evaluated metric in common"


def test_runs_of_the_same_name_get_the_names_of_their_folders():
    names = lambda *paths: make_distinct_names([made(name=Path(path).parent.name, path=Path(path)) for path in paths])  # noqa: E731
    assert names("/x/a/out/record", "/x/b/out/record", "/x/other/record") == ["a/out", "b/out", "other"]
    assert names("/a/x/out/record", "/b/x/out/record") == ["a/x/out", "b/x/out"]
    assert names("/x/out/record", "/x/out/record-2") == ["out/record", "out/record-2"]
    assert names("/x/out/record", "/x/out/record") == ["out (1)", "out (2)"]
    assert make_distinct_names([run_from_history([]), run_from_history([])]) == ["run (1)", "run (2)"]


def test_more_runs_than_colours_still_look_different():
    figure = draw_runs([run(f"run {index}", [0.1 * index], "linear()") for index in range(20)])
    for axes in figure.axes:
        looks = {(line.get_color(), str(line._dash_pattern)) for line in axes.get_lines() if line.get_marker() != "*"}
        assert len(looks) == 20
    assert len(legend(figure)) == 20


def test_epochs_only_where_they_are_the_same_for_all():
    one, other = ([run(name, [0.5], updates_per_epoch=size) for name in "ab"] for size in (2.0, 3.0))
    assert len(draw_runs(one).axes[0].child_axes) == 1
    assert draw_runs([one[0], other[1]]).axes[0].child_axes == []


def test_runs_without_lrs_have_no_panel_of_lrs_but_a_note():
    none, one = (draw_runs([run("a", [0.5], schedule), run("b", [0.4])]) for schedule in (None, "linear()"))
    assert [len(figure.axes) for figure in (none, one)] == [1, 2]
    notes = [figure.legends[0].get_title().get_text() for figure in (none, one)]
    assert notes == ["no learning rate in the records of a, b", "no learning rate in the records of b"]


@pytest.mark.parametrize("name", ["$x^2$", "_hidden", "<b>bold</b>", "long_" * 60])
def test_names_in_the_legend(name):
    figure = draw_runs([run(name, [0.5], "linear()"), run("b", [0.4])])
    assert len(legend(figure)) == 2 and not any(map(cbook.is_math_text, legend(figure)))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_saved(tmp_path):
    draw_runs([run("a", [0.5]), run("b", [0.4])], tmp_path / "runs.png")
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("runs", "metrics", "message"),
    [
        ([], None, "no runs"),
        ([run("a", [0.5]), run("b", [0.4], metric="eval_f1")], None, "no metric in common: a has accuracy; b has f1"),
        ([run("a", [0.5]), run("b", [])], None, "a has accuracy; b has none"),
        ([run("a", [0.5]), run("b", [0.4])], ["f1"], "no metric 'f1' among the evaluations; there are accuracy"),
        ([run("a", [0.5]), run("b", [0.4])], ["train_loss"], "no metric 'train_loss'"),
    ],
)
def test_refused(runs, metrics, message):
    with pytest.raises(ScheduleError, match=message):
        draw_runs(runs, metrics=metrics)


def test_one_run_is_a_comparison_too():
    assert lines(draw_runs([run("a", [0.5])])) == {"a; best 0.5 at update 2": ([2], [0.5])}
