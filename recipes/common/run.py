"""Run a recipe: read the settings, let the recipe prepare its task, train, and save the results."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback, TrainerState, TrainingArguments, set_seed
from transformers.utils import logging

from hf_lrsched import LRSearch, ScheduledTrainer, ScheduleError, find_lr
from hf_lrsched.console import print_text
from hf_lrsched.integrations.distributed import on_main_process
from hf_lrsched.runs.checkpoints import TRAINER_STATE
from hf_lrsched.schedules.errors import nearest

from .arguments import DEFAULT_SCHEDULE, RecipeArguments, read_arguments
from .budgets import train_and_save_budgets
from .data import DataArguments
from .early_stopping import ResumableEarlyStopping
from .errors import RecipeError, errors_as
from .labels import REGRESSION
from .model import check_token_ids
from .output_folder import OutputFolder, collect_settings, count_updates
from .packing import find_obstacle
from .results import save_results
from .settings import AUTO
from .summary import mean_loss
from .trainer import RecipeTrainer, first_output, is_grouped_by_length


@dataclass(frozen=True)
class Task:
    """What a recipe gives to the Trainer.

    Args:
        model (`PreTrainedModel`): The model.
        tokenizer (`PreTrainedTokenizerBase`): The tokenizer; it is saved with the model.
        splits (`dict[str, Dataset]`): The tokenized splits: `train`, and `validation` and `test` where they are given.
        collator (`Callable`): Makes a batch from samples.
        compute_metrics (`Callable`): Computes the metrics of all predictions of a split: `compute_metrics(prediction, split)`,
            where `prediction` is Trainer's `EvalPrediction` in the order of the rows and `split` is `validation` or `test`. Its
            `loss`, if it has one, replaces the loss that Trainer measures.
        metrics (`Sequence[str]`): The names of the metrics of `validation`, without the loss.
        description (`list[str]`): Lines that are printed before the first update.
        preprocess_logits (`Callable`, *optional*): Trainer's `preprocess_logits_for_metrics`: what is kept of each batch.
            Defaults to the first of several outputs.
        compute_loss (`Callable`, *optional*): Trainer's `compute_loss_func`, in place of the model's loss.
        callbacks (`Sequence[TrainerCallback]`, *optional*): Callbacks of the recipe.
        baselines (`dict[str, float]`, *optional*): What a model that learned nothing scores on `validation`, by metric.
    """

    model: Any
    tokenizer: Any
    splits: dict[str, Dataset]
    collator: Callable[[list[Any]], dict[str, Any]]
    compute_metrics: Callable[[Any, str], dict[str, float]]
    metrics: Sequence[str]
    description: list[str]
    preprocess_logits: Callable[[Any, Any], Any] = first_output
    compute_loss: Callable[..., Any] | None = None
    callbacks: Sequence[TrainerCallback] = ()
    baselines: dict[str, float] = field(default_factory=dict)


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
    args, data, stopping = arguments.training, arguments.data, arguments.stopping
    settings = collect_settings(args, data, arguments.model, arguments.schedule, arguments.groups, stopping)
    if arguments.find_lr:
        settings["learning_rate"] = AUTO
    folder = OutputFolder(args.output_dir, settings)
    try:
        on_main_process(folder.hold)
        checkpoint, is_complete, has_ended = None, False, False
        if arguments.budgets.budgets is None:
            checkpoint, is_complete, has_ended = on_main_process(lambda: _look(folder, args.resume_from_checkpoint))
        if is_complete:
            if args.should_log:
                print_text(f"{folder.path} holds this run with all its results: nothing is left to do")
            return
        _train_and_save(prepare, arguments, task_name, checkpoint, has_ended, folder)
    finally:
        if args.process_index == 0:
            folder.release()


def _look(folder: OutputFolder, wanted: Any) -> tuple[str | None, bool, bool]:
    """Return the checkpoint to resume, whether nothing is left to do, and whether only the results are left."""
    is_auto = str(wanted).lower() == "auto"
    if is_auto and folder.is_complete:
        return None, True, False
    checkpoint = folder.find_checkpoint(wanted)
    if checkpoint is not None and folder.is_complete:
        raise RecipeError(f"{checkpoint} is at the end of its run: no update is left, and its results are kept.")
    return checkpoint, False, checkpoint is not None and folder.has_ended(checkpoint)


def _train_and_save(
    prepare: Callable[[RecipeArguments], Task],
    arguments: RecipeArguments,
    task_name: str,
    checkpoint: str | None,
    has_ended: bool,
    folder: OutputFolder,
) -> None:
    args = arguments.training
    args.resume_from_checkpoint = checkpoint
    if not args.should_log:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    set_seed(args.seed)
    task = prepare(arguments)
    check_token_ids(task.splits, task.model.config)
    check_settings(args, task)
    if args.should_log:
        print_text("\n".join([*task.description, *describe_packing(arguments, task.model)]))
    trainer = make_trainer(arguments, task)
    if arguments.search.find_lr_only:
        save_search(find_lr(trainer, seeds=arguments.search.find_lr_seeds), args)
        return
    if arguments.budgets.budgets is not None:
        train_and_save_budgets(trainer, arguments, task_name, task.splits.get("test"))
        trainer.accelerator.wait_for_everyone()
        return
    on_main_process(lambda: folder.note(is_complete=False))
    if has_ended:
        metrics = load_ended_run(trainer, checkpoint)
    else:
        done_before = None if checkpoint is None else count_updates(checkpoint)
        metrics = trainer.train(resume_from_checkpoint=checkpoint).metrics
        if trainer.state.global_step == done_before:
            raise RecipeError(f"{checkpoint} is at the end of its run: no update is left, and its results are kept.")
    save_results(trainer, arguments, task_name, metrics, task.splits.get("test"), task.baselines)
    # No process leaves before the main process has written all files: one that fails on its way out stops the others.
    trainer.accelerator.wait_for_everyone()
    if args.process_index == 0:
        folder.note(is_complete=True)


def check_settings(args: TrainingArguments, task: Task) -> None:
    """Refuse settings of Trainer that do not go with the task, on which the run would fail later, or which it would ignore.

    Raises:
        RecipeError: No evaluation has the metric for the best model, the metrics would not get all predictions, the loss can't be
            smoothed, or no batch has enough rows.
    """
    known = ["loss", *(() if args.prediction_loss_only else task.metrics)]
    name = (args.metric_for_best_model or "loss").removeprefix("eval_")
    if args.eval_strategy != "no" and name not in known:
        raise RecipeError(
            f"--metric_for_best_model {args.metric_for_best_model!r} is unknown; there are {', '.join(known)}.{nearest(name, known)}"
        )
    if not args.eval_do_concat_batches:
        raise RecipeError("--eval_do_concat_batches false: the metrics of a recipe need all predictions together.")
    is_regression = task.model.config.problem_type == REGRESSION
    train = task.splits["train"]
    if args.label_smoothing_factor and (task.compute_loss or is_regression or "start_positions" in train.column_names):
        raise RecipeError(
            f"--label_smoothing_factor {args.label_smoothing_factor} smooths the loss of one label for each text or token. This run "
            "has another loss: numbers, class weights, or starts and ends of answers."
        )
    batch = args.train_batch_size * args.world_size
    if args.dataloader_drop_last and len(train) < batch:
        raise RecipeError(f"--dataloader_drop_last drops all {len(train)} rows, since a batch has {batch}.")


def save_search(search: LRSearch, args: TrainingArguments) -> None:
    """Print a search for the peak LR, and save it in the output folder: its data, and its plot if matplotlib is installed."""
    if not args.should_log:
        return
    print_text(str(search))
    data, plot = Path(args.output_dir, "lr_search.json"), Path(args.output_dir, "lr_search.png")
    data.write_text(search.to_json(), encoding="utf-8")
    try:
        search.plot().savefig(plot)
    except ImportError as error:
        print_text(f"saved {data}; no plot: {error}")
    else:
        print_text(f"saved {data} and {plot}")


def load_ended_run(trainer: RecipeTrainer, checkpoint: str) -> dict[str, float]:
    """Load the state and the weights of a run that ended at a checkpoint, as after its `train()`."""
    trainer.state = TrainerState.load_from_json(str(Path(checkpoint, TRAINER_STATE)))
    trainer.state.is_local_process_zero = trainer.is_local_process_zero()
    trainer.state.is_world_process_zero = trainer.is_world_process_zero()
    trainer._load_from_checkpoint(checkpoint)
    best = trainer.state.best_model_checkpoint
    if trainer.args.load_best_model_at_end and best is not None and Path(best).is_dir():
        trainer._load_best_model()
    loss = mean_loss(trainer.state.log_history, 0, trainer.state.global_step)
    metrics = {"total_flos": trainer.state.total_flos, **({} if loss is None else {"train_loss": loss})}
    trainer.log(metrics)
    return {**metrics, "epoch": trainer.state.epoch}


def find_reason_to_pad(arguments: RecipeArguments, model: Any) -> str | None:
    """Return why a recipe that packs texts pads them in this run, or `None` if it packs them."""
    return find_obstacle(model, arguments.training) if arguments.data.pack_texts else "--pack_texts is false"


def describe_packing(arguments: RecipeArguments, model: Any) -> list[str]:
    """Return the line that says whether the texts of training batches are packed, for a recipe that packs them."""
    args = arguments.training
    if not arguments.data.predicts_tokens:
        return []
    reason = find_reason_to_pad(arguments, model)
    if reason is None:
        return ["texts are packed: those of a training batch share rows, and each attends to itself only"]
    if is_grouped_by_length(args):
        return [f"texts are padded: {reason}"]
    is_new = hasattr(args, "train_sampling_strategy")
    flag = "--train_sampling_strategy group_by_length" if is_new else "--group_by_length true"
    return [f"texts are padded: {reason}; {flag} saves most of the padding"]


def make_trainer(arguments: RecipeArguments, task: Task) -> ScheduledTrainer:
    """Make the Trainer: stock, except for its schedule, packed batches, and an order of batches that a resumed run repeats."""
    patience, threshold = arguments.stopping.early_stopping_patience, arguments.stopping.early_stopping_threshold
    stopping = [] if patience is None else [ResumableEarlyStopping(patience, threshold)]
    # With --push_to_hub, Trainer asks the Hub for a repository: there are many ways to fail on that.
    if arguments.training.push_to_hub:
        failure = errors_as("--push_to_hub: the Trainer can't be made", Exception)
    else:
        failure = errors_as("settings", ValueError, TypeError, ImportError)
    with failure:
        return RecipeTrainer(
            model=task.model,
            args=arguments.training,
            schedule=arguments.schedule.schedule or DEFAULT_SCHEDULE,
            on_resume=arguments.schedule.on_resume,
            clock=arguments.schedule.clock,
            groups=arguments.groups.rule,
            find_lr={"seeds": arguments.search.find_lr_seeds} if arguments.find_lr else False,
            train_dataset=task.splits["train"],
            eval_dataset=task.splits.get("validation"),
            processing_class=task.tokenizer,
            data_collator=task.collator,
            pack_texts=arguments.data.predicts_tokens and find_reason_to_pad(arguments, task.model) is None,
            compute_metrics=task.compute_metrics,
            compute_loss_func=task.compute_loss,
            preprocess_logits_for_metrics=task.preprocess_logits,
            callbacks=[*stopping, *task.callbacks],
        )
