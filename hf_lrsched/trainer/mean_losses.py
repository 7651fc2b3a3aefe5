"""The mean losses in Trainer's log, continued after a resume as if the run had not been interrupted."""

import math
from typing import Any

import torch

OWNER = "mean_losses"


def save_mean_losses(trainer: Any) -> None:
    """Keep the sums of the losses in the scheduler's state, before a checkpoint is written.

    Trainer logs the mean loss since the record before, and `train_loss` at the end. It begins both anew at a resume.

    Args:
        trainer (`transformers.Trainer`): The Trainer, on every process.
    """
    owners = trainer.lr_scheduler.run_state.owners
    owners.pop(OWNER, None)
    if not hasattr(trainer, "_tr_loss"):  # transformers 4 has it in a local variable
        return
    since_record = trainer.accelerator.gather(trainer._tr_loss.detach().reshape(1)).mean().item()
    sums = {"since_record": since_record, "total": float(trainer._total_loss_scalar)}
    if all(map(math.isfinite, sums.values())):
        owners[OWNER] = {**sums, "last_record": float(trainer._globalstep_last_logged)}


def continue_mean_losses(trainer: Any, sums: dict[str, float]) -> None:
    """Give Trainer the sums of the run before. To be called before the first loss of the resumed run."""
    trainer._tr_loss = torch.full_like(trainer._tr_loss, sums["since_record"])
    trainer._total_loss_scalar = sums["total"]
    trainer._globalstep_last_logged = int(sums["last_record"])


def compute_mean_over_run(trainer: Any, train_loss: float) -> float:
    """Return `train_loss` as a mean over all updates: Trainer divides the sum by those since the resume."""
    updates, before = int(trainer.state.global_step), int(trainer._initial_global_step)
    return train_loss * (updates - before) / max(updates, 1)
