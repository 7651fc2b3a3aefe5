"""What the tests of several commands share."""

import pytest

from hf_lrsched.cli.main import main


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with one recipe and its configuration, in which the process is."""
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "train.py").touch()
    (tmp_path / "mine" / "configs" / "a.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine" / "train.py"


@pytest.fixture
def exec_recipe(recipe, monkeypatch):
    """Run a command, and return the command line of the recipe that it becomes, without starting it."""
    found = []

    def replace_process(command):
        found.append(command)
        return 0

    def run(*arguments):
        monkeypatch.setattr("hf_lrsched.cli.recipe.replace_process", replace_process)
        assert main(arguments) == 0
        return found.pop()

    return run
