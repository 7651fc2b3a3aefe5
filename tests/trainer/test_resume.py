"""A run that is resumed with other settings saves a plot of the change, and trains whatever happens to the plot."""

import sys
from pathlib import Path

import pytest
from transformers import EarlyStoppingCallback, Trainer

from hf_lrsched import ScheduleError
from hf_lrsched.trainer import resume as module
from hf_lrsched.trainer.summary import explain_schedule

pytest.importorskip("matplotlib")


@pytest.fixture
def resumed(make_trainer, tmp_path):
    """Resumes a run of 6 updates after its third one with other settings, into a folder of its own."""

    def make(schedule="linear()", first=None, **kwargs):
        if not (tmp_path / "out/checkpoint-3").exists():
            stock = {"cls": Trainer} if first == "stock" else {}
            make_trainer("linear()", **stock, max_steps=6, save_strategy="steps", save_steps=3).train()
        settings = {"output_dir": str(tmp_path / "resumed"), "max_steps": 8} | kwargs
        how = settings.pop("on_resume", "strict")
        trainer = make_trainer(schedule, **settings)
        trainer._on_resume = how
        trainer.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
        return trainer

    return make


def plots(tmp_path):
    return sorted(path.name for path in (tmp_path / "resumed").glob("*.png"))


@pytest.mark.parametrize("how", ["keep", "stretch", "switch", "rewarm(25%)"])
def test_a_plot_and_a_line(resumed, tmp_path, capsys, how):
    resumed(on_resume=how)
    assert plots(tmp_path) == ["resume_at_3.png"]
    path = tmp_path / "resumed" / "resume_at_3.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"plot of the resume: {path}\n" in capsys.readouterr().out


def test_the_plot_is_of_this_resume(resumed, tmp_path, monkeypatch):
    figures = []

    def spy(*args, draw=module.draw_resume, **kwargs):
        figures.append(draw(*args, **kwargs))
        return figures[-1]

    monkeypatch.setattr(module, "draw_resume", spy)
    trainer = resumed(on_resume="switch")
    (axes,) = figures[0].axes
    found = {line.get_label(): [*line.get_ydata()] for line in axes.get_lines()}
    peak = trainer.args.learning_rate
    assert found["was planned: linear() over 6 updates"] == pytest.approx([peak * k / 6 for k in (6, 5, 4, 3, 2, 1, 1)])
    assert found["from there on: linear() over 8 updates"][:-1] == pytest.approx(trainer.recorder.used)
    assert figures[0].get_suptitle() == "Resumed after update 3 with on_resume='switch'"


def test_a_stock_checkpoint(resumed, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "draw_resume", lambda before, *args, **kwargs: seen.append(before) or _Figure())
    trainer = resumed(first="stock", on_resume="switch")
    # decayed and undecayed parameters are two groups
    assert seen == [[pytest.approx(trainer.args.learning_rate / 2)] * 2]


class _Figure:
    def savefig(self, file, format):
        file.write(b"drawn")


def test_a_second_resume_draws_the_lrs_that_were_used(resumed, make_trainer, tmp_path, monkeypatch):
    """`switch` replaced the curve at update 3: what the new one says of the updates before that was never used."""
    seen = []
    resumed(on_resume="switch", save_strategy="steps", save_steps=3)
    monkeypatch.setattr(module, "draw_resume", lambda *args, **kwargs: seen.append((args, kwargs)) or _Figure())
    trainer = make_trainer("linear()", max_steps=10, output_dir=str(tmp_path / "again"))
    trainer._on_resume = "keep"
    trainer.train(resume_from_checkpoint=str(tmp_path / "resumed/checkpoint-6"))
    ((before, _, t), kwargs) = seen[0]
    assert (t, kwargs["since"], kwargs["end"]) == (6, 3, 10)
    assert before.settings.horizon.num_updates == 8


def test_no_file_is_overwritten(resumed, tmp_path):
    for _ in range(3):
        resumed(on_resume="stretch")
        (tmp_path / "resumed/resume_at_3.png").write_text("mine")
    assert plots(tmp_path) == ["resume_at_3.png", "resume_at_3_2.png", "resume_at_3_3.png"]
    assert (tmp_path / "resumed/resume_at_3.png").read_text() == "mine"


def test_no_plot_where_nothing_changed(resumed, tmp_path, capsys):
    resumed(max_steps=6)
    assert plots(tmp_path) == []
    assert "picture" not in capsys.readouterr().out


def test_no_plot_where_the_resume_is_refused(resumed, tmp_path):
    with pytest.raises(ScheduleError, match="cannot resume"):
        resumed()
    assert plots(tmp_path) == []


def test_the_other_processes_draw_nothing(resumed, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "is_world_process_zero", lambda self: False)
    resumed(on_resume="keep", save_strategy="no")
    assert plots(tmp_path) == []


def test_without_matplotlib_it_says_what_to_install_and_trains(resumed, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    trainer = resumed(on_resume="keep")
    assert 'no plot of the resume: plots need matplotlib: pip install "hf-lrsched[plot]"' in capsys.readouterr().out
    assert trainer.state.global_step == 8


def test_a_full_disk_warns_leaves_no_half_plot_and_trains(resumed, tmp_path, fill_disk, caplog):
    fill_disk("resume_at_")
    trainer = resumed(on_resume="keep")
    assert trainer.state.global_step == 8
    assert plots(tmp_path) == [] and not list(tmp_path.rglob("*resume_at_*"))
    assert "could not be drawn: OSError: [Errno 28] No space left on device" in caplog.text


def test_an_error_of_drawing_warns_and_trains(resumed, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "draw_resume", lambda *args, **kwargs: 1 / 0)
    assert resumed(on_resume="keep").state.global_step == 8
    assert "could not be drawn: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("how", ["keep", "stretch", "switch", "rewarm(25%)"])
def test_data_that_shrank_below_the_updates_done(make_trainer, tmp_path, how):
    """Trainer itself would train nothing, without a word."""
    epochs = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 6}
    make_trainer("linear()", train=24, **epochs).train()
    trainer = make_trainer("linear()", train=8, **epochs)
    trainer._on_resume = how
    with pytest.raises(
        ScheduleError, match="nothing is left to train, since the checkpoint is at update 6 and the new run has 4"
    ):
        trainer.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-6"))


@pytest.mark.parametrize("is_restored", [False, True])
def test_a_count_of_early_stopping_that_is_not_restored_is_reported(make_trainer, tmp_path, caplog, is_restored):
    def make(**kwargs):
        callbacks = [EarlyStoppingCallback(early_stopping_patience=3)]
        settings = {
            "max_steps": 4,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 2,
        }
        return make_trainer("linear()", callbacks=callbacks, metric_for_best_model="eval_loss", **settings, **kwargs)

    make().train()
    resumed = make(restore_callback_states_from_checkpoint=is_restored)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-2"))
    assert ("EarlyStoppingCallback starts to count again" in caplog.text) == (not is_restored)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("keep", "linear() over 6 updates, 6 per epoch, then its last LR to update 8"),
        ("stretch", "linear() over 6 updates, 6 per epoch, its rest from update 3 on stretched to update 8"),
    ],
)
def test_the_summary_and_the_card_show_what_trains(resumed, capsys, how, line):
    trainer = resumed("warmup(2) >> cosine()", on_resume=how, learning_rate=5e-3)
    out = capsys.readouterr().out
    summary = out[out.rindex("8 updates") :].splitlines()
    assert summary[0] == "8 updates = 1.333 epochs of 6; peak LR 0.001"
    assert line in summary and explain_schedule(trainer) == line
    unused = "schedule='warmup(2) >> cosine()'; peak LR 0.005"
    assert f"  without effect, since the checkpoint's curve is followed: {unused}" in summary
    assert "cosine() over" not in out
    trainer.create_model_card(model_name="tiny")
    card = Path(trainer.args.output_dir, "README.md").read_text(encoding="utf-8")
    assert f"- learning_rate_schedule: `{line}`" in card and "- learning_rate: 0.001\n" in card
    assert "cosine" not in card and "0.005" not in card


def test_the_summary_of_the_same_settings(resumed, capsys):
    resumed(max_steps=6)
    assert capsys.readouterr().out.count("linear() over 6 updates, 6 per epoch\n") == 2  # of both runs
