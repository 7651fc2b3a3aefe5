"""Facts from a path, and invalid input as one clear error."""

import os
import time
from pathlib import Path

import pytest

import hf_lrsched
from hf_lrsched import ScheduleError, diagnose
from tests.doctor.configurations import BERT, Run, Stage, write_json, write_yaml
from tests.doctor.files import checks_of


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.yaml", "", "empty"),
        ("a.yaml", "output_dir: out", "no settings of a training"),
        ("a.yaml", "a: [1", "not YAML"),
        ("a.yaml", "- 1\n- 2", "mapping"),
        ("a.yaml", "name: me", "no settings of a training"),
        ("a.yaml", "learning_rate: fast", "learning_rate must be a number, got 'fast'"),
        ("a.yaml", "learning_rate: [1, 2]", "learning_rate must be a number, got a list"),
        ("a.yaml", "learning_rate: true", "learning_rate must be a number"),
        ("a.yaml", "max_steps: 1.5", "whole number"),
        ("a.yaml", "warmup_steps: .inf", "warmup_steps must be a finite number"),
        ("a.yaml", "warmup_steps: -5", "warmup_steps must be a finite number of at least 0"),
        ("a.yaml", "lr_scheduler_kwargs: 3\nlearning_rate: 1e-5", "mapping"),
        ("a.yaml", "lr_scheduler_kwargs: '{'\nlearning_rate: 1e-5", "lr_scheduler_kwargs must be a mapping, got '{'"),
        ("a.yaml", "fp16: maybe\nlearning_rate: 1e-5", "true or false"),
        ("a.yaml", "schedule: [a]\n", "must be a text"),
        ("a.json", '{"learning_rate": 1e-5, "max_st', "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "3", "mapping"),
        ("a.json", "\udcff", "not a text file in UTF-8"),
        ("a.txt", "learning_rate: 1", "not a file that the doctor knows"),
        ("a.bin", "no pickle", "corrupted"),
        ("trainer_state.json", '{"log_history": 3}', "list of records"),
        ("trainer_state.json", '{"log_history": [3]}', "list of records"),
        ("trainer_state.json", '{"log_history": [], "max_steps": "many"}', "max_steps must be a whole number"),
    ],
)
def test_invalid_file_is_one_clear_error(name, content, says, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ScheduleError, match=says) as error:
        diagnose(path)
    assert name in str(error.value)


def test_alias_bomb_is_read(tmp_path):
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{x}: &{x} [{', '.join([f'*{y}'] * 10)}]" for y, x in zip("abcdefgh", "bcdefghi", strict=True)]
    path = tmp_path / "a.yaml"
    path.write_text("\n".join([*lines, "learning_rate: *i"]))
    with pytest.raises(ScheduleError, match="got a list"):
        diagnose(path)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (
            {
                "base_model": "NousResearch/Llama-3.2-1B",
                "datasets": [{"path": "teknium/GPT4-LLM-Cleaned", "type": "alpaca"}],
                "output_dir": "./outputs/lora-out",
                "gradient_accumulation_steps": 2,
                "micro_batch_size": 2,
                "num_epochs": 1,
                "optimizer": "adamw_8bit",
                "lr_scheduler": "cosine",
                "learning_rate": 0.0002,
                "warmup_ratio": 0.1,
            },
            "lr_scheduler, num_epochs, micro_batch_size, optimizer are settings of another program",
        ),
        ({"output_dir": "/tmp/out", "max_steps": 10, "lr": 1.0, "scheduler": {"name": "x"}}, "scheduler, lr are"),
        (
            {"output_dir": "/tmp/out", "optimizer": {"_component_": "torch.optim.AdamW", "lr": 2e-5}},
            "optimizer are settings of another program",
        ),
    ],
    ids=["axolotl", "one name", "torchtune"],
)
def test_settings_of_another_program_are_refused(settings, names, tmp_path):
    with pytest.raises(ScheduleError, match=names):
        diagnose(write_yaml(tmp_path / "a.yaml", settings))


def test_missing_path_names_the_nearest(tmp_path):
    write_yaml(tmp_path / "config.yaml", BERT)
    with pytest.raises(ScheduleError, match=r"does not exist\. Did you mean 'config\.yaml'"):
        diagnose(tmp_path / "confg.yaml")


def test_not_a_run_folder(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(ScheduleError, match="not a run folder"):
        diagnose(tmp_path)
    Run(Stage(40, 80)).write(tmp_path)
    with pytest.raises(ScheduleError, match=r"Runs are in .*run"):
        diagnose(tmp_path)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "fifo", "link.yaml", "link.bin", "link.json"])
def test_devices_and_pipes_are_refused_at_once(path, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("link.yaml", "link.bin", "link.json"):
        (tmp_path / name).symlink_to("/dev/zero")
    start = time.monotonic()
    with pytest.raises(ScheduleError, match="is not a regular file"):
        diagnose(tmp_path / path)
    assert time.monotonic() - start < 5


def test_devices_in_a_run_folder_are_not_read(tmp_path):
    run = Run(Stage(40, 80)).write(tmp_path) / "checkpoint-40"
    for name in ("config.json", "scheduler.pt", "adapter_config.json"):
        (run / name).symlink_to("/dev/zero")
    assert checks_of(run.parent) == set()


def test_truncated_state(tmp_path):
    run = Run(Stage(40, 80)).write(tmp_path)
    state = run / "checkpoint-40" / "trainer_state.json"
    state.write_text(state.read_text()[:100])
    with pytest.raises(ScheduleError, match="cut off"):
        diagnose(run)


def test_number_of_updates_contradicts_the_source(tmp_path):
    path = write_yaml(tmp_path / "a.yaml", {"learning_rate": 1e-5, "max_steps": 100})
    with pytest.raises(ScheduleError, match=r"345 updates are given, but .* says 100"):
        diagnose(path, 345)
    for bad in (0, -1, True, 1.5):
        with pytest.raises(ScheduleError, match="at least 1"):
            diagnose(write_yaml(tmp_path / "b.yaml", {"learning_rate": 1e-5}), bad)


def test_schedule_module_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("house_names.py").write_text("open('imported', 'w').close()")
    path = write_yaml(tmp_path / "a.yaml", {"schedule": "house()", "schedule_module": "house_names", "max_steps": 100})
    findings = diagnose(path)
    assert [(finding.severity, finding.check) for finding in findings] == [("note", "invalid_schedule")]
    assert "--import house_names" in findings[0].fix and not Path("imported").exists()


def test_accelerate_as_json_and_deepspeed_by_file(tmp_path):
    launch = {"distributed_type": "MULTI_CPU", "num_processes": 2, "compute_environment": "LOCAL_MACHINE"}
    assert checks_of(write_json(tmp_path / "a.json", launch)) == {"single_process"}
    write_json(tmp_path / "ds.json", {"zero_optimization": {}, "scheduler": {"type": "WarmupLR"}})
    engine = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"deepspeed_config_file": "ds.json"}}
    assert checks_of(write_yaml(tmp_path / "b.yaml", engine | {"num_processes": 2})) == {"engine_ignores_schedule"}
    assert checks_of(tmp_path / "ds.json") == {"engine_ignores_schedule"}


def test_diagnose_is_in_the_package():
    assert hf_lrsched.diagnose is diagnose
