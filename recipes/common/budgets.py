"""Train a recipe's run with several budgets, and save what each of them leaves."""

from pathlib import Path
from typing import Any

from hf_lrsched import ScheduledTrainer, train_budgets
from hf_lrsched.console import print_text

from .arguments import RecipeArguments
from .results import save_results


def train_and_save_budgets(trainer: ScheduledTrainer, arguments: RecipeArguments, task: str, test: Any = None) -> None:
    """Train all budgets, each with the files of a run of its own, print the result, and plot it.

    Args:
        trainer ([`ScheduledTrainer`]): The trainer. It is left as it was.
        arguments ([`RecipeArguments`]): The settings.
        task (`str`): The task's name on the Hub.
        test (`Dataset`, *optional*): The test split.
    """
    wanted = arguments.budgets
    found = train_budgets(
        trainer,
        wanted.budgets or "",
        cooldown=wanted.budget_cooldown,
        peak=wanted.budget_peak,
        seeds=wanted.budget_seeds,
        on_branch=lambda run, branch: save_results(run, arguments, task, {}, test),
    )
    if not trainer.is_world_process_zero():
        return
    folder = Path(trainer.args.output_dir)
    print_text(str(found))
    try:
        found.plot().savefig(folder / "budgets.png")
    except ImportError as error:
        print_text(f"saved {folder / 'budgets.json'}; no plot: {error}")
    else:
        print_text(f"saved {folder / 'budgets.json'} and {folder / 'budgets.png'}")
