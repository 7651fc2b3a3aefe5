"""hf-lrsched find-lr: which recipe it runs, and with what."""

import subprocess
import sys
import types

from hf_lrsched.cli.main import main


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
