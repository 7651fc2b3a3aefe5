"""hf-lrsched find-lr: what it passes to the recipe."""

import sys


def test_recipe_is_run_up_to_its_search(recipe, exec_recipe):
    config = "mine/configs/a.yaml"
    command = exec_recipe("find-lr", config, "--seeds", "2", "--set", "output_dir=out", "--set", "seed=3")
    flags = ["--learning_rate", "auto", "--find_lr_only", "true", "--find_lr_seeds", "2"]
    assert command == [sys.executable, str(recipe), config, "--output_dir=out", "--seed=3", *flags]
    assert exec_recipe("find-lr", config, "--recipe", config)[1] == config
