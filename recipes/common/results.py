"""Save what a run leaves: the model and its card, the table of metrics, the results and the plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_lrsched import ScheduledTrainer, read_run
from hf_lrsched.console import print_text
from hf_lrsched.plots import draw_run
from hf_lrsched.trainer.summary import explain_schedule

from .arguments import RecipeArguments
from .package_model import HUB_NAME, LICENSE
from .summary import make_rows, show_table, write_table

PLOT = "learning_rate_and_metrics.png"


def save_results(
    trainer: ScheduledTrainer,
    arguments: RecipeArguments,
    task: str,
    train_metrics: dict[str, float],
    test: Any = None,
    baselines: Mapping[str, float] | None = None,
) -> None:
    """Evaluate, save the model and all files, and print the table.

    Args:
        trainer ([`ScheduledTrainer`]): The trainer after `train()`.
        arguments ([`RecipeArguments`]): The settings, for the card.
        task (`str`): The task's name on the Hub.
        train_metrics (`dict[str, float]`): The metrics that `train()` returned.
        test (`Dataset`, *optional*): The test split.
        baselines (`Mapping[str, float]`, *optional*): See `Task`.
    """
    known = {f"baseline_{name}": value for name, value in (baselines or {}).items()}
    results = {"train": train_metrics, "eval": evaluate(trainer) | known}
    if test is not None:
        results["test"] = trainer.predict(test, metric_key_prefix="test").metrics
    trainer.save_model()
    trainer.save_state()
    for split, metrics in results.items():
        if metrics:
            trainer.save_metrics(split, metrics)
    if not trainer.is_world_process_zero():
        return
    folder = Path(trainer.args.output_dir)
    table = make_rows(trainer.state.log_history)
    write_table(table, folder)
    draw_plot(trainer, folder / PLOT)
    trainer.create_model_card(**card_entries(arguments, task))
    caption = f"LR used: by the update before the evaluation\nloss monitor: {trainer.monitor.summary}"
    show_table(table, title=f"{folder.name}: {explain_schedule(trainer)}", caption=caption)
    for split in ("train", "test"):
        if results.get(split):
            trainer.log_metrics(split, results[split])
    print_text(f"model, card, metrics.csv, metrics.json and {PLOT} are in {folder}")


def evaluate(trainer: ScheduledTrainer) -> dict[str, float]:
    """Return the results of the model that is saved: of the last update, or of the best one if that was loaded."""
    if trainer.eval_dataset is None:
        return {}
    state = trainer.state
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    update = state.global_step if best is None else best
    known = [record for record in state.log_history if "eval_loss" in record and record["step"] == update]
    if known:
        return {key: value for key, value in known[-1].items() if key.startswith("eval_") or key == "epoch"}
    return dict(trainer.evaluate())


def draw_plot(trainer: ScheduledTrainer, path: Path) -> None:
    """Plot the metrics and the LR from the run's record, which holds the LR of every update."""
    metric = trainer.args.metric_for_best_model
    draw_run(read_run(path.parent), path, metrics=[metric] if metric else None)


def card_entries(arguments: RecipeArguments, task: str) -> dict[str, Any]:
    """Return what Trainer can't know for the model card."""
    entries: dict[str, Any] = {"tasks": task, "tags": [task, "hf-lrsched"]}
    if arguments.model.model_name_or_path.startswith("package:"):
        entries |= {"finetuned_from": HUB_NAME, "license": LICENSE}
    if arguments.data.dataset_name is None:
        entries |= {"dataset_tags": [], "dataset": Path(arguments.data.train_file).name}
    else:
        entries |= {"dataset_tags": arguments.data.dataset_name, "dataset": arguments.data.dataset_name}
        entries |= {"dataset_args": arguments.data.dataset_config_name}
    return entries
