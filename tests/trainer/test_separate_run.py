"""A run of its own, made from a Trainer: what it shares with the Trainer, and what not."""

import contextlib
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback

from hf_lrsched import ScheduleArguments
from hf_lrsched.trainer.separate_run import is_peak_searched, make_run, save_nothing, separate_wandb_run


class Counter(TrainerCallback):
    """A callback with a setting and a count."""

    def __init__(self, setting):
        self.setting, self.count = setting, 0

    def on_step_end(self, args, state, control, **kwargs):
        self.count += 1


def test_run_has_its_own_settings_and_leaves_the_trainer(make_trainer, tmp_path):
    counter = Counter(7)
    trainer = make_trainer(
        "linear()", callbacks=[counter], load_best_model_at_end=True, eval_strategy="epoch", save_strategy="epoch",
        run_name="mine", data_seed=3,
    )  # fmt: skip
    attributes, arguments = dict(vars(trainer)), dict(vars(trainer.args))
    run = make_run(trainer, "warmup(2) >> hold()", 5, tmp_path / "part", 2)
    assert run.model is trainer.model
    args = run.args
    assert (args.max_steps, args.seed, args.data_seed, args.run_name) == (5, 44, 5, "mine-part")
    assert args.output_dir == str(tmp_path / "part") and not args.load_best_model_at_end
    run.train()
    assert run.state.global_step == 5
    assert max(trainer.recorder.used) == max(run.lr_scheduler.base_lrs)
    (copied,) = [each for each in run.callback_handler.callbacks if isinstance(each, Counter)]
    assert (copied.setting, copied.count, counter.count) == (7, 5, 0)
    assert run.monitor is not trainer.monitor and run.monitor in run.callback_handler.callbacks
    assert vars(trainer) == attributes and vars(trainer.args) == arguments


def test_reporters_begin_anew(make_trainer, tmp_path):
    trainer = make_trainer("linear()", report_to="tensorboard")
    run = make_run(trainer, "hold()", 2, tmp_path / "part", 0)
    mine, others = (
        next(each for each in one.callback_handler.callbacks if isinstance(each, TensorBoardCallback))
        for one in (trainer, run)
    )
    assert mine is not others and others.tb_writer is None


def test_schedule_in_the_arguments_is_replaced(make_trainer, tmp_path):
    @dataclass
    class Arguments(ScheduleArguments, TrainingArguments):
        pass

    trainer = make_trainer(None, args_class=Arguments, schedule_in_args="linear()")
    run = make_run(trainer, "hold()", 2, tmp_path / "part", 0)
    assert str(run.schedule) == "hold()" and str(trainer.schedule) == "linear()"
    assert not is_peak_searched(trainer)


def test_run_that_saves_nothing(make_trainer, tmp_path):
    trainer = make_trainer("linear()", save_strategy="epoch", save_total_limit=1)
    run = make_run(trainer, "hold()", 6, tmp_path / "part", 0)
    save_nothing(run)
    run.train()
    assert not [*(tmp_path / "part").glob("checkpoint-*")]
    assert trainer.args.save_strategy == "epoch"


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for W&B: the runs that were made, and how often one was ended."""
    module = SimpleNamespace(run=None, runs=[], num_ends=0)

    def init():
        module.run = object()
        module.runs.append(module.run)

    def finish():
        module.run, module.num_ends = None, module.num_ends + 1

    module.init, module.finish = init, finish
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_run_of_wandb_ends_with_its_training(wandb):
    for error in (None, KeyboardInterrupt):
        with contextlib.suppress(KeyboardInterrupt), separate_wandb_run():
            wandb.init()
            if error:
                raise error
        assert wandb.run is None
    assert wandb.num_ends == len(wandb.runs) == 2
    with separate_wandb_run():
        pass
    assert wandb.num_ends == 2


def test_run_of_wandb_that_the_user_began_stays_open(wandb):
    wandb.init()
    with separate_wandb_run():
        pass
    assert wandb.run is wandb.runs[0]


def test_without_wandb(monkeypatch):
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with separate_wandb_run():
        pass
