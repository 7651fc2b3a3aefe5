"""`hf-lrsched budgets`: find out how long to train a recipe's run."""

import argparse
from typing import Any

from .recipe import add_recipe_arguments, exec_recipe


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `budgets` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "budgets",
        help="find out how long to train: several budgets from one run",
        description="Trains the run that a recipe's YAML describes with several budgets, for less than separate runs cost: one run holds "
        "its learning rate, and for each budget a branch cools down from there. Each branch is evaluated and kept as a "
        "complete model in the output folder. Prints the metric of each budget, its cost and a recommendation, and saves "
        "them as budgets.json and budgets.png. After an interruption, repeat the command to continue.",
        epilog="example: hf-lrsched budgets recipes/configs/demo.yaml --budgets 1ep,2ep,4ep --set output_dir=runs/budgets",
    )
    add_recipe_arguments(parser)
    add = parser.add_argument
    add("--budgets", required=True, metavar="1ep,2ep,…", help="the lengths in rising order, in epochs or updates")
    add("--cooldown", metavar="LENGTH", help="the cooldown of each budget (default 20%% of it)")
    add(
        "--peak",
        metavar="FACTOR",
        help="the LR that is held, as a factor of learning_rate: 0.7 or 70%% (default 0.5; 1 where the schedule holds)",
    )
    add("--seeds", type=int, metavar="N", help="train each budget with N seeds (default 1)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the recipe in place of this process."""
    settings = ["--budgets", arguments.budgets]
    for name in ("cooldown", "peak", "seeds"):  # what is not given is left to the recipe's YAML
        if (value := getattr(arguments, name)) is not None:
            settings += [f"--budget_{name}", str(value)]
    return exec_recipe(arguments, *settings)
