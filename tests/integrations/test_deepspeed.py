"""Under DeepSpeed: what is refused, and the LR that its engine trains with.

What needs DeepSpeed itself runs where it is installed with a C++ compiler (`DS_BUILD_OPS=0 pip install deepspeed`), on the
CPU; the rest uses the classes of transformers and accelerate that surround it.
"""

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import accelerate.utils
import pytest
import torch
from accelerate import DeepSpeedPlugin
from accelerate.state import AcceleratorState
from accelerate.utils.deepspeed import DeepSpeedSchedulerWrapper, DummyOptim, DummyScheduler
from transformers import Trainer, TrainerState
from transformers.integrations.deepspeed import deepspeed_optim_sched

from hf_lrsched import LRLogger, ScheduledTrainer, ScheduleError, ScheduleLR, get_scheduler
from hf_lrsched.callbacks.run_context import get_context
from hf_lrsched.integrations.deepspeed import refuse_scheduler_of_config, take_from_engine
from tests.processes import launched

PEAK = 1e-3
SPEC = "warmup(25%) >> linear()"
AUTO = dict.fromkeys(
    ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size", "gradient_clipping"), "auto"
)
# torch_adam: DeepSpeed's own is compiled.
ADAM = {"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "eps": "auto", "torch_adam": True}}
WARMUP = {"type": "WarmupLR", "params": {"warmup_min_lr": 0, "warmup_max_lr": "auto", "warmup_num_steps": "auto"}}


def config(stage=1, **sections):
    # Without the word transformers 4 takes it to be half precision.
    return {**AUTO, "fp16": {"enabled": False}, "zero_optimization": {"stage": stage}, **sections}


def ramp(warm, updates, peak=PEAK):
    """`warmup(warm) >> linear()`, by hand."""
    return [peak * (t / warm if t < warm else (updates - t) / (updates - warm)) for t in range(updates)]


def near(expected):
    return pytest.approx(expected, rel=0, abs=1e-12 * PEAK)


# A configuration that owns the scheduler


def accelerator_with(content):
    return SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=content)))


@pytest.fixture
def ds_config_file(tmp_path):
    path = tmp_path / "ds_config.json"
    path.write_text(json.dumps(config(scheduler=WARMUP), indent=2), encoding="utf-8")
    return path


REFUSED = r'two schedules: schedule=\'linear\(\)\' and the section "scheduler": {"type": "WarmupLR", …} in '


def test_a_dict_with_a_scheduler_is_refused():
    content = config(scheduler=WARMUP)
    with pytest.raises(ScheduleError, match=REFUSED + r"the dict deepspeed= of the training arg.*Delete that section"):
        refuse_scheduler_of_config(accelerator_with(content), "linear()", content)


def test_a_file_with_a_scheduler_is_refused_with_its_line(ds_config_file):
    lines = ds_config_file.read_text(encoding="utf-8").splitlines()
    line = 1 + next(index for index, text in enumerate(lines) if "scheduler" in text)
    with pytest.raises(ScheduleError, match=REFUSED + rf".*ds_config.json, line {line}\."):
        refuse_scheduler_of_config(accelerator_with(str(ds_config_file)), "linear()", str(ds_config_file))


def test_a_file_of_accelerates_is_refused(ds_config_file, monkeypatch):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(ds_config_file))
    accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=DeepSpeedPlugin()))
    with pytest.raises(ScheduleError, match=REFUSED + r".*ds_config.json, line "):
        refuse_scheduler_of_config(accelerator, "linear()")


def test_a_plugin_with_a_scheduler_is_refused():
    with pytest.raises(ScheduleError, match=REFUSED + "the DeepSpeed configuration of accelerate's plugin"):
        refuse_scheduler_of_config(accelerator_with(config(scheduler={"type": "WarmupLR"})), "linear()")


@pytest.mark.parametrize("plugin", [None, DeepSpeedPlugin(hf_ds_config=config(optimizer=ADAM))])
def test_others_are_not_refused(plugin):
    refuse_scheduler_of_config(SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin)), "linear()")


@pytest.fixture
def under_deepspeed(monkeypatch, training_args, net, data):
    """Makes a trainer that believes itself under DeepSpeed: accelerate's state has the plugin."""

    def make(content, cls=ScheduledTrainer, **kwargs):
        plugin = DeepSpeedPlugin(hf_ds_config=content)
        monkeypatch.setattr(AcceleratorState, "deepspeed_plugin", property(lambda self: plugin))
        args = training_args()
        args.deepspeed, args.hf_deepspeed_config = content, plugin.hf_ds_config
        model = net()
        if "optimizers" in kwargs:
            kwargs["optimizers"] = kwargs["optimizers"](model)
        schedule = {"schedule": SPEC} if issubclass(cls, ScheduledTrainer) else {}
        return cls(model=model, args=args, train_dataset=data(24), **schedule, **kwargs)

    return make


def test_the_trainer_refuses_it_when_it_is_made(under_deepspeed):
    with pytest.raises(ScheduleError, match=r"two schedules: .*WarmupLR.*Delete that section"):
        under_deepspeed(config(scheduler=WARMUP))


def test_an_optimizer_that_would_be_dropped_is_refused(under_deepspeed):
    def sgd(model):
        return torch.optim.SGD(model.parameters(), lr=1.0), None

    with pytest.raises(ScheduleError, match="under DeepSpeed, Trainer drops the SGD in optimizers="):
        under_deepspeed(config(), optimizers=sgd)
    stock = under_deepspeed(config(), cls=Trainer, optimizers=sgd)  # which says nothing, and drops it in train()
    assert isinstance(stock.optimizer, torch.optim.SGD)


# The scheduler that DeepSpeed's engine makes by calling back


@pytest.fixture
def called_back(under_deepspeed, monkeypatch):
    """What transformers hands to DeepSpeed where that makes the optimizer, and the trainer."""
    for name, cls in (("DummyOptim", DummyOptim), ("DummyScheduler", DummyScheduler)):
        monkeypatch.setattr(accelerate.utils, name, cls, raising=False)  # which it imports where DeepSpeed is installed
    trainer = under_deepspeed(config(optimizer=ADAM))
    parameters = list(trainer.model.parameters())
    made = deepspeed_optim_sched(trainer, trainer.args.hf_deepspeed_config, trainer.args, 12, parameters)
    return trainer, *made, parameters


def test_the_scheduler_is_made_for_deepspeeds_optimizer(called_back, capsys):
    trainer, optimizer, scheduler, parameters = called_back
    assert isinstance(optimizer, DummyOptim) and isinstance(scheduler, DummyScheduler)
    real = torch.optim.SGD(parameters, lr=PEAK)
    made = scheduler.lr_scheduler_callable(real)
    assert isinstance(made, ScheduleLR) and made.optimizer is real
    assert trainer.lr_scheduler is None  # it was made on a copy of the trainer
    assert "25% of 12 updates = 3" in capsys.readouterr().out
    used = []
    for _ in range(12):
        used.append(real.param_groups[0]["lr"])
        real.step()
        made.step()
    assert used == near(ramp(3, 12))


def test_the_trainer_takes_it_off_the_engine(called_back):
    trainer, _, scheduler, parameters = called_back
    made = scheduler.lr_scheduler_callable(torch.optim.SGD(parameters, lr=PEAK))
    engine = SimpleNamespace(lr_scheduler=made)
    trainer.accelerator.deepspeed_engine_wrapped = SimpleNamespace(engine=engine)
    trainer.lr_scheduler = DeepSpeedSchedulerWrapper(made, [])
    assert trainer.lr_scheduler is made and engine.lr_scheduler is None


def test_what_is_not_ours_stays(grouped):
    _, optimizer = grouped(PEAK)
    other = DeepSpeedSchedulerWrapper(torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1.0), [])
    mine = get_scheduler("linear()", optimizer, num_training_steps=4)
    assert take_from_engine(other, None) is other
    assert take_from_engine(mine, None) is mine
    assert take_from_engine(None, None) is None


def test_groups_can_not_be_made_in_deepspeeds_optimizer(called_back):
    trainer, _, scheduler, parameters = called_back
    trainer._given_groups = lambda model, groups: groups
    with pytest.raises(ScheduleError, match=r"groups= had no effect.*DeepSpeed"):
        scheduler.lr_scheduler_callable(torch.optim.SGD(parameters, lr=PEAK))


def test_the_logger_shows_the_lr_used_where_the_engine_steps_within_the_backward_pass(grouped):
    _, optimizer = grouped(PEAK)
    scheduler = DeepSpeedSchedulerWrapper(get_scheduler("linear()", optimizer, num_training_steps=4), [])
    logger, shown = LRLogger(), []
    values = {"args": None, "state": TrainerState(), "control": None, "optimizer": optimizer, "lr_scheduler": scheduler}
    for _ in range(4):
        logger.on_step_begin(**values)
        optimizer.step()  # DeepSpeed: within the backward pass
        scheduler.scheduler.step()
        logger.on_pre_optimizer_step(**values)
        shown.append(get_context(values["state"]).used_lrs.values()["learning_rate"])
        values["state"].global_step += 1
    assert shown == near([PEAK * k / 4 for k in (4, 3, 2, 1)])


def test_a_frozen_group_is_found_where_the_optimizer_is_shown_one_group_at_a_time(grouped):
    """As ZeRO does in its step."""
    model, optimizer = grouped(PEAK, PEAK, optimizer=torch.optim.AdamW)
    encoder, head = optimizer.param_groups
    encoder["schedule"] = "freeze()"
    scheduler = ScheduleLR(optimizer, "linear()", 4)
    before = [model.encoder.weight.clone(), model.head.weight.clone()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for group in (encoder, head):
        optimizer.param_groups = [group]
        optimizer.step()
    optimizer.param_groups = [encoder, head]
    scheduler.step()
    assert torch.equal(model.encoder.weight, before[0]) and not torch.equal(model.head.weight, before[1])
    assert set(optimizer.state) == {model.head.weight, model.head.bias}


# DeepSpeed itself


RUN = Path(__file__).parents[1] / "end_to_end" / "deepspeed_run.py"
LOOP = Path(__file__).parents[1] / "end_to_end" / "deepspeed_loop.py"
real = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None or shutil.which("c++") is None or shutil.which("ninja") is None,
    reason="needs deepspeed, ninja and a C++ compiler",
)


def options(tmp_path, content, **more):
    arguments = {"output_dir": str(tmp_path / "out")} | more.pop("arguments", {})
    return {"config": content, "arguments": arguments, "schedule": SPEC, **more}


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "sections"),
    [(0, {}), (0, {"optimizer": ADAM}), (1, {}), (1, {"optimizer": ADAM}), (3, {}), (3, {"optimizer": ADAM})],
    ids=lambda value: str(value) if isinstance(value, int) else "DeepSpeed's optimizer" if value else "Trainer's",
)
def test_lr_used_under_zero(tmp_path, stage, sections):
    arguments = {"eval_strategy": "epoch"}
    (found,) = launched(RUN, options(tmp_path, config(stage, **sections), arguments=arguments))
    assert (found["engine"], found["scheduler"]) == ("DeepSpeedEngine", "ScheduleLR")
    per_update = len(found["used"]) // 12  # ZeRO steps torch's optimizer once for each group
    assert found["used"][::per_update] == near(ramp(3, 12))
    assert found["seen"] == near(ramp(3, 12))
    assert found["logged"] == near(ramp(3, 12))
    assert found["evaluated"] == near([PEAK * 7 / 9, PEAK / 9])


@real
@pytest.mark.slow
def test_the_stock_log_shows_the_next_lr_there(tmp_path):
    """Where DeepSpeed makes the optimizer: Trainer reads the LR after the engine's step."""
    arguments = {"eval_strategy": "epoch"}
    (found,) = launched(RUN, options(tmp_path, config(optimizer=ADAM), stock=True, arguments=arguments))
    assert found["used"] == near([PEAK * k / 12 for k in range(12, 0, -1)])
    assert found["logged"] == near([PEAK * k / 12 for k in range(11, -1, -1)])
    assert found["evaluated"] == near([PEAK * k / 12 for k in (7, 1)])  # LRLogger's


@real
@pytest.mark.slow
def test_the_stock_trainer_drops_what_it_was_given(tmp_path):
    """Of `optimizers=(SGD with LR 1, a constant schedule)` neither is used: no word is said."""
    (found,) = launched(RUN, options(tmp_path, config(), stock=True, optimizers=True))
    per_update = len(found["used"]) // 12
    assert found["used"][::per_update] == near([PEAK * k / 12 for k in range(12, 0, -1)])
    (found,) = launched(RUN, options(tmp_path, config(scheduler=WARMUP), stock=True, optimizers=True))
    assert found["scheduler"] == "DeepSpeedSchedulerWrapper"
    assert found["used"][-1] == PEAK  # WarmupLR's


@real
@pytest.mark.slow
@pytest.mark.parametrize("sections", [{}, {"optimizer": ADAM}], ids=["Trainer's optimizer", "DeepSpeed's optimizer"])
def test_two_processes_with_accumulation(tmp_path, sections):
    arguments = {"gradient_accumulation_steps": 2, "num_train_epochs": 4, "per_device_train_batch_size": 2}
    found = launched(RUN, options(tmp_path, config(2, **sections), arguments=arguments), processes=2)
    assert sorted((each["rank"], each["processes"]) for each in found) == [(0, 2), (1, 2)]
    for each in found:
        assert each["seen"] == near(ramp(3, 12))


@real
@pytest.mark.slow
@pytest.mark.parametrize("sections", [{}, {"optimizer": ADAM}], ids=["Trainer's optimizer", "DeepSpeed's optimizer"])
def test_resume(tmp_path, sections):
    content, saves = config(**sections), {"save_strategy": "steps", "save_steps": 5}
    launched(RUN, options(tmp_path, content, arguments=saves))
    again = {"resume": str(tmp_path / "out/checkpoint-5")}
    (same,) = launched(RUN, options(tmp_path, content, **again))
    assert same["seen"] == near(ramp(3, 12)[5:])
    longer = {"num_train_epochs": 3, "output_dir": str(tmp_path / "longer")}
    assert "num_updates was 12 and is 18" in launched(RUN, options(tmp_path, content, arguments=longer, **again))
    (stretched,) = launched(RUN, options(tmp_path, content, arguments=longer, on_resume="stretch", **again))
    assert stretched["seen"] == near([PEAK * 7 / 9 * k / 13 for k in range(13, 0, -1)])
    assert (tmp_path / "longer/resume_at_5.png").exists()


@real
@pytest.mark.slow
def test_a_checkpoint_whose_scheduler_the_engine_stepped_is_refused(tmp_path):
    content, saves = config(optimizer=ADAM), {"save_strategy": "steps", "save_steps": 5}
    launched(RUN, options(tmp_path, content, stock=True, arguments=saves))
    again = {"resume": str(tmp_path / "out/checkpoint-5")}
    assert "it has no scheduler.pt" in launched(RUN, options(tmp_path, content, **again))


@real
@pytest.mark.slow
def test_a_scheduler_in_the_file_is_refused_before_training(tmp_path):
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(config(scheduler=WARMUP), indent=1), encoding="utf-8")
    error = launched(RUN, options(tmp_path, str(path)))
    assert f'"scheduler": {{"type": "WarmupLR", …}} in {path}, line ' in error
    environment = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(path)}
    assert f"in {path}, line " in launched(RUN, options(tmp_path, None), **environment)


@real
@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 3])
def test_frozen_groups_are_frozen_and_the_others_are_not(tmp_path, stage):
    """ZeRO shows torch's optimizer one group at a time; the weights are those of plain torch."""
    (sharded,) = launched(RUN, options(tmp_path, config(stage), freeze=True))
    (plain,) = launched(RUN, options(tmp_path, None, freeze=True))
    assert plain["engine"] != sharded["engine"] == "DeepSpeedEngine"
    encoder, head = zip(*sharded["weights"], strict=True)
    assert len(set(encoder[:6])) == 1 and len(set(encoder[6:])) == 6 and len(set(head)) == 12
    for mine, torchs in zip(sharded["weights"], plain["weights"], strict=True):
        assert mine == pytest.approx(torchs, rel=1e-5)


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("accumulate", "sections"),
    [
        (1, {}),
        (2, {"optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto", "torch_adam": True}}}),
    ],
    ids=["torch's optimizer", "DeepSpeed's optimizer"],
)
def test_a_loop_of_ones_own(tmp_path, sections, accumulate):
    plain = {"gradient_clipping": 1.0, **sections}
    (found,) = launched(LOOP, {"config": config() | plain, "accumulate": accumulate})
    updates = 8 // accumulate
    assert found["engine"] == "DeepSpeedEngine"
    assert found["used"] == pytest.approx(ramp(updates // 4, updates, 1e-2))
    constant = {"type": "WarmupLR", "params": {"warmup_num_steps": 2}}
    error = launched(LOOP, {"config": config(scheduler=constant) | plain, "accumulate": accumulate})
    assert 'the section "scheduler": {"type": "WarmupLR", …} in the DeepSpeed configuration of' in error
