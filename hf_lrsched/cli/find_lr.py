"""`hf-lrsched find-lr`: find the peak LR of a recipe's run."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..schedules import ScheduleError


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `find-lr` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "find-lr",
        help="find the peak learning rate of a recipe's run",
        description="Finds the peak learning rate of the run that a recipe's YAML describes, by short runs of it, at the price of "
        "about one run. Prints the probes, the learning rate for the whole run and its range, and saves them in the "
        "output folder as lr_search.json and lr_search.png. Nothing else is trained or written.",
        epilog="example: hf-lrsched find-lr recipes/configs/demo.yaml --seeds 3",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG.yaml", type=Path, help="the recipe's settings")
    add(
        "--recipe",
        metavar="SCRIPT.py",
        type=Path,
        help="the recipe, if several are found in the folder above that of CONFIG",
    )
    add("--seeds", type=int, default=1, metavar="N", help="run each probe with N seeds (default 1)")
    add(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the recipe that overrides the file; may be repeated",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the recipe up to its first update, in a process of its own."""
    if not arguments.config.is_file():
        raise ScheduleError(f"no such file: {arguments.config}.")
    script = arguments.recipe or find_recipe(arguments.config)
    if not script.is_file():
        raise ScheduleError(f"no such file: {script}.")
    flags = [f"--{setting}" for setting in arguments.settings]
    settings = ["--learning_rate", "auto", "--find_lr_only", "true", "--find_lr_seeds", str(arguments.seeds)]
    return subprocess.run(
        [sys.executable, str(script), str(arguments.config), *flags, *settings], check=False
    ).returncode


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
