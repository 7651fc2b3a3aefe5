"""What the commands that run a recipe have in common."""

from hf_lrsched.cli.main import main
from hf_lrsched.cli.recipe import find_recipe


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
