"""Phases and events in the plot of a run: shades, lines, and names that do not overlap."""

import itertools
import math

import pytest

pytest.importorskip("matplotlib")

from hf_lrsched.plots import draw_run
from hf_lrsched.trajectory.trajectory import Rewarm, Stretch
from tests.plots.drawn import (
    ACCURACIES,
    LOSSES,
    lines,
    made,
    segment,
    shaded,
    texts,
    trajectory,
    verticals,
    warmup_linear,
)


def test_phases_are_named_and_shaded():
    of = trajectory("warmup(4) >> hold(4) >> linear()", 12)
    figure = draw_run(made(segment(of), train=LOSSES, evaluations=ACCURACIES, num_updates=12))
    found = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert list(found) == ["warmup(4)", "hold(4)", "linear()"]
    boxes = sorted(found.values(), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    for axes in (figure.axes[1], figure.axes[2]):  # the losses, and the LRs, which lie behind the metrics
        assert shaded(axes) == [(0, 4), (4, 8), (8, 12)]


@pytest.mark.parametrize("schedule", [" >> ".join(["hold(1)"] * 11 + ["linear()"]), " >> ".join(["hold(2)"] * 90)])
def test_names_of_many_phases_do_not_overlap(schedule):
    figure = draw_run(made(segment(trajectory(schedule, 180)), train=LOSSES, evaluations=ACCURACIES, num_updates=180))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_no_ticks_beside_the_names():
    figure = draw_run(warmup_linear())
    assert max(figure.axes[0].get_yticks()) < 0.8  # accuracies up to 0.75


def test_drops_of_a_plateau():
    of = trajectory("hold() * plateau(factor=0.5, patience=0)", 12)
    drop = {"kind": "plateau", "t": 4, "scale_before": 1.0, "scale_after": 0.5, "cause": "eval_loss 1"}
    second = drop | {"t": 8, "scale_before": 0.5, "scale_after": 0.25}
    segments = [segment(of), segment(of, 4, [0.5]), segment(of, 8, [0.25])]
    figure = draw_run(made(*segments, evaluations=ACCURACIES, events=[drop, second], num_updates=12))
    assert lines(figure)["learning rate"][1] == [1.0] * 4 + [0.5] * 4 + [0.25] * 5
    assert texts(figure.axes[0]) == ["hold() * plateau(factor=0.5, patience=0)", "plateau ×0.5", "plateau ×0.5"]
    assert verticals(figure.axes[0]) == [4, 8]


def test_early_cooldown():
    planned = trajectory("warmup(2) >> hold() >> cooldown(4)", 20)
    early = trajectory("warmup(2) >> hold() >> cooldown(4)", 20, cooldown_at=6)
    event = {"kind": "cooldown", "cause": "early stopping", "t": 6}
    figure = draw_run(
        made(segment(planned), segment(early, 6), train=[(10, {"loss": 1.0})], events=[event], num_updates=20)
    )
    updates, lrs = lines(figure)["learning rate"]
    wanted = [0, 0.5, 1, 1, 1, 1, *(1 - math.sqrt(u / 4) for u in range(4))]
    assert updates == list(range(11)) and lrs == pytest.approx([*wanted, wanted[-1]])  # and no update after the tenth
    assert texts(figure.axes[0]) == ["warmup(2)", "hold()", "cooldown(4)", "cooldown: early stopping"]
    assert shaded(figure.axes[-1]) == [(0, 2), (2, 6), (6, 10)]


def test_a_resume_that_stretched_the_rest():
    old = trajectory("linear()", 8)
    new = trajectory("linear()", 8, stretches=(Stretch(4, 8, 12),))
    resume = {"kind": "resume", "how": "stretch", "t": 4}
    figure = draw_run(made(segment(old), segment(new, 4), train=LOSSES, events=[resume], num_updates=12))
    lrs = [1 - t / 8 for t in range(4)] + [0.5 - (t - 4) / 16 for t in range(4, 12)]
    assert lines(figure)["learning rate"][1] == pytest.approx([*lrs, lrs[-1]])
    assert texts(figure.axes[0]) == ["linear()", "resume: stretch"] and verticals(figure.axes[0]) == [4]


def test_phases_of_a_resume_with_rewarm():
    old = trajectory("warmup(2) >> linear()", 8)
    new = trajectory("hold(6) >> linear()", 12, rewarm=Rewarm(4, 3, (0.5,)))
    figure = draw_run(made(segment(old), segment(new, 4), train=LOSSES, num_updates=12))
    assert texts(figure.axes[0]) == ["warmup(2)", "linear()", "rewarm", "linear()"]
    assert shaded(figure.axes[-1]) == [(0, 2), (2, 4), (4, 7), (7, 12)]
    assert lines(figure)["learning rate"][1][4:7] == pytest.approx(
        [0.5, 0.5 + 1 / 9, 0.5 + 2 / 9]
    )  # to 5/6, linear()'s at 7


def test_a_resume_with_the_same_settings_is_marked():
    figure = draw_run(warmup_linear(starts=[{"groups": ["weights"], "step": 0}, {"groups": ["weights"], "step": 8}]))
    assert texts(figure.axes[0]) == ["warmup(4)", "linear()", "resume"] and verticals(figure.axes[0]) == [8]
