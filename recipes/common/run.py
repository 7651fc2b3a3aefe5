"""Run a recipe: read the settings, let the recipe prepare its task, train, and save the results."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import EarlyStoppingCallback, set_seed
from transformers.utils import logging

from hf_lrsched import ScheduledTrainer, ScheduleError
from hf_lrsched.console import print_text
from hf_lrsched.integrations.distributed import on_main_process

from .arguments import DEFAULT_SCHEDULE, RecipeArguments, read_arguments
from .data import DataArguments
from .errors import RecipeError, errors_as
from .output_folder import count_updates, find_checkpoint
from .results import save_results
from .sampler import RecipeTrainer


@dataclass(frozen=True)
class Task:
    """What a recipe gives to the Trainer.

    Args:
        model (`PreTrainedModel`): The model.
        tokenizer (`PreTrainedTokenizerBase`): The tokenizer; it is saved with the model.
        splits (`dict[str, Dataset]`): The tokenized splits: `train`, and `validation` and `test` where they are given.
        collator (`Callable`): Makes a batch from samples.
        compute_metrics (`Callable`): Trainer's `compute_metrics`.
        description (`list[str]`): Lines that are printed before the first update.
    """

    model: Any
    tokenizer: Any
    splits: dict[str, Dataset]
    collator: Callable[[list[Any]], dict[str, Any]]
    compute_metrics: Callable[[Any], dict[str, float]]
    description: list[str]


def run_recipe(
    prepare: Callable[[RecipeArguments], Task],
    data_arguments: type[DataArguments],
    task_name: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a recipe from the command line.

    Args:
        prepare (`Callable`): Reads the data and loads the model: the recipe itself.
        data_arguments (`type`): The recipe's dataclass of data settings.
        task_name (`str`): The task's name on the Hub, for the model card.
        argv (`Sequence[str]`, *optional*): The command line without the script. Defaults to that of the process.

    Returns:
        `int`: The exit status: 0, or 2 if a setting or the data is invalid.
    """
    try:
        _run(prepare, read_arguments(sys.argv[1:] if argv is None else argv, data_arguments), task_name)
    except ScheduleError as error:
        if os.environ.get("RANK", "0") == "0":
            print_text(f"error: {error}", sys.stderr)
        return 2
    return 0


def _run(prepare: Callable[[RecipeArguments], Task], arguments: RecipeArguments, task_name: str) -> None:
    args = arguments.training
    checkpoint = on_main_process(lambda: find_checkpoint(args))
    args.resume_from_checkpoint = checkpoint
    if not args.should_log:
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    set_seed(args.seed)
    task = prepare(arguments)
    if args.should_log:
        print_text("\n".join(task.description))
    trainer = make_trainer(arguments, task)
    done_before = None if checkpoint is None else count_updates(checkpoint)
    result = trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.state.global_step == done_before:
        raise RecipeError(f"{checkpoint} is at the end of its run: no update is left, and its results are kept.")
    save_results(trainer, arguments, task_name, result.metrics, task.splits.get("test"))
    # No process leaves before the main process has written all files: one that fails on its way out stops the others.
    trainer.accelerator.wait_for_everyone()


def make_trainer(arguments: RecipeArguments, task: Task) -> ScheduledTrainer:
    """Make the Trainer: stock, except for its schedule and an order of batches that a resumed run repeats."""
    patience, threshold = arguments.stopping.early_stopping_patience, arguments.stopping.early_stopping_threshold
    with errors_as("settings", ValueError, TypeError, ImportError):
        return RecipeTrainer(
            model=task.model,
            args=arguments.training,
            schedule=arguments.schedule.schedule or DEFAULT_SCHEDULE,
            on_resume=arguments.schedule.on_resume,
            clock=arguments.schedule.clock,
            groups=arguments.groups.rule,
            train_dataset=task.splits["train"],
            eval_dataset=task.splits.get("validation"),
            processing_class=task.tokenizer,
            data_collator=task.collator,
            compute_metrics=task.compute_metrics,
            callbacks=[] if patience is None else [EarlyStoppingCallback(patience, threshold)],
        )
