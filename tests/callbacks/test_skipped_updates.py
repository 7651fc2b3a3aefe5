"""Updates that an fp16 overflow skips: the schedule still ends where it was drawn."""

import pytest
from transformers import Trainer, TrainerCallback

from hf_lrsched import ScheduleCallback, ScheduledTrainer

from .test_lr_check import DATA, Line, UsedLR, arguments, messages


def skip(trainer, updates):
    """Makes accelerate report the steps of some updates as skipped, as after an fp16 overflow."""

    class Skipped(TrainerCallback):
        def on_optimizer_step(self, args, state, control, **kwargs):
            kwargs["optimizer"]._is_overflow = state.global_step + 1 in updates

    trainer.add_callback(Skipped())


def test_skipped_steps_do_not_shift_the_end_of_the_curve(tmp_path):
    used = UsedLR()
    trainer = ScheduledTrainer(Line(), arguments(tmp_path), train_dataset=DATA, schedule="linear()", callbacks=[used])
    skip(trainer, {2, 5})
    trainer.train()
    assert used.used == pytest.approx([0.1 * (1 - t / 8) for t in range(8)], rel=1e-12)
    assert trainer.lr_scheduler.get_last_lr() == [0.0, 0.0]


def test_a_warning_when_the_stock_trainer_ends_too_high_after_skipped_steps(tmp_path, caplog):
    used = UsedLR()
    trainer = Trainer(Line(), arguments(tmp_path), train_dataset=DATA, callbacks=[used, ScheduleCallback()])
    skip(trainer, {2, 5})
    trainer.train()
    assert trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(0.1 * 2 / 8)
    assert "1 behind" in messages(caplog)
