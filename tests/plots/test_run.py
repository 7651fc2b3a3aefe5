"""What draw_run draws."""

import sys

import pytest

pytest.importorskip("matplotlib")
import matplotlib
from matplotlib import cbook
from matplotlib.colors import to_hex

from hf_lrsched import ScheduleError
from hf_lrsched.plots import draw_run
from tests.plots.drawn import (
    ACCURACIES,
    LOSSES,
    legend,
    lines,
    made,
    read_run,
    segment,
    trajectory,
    verticals,
    warmup_linear,
    write_record,
    write_state,
)

HISTORY = [
    {"step": 2, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-5},
    {"step": 4, "epoch": 1.0, "loss": 1.0, "learning_rate": 2e-5},
    {"step": 4, "epoch": 1.0, "eval_loss": 1.1, "eval_accuracy": 0.5, "eval_runtime": 3.0, "eval_learning_rate": 2e-5},
    {"step": 8, "epoch": 2.0, "loss": 0.5, "learning_rate": 5e-6},
    {"step": 8, "epoch": 2.0, "eval_loss": 0.9, "eval_accuracy": 0.75, "eval_runtime": 3.0, "eval_learning_rate": 5e-6},
    {"step": 12, "epoch": 3.0, "eval_loss": 1.3, "eval_accuracy": 0.7, "eval_runtime": 3.0},
    {"step": 12, "epoch": 3.0, "train_runtime": 9.0, "train_loss": 1.0},
]
WARMUP_LINEAR = [0, 1e-5, 2e-5, 3e-5, *(4e-5 * (8 - u) / 8 for u in range(8))]


# ------------------------------------------------------------------------------------------------ a Trainer's history


def test_metrics_losses_and_recorded_lrs():
    drawn = lines(draw_run(HISTORY))
    assert drawn["accuracy"] == ([4, 8, 12], [0.5, 0.75, 0.7])
    assert drawn["validation loss"] == ([4, 8, 12], [1.1, 0.9, 1.3])
    assert drawn["training loss"] == ([2, 4, 8], [1.5, 1.0, 0.5])
    assert drawn["learning rate"] == ([2, 4, 8], [1e-5, 2e-5, 5e-6])
    assert drawn["best accuracy: 0.75 at update 8"] == ([8], [0.75])
    assert len(drawn) == 5  # no runtimes


def test_the_loss_alone_is_best_at_its_lowest():
    drawn = lines(draw_run(HISTORY, metrics=["loss"]))
    assert "accuracy" not in drawn
    assert drawn["best validation loss: 0.9 at update 8"] == ([8], [0.9])


def test_greater_is_better_as_an_argument():
    assert "best accuracy: 0.5 at update 4" in lines(draw_run(HISTORY, greater_is_better=False))


def test_training_alone_and_values_that_are_not_finite():
    history = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0, "eval_note": "text"}]
    assert lines(draw_run(history)) == {"training loss": ([2], [1.0])}


def test_history_without_lrs_has_no_second_axis_and_a_note():
    history = [{key: value for key, value in row.items() if "learning_rate" not in key} for row in HISTORY]
    figure = draw_run(history)
    assert "learning rate" not in lines(figure)
    assert "learning rate used" not in {axes.get_ylabel() for axes in figure.axes}
    assert figure.legends[0].get_title().get_text() == "the records hold no learning rate"


def test_one_record_has_a_marker():
    (line,) = (line for axes in draw_run([{"step": 7, "loss": 1.0}]).axes for line in axes.get_lines())
    assert line.get_marker() == "."


def test_several_evaluation_sets_each_with_its_loss():
    history = [
        {"step": 4, "eval_mnli_loss": 1.0, "eval_mnli_accuracy": 0.5, "eval_mnli_runtime": 1.0},
        {"step": 4, "eval_sst2_loss": 0.8, "eval_sst2_accuracy": 0.6, "eval_sst2_runtime": 1.0},
    ]
    figure = draw_run(history)
    assert lines(figure) == {
        "mnli accuracy": ([4], [0.5]),
        "sst2 accuracy": ([4], [0.6]),
        "validation loss, mnli": ([4], [1.0]),
        "validation loss, sst2": ([4], [0.8]),
        "best mnli accuracy: 0.5 at update 4": ([4], [0.5]),
    }
    assert figure.axes[1].get_ylabel() == "loss" and len(figure.axes[1].get_lines()) == 2


def test_metrics_of_another_scale_are_named_and_not_drawn():
    rows = [{"step": 4, "eval_runtime": 1.0, "eval_accuracy": 0.5, "eval_f1": -0.2, "eval_gen_len": 17.0}]
    rows[0]["eval_learning_rate"] = 1e-5
    figure = draw_run(rows)
    assert {"accuracy", "F1"} < set(lines(figure)) and "gen len" not in lines(figure)
    assert figure.legends[0].get_title().get_text() == "also evaluated, not drawn: gen len"
    named = draw_run(rows, metrics=["gen_len", "eval_f1"])
    assert {"gen len", "F1"} < set(lines(named)) and named.legends[0].get_title().get_text() == ""


def test_at_most_four_metrics_unless_they_are_named():
    names = [f"eval_m{index}" for index in range(9)]
    rows = [{"step": 4, "eval_runtime": 1.0, **dict.fromkeys(names, 0.5)}]
    assert sum(name.startswith("m") for name in lines(draw_run(rows))) == 4
    assert sum(name.startswith("m") for name in lines(draw_run(rows, metrics=names))) == 9


def test_a_loss_over_three_decades_is_on_a_log_axis():
    history = [{"step": 1, "loss": 2000.0}, {"step": 2, "loss": 1.0}]
    assert draw_run(history).axes[0].get_yscale() == "log"
    assert draw_run([{"step": 1, "loss": 20.0}, {"step": 2, "loss": 1.0}]).axes[0].get_yscale() == "linear"


def test_a_long_loss_has_its_mean_on_it():
    history = [{"step": step, "loss": float(step)} for step in range(1, 1001)]
    steps, means = lines(draw_run(history))["training loss, mean of 10 records"]
    assert steps == list(range(1, 1001))
    assert means[500] == pytest.approx(sum(range(496, 506)) / 10)  # from five before update 501 to four after
    assert means[0] == pytest.approx(sum(range(1, 11)) / 10)


def test_a_hundred_thousand_records_are_downsampled():
    history = [{"step": step, "loss": 1.0} for step in range(1, 100_001)]
    history[54_320]["loss"] = 9.0
    (records,) = (line for line in draw_run(history).axes[0].get_lines() if line.get_label() == "_records")
    assert len(records.get_xdata()) < 5000
    assert (54_321, 9.0) in set(zip(records.get_xdata(), records.get_ydata(), strict=True))


# ------------------------------------------------------------------------------------------------ a record


def test_one_update():
    figure = draw_run(made(segment(trajectory("hold()", 1, [2e-5])), train=[(1, {"loss": 1.0})], num_updates=1))
    assert lines(figure)["learning rate"] == ([0, 1], [2e-5, 2e-5])


# ------------------------------------------------------------------------------------------------ groups


# ------------------------------------------------------------------------------------------------ the best checkpoint


def test_the_checkpoint_that_the_trainer_kept_is_marked():
    figure = draw_run(warmup_linear(best_step=4, best_metric="accuracy"))
    assert lines(figure)["best checkpoint: accuracy 0.5 at update 4"] == ([4], [0.5])  # though 0.75 was seen later


def test_the_metric_by_which_it_was_kept_is_drawn_first():
    rows = [(4, {"eval_accuracy": 0.5, "eval_f1": 0.4}), (8, {"eval_accuracy": 0.6, "eval_f1": 0.3})]
    run = made(evaluations=rows, best_step=4, best_metric="f1")
    assert "best checkpoint: F1 0.4 at update 4" in lines(draw_run(run))
    assert "best checkpoint by F1: accuracy 0.5 at update 4" in lines(draw_run(run, metrics=["accuracy"]))


def test_direction_is_that_of_the_run_where_the_name_does_not_tell():
    rows = [(4, {"eval_entropy": 4.0}), (8, {"eval_entropy": 4.2})]
    run = made(evaluations=rows, best_metric="entropy", greater_is_better=False)
    assert "best entropy: 4 at update 4" in lines(draw_run(run))


def test_direction_that_a_name_shows_outweighs_the_guess_of_trainer():
    rows = [(4, {"eval_perplexity": 4.0}), (8, {"eval_perplexity": 3.0})]
    run = made(evaluations=rows, best_step=4, best_metric="perplexity", greater_is_better=True)
    assert "best perplexity: 3 at update 8" in lines(draw_run(run))


def test_best_metric_of_a_trainer_state_is_found_by_its_value(tmp_path):
    state = write_state(tmp_path, HISTORY, best_global_step=4, best_metric=1.1)  # the loss of update 4
    assert "best checkpoint by validation loss: accuracy 0.5 at update 4" in lines(draw_run(read_run(state)))


def test_no_star_for_a_metric_of_unknown_direction():
    rows = [(4, {"eval_entropy": 4.0, "eval_loss": 0.9}), (8, {"eval_entropy": 4.2, "eval_loss": 0.8})]
    drawn = lines(draw_run(made(evaluations=rows)))
    assert drawn["entropy"] == ([4, 8], [4.0, 4.2])
    assert [name for name in drawn if name.startswith("best")] == ["best validation loss: 0.8 at update 8"]
    assert not any(name.startswith("best") for name in lines(draw_run(made(evaluations=rows), metrics=["entropy"])))
    up = lines(draw_run(made(evaluations=rows), metrics=["entropy"], greater_is_better=True))
    assert "best entropy: 4.2 at update 8" in up


def test_rewards_of_training_records_are_drawn_where_none_were_evaluated():
    history = [{"step": step, "loss": 0.1, "reward": step / 10, "entropy": 4.0} for step in (1, 2, 3)]
    figure = draw_run(history)
    assert lines(figure)["reward"] == ([1, 2, 3], [0.1, 0.2, 0.3]) and "entropy" not in lines(figure)
    assert figure.axes[0].get_ylabel() == "training reward"


def test_what_a_monitor_found_is_a_note_and_no_change_of_the_lr():
    events = [{"t": 4, "kind": "lr_too_high", "advice": "lower it"}, {"t": 6, "kind": "resume", "how": "stretch"}]
    figure = draw_run(warmup_linear(events=events))
    assert verticals(figure.axes[0]) == [6]
    assert figure.legends[0].get_title().get_text() == "the loss monitor found: lr too high (update 4)"


# ------------------------------------------------------------------------------------------------ words and looks


def test_titles_labels_and_epochs():
    figure = draw_run(warmup_linear(name="first"))
    assert figure.get_suptitle() == "first: warmup(4) >> linear()"
    assert draw_run(HISTORY).get_suptitle() == "metrics and learning rate"
    assert draw_run(HISTORY, title="mine").get_suptitle() == "mine"
    labels = {axes.get_xlabel() for axes in figure.axes} | {axes.get_ylabel() for axes in figure.axes}
    assert {"update (optimizer step)", "loss", "validation accuracy", "learning rate used"} <= labels
    (epochs,) = figure.axes[0].child_axes
    assert epochs.get_xlabel() == "epoch"
    figure.draw_without_rendering()
    assert epochs.get_xlim() == pytest.approx([limit / 4 for limit in figure.axes[0].get_xlim()])


def test_updates_are_ticked_in_whole_numbers():
    run = made(segment(trajectory("linear()", 3)), train=[(1, {"loss": 1.0}), (3, {"loss": 0.5})], num_updates=3)
    figure = draw_run(run)
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks and all(tick.lstrip("-−").isdigit() for tick in ticks)


UGLY = {name: name for name in ("$x^2$", "a$b", "\\$", "_hidden", "<b>bold</b>", "naïve 名", "back\\slash")}
UGLY |= {"tab\there": "tab here", "\udcff": "\ufffd"}


@pytest.mark.parametrize(("name", "shown"), UGLY.items())
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_shown_as_they_are(name, shown, tmp_path):
    of = trajectory("linear()", 4, [1.0, 0.5])
    evaluations = [(4, {f"eval_x_{name}": 0.5, f"eval_{name}_loss": 0.5})]
    run = made(segment(of), groups=[name, "b"], evaluations=evaluations, num_updates=4, name=name)
    figure = draw_run(run, tmp_path / "run.png")
    found = [*legend(figure), figure.get_suptitle(), figure.axes[0].get_ylabel()]
    assert len(legend(figure)) == len(lines(figure)) == 5  # none is left out
    assert not any(cbook.is_math_text(text) for text in found)
    drawn = [text.replace("\\$", "$") for text in found]  # what matplotlib makes of a text that is no mathematics
    assert f"learning rate of {shown}" in drawn and f"{shown}: linear()" in [text.strip() for text in drawn]


def test_long_names_are_cut_and_stay_within_the_plot(tmp_path):
    run = warmup_linear(name="long_" * 100, groups=["weights" * 30])
    figure = draw_run(run)
    figure.draw_without_rendering()
    page = figure.bbox
    for box in (figure.legends[0].get_window_extent(), figure._suptitle.get_window_extent()):
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y1 <= page.y1


def test_background_is_white_whatever_the_users_style():
    dark = {"figure.facecolor": "black", "axes.facecolor": "black", "text.color": "white", "lines.linewidth": 9}
    with matplotlib.rc_context(dark):
        figure = draw_run(HISTORY)
    assert to_hex(figure.get_facecolor(), keep_alpha=True) == "#ffffffff"
    assert to_hex(figure._suptitle.get_color()) == "#000000"


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_saved_without_a_display(ending, begins, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    draw_run(HISTORY, tmp_path / f"run.{ending}")
    assert (tmp_path / f"run.{ending}").read_bytes().startswith(begins)


def test_from_a_folder_with_a_record(tmp_path):
    of = trajectory("warmup(4) >> linear()", 12, [4e-5], per_epoch=4)
    run = read_run(write_record(tmp_path / "first", of, LOSSES, ACCURACIES))
    drawn = lines(draw_run(run))
    assert drawn["learning rate"][1] == pytest.approx([*WARMUP_LINEAR, WARMUP_LINEAR[-1]])
    assert drawn["training loss"] == ([2, 4, 12], [1.5, 1.0, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run": []}, "nothing to draw"),
        ({"run": made()}, "nothing to draw of made"),
        ({"run": HISTORY, "metrics": ["f1"]}, "no metric 'f1' among the evaluations; there are loss, accuracy"),
        ({"run": HISTORY, "metrics": ["acuracy"]}, "Did you mean 'accuracy'?"),
        ({"run": [{"step": 1, "loss": float("nan")}]}, "nothing to draw"),
        ({"run": [{"step": 1, "eval_f1": float("nan")}], "metrics": ["f1"]}, "there are none"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ScheduleError, match=message.replace("?", r"\?")):
        draw_run(**arguments)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "hf-lrsched\[plot\]"'):
        draw_run(HISTORY)
