"""hf-lrsched budgets: what it passes to the recipe."""

import subprocess
import sys
import types

import pytest

from hf_lrsched.cli.main import main


def test_recipe_is_run_with_the_budgets(recipe, monkeypatch):
    commands = []

    def run(command, check):
        commands.append(command)
        return types.SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    config = "mine/configs/a.yaml"
    assert main(["budgets", config, "--budgets", "1ep,2ep", "--seeds", "3", "--set", "output_dir=out"]) == 3
    flags = ["--budgets", "1ep,2ep", "--budget_cooldown", "20%", "--budget_seeds", "3"]
    assert commands == [[sys.executable, str(recipe), config, "--output_dir=out", *flags]]


def test_budgets_are_required(recipe, capsys):
    with pytest.raises(SystemExit):
        main(["budgets", "mine/configs/a.yaml"])
    assert "--budgets" in capsys.readouterr().err
