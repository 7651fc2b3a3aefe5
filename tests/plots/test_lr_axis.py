"""The lines of learning rates: exact, recorded and planned ones, and those of several groups."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from hf_lrsched.plots import draw_run
from tests.plots.drawn import (
    ACCURACIES,
    LOSSES,
    cut_off,
    legend,
    lines,
    made,
    segment,
    trajectory,
    warmup_linear,
)

WARMUP_LINEAR = [0, 1e-5, 2e-5, 3e-5, *(4e-5 * (8 - u) / 8 for u in range(8))]


def test_the_lr_of_every_update_where_the_run_has_a_record():
    figure = draw_run(warmup_linear())
    updates, lrs = lines(figure)["learning rate"]
    assert updates == list(range(13))
    assert lrs == pytest.approx([*WARMUP_LINEAR, WARMUP_LINEAR[-1]])  # update 12's holds from 11 to 12
    (line,) = (line for axes in figure.axes for line in axes.get_lines() if line.get_label() == "learning rate")
    assert line.get_drawstyle() == "steps-post"


def test_zero_lr_line_is_inside_the_axes():
    figure = draw_run(made(segment(trajectory("freeze(4) >> linear()", 12)), evaluations=ACCURACIES))
    (twin,) = (axes for axes in figure.axes if axes.get_ylabel() == "learning rate used")
    assert cut_off(twin) == []


def test_planned_lrs_are_dotted():
    of = trajectory("linear()", 12)
    figure = draw_run(made(segment(of), train=[(step, {"loss": 1.0}) for step in range(1, 6)], num_updates=12))
    drawn = lines(figure)
    assert drawn["learning rate"] == (list(range(6)), pytest.approx([1 - t / 12 for t in (0, 1, 2, 3, 4, 4)]))
    assert drawn["learning rate, planned"] == (
        list(range(5, 13)),
        pytest.approx([1 - t / 12 for t in (*range(5, 12), 11)]),
    )


def test_the_updates_after_the_last_record_of_a_run_that_ended():
    of = trajectory("linear()", 12)
    run = made(segment(of), train=[(5, {"loss": 1.0}), (10, {"loss": 1.0})], num_updates=12)  # logging_steps=5
    assert set(lines(draw_run(run))) == {"training loss", "learning rate"}


def test_a_run_that_has_only_begun_shows_its_plan():
    figure = draw_run(made(segment(trajectory("linear()", 4)), num_updates=4))
    assert lines(figure) == {"learning rate, planned": ([0, 1, 2, 3, 4], [1, 0.75, 0.5, 0.25, 0.25])}


def test_a_million_updates_with_both_sides_of_every_boundary():
    of = trajectory("warmup(123457) >> step(every=50%, factor=0.5)", 1_000_000)
    figure = draw_run(made(segment(of), train=[(1_000_000, {"loss": 1.0})], num_updates=1_000_000))
    updates, lrs = (np.array(each) for each in lines(figure)["learning rate"])
    assert len(updates) < 5000
    assert lrs[updates < 123_457].max() == pytest.approx(1, abs=5e-3) and lrs[updates == 123_457] == [1]
    step = updates[1:][np.diff(lrs) < -0.4]
    assert step == pytest.approx([123_457 + 500_000], abs=1e-3 * 1_000_000)
    assert lrs[-1] == 0.5 and updates[-1] == 1_000_000


def test_groups_of_the_same_lr_are_one_line():
    of = trajectory("linear()", 4, [1.0, 1.0])
    assert "learning rate" in lines(draw_run(made(segment(of), groups=["a", "b"], train=LOSSES, num_updates=4)))


def test_the_first_and_the_last_of_two_groups():
    of = trajectory("linear()", 4, [1.0, 0.5])
    figure = draw_run(made(segment(of), groups=["head", "body"], train=[(4, {"loss": 1.0})], num_updates=4))
    assert lines(figure)["learning rate of head"][1] == [1, 0.75, 0.5, 0.25, 0.25]
    assert lines(figure)["learning rate of body"][1] == [0.5, 0.375, 0.25, 0.125, 0.125]
    assert not figure.axes[-1].collections


def test_the_span_of_all_groups():
    of = trajectory(
        "hold()", 4, [0.5, 0.5, 2.0, 0.25, 1.0]
    )  # neither the first nor the last is the highest or the lowest
    names = ["head", "head/no_decay", "layer_1", "layer_0", "embeddings"]
    figure = draw_run(made(segment(of), groups=names, train=[(4, {"loss": 1.0})], num_updates=4))
    assert {name for name in lines(figure) if "rate" in name} == {
        "learning rate of head",
        "learning rate of embeddings",
    }
    (band,) = figure.axes[-1].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.25, 2.0) and "learning rates of all groups" in legend(figure)


def test_recorded_lrs_of_groups_of_a_schedule_that_counts_no_updates():
    evaluations = [(4, {"eval_accuracy": 0.5, "learning_rate": 1e-3, "lr/a": 1e-3, "lr/b": 1e-4})]
    run = made(train=[(2, {"loss": 1.0, "learning_rate": 5e-4})], evaluations=evaluations, groups=["a", "b"])
    drawn = lines(draw_run(run))
    assert drawn["learning rate of a"] == ([2, 4], [5e-4, 1e-3]) and drawn["learning rate of b"] == ([4], [1e-4])
