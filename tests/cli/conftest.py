"""What the tests of several commands share."""

import pytest


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with one recipe and its configuration, in which the process is."""
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "train.py").touch()
    (tmp_path / "mine" / "configs" / "a.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine" / "train.py"
