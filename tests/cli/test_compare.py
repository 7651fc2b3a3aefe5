"""hf-lrsched compare: its flags, its file, and its exit status."""

import json

import pytest

pytest.importorskip("optuna")

from hf_lrsched.cli.main import main
from tests.compare import fake_recipe
from tests.compare.fake_recipe import COSINE, LINEAR

SCHEDULES = ["--schedule", LINEAR, COSINE]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a folder with a recipe and its configuration."""
    (tmp_path / "recipes" / "configs").mkdir(parents=True)
    (tmp_path / "recipes" / "train.py").write_text(
        f"import sys; sys.path.insert(0, {str(fake_recipe.__file__).rpartition('/')[0]!r})\n"
        "import fake_recipe; sys.exit(fake_recipe.main(sys.argv[1:]))\n",
        encoding="utf-8",
    )
    (tmp_path / "recipes" / "configs" / "a.yaml").write_text("learning_rate: 2e-4\nmax_steps: 5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main(["compare", *arguments])


def test_comparison_from_flags(run, tmp_path, capsys):
    assert run("recipes/configs/a.yaml", *SCHEDULES, "--seeds", "2") == 0
    output = capsys.readouterr().out
    assert "accuracy of 2 arms, 2 seeds" in output and "2e-4" in output  # the LR of the configuration
    assert (tmp_path / "runs" / "compare.db").is_file()
    folder = tmp_path / "runs" / "compare" / "a"
    assert (folder / "accuracy.csv").is_file()
    # Nothing is left, and the same table is shown again.
    assert run("recipes/configs/a.yaml", *SCHEDULES, "--seeds", "2") == 0
    assert output[output.index("accuracy of 2 arms") :] == capsys.readouterr().out
    assert run("recipes/configs/a.yaml", *SCHEDULES, "--seeds", "2", "--set", "max_steps=6") == 2
    assert 'max_steps was 5, now "6"' in capsys.readouterr().err


def test_comparison_from_a_file_and_a_run_that_fails(run, tmp_path, capsys):
    (tmp_path / "compare.yaml").write_text(
        f"config: recipes/configs/a.yaml\nschedule: ['{LINEAR}', '{COSINE}']\nlearning_rate: [1.0e-4]\nseeds: 5\n"
        "storage: sqlite:///other.db\ntime_limit: 2h\nset: {failing_seed: 1}\n",
        encoding="utf-8",
    )
    assert run("compare.yaml", "--seeds", "2", "--name", "mine") == 1
    output = capsys.readouterr().out
    assert "2 arms, 2 seeds" in output and (tmp_path / "other.db").is_file()
    assert f"failed: {COSINE}, LR 0.0001, seed 1: error: no memory is left (see " in output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*SCHEDULES, "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--schedule", LINEAR, "warmup(0.1) >> linear()"], "equals"),
        ([], "--schedule is required"),
        ([*SCHEDULES, "--storage", "sqlite:///nowhere/compare.db"], "the folder nowhere does not exist"),
        ([*SCHEDULES, "--set", "seed=3"], "--set seed has no effect"),
        ([*SCHEDULES, "--heartbeat", "0"], "--heartbeat must be at least 1"),
        ([*SCHEDULES, "--time-limit", "5ep"], "--time-limit must be a time like"),
    ],
)
def test_invalid_flags(run, capsys, flags, message):
    assert run("recipes/configs/a.yaml", *flags) == 2
    assert message in capsys.readouterr().err


def test_short_heartbeat_draws_a_warning(run, capsys):
    assert run("recipes/configs/a.yaml", *SCHEDULES, "--seeds", "1", "--heartbeat", "2") == 0
    assert "a process that waits 6 s on a busy machine is taken for dead" in capsys.readouterr().err
    assert run("recipes/configs/a.yaml", *SCHEDULES, "--seeds", "1", "--heartbeat", "10", "--name", "other") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("schedules: []", "unknown setting 'schedules'. Did you mean 'schedule'?"),
        ("schedule: []", "schedule must be a schedule, or a list of schedules, got []."),
        ("schedule:", "schedule must be a schedule, or a list of schedules, got None."),
        ("learning_rate: {a: 1}", "learning_rate must be a number or auto, or a list of these, got {'a': 1}."),
        ("seeds: 2.5", "seeds must be a whole number above 0, got 2.5."),
        ("seeds: 0", "seeds must be a whole number above 0, got 0."),
        ("heartbeat: yes", "heartbeat must be a whole number of seconds above 0, got True."),
        ("prune: mean", "prune must be median or off, got 'mean'."),
        ("time_limit: 5", "time_limit must be a time like 90s, 30min or 2h, got 5."),
        ("storage: [a]", "storage must be a URL, got ['a']."),
        ("set:", "set must be names and values such as {num_train_epochs: 2}, got None."),
        ("set: [max_steps=3]", "set must be names and values such as {num_train_epochs: 2}, got ['max_steps=3']."),
        (
            "set: {max_steps: null}",
            "max_steps of set must have a value, got null. Leave it out for the recipe's own value.",
        ),
        (
            "set: {lr_scheduler_kwargs: {d: 2024-01-01}}",
            "lr_scheduler_kwargs of set has a value that no flag can have, got {'d': datetime.date(2024, 1, 1)}. Put a date "
            "in quotes.",
        ),
        (
            "set: {optim_args: &a {b: *a}}",
            "optim_args of set has a value that no flag can have, got {'b': {...}}. Put a date in quotes.",
        ),
    ],
)
def test_invalid_setting_in_the_file(run, tmp_path, capsys, line, message):
    (tmp_path / "compare.yaml").write_text(f"config: recipes/configs/a.yaml\n{line}\n", encoding="utf-8")
    assert run("compare.yaml") == 2
    assert f"hf-lrsched compare: compare.yaml: {message}\n" == capsys.readouterr().err


def test_settings_of_the_file_that_turn_something_off(run, tmp_path, capsys):
    (tmp_path / "compare.yaml").write_text(
        f"config: recipes/configs/a.yaml\nschedule: ['{LINEAR}', '{COSINE}']\nseeds: 1\nprune: off\ntime_limit: null\n"
        "set: {eval_strategy: no, report_to: [wandb, mlflow], optim_args: {a: 1}, fp16: false}\n",
        encoding="utf-8",
    )
    assert run("compare.yaml") == 0
    known = json.loads((tmp_path / "runs" / "compare" / "a" / "configuration.json").read_text(encoding="utf-8"))
    assert known["eval_strategy"] == "no" and known["report_to"] == "wandb,mlflow"
    assert known["optim_args"] == '{"a": 1}' and known["fp16"] == "False"
