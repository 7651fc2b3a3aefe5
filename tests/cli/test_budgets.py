"""hf-lrsched budgets: what it passes to the recipe."""

import sys

import pytest

from hf_lrsched.cli.main import main


def test_recipe_is_run_with_the_budgets(recipe, exec_recipe):
    config = "mine/configs/a.yaml"
    command = exec_recipe("budgets", config, "--budgets", "1ep,2ep", "--seeds", "3", "--set", "output_dir=out")
    flags = ["--budgets", "1ep,2ep", "--budget_seeds", "3"]
    assert command == [sys.executable, str(recipe), config, "--output_dir=out", *flags]


@pytest.mark.parametrize("peak", ["0.7", "70%"])
def test_the_held_lr_is_passed_on(recipe, exec_recipe, peak):
    command = exec_recipe("budgets", "mine/configs/a.yaml", "--budgets", "1ep,2ep", "--peak", peak)
    assert command[-4:] == ["--budgets", "1ep,2ep", "--budget_peak", peak]


def test_budgets_are_required(recipe, capsys):
    with pytest.raises(SystemExit):
        main(["budgets", "mine/configs/a.yaml"])
    assert "--budgets" in capsys.readouterr().err
