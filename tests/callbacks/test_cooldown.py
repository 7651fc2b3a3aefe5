"""cooldown() in Trainer: a run that is about to be ended ends annealed."""

import math
import os
import signal
from pathlib import Path

import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleError, get_scheduler
from hf_lrsched.callbacks import cooldown as module

PEAK = 1e-3
SCHEDULE = "warmup(2) >> hold() >> cooldown(6, shape=linear)"


def cooldown_factors(size=6, level=1.0):
    return [level * (1 - u / size) for u in range(size)]


def factors(trainer):
    return [lr / PEAK for lr in trainer.recorder.used]


class At(TrainerCallback):
    """Does something after an update."""

    def __init__(self, what):
        self.what = what

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in self.what:
            self.what[state.global_step](args=args, control=control, **kwargs)


@pytest.fixture
def run(make_trainer):
    """24 updates, evaluated after every second one."""

    def make(schedule=SCHEDULE, *callbacks, late=(), resume=None, **kwargs):
        defaults = {"num_train_epochs": 4, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no"}
        trainer = make_trainer(schedule, callbacks=callbacks, **defaults | kwargs)
        for callback in late:
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return make


EARLY = {"metric_for_best_model": "eval_loss", "greater_is_better": True}  # a falling loss never improves


def test_in_its_time(run):
    assert factors(run()) == pytest.approx([0, 0.5, *[1] * 16, *cooldown_factors()], rel=1e-12)


@pytest.mark.parametrize("how", ["callbacks=", "add_callback"])
def test_early_stopping(run, tmp_path, how):
    stopping = EarlyStoppingCallback(early_stopping_patience=2)
    trainer = run(SCHEDULE, stopping, **EARLY) if how == "callbacks=" else run(SCHEDULE, late=[stopping], **EARLY)
    # the best evaluation at 2, then two without improvement: stopped at 6, and 6 more updates with evaluations at 8 and 10
    assert factors(trainer) == pytest.approx([0, 0.5, 1, 1, 1, 1, *cooldown_factors()], rel=1e-12)
    (event,) = trainer.lr_scheduler.events
    assert (event["kind"], event["t"], event["cause"], event["lr_before"]) == ("cooldown", 6, "early stopping", PEAK)
    assert trainer.state.global_step == 12
    assert "eval_loss" in trainer.state.log_history[-2]  # the annealed model is evaluated
    (checkpoint,) = Path(tmp_path, "out").glob("checkpoint-*")  # and saved, though save_strategy is "no"
    assert checkpoint.name == "checkpoint-12"


def test_early_stopping_without_on_early_stopping_ends_the_run(run):
    trainer = run("hold() >> cooldown(6, on=sigterm)", EarlyStoppingCallback(2), **EARLY)
    assert trainer.state.global_step == 6


def test_early_stopping_within_the_cooldown_lets_it_end(run):
    trainer = run(SCHEDULE, EarlyStoppingCallback(9), **EARLY)  # at 20
    assert factors(trainer) == pytest.approx([0, 0.5, *[1] * 16, *cooldown_factors()], rel=1e-12)
    assert trainer.lr_scheduler.events == []


def test_another_stop_than_early_stopping_is_obeyed(run):
    trainer = run(SCHEDULE, At({5: lambda control, **_: setattr(control, "should_training_stop", True)}))
    assert trainer.state.global_step == 5


def test_sigterm(run, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    trainer = run(SCHEDULE, At({7: lambda **_: os.kill(os.getpid(), signal.SIGTERM)}))
    assert factors(trainer) == pytest.approx([0, 0.5, *[1] * 5, *cooldown_factors()], rel=1e-12)
    assert trainer.lr_scheduler.events[0]["cause"] == "SIGTERM"
    assert (tmp_path / "out" / "checkpoint-13" / "scheduler.pt").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_sigterm_saves_and_ends_at_once(run, tmp_path):
    def terminate(**_):
        os.kill(os.getpid(), signal.SIGTERM)

    trainer = run(SCHEDULE, At({7: terminate, 9: terminate}))
    assert trainer.state.global_step == 9
    assert (tmp_path / "out" / "checkpoint-9" / "scheduler.pt").exists()


def test_an_error_restores_the_handler_of_sigterm(run):
    def fail(**_):
        assert signal.getsignal(signal.SIGTERM) is not before
        raise RuntimeError("out of memory")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError):
        run(SCHEDULE, At({3: fail}))
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_in_the_warmup_cools_down_from_there(run):
    trainer = run("warmup(10) >> hold() >> cooldown(4, shape=linear)", At({5: lambda **_: os.kill(os.getpid(), 15)}))
    assert factors(trainer) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, *cooldown_factors(4, 0.5)], rel=1e-12)


def test_a_file_starts_the_cooldown(run, tmp_path):
    request = tmp_path / "out" / "start_cooldown"

    def ask(**_):
        request.parent.mkdir(exist_ok=True)
        request.touch()

    trainer = run(SCHEDULE, At({4: ask}))
    assert factors(trainer) == pytest.approx([0, 0.5, 1, 1, *cooldown_factors()], rel=1e-12)
    assert not request.exists()  # or the next run would find it


def test_start_cooldown_from_python(run):
    trainer = run(SCHEDULE, At({4: lambda lr_scheduler, **_: lr_scheduler.start_cooldown("a hunch")}))
    assert factors(trainer) == pytest.approx([0, 0.5, 1, 1, *cooldown_factors()], rel=1e-12)
    assert trainer.lr_scheduler.events[0]["cause"] == "a hunch"
    assert trainer.lr_scheduler.start_cooldown() is None  # it has begun
    with pytest.raises(ScheduleError, match="has no cooldown to begin"):
        run("linear()", At({4: lambda lr_scheduler, **_: lr_scheduler.start_cooldown()}))


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def minutes(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "Stopwatch", lambda before: _stopwatch(before, clock))
    return clock


def _stopwatch(before, clock):
    from hf_lrsched.callbacks.stopwatch import Stopwatch

    return Stopwatch(before, now=clock)


class Ticks(TrainerCallback):
    def __init__(self, clock):
        self.clock = clock

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.clock.now += 60


def test_a_time_limit(run, minutes):
    # A minute each: at update 8, one more update and a cooldown of 6, with a tenth to spare, would end at 15.6.
    trainer = run("hold() >> cooldown(6, shape=linear, time_limit=15min)", Ticks(minutes))
    assert factors(trainer) == pytest.approx([1] * 8 + cooldown_factors(), rel=1e-12)
    assert trainer.state.global_step == 14
    assert "time limit of 15min" in trainer.lr_scheduler.events[0]["cause"]


def test_a_distant_time_limit_changes_nothing(run, minutes):
    assert len(factors(run("hold() >> cooldown(6, time_limit=2h)", Ticks(minutes)))) == 24


def test_a_time_limit_includes_the_time_before_a_resume(run, minutes, tmp_path):
    schedule = "hold() >> cooldown(6, shape=linear, time_limit=15min)"
    run(
        schedule,
        Ticks(minutes),
        At({4: lambda control, **_: setattr(control, "should_training_stop", True)}),
        save_strategy="steps",
        save_steps=4,
    )
    trainer = run(schedule, Ticks(minutes), resume=str(tmp_path / "out" / "checkpoint-4"))
    assert trainer.state.global_step == 14


def test_a_time_limit_that_is_over(run, minutes, tmp_path):
    schedule = "hold() >> cooldown(6, time_limit=10min)"
    run(schedule, Ticks(minutes), save_strategy="steps", save_steps=1)
    last = max(Path(tmp_path, "out").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    state = torch.load(last / "scheduler.pt", weights_only=True)
    torch.save({**state, "trajectory": None, "seconds": 700.0}, last / "scheduler.pt")
    with pytest.raises(ScheduleError, match=r"time_limit=10min of .* is used up: .* 700 s"):
        run(schedule, resume=str(last))


@pytest.mark.parametrize("update", [2, 6, 8, 10])
def test_resumed_to_the_bit(run, tmp_path, update):
    stopping = {"early_stopping_patience": 2}
    whole = run(SCHEDULE, EarlyStoppingCallback(**stopping), save_strategy="steps", save_steps=2, **EARLY)
    resumed = run(
        SCHEDULE,
        EarlyStoppingCallback(**stopping),
        resume=str(tmp_path / "out" / f"checkpoint-{update}"),
        restore_callback_states_from_checkpoint=True,  # what early stopping has counted
        **EARLY,
    )
    assert resumed.recorder.used == whole.recorder.used[update:]
    assert resumed.lr_scheduler.events == whole.lr_scheduler.events


def test_resuming_a_run_that_is_over_is_refused(run, tmp_path):
    run(SCHEDULE, At({4: lambda lr_scheduler, **_: lr_scheduler.start_cooldown()}))
    with pytest.raises(ScheduleError, match="this run is over: its cooldown began at 4 and ended at 10"):
        run(resume=str(tmp_path / "out" / "checkpoint-10"))


@pytest.mark.parametrize(
    "how, message",
    [("keep", None), ("switch", None), ("stretch", "not possible here"), ("rewarm", "not possible here")],
)
def test_resumed_within_the_cooldown_with_other_settings(run, tmp_path, how, message):
    def resumed():
        return run(
            SCHEDULE,
            resume=str(tmp_path / "out" / "checkpoint-6"),
            num_train_epochs=8,
            cls=lambda **kwargs: ScheduledTrainer(on_resume=how, **kwargs),
        )

    run(SCHEDULE, At({4: lambda lr_scheduler, **_: lr_scheduler.start_cooldown()}), save_strategy="steps", save_steps=6)
    if message is not None:
        with pytest.raises(ScheduleError, match=message):
            resumed()
    elif how == "keep":
        assert factors(resumed()) == pytest.approx(cooldown_factors()[2:], rel=1e-12)
    else:
        assert factors(resumed()) == pytest.approx([1] * 36 + cooldown_factors(), rel=1e-12)


def test_a_second_train_starts_again(make_trainer):
    trainer = make_trainer(
        SCHEDULE, callbacks=[EarlyStoppingCallback(2)], num_train_epochs=4, eval_strategy="steps", eval_steps=2, **EARLY
    )
    trainer.train()
    trainer.train()
    used = factors(trainer)
    assert used[12:18] == pytest.approx([0, 0.5, 1, 1, 1, 1], rel=1e-12)


def test_with_a_plateau(run):
    trainer = run(
        "(hold() >> cooldown(4, shape=linear)) * plateau(factor=0.5, patience=0, threshold=9, threshold_mode=abs)",
        At({6: lambda lr_scheduler, **_: lr_scheduler.start_cooldown()}),
    )
    # bad evaluations after 4, 6, 8: each halves what the schedule says, in the cooldown, too
    expected = [1, 1, 1, 1, 0.5, 0.5, 0.25 * 1, 0.25 * 0.75, 0.125 * 0.5, 0.125 * 0.25]
    assert factors(trainer) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_stock_trainer_with_the_callbacks_in_any_order(make_trainer, grouped, position):
    model, optimizer = grouped(PEAK)
    callbacks = [EarlyStoppingCallback(2), TrainerCallback()]
    callbacks.insert(position, ScheduleCallback())
    trainer = make_trainer(
        cls=Trainer,
        model=model,
        optimizers=(optimizer, get_scheduler(SCHEDULE, optimizer, num_training_steps=24)),
        callbacks=callbacks,
        num_train_epochs=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        **EARLY,
    )
    trainer.train()
    assert factors(trainer) == pytest.approx([0, 0.5, 1, 1, 1, 1, *cooldown_factors()], rel=1e-12)
    (event,) = trainer.lr_scheduler.events
    assert (event["t"], event["cause"]) == (6, "early stopping")
    assert trainer.state.global_step == 12


@pytest.mark.parametrize("position", [0, 1])
def test_a_stop_before_the_evaluation_is_obeyed_in_any_order(make_trainer, grouped, position):
    model, optimizer = grouped(PEAK)
    callbacks = [At({4: lambda control, **_: setattr(control, "should_training_stop", True)})]
    callbacks.insert(position, ScheduleCallback())
    scheduler = get_scheduler(SCHEDULE, optimizer, num_training_steps=24)
    settings = {"num_train_epochs": 4, "eval_strategy": "steps", "eval_steps": 2}
    trainer = make_trainer(cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=callbacks, **settings)
    trainer.train()
    assert trainer.state.global_step == 4 and scheduler.events == []


def test_from_a_decay_that_has_not_ended(run):
    trainer = run("linear(to=0.5) >> cooldown(4)", At({9: lambda lr_scheduler, **_: lr_scheduler.start_cooldown()}))
    level = 1 - 0.5 * 9 / 20
    assert factors(trainer)[9:] == pytest.approx([level * (1 - math.sqrt(u / 4)) for u in range(4)], rel=1e-12)
