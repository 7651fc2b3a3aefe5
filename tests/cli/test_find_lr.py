"""hf-lrsched find-lr: which recipe it runs, and with what."""

import subprocess
import sys
import types

import pytest

from hf_lrsched.cli.find_lr import find_recipe
from hf_lrsched.cli.main import main


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with one recipe and its configuration, in which the process is."""
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "train.py").touch()
    (tmp_path / "mine" / "configs" / "a.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine" / "train.py"


def test_recipe_is_run_up_to_its_search(recipe, monkeypatch):
    commands = []

    def run(command, check):
        commands.append(command)
        return types.SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    config = "mine/configs/a.yaml"
    assert main(["find-lr", config, "--seeds", "2", "--set", "output_dir=out", "--set", "seed=3"]) == 3
    flags = [
        "--output_dir=out",
        "--seed=3",
        "--learning_rate",
        "auto",
        "--find_lr_only",
        "true",
        "--find_lr_seeds",
        "2",
    ]
    assert commands == [[sys.executable, str(recipe), config, *flags]]
    assert main(["find-lr", config, "--recipe", "mine/train.py"]) == 3
    assert commands[1][1] == "mine/train.py"


def test_recipe_that_is_not_known(recipe, capsys):
    (recipe.parent / "other.py").touch()
    assert main(["find-lr", "mine/configs/a.yaml"]) == 2
    assert "there are other.py, train.py. Give it, e.g. --recipe" in capsys.readouterr().err
    assert main(["find-lr", "missing.yaml"]) == 2
    assert "no such file: missing.yaml" in capsys.readouterr().err


def test_recipe_that_the_configuration_names(recipe):
    (recipe.parent / "other.py").touch()
    config = recipe.parent / "configs" / "a.yaml"
    config.write_text("#   python mine/train.py mine/configs/a.yaml\n", encoding="utf-8")
    assert find_recipe(config) == recipe


def test_recipe_of_the_working_directory(recipe, tmp_path):
    config = tmp_path / "elsewhere" / "deep" / "b.yaml"
    config.parent.mkdir(parents=True)
    config.touch()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "task.py").touch()
    assert find_recipe(config) == tmp_path / "recipes" / "task.py"
