"""What the commands that run a recipe have in common."""

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from hf_lrsched.cli.main import main
from hf_lrsched.cli.recipe import find_recipe
from tests.processes import environment


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


def test_recipe_on_windows(recipe, monkeypatch):
    monkeypatch.setattr("hf_lrsched.cli.recipe.os", types.SimpleNamespace(name="nt"))
    recipe.write_text("import sys; sys.exit(3)", encoding="utf-8")
    assert main(["find-lr", "mine/configs/a.yaml"]) == 3


AS_ON_WINDOWS = """
import sys, types
import hf_lrsched.cli.main, hf_lrsched.cli.recipe
hf_lrsched.cli.recipe.os = types.SimpleNamespace(name="nt")
sys.exit(hf_lrsched.cli.main.main(sys.argv[1:]))
"""
SAVING = """
import os, pathlib, sys, time
try:
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)  # longer than subprocess.run waits for a process before it kills it
    pathlib.Path("saved").touch()
    sys.exit(7)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
@pytest.mark.parametrize("command", [["find-lr"], ["budgets", "--budgets=1ep,2ep"]], ids=lambda command: command[0])
def test_recipe_on_windows_saves_after_ctrl_c(recipe, tmp_path, command):
    recipe.write_text(SAVING, encoding="utf-8")
    words = [sys.executable, "-c", AS_ON_WINDOWS, *command, "mine/configs/a.yaml"]
    with subprocess.Popen(words, env=environment(), start_new_session=True) as running:
        wait_for_the_recipe(running)
        os.killpg(running.pid, signal.SIGINT)  # as a console does
        assert running.wait(30) == 7
    assert (tmp_path / "saved").exists()


def wait_for_the_recipe(running):
    file = Path("pid")
    while running.poll() is None and not (file.exists() and file.read_text(encoding="utf-8")):
        time.sleep(0.02)


WAITING = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [("SIGTERM", -15), ("SIGINT", 7), ("SIGKILL", -9)])
@pytest.mark.parametrize("command", [["find-lr"], ["budgets", "--budgets=1ep,2ep"]], ids=lambda command: command[0])
def test_signal_to_the_command_alone(recipe, tmp_path, command, number, status):
    recipe.write_text(WAITING, encoding="utf-8")
    words = [sys.executable, "-m", "hf_lrsched", *command, "mine/configs/a.yaml"]
    with subprocess.Popen(words, env=environment()) as running:
        wait_for_the_recipe(running)
        running.send_signal(signal.Signals[number])
        assert running.wait(30) == status
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
