"""What draw_run draws: the data of its lines, not pixels."""

import sys

import pytest

from hf_lrsched import ScheduleError, parse

pytest.importorskip("matplotlib")
import itertools

from hf_lrsched.pictures import draw_run

HISTORY = [
    {"step": 2, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-5},
    {"step": 4, "epoch": 1.0, "loss": 1.0, "learning_rate": 2e-5},
    {"step": 4, "epoch": 1.0, "eval_loss": 1.1, "eval_accuracy": 0.5, "eval_runtime": 3.0, "eval_learning_rate": 2e-5},
    {"step": 8, "epoch": 2.0, "loss": 0.5, "learning_rate": 5e-6},
    {"step": 8, "epoch": 2.0, "eval_loss": 0.9, "eval_accuracy": 0.75, "eval_runtime": 3.0, "eval_learning_rate": 5e-6},
    {"step": 12, "epoch": 3.0, "eval_loss": 1.3, "eval_accuracy": 0.7, "eval_runtime": 3.0},
    {"step": 12, "epoch": 3.0, "train_runtime": 9.0, "train_loss": 1.0},
]


def lines(figure):
    return {
        line.get_label(): ([*map(float, line.get_xdata())], [*map(float, line.get_ydata())])
        for axes in figure.axes
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def test_metrics_losses_and_recorded_lrs():
    drawn = lines(draw_run(HISTORY))
    assert drawn["accuracy"] == ([4, 8, 12], [0.5, 0.75, 0.7])
    assert drawn["validation loss"] == ([4, 8, 12], [1.1, 0.9, 1.3])
    assert drawn["training loss"] == ([2, 4, 8], [1.5, 1.0, 0.5])
    assert drawn["learning rate"] == ([2, 4, 8], [1e-5, 2e-5, 5e-6])
    assert drawn["best accuracy: 0.75 at update 8"] == ([8], [0.75])
    assert len(drawn) == 5  # no runtimes


def test_the_curve_gives_the_lr_of_every_update():
    curve = parse("warmup(4) >> linear()").resolve(12, updates_per_epoch=4)
    updates, lrs = lines(draw_run(HISTORY, curve=curve, peak=4e-5))["learning rate"]
    assert updates == list(range(1, 13))
    assert lrs == pytest.approx([0, 1e-5, 2e-5, 3e-5, *(4e-5 * (8 - u) / 8 for u in range(8))])


def test_phases_are_named_and_shaded():
    curve = parse("warmup(4) >> hold(4) >> linear()").resolve(12, updates_per_epoch=4)
    figure = draw_run(HISTORY, curve=curve, peak=4e-5)
    texts = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert list(texts) == ["warmup(4)", "hold(4)", "linear()"]
    boxes = sorted(texts.values(), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    shaded = [axes for axes in figure.axes if len(axes.patches) == 3]
    assert len(shaded) == 2  # behind the metrics and behind the losses


def test_names_of_many_phases_do_not_overlap():
    curve = parse(" >> ".join(["hold(1)"] * 11 + ["linear()"])).resolve(12, updates_per_epoch=4)
    figure = draw_run(HISTORY, curve=curve, peak=1.0)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_loss_alone_is_best_at_its_lowest():
    drawn = lines(draw_run(HISTORY, metrics=["loss"]))
    assert "accuracy" not in drawn
    assert drawn["best validation loss: 0.9 at update 8"] == ([8], [0.9])


def test_greater_is_better_can_be_said():
    assert "best accuracy: 0.5 at update 4" in lines(draw_run(HISTORY, greater_is_better=False))


def test_titles_labels_and_epochs():
    curve = parse("warmup(4) >> linear()").resolve(12, updates_per_epoch=4)
    figure = draw_run(HISTORY, curve=curve, peak=4e-5)
    assert figure.get_suptitle() == "warmup(4) >> linear()"
    assert draw_run(HISTORY, title="mine").get_suptitle() == "mine"
    labels = {axes.get_xlabel() for axes in figure.axes} | {axes.get_ylabel() for axes in figure.axes}
    assert {"update (optimizer step)", "loss", "validation accuracy", "learning rate used"} <= labels
    assert [axes.get_xlabel() for axes in figure.axes[0].child_axes] == ["epoch"]


def test_saved_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    draw_run(HISTORY, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_training_alone_and_values_that_are_not_finite():
    history = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0, "eval_note": "text"}]
    assert lines(draw_run(history)) == {"training loss": ([2], [1.0])}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"log_history": []}, "nothing to draw"),
        ({"log_history": HISTORY, "metrics": ["f1"]}, "no metric 'f1' among the evaluations; there are loss, accuracy"),
        ({"log_history": HISTORY, "peak": 1.0}, "curve and peak belong together"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ScheduleError, match=message):
        draw_run(**arguments)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "hf-lrsched\[plot\]"'):
        draw_run(HISTORY)
