"""Checks of what several processes do: each broken configuration is found by the right check alone, each sound one draws no warning."""

from types import SimpleNamespace

import pytest

from hf_lrsched import diagnose
from tests.doctor.checks.cases import passed, test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import (
    BERT,
    IS_FIVE,
    Config,
    DeepSpeed,
    Launch,
    Run,
    Stage,
    linear_log,
    write_json,
    write_yaml,
)
from tests.doctor.files import checks_of

BROKEN = {
    "single_process": [
        Launch(distributed_type="MULTI_CPU", num_processes=4, use_cpu=True),
        Launch(distributed_type="NO", num_processes=2),
        Launch(distributed_type="no", num_processes=8, use_cpu=False),
    ],
    "engine_ignores_schedule": [
        DeepSpeed({"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": 1e-3}}}, **BERT),
        Config(zero_optimization={"stage": 2}, scheduler={"type": "OneCycle"}),
        Config(train_batch_size=8, scheduler={"type": "WarmupLR"}),
        Launch(
            distributed_type="DEEPSPEED",
            num_processes=2,
            deepspeed_config={"scheduler": {"type": "WarmupDecayLR"}, "zero_stage": 2},
        ),
    ],
}

SOUND = {
    "single_process": [
        Launch(distributed_type="MULTI_GPU", num_processes=2, use_cpu=True),
        Launch(distributed_type="NO", num_processes=1),
        Launch(distributed_type="MULTI_CPU", num_processes=2, mpirun_config={"mpirun_hostfile": "hosts"}),
        Launch(distributed_type="FSDP", num_processes=8, fsdp_config={"fsdp_version": 2}),
    ],
    "engine_ignores_schedule": [
        DeepSpeed({"optimizer": {"type": "AdamW"}}, **BERT),
        Launch(distributed_type="DEEPSPEED", num_processes=2, deepspeed_config={"zero_stage": 2}),
        Config(
            345,
            schedule="warmup(10%) >> linear()",
            learning_rate=2e-5,
            head_learning_rate=1e-4,
            fsdp="full_shard",
            fsdp_config={"use_orig_params": True},
        ),
    ],
}


def with_plugins(trainer, **plugins):
    state = {"deepspeed_plugin": None, "fsdp_plugin": None, **plugins}
    trainer.accelerator = SimpleNamespace(state=SimpleNamespace(**state))
    trainer.is_deepspeed_enabled = state["deepspeed_plugin"] is not None
    return trainer


def test_deepspeed_drops_optimizers_and_uses_its_own_schedule(make_trainer):
    plugin = SimpleNamespace(deepspeed_config={"zero_optimization": {"stage": 2}})
    model = make_trainer().model
    passing = make_trainer(model=model, optimizers=passed(model))
    assert checks_of(with_plugins(passing, deepspeed_plugin=plugin)) == {"engine_ignores_schedule"}
    assert checks_of(with_plugins(make_trainer(), deepspeed_plugin=plugin)) == set()
    own = SimpleNamespace(deepspeed_config={"scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 7}}})
    findings = diagnose(with_plugins(make_trainer(), deepspeed_plugin=own))
    (finding,) = [finding for finding in findings if finding.is_wrong]
    assert finding.check == "engine_ignores_schedule" and "'warmup_num_steps': 7" in finding.why


def test_independent_processes(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert checks_of(trainer) == {"single_process"}
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert checks_of(trainer) == set()


@pytest.mark.skipif(not IS_FIVE, reason="4.57 does not multiply")
def test_config_and_run_folder(tmp_path):
    """Settings do not say which class the model has; a run's folder does, and the log has to show it too."""
    settings = {**BERT, "gradient_accumulation_steps": 4}
    sound = {
        "script": {**settings, "task_name": "rte"},
        "alone": BERT,
        "llama": {**settings, "model_name_or_path": "meta-llama/Llama-3.2-1B", "label_smoothing_factor": 0.1},
        "answers": {**settings, "doc_stride": 128},
        "ours": {**settings, "schedule": "bert()"},
        "unknown": {**settings, "model_name_or_path": "somebody/something"},
    }
    for name, each in sound.items():
        assert checks_of(write_yaml(tmp_path / f"{name}.yaml", each), 345) == set(), name
    for name, loss in {"multiplied": 2.8, "right": 0.7}.items():
        history = [*linear_log(40, 80), {"step": 40, "loss": loss}, {"step": 40, "eval_loss": 0.69}]
        folder = tmp_path / name
        folder.mkdir()
        run = Run(Stage(40, 80, gradient_accumulation_steps=4, history=history)).write(folder)
        write_json(run / "checkpoint-40" / "config.json", {"architectures": ["BertForSequenceClassification"]})
        assert checks_of(run) == ({"loss_multiplied"} if name == "multiplied" else set())


@pytest.mark.skipif(not IS_FIVE, reason="4.57 does not multiply")
@pytest.mark.parametrize(
    "name", ["Qwen/Qwen2.5-0.5B", "openai-community/gpt2", "google-t5/t5-small", "google-bert/bert-base-cased"]
)
def test_model_name_alone_is_not_checked(name, tmp_path):
    settings = {**BERT, "model_name_or_path": name, "gradient_accumulation_steps": 4}
    (finding,) = diagnose(write_yaml(tmp_path / "config.yaml", settings), 345)
    assert (finding.severity, finding.check) == ("note", "loss_multiplied") and "not checked" in finding.what
