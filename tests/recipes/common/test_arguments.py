"""Checks of the settings before anything is read."""

import pytest


def test_processes_that_form_no_group(monkeypatch):
    """The variables that torchrun sets for two processes, and a Trainer that sees one."""
    from common.arguments import refuse_split_launch
    from common.errors import RecipeError

    monkeypatch.setenv("WORLD_SIZE", "2")
    args = type("Arguments", (), {"world_size": 1})()
    with pytest.raises(RecipeError, match=r"2 processes were launched.*--use_cpu true"):
        refuse_split_launch(args)
