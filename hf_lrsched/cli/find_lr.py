"""`hf-lrsched find-lr`: find the peak LR of a recipe's run."""

import argparse
from typing import Any

from .recipe import add_recipe_arguments, exec_recipe


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
    add_recipe_arguments(parser)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="run each probe with N seeds (default 1)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the recipe up to its first update, in place of this process."""
    settings = ["--learning_rate", "auto", "--find_lr_only", "true"]
    return exec_recipe(arguments, *settings, "--find_lr_seeds", str(arguments.seeds))
