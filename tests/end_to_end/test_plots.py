"""Plots of trained runs, made from their folders: the LRs must be those of the optimizer."""

import functools

import numpy as np
import pytest
from transformers import EarlyStoppingCallback, Trainer

pytest.importorskip("matplotlib")

from hf_lrsched import ScheduledTrainer, regex_groups
from hf_lrsched.cli import main as cli
from hf_lrsched.plots import draw_heat_map, draw_run
from hf_lrsched.runs import read_run
from tests.plots.drawn import lines

EVALUATED = {"eval_strategy": "steps", "eval_steps": 2, "logging_steps": 1}


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def steps(lrs):
    """Return the points of a line of exact LRs. The last LR stands twice: it is drawn to the end of its update."""
    return [*range(len(lrs) + 1)], pytest.approx([*lrs, lrs[-1]], rel=1e-12)


def test_run_of_the_stock_trainer(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(cls=Trainer, compute_metrics=accuracy, save_strategy="steps", save_steps=6, **EVALUATED)
    trainer.train()
    trainer.save_state()
    folder = tmp_path / "out"
    history = trainer.state.log_history
    logged = [(row["step"], row["learning_rate"]) for row in history if "learning_rate" in row]
    for path in (folder, folder / "trainer_state.json"):
        drawn = lines(draw_run(read_run(path)))
        assert [*zip(*drawn["learning rate"], strict=True)] == logged
        assert drawn["accuracy"][1] == [row["eval_accuracy"] for row in history if "eval_accuracy" in row]
        assert drawn["training loss"][0] == [1, 2, 3, 4, 5, 6]
    assert lines(draw_run(history)).keys() == drawn.keys()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plot", str(folder / "checkpoint-6")]) == 0
    assert (tmp_path / "checkpoint-6.png").exists()


def test_run_with_plateau_early_stopping_and_best_checkpoint(make_trainer, tmp_path):
    trainer = make_trainer(
        "warmup(2) >> hold() * plateau(metric=accuracy, factor=0.5, patience=0) >> cooldown(3)",
        compute_metrics=accuracy,
        num_train_epochs=4,
        learning_rate=1e-6,  # too low to learn: no evaluation is an improvement
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        greater_is_better=True,
        callbacks=[EarlyStoppingCallback(3)],
        **EVALUATED,
    )
    trainer.train()
    figure = draw_run(read_run(tmp_path / "out"))
    used = trainer.recorder.used
    assert lines(figure)["learning rate"] == steps(used) and len(used) < 24 and len(set(used)) > 5
    assert any(text.get_text() == "cooldown: early stopping" for text in figure.axes[0].texts)
    assert any(text.get_text() == "plateau ×0.5" for text in figure.axes[0].texts)
    best = trainer.state.best_global_step
    (label,) = (name for name in lines(figure) if name.startswith("best checkpoint: accuracy"))
    assert label.endswith(f"at update {best}")


def test_resume_with_another_length(make_trainer, tmp_path):
    saved = {"save_strategy": "steps", "save_steps": 3, "logging_steps": 1}
    first = make_trainer("linear()", max_steps=6, **saved)
    first.train()
    second = make_trainer(
        "linear()", max_steps=12, cls=functools.partial(ScheduledTrainer, on_resume="stretch"), **saved
    )
    second.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    figure = draw_run(read_run(tmp_path / "out"))
    assert lines(figure)["learning rate"] == steps(first.recorder.used[:3] + second.recorder.used)
    assert [text.get_text() for text in figure.axes[0].texts] == ["linear()", "resume: stretch"]


def test_groups(make_trainer, tmp_path):
    patterns = {"encoder": {"pattern": "encoder", "lr": 1e-4}, "head": {"pattern": "head", "lr": 1e-2}}
    trainer = make_trainer(
        "warmup(2) >> linear()",
        cls=functools.partial(ScheduledTrainer, groups=lambda model, groups: regex_groups(model, patterns)),
        logging_steps=1,
    )
    trainer.train()
    run = read_run(tmp_path / "out")
    by_update = [*zip(*trainer.recorder.groups, strict=True)]
    drawn = lines(draw_run(run))
    assert drawn["learning rate of encoder"] == steps(by_update[0])
    assert drawn["learning rate of head"] == steps(by_update[-1])
    mesh = next(each for each in draw_heat_map(run).axes[0].collections if hasattr(each, "get_coordinates"))
    assert len(by_update) == 4 and np.ma.filled(mesh.get_array(), 0).ravel() == pytest.approx(
        [*by_update[0], *by_update[-1]]
    )


def test_evaluation_after_the_training(make_trainer, tmp_path):
    trainer = make_trainer("linear()", compute_metrics=accuracy, logging_steps=1)
    trainer.train()
    metrics = trainer.evaluate()
    trainer.save_state()
    assert lines(draw_run(read_run(tmp_path / "out")))["accuracy"] == ([6], [metrics["eval_accuracy"]])


def test_state_of_an_earlier_run_in_the_same_folder(make_trainer, tmp_path):
    first = make_trainer("linear()", compute_metrics=accuracy, num_train_epochs=2, logging_steps=1)
    first.train()
    first.evaluate()
    first.save_state()
    make_trainer("hold()", compute_metrics=accuracy, logging_steps=1, learning_rate=1e-5, seed=7).train()
    run = read_run(tmp_path / "out")
    assert run.path.name == "record-2" and run.evaluations == []
