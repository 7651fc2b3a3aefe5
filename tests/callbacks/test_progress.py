"""The progress bar: the LR that was used and its phase; and the plan that is printed before it."""

import re

import pytest
import torch
from transformers import ProgressCallback, Trainer

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleLR, get_scheduler
from hf_lrsched.callbacks import ScheduleProgressCallback
from hf_lrsched.callbacks.progress import describe_phase

SPEC = "warmup(2) >> linear()"


@pytest.fixture(autouse=True)
def _every_update(monkeypatch):
    """The bar is drawn anew at each update, however fast they are."""
    import transformers.trainer_callback

    real = transformers.trainer_callback.tqdm
    monkeypatch.setattr(
        transformers.trainer_callback,
        "tqdm",
        lambda *args, **kwargs: real(*args, **kwargs | {"mininterval": 0, "miniters": 1}),
    )


def bars(capsys):
    """What the bar showed: updates done -> what stands behind the speed."""
    shown = {}
    for bar in re.split(r"[\r\n]", capsys.readouterr().err):
        found = re.search(r" (\d+)/\d+ \[.*?/s, (.*)\]", bar) or re.search(r" (\d+)/\d+ \[.*?s/it, (.*)\]", bar)
        if found:
            shown[int(found[1])] = found[2]
    return shown


def test_the_lr_used_and_its_phase(make_trainer, capsys):
    make_trainer(SPEC, max_steps=6, disable_tqdm=False).train()
    assert bars(capsys) == {
        1: "lr 0, warmup(2)",
        2: "lr 0.0005, warmup(2)",
        3: "lr 0.001, linear()",
        4: "lr 0.00075, linear()",
        5: "lr 0.0005, linear()",
        6: "lr 0.00025, linear()",
    }


def test_groups_that_differ(make_trainer, grouped, capsys):
    model, optimizer = grouped(1e-3, 4e-3)
    make_trainer("hold()", model=model, optimizers=(optimizer, None), max_steps=2, disable_tqdm=False).train()
    assert bars(capsys)[2] == "lr 0.001 to 0.004, hold()"


def test_evaluations_have_the_bar_that_they_have(make_trainer, capsys):
    make_trainer(SPEC, max_steps=4, eval_strategy="steps", eval_steps=2, disable_tqdm=False).train()
    shown = capsys.readouterr()
    assert "lr 0.001, linear()" in shown.err and " 1/1 [" in shown.err and "'eval_learning_rate': " in shown.out


@pytest.mark.parametrize("disable_tqdm", [True, False])
def test_it_takes_the_place_of_the_stock_one(make_trainer, disable_tqdm):
    trainer = make_trainer(SPEC, disable_tqdm=disable_tqdm)
    found = [type(each) for each in trainer.callback_handler.callbacks if isinstance(each, ProgressCallback)]
    assert found == ([] if disable_tqdm else [ScheduleProgressCallback])
    trainer.remove_callback(ProgressCallback)
    assert not any(isinstance(each, ProgressCallback) for each in trainer.callback_handler.callbacks)


def test_one_of_ones_own_stays(make_trainer):
    class Mine(ProgressCallback):
        pass

    class MyTrainer(ScheduledTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.remove_callback(ProgressCallback)
            self.add_callback(Mine())

    trainer = make_trainer(SPEC, cls=MyTrainer, disable_tqdm=False)
    assert [type(e) for e in trainer.callback_handler.callbacks if isinstance(e, ProgressCallback)] == [Mine]


@pytest.mark.parametrize("kind", ["ours", "linear"])
def test_stock_trainer(make_trainer, grouped, capsys, kind):
    model, optimizer = grouped(1e-3)
    ours = {
        "optimizers": (optimizer, get_scheduler(SPEC, optimizer, num_training_steps=4)),
        "callbacks": [ScheduleCallback()],
    }
    trainer = make_trainer(
        cls=Trainer, model=model, max_steps=4, disable_tqdm=False, **(ours if kind == "ours" else {})
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(ScheduleProgressCallback())
    trainer.train()
    assert bars(capsys)[4] == ("lr 0.0005, linear()" if kind == "ours" else "lr 0.00025")


def at(schedule, update, updates=100, **kwargs):
    made = ScheduleLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), schedule, updates, **kwargs)
    made.declare_driven("plateau", "cooldown", "clock")
    made.advance_to(update)
    return made


@pytest.mark.parametrize(
    ("schedule", "update", "phase"),
    [
        ("warmup(10) >> hold(5) >> linear()", 9, "warmup(10)"),
        ("warmup(10) >> hold(5) >> linear()", 10, "hold(5)"),
        ("warmup(10) >> hold(5) >> linear()", 15, "linear()"),
        ("warmup(10) >> hold(5) >> linear()", 500, "linear()"),
        ("hold() * plateau(patience=3)", 5, "hold() * plateau(patience=3)"),
        (
            "warmup(10) >> cosine_restarts(cycles=3, growth=2, decay=0.5)",
            50,
            "repeat(cosine(), cycles=3, growth=2, de…",
        ),
    ],
)
def test_phases(schedule, update, phase):
    assert describe_phase(at(schedule, update)) == phase and len(phase) <= 40


def test_the_phase_of_an_early_cooldown():
    made = at("hold() >> cooldown(20)", 30)
    assert describe_phase(made) == "hold()"
    made.start_cooldown("a test")
    assert describe_phase(made) == "cooldown(20)"


def test_the_phase_in_a_rewarming_and_in_a_stretched_run():
    state = at("warmup(10) >> hold(40) >> linear()", 45).state_dict()
    rewarmed = at("linear()", 0, on_resume="rewarm(8)")
    rewarmed.load_state_dict(state)
    assert describe_phase(rewarmed) == "rewarm(8)"
    rewarmed.advance_to(53)
    assert describe_phase(rewarmed) == "linear()"
    stretched = at("warmup(10) >> hold(40) >> linear()", 0, updates=155, on_resume="stretch")
    stretched.load_state_dict(state)  # what is left lasts twice as long: from 45 by way of 50 to 100 is now 45, 55, 155
    stretched.advance_to(54)
    assert describe_phase(stretched) == "hold(40)"
    stretched.advance_to(55)
    assert describe_phase(stretched) == "linear()"


def test_the_plan_is_printed_before_the_first_update(make_trainer, capsys):
    trainer = make_trainer(SPEC, train=48, num_train_epochs=2, gradient_accumulation_steps=3)
    shown = []
    trainer.recorder.on_train_begin = lambda *args, **kwargs: shown.append(capsys.readouterr().out)
    trainer.train()
    lines = shown[0].splitlines()
    assert lines[0] == "8 updates = 2 epochs of 4; peak LR 0.001"
    assert lines[1] == "12 samples per update = 4 per device x 3 accumulated x 1 process"
    assert trainer.lr_scheduler.curves[0].explain() in shown[0]
