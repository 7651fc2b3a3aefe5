"""Clocks in Trainer: epochs, tokens, time."""

import time

import pytest
import transformers
from transformers import Trainer, TrainerCallback

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleError, ScheduleLR
from hf_lrsched.callbacks import clock as module
from hf_lrsched.callbacks.stopwatch import Stopwatch

PEAK = 1e-3


def factors(trainer):
    return [lr / PEAK for lr in trainer.recorder.used]


@pytest.fixture
def run(make_trainer):
    def make(schedule, clock, *callbacks, resume=None, on_resume="strict", **kwargs):
        trainer = make_trainer(
            schedule,
            callbacks=callbacks,
            cls=lambda **given: ScheduledTrainer(clock=clock, on_resume=on_resume, **given),
            **{"num_train_epochs": 4} | kwargs,
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return make


# ---- time


class Wall(TrainerCallback):
    """A wall clock by which an update takes `seconds`, and an evaluation ten."""

    def __init__(self, seconds=1.0):
        self.now, self.seconds = 100.0, seconds

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.now += self.seconds

    def on_evaluate(self, args, state, control, **kwargs):
        self.now += 10


@pytest.fixture
def wall(monkeypatch):
    made = Wall()
    monkeypatch.setattr(module, "Stopwatch", lambda before: Stopwatch(before, now=lambda: made.now))
    return made


def test_time(run, wall):
    trainer = run("warmup(4s) >> linear()", "time(12s)", wall)
    # 24 updates would take 24 seconds: the LR is at its end after 12, and the run, too. The update after t seconds has curve(t).
    assert factors(trainer) == pytest.approx([0, 0.25, 0.5, 0.75, *[1 - u / 8 for u in range(7)]], rel=1e-12)
    assert trainer.state.global_step == 11  # one more would end in the last moment, or after it
    assert [*trainer.state.log_history][-1]["step"] == 11


def test_time_counts_evaluations(run, wall):
    trainer = run("linear()", "time(40s)", wall, eval_strategy="steps", eval_steps=4)
    seconds = [0, 1, 2, 3, 14, 15, 16, 17, 28, 29, 30, 31]
    assert factors(trainer) == pytest.approx([1 - s / 40 for s in seconds], rel=1e-12)
    assert trainer.state.global_step == 12  # after the evaluation it is 42


def test_time_goes_on_after_a_resume(run, wall, tmp_path):
    whole = run("linear()", "time(12s)", wall)
    run("linear()", "time(12s)", wall, save_strategy="steps", save_steps=5)
    wall.now += 3600  # the time between the runs does not count
    resumed = run("linear()", "time(12s)", wall, resume=str(tmp_path / "out" / "checkpoint-5"))
    assert factors(resumed) == pytest.approx(factors(whole)[5:], rel=1e-12)


def test_errors_speak_of_seconds(run, wall, tmp_path):
    with pytest.raises(ScheduleError, match=r"of 12 seconds, warmup\(30s\) takes 30"):
        run("warmup(30s) >> linear()", "time(12s)", wall)
    run("linear()", "time(12s)", wall, save_strategy="steps", save_steps=5)
    checkpoint = str(tmp_path / "out" / "checkpoint-5")
    with pytest.raises(ScheduleError, match=r"cannot resume at 5 seconds: .* LR is 0.0005833 by .* and 0.0007917 by"):
        run("linear()", "time(24s)", wall, resume=checkpoint)
    with pytest.raises(
        ScheduleError,
        match="nothing is left to train, since the checkpoint is at 5 seconds and the new run has 5 seconds",
    ):
        run("linear()", "time(5s)", wall, resume=checkpoint, on_resume="stretch")


def test_a_run_too_short_for_its_time_says_so(run, wall, caplog):
    run("linear()", "time(100s)", wall, num_train_epochs=1)
    assert "the run ended at 6 of 100 seconds, in the middle of its schedule: Trainer ends it after" in caplog.text


def test_real_time(run):
    start = time.monotonic()
    trainer = run("warmup(50%) >> linear()", "time(2s)", num_train_epochs=100_000)
    assert time.monotonic() - start < 20  # it ends, and does not run its hundred thousand epochs
    used = factors(trainer)
    top = used.index(max(used))
    assert used[:top] == sorted(used[:top]) and used[top:] == sorted(used[top:], reverse=True)
    assert max(used) > 0.9 and used[-1] < 0.1


# ---- tokens


@pytest.fixture
def with_main_input(net):
    def make():
        model = net()
        model.main_input_name = "x"
        return model

    return make


class Tokens(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        self.seen = [*getattr(self, "seen", []), int(state.num_input_tokens_seen)]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_tokens(run, accumulation, with_main_input):
    # The tiny model's "tokens" are the elements of its main input: 4 samples x 4 numbers a batch, 6 batches an epoch.
    tokens = Tokens()
    trainer = run(
        "warmup(10%) >> linear()",
        "tokens(320)",
        tokens,
        include_num_input_tokens_seen="all",
        gradient_accumulation_steps=accumulation,
        model=with_main_input(),
        num_train_epochs=10,
    )
    per_update = 16 * accumulation
    assert tokens.seen == [per_update * (t + 1) for t in range(320 // per_update)]
    expected = [s / 32 if s < 32 else (320 - s) / 288 for s in range(0, 320, per_update)]
    assert factors(trainer) == pytest.approx(expected, rel=1e-12)
    assert trainer.state.global_step == 320 // per_update


def test_tokens_go_on_after_a_resume(run, with_main_input, tmp_path):
    settings = {"include_num_input_tokens_seen": "all", "num_train_epochs": 10}
    whole = run("linear()", "tokens(320)", model=with_main_input(), **settings)
    run("linear()", "tokens(320)", model=with_main_input(), save_strategy="steps", save_steps=7, **settings)
    checkpoint = str(tmp_path / "out" / "checkpoint-7")
    resumed = run("linear()", "tokens(320)", model=with_main_input(), resume=checkpoint, **settings)
    assert resumed.recorder.used == whole.recorder.used[7:]
    with pytest.raises(ScheduleError, match="the checkpoint is at 112 tokens and the new run has 100 tokens"):
        run("linear()", "tokens(100)", resume=checkpoint, on_resume="switch", **settings)


def test_tokens_of_a_checkpoint_of_the_model_alone(run, with_main_input, tmp_path, caplog):
    settings = {"include_num_input_tokens_seen": "all", "num_train_epochs": 10, "save_only_model": True}
    run("linear()", "tokens(320)", model=with_main_input(), save_strategy="steps", save_steps=7, **settings)
    checkpoint = str(tmp_path / "out" / "checkpoint-7")
    resumed = run("linear()", "tokens(320)", model=with_main_input(), resume=checkpoint, **settings)
    assert factors(resumed) == pytest.approx([1 - t / 20 for t in range(7, 20)], rel=1e-12)
    assert "The LR continues by the tokens seen" in caplog.text


def test_tokens_that_nobody_counts(run):
    with pytest.raises(ScheduleError, match="Set include_num_input_tokens_seen='non_padding'"):
        run("linear()", "tokens(320)")


# ---- epochs


def test_epochs_are_updates_while_nothing_changes(run):
    assert factors(run("warmup(1ep) >> linear()", "epochs")) == factors(run("warmup(1ep) >> linear()", "updates"))


@pytest.mark.skipif(transformers.__version__ < "5", reason="4.57 resumes with the batch size of the checkpoint")
def test_epochs_with_another_batch_size(run, tmp_path, capsys):
    """After 1 of 4 epochs in batches of 4, the rest in batches of 2: Trainer counts updates, the LR counts the data."""
    run("linear()", "epochs", save_strategy="epoch")
    trainer = run("linear()", "epochs", resume=str(tmp_path / "out" / "checkpoint-6"), per_device_train_batch_size=2)
    used = factors(trainer)
    assert used == pytest.approx([1 - (12 + u) / 48 for u in range(36)], rel=1e-12)
    assert trainer.state.global_step == 6 + 36  # three epochs of 12 more, and not the 42 that Trainer would add
    assert "resumed after update 6 at the same place in the data" in capsys.readouterr().out


@pytest.mark.skipif(transformers.__version__ < "5", reason="4.57 resumes with the batch size of the checkpoint")
@pytest.mark.parametrize("update, needed, left", [(6, 9, 6), (18, 3, 0)])
def test_epochs_that_trainer_would_end_too_early(run, tmp_path, update, needed, left):
    """After 1 or 3 of 4 epochs in batches of 4, the rest in batches of 8, three an epoch."""
    run("linear()", "epochs", save_strategy="epoch")
    checkpoint = str(tmp_path / "out" / f"checkpoint-{update}")
    with pytest.raises(ScheduleError, match=rf"takes {needed} updates, but Trainer ends the run after {left}:"):
        run("linear()", "epochs", resume=checkpoint, per_device_train_batch_size=8)


@pytest.mark.skipif(transformers.__version__ < "5", reason="4.57 resumes with the batch size of the checkpoint")
def test_from_epochs_to_updates_by_on_resume(run, tmp_path):
    run("linear()", "epochs", save_strategy="epoch")
    checkpoint = str(tmp_path / "out" / "checkpoint-6")
    with pytest.raises(ScheduleError, match=r"clock was 'epochs' and is 'updates'.* LR is 0.00075 by .* and 0.0005 by"):
        run("linear()", "updates", resume=checkpoint, per_device_train_batch_size=8)
    stretched = run(
        "linear()", "updates", resume=checkpoint, per_device_train_batch_size=8, on_resume="stretch"
    )  # 18 updates of the old curve in the 6 that are left
    assert factors(stretched) == pytest.approx([0.75 * (1 - u / 6) for u in range(6)], rel=1e-12)


# ---- ways in


def test_the_stock_trainer(make_trainer, grouped, wall):
    model, optimizer = grouped(PEAK)
    scheduler = ScheduleLR(optimizer, "linear()", 24, clock="time(12s)")
    trainer = make_trainer(
        cls=Trainer,
        model=model,
        optimizers=(optimizer, scheduler),
        callbacks=[wall, ScheduleCallback()],
        num_train_epochs=4,
    )
    trainer.train()
    assert factors(trainer) == pytest.approx([1 - s / 12 for s in range(11)], rel=1e-12)


def test_in_the_arguments(training_args, make_trainer):
    from dataclasses import dataclass

    from transformers import TrainingArguments

    from hf_lrsched import ScheduleArguments

    @dataclass
    class Arguments(ScheduleArguments, TrainingArguments):
        pass

    args = training_args(Arguments, schedule="linear()", clock="time( 30min )")
    assert args.clock == "time(30min)"
    with pytest.raises(ScheduleError, match="Did you mean 'epochs'"):
        training_args(Arguments, clock="epoch")
    trainer = make_trainer(args_class=Arguments, schedule_in_args="linear()", clock="time(100s)")
    trainer.train()
    assert trainer.lr_scheduler.run_state.horizon.unit == "seconds"
