"""What a run needs for LossGuard: checked before the first update."""

import pytest
from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers import Trainer, TrainerCallback

from hf_lrsched import LossGuard, ScheduleError


class FirstUpdate(TrainerCallback):
    """Calls a function after the first update."""

    def __init__(self, function):
        self.function = function

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 1:
            self.function()


@pytest.mark.parametrize("action", ["lower", "rollback"])
def test_no_schedule_of_this_package(make_trainer, action):
    trainer = make_trainer(cls=Trainer, callbacks=[LossGuard(action)])
    with pytest.raises(ScheduleError, match=r"this run has a LambdaLR. Use ScheduledTrainer"):
        trainer.train()
    assert trainer.recorder.used == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"save_strategy": "no"}, "save_strategy='no' writes none"),
        ({"save_strategy": "epoch", "save_only_model": True}, "save_only_model=True writes none"),
    ],
)
def test_rollback_without_checkpoints(make_trainer, settings, message):
    with pytest.raises(ScheduleError, match=message):
        make_trainer("linear()", callbacks=[LossGuard("rollback")], **settings).train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"save_steps": 500}, "save_steps=500 in a run of 24 updates writes the first checkpoint at its end"),
        ({"save_steps": 12}, "save_steps=12 in a run of 24 updates writes the first checkpoint after update 12"),
        ({"save_steps": 0.5}, "save_steps=12 in a run of 24 updates"),
        ({"save_strategy": "epoch", "max_steps": 5}, "save_strategy='epoch' in a run of 5 updates writes the first"),
        (
            {"save_strategy": "best", "eval_strategy": "epoch", "metric_for_best_model": "loss"},
            "save_strategy='best' in a run of 24 updates saves only where the metric has improved",
        ),
        ({"save_steps": 11}, None),
        ({"save_strategy": "epoch"}, None),
    ],
)
def test_a_late_first_checkpoint_is_warned_of(make_trainer, caplog, settings, message):
    settings = {"num_train_epochs": 4, "save_strategy": "steps"} | settings
    logged = []
    callbacks = [LossGuard("rollback"), FirstUpdate(lambda: logged.append(caplog.text))]
    make_trainer("hold()", callbacks=callbacks, **settings).train()
    if message is None:
        assert "first checkpoint" not in logged[0]
    else:
        assert message in logged[0]
        assert "goes back to the start when the loss jumps up. Set save_strategy='steps' and save_steps=" in logged[0]


@pytest.mark.parametrize("kind", [DistributedType.DEEPSPEED, DistributedType.FSDP])
def test_deepspeed_and_fsdp_are_refused(make_trainer, monkeypatch, kind):
    trainer = make_trainer("linear()", callbacks=[LossGuard("stop")])
    monkeypatch.setitem(PartialState._shared_state, "distributed_type", kind)
    with pytest.raises(ScheduleError, match=f"(?i)LossGuard does not work under {kind.value}"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)
