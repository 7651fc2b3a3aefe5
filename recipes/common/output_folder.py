"""The output folder of a run: the checkpoint to resume, and the check that no other run is overwritten."""

from pathlib import Path

from transformers import TrainingArguments

from hf_lrsched.runs.checkpoints import TRAINER_STATE, read_trainer_state, resolve_checkpoint

from .errors import RecipeError

#: What a run leaves in its output folder.
_TRACES = (
    "checkpoint-*",
    "*_results.json",
    "trainer_state.json",
    "training_args.bin",
    "metrics.csv",
    "metrics.json",
    "config.json",
    "model*.safetensors",
    "pytorch_model*.bin",
    "README.md",
    "*.png",
)


def find_checkpoint(args: TrainingArguments) -> str | None:
    """Return the checkpoint to resume, or `None` for a new run.

    Raises:
        RecipeError: A new run would overwrite another one, or there is no complete checkpoint to resume.
    """
    folder = Path(args.output_dir)
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"--output_dir {folder} is a file.")
    wanted = args.resume_from_checkpoint
    if wanted is None or wanted is False or str(wanted).lower() in ("false", "no", "0"):
        refuse_another_run(folder)
        return None
    if wanted is True or str(wanted).lower() in ("true", "yes", "1"):
        newest = resolve_checkpoint(True, folder)
        if newest is None:
            raise RecipeError(f"{folder} has no complete checkpoint to resume from.")
        return str(newest)
    checkpoint = Path(str(wanted))
    resolve_checkpoint(checkpoint, folder)  # refuses a folder that is no complete checkpoint
    if checkpoint.resolve().parent != folder.resolve():
        refuse_another_run(folder)
    return str(checkpoint)


def refuse_another_run(folder: Path) -> None:
    """Raise a RecipeError if the folder holds a run: nothing is overwritten."""
    for pattern in _TRACES:
        found = next(iter(sorted(folder.glob(pattern))), None)
        if found is not None:
            raise RecipeError(
                f"{folder} holds another run ({found.name}), and nothing is overwritten. Choose another --output_dir, or "
                "continue that run with --resume_from_checkpoint true."
            )


def count_updates(checkpoint: str) -> int:
    """Return the number of updates before a checkpoint."""
    return int(read_trainer_state(Path(checkpoint, TRAINER_STATE))["global_step"])
