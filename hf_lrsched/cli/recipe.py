"""What the commands that run a recipe have in common: their arguments, and the recipe's command line."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from ..schedules import ScheduleError


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `CONFIG.yaml`, `--recipe` and `--set` to a command."""
    add = parser.add_argument
    add("config", metavar="CONFIG.yaml", type=Path, help="the recipe's settings")
    add(
        "--recipe",
        metavar="SCRIPT.py",
        type=Path,
        help="the recipe's script; needed if it is not clear from CONFIG.yaml",
    )
    help_of_set = "a setting of the recipe that overrides the file; may be repeated"
    add("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help=help_of_set)


def build_recipe_command(arguments: argparse.Namespace) -> list[str]:
    """Build the recipe's command line from a command's arguments; the command appends its own flags.

    Raises:
        ScheduleError: The configuration or the recipe does not exist, or it is not known which recipe it belongs to.
    """
    if not arguments.config.is_file():
        raise ScheduleError(f"no such file: {arguments.config}.")
    script = arguments.recipe or find_recipe(arguments.config)
    if not script.is_file():
        raise ScheduleError(f"no such file: {script}.")
    return [sys.executable, str(script), str(arguments.config), *(f"--{setting}" for setting in arguments.settings)]


def exec_recipe(arguments: argparse.Namespace, *flags: str) -> int:
    """Run the recipe in place of this process, so that every signal to this process reaches the recipe."""
    return replace_process([*build_recipe_command(arguments), *flags])


def replace_process(command: list[str]) -> int:
    """Turn this process into another command.

    Windows can't replace a process. There the command runs in a process of its own, and its exit status is returned. Ctrl-C
    reaches both from the console, and only the command ends by it, once it has saved what it has.
    """
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    earlier = signal.signal(signal.SIGINT, _leave_to_the_command)  # unlike SIG_IGN, no process inherits it
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, earlier)


def _leave_to_the_command(number: int, frame: FrameType | None) -> None:
    """Do nothing: the command has the signal, too."""


def find_recipe(config: Path) -> Path:
    """Find the script of a configuration: of `recipes/*.py` for `recipes/configs/CONFIG.yaml` the one that its text names.

    Raises:
        ScheduleError: There is none, or there are several.
    """
    folders = dict.fromkeys([config.resolve().parent.parent, Path("recipes").resolve()])
    found = next((scripts for folder in folders if (scripts := sorted(folder.glob("*.py")))), [])
    text = config.read_text(encoding="utf-8", errors="replace")
    found = [script for script in found if script.name in text] or found
    if len(found) != 1:
        seen = f"there are {', '.join(path.name for path in found)}" if found else "none is near it"
        raise ScheduleError(
            f"the recipe of {config} is not known: {seen}. Give it, e.g. --recipe recipes/text_classification.py."
        )
    return found[0]
