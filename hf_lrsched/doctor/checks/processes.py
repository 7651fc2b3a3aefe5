"""Checks of what several processes do to a run."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ...runs.rows import Rows
from ...schedules.errors import brief
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: With these accelerate starts one process, whatever num_processes says.
_SINGLE = ("NO", "MULTI_CPU")


def loss_multiplied(facts: Facts) -> Iterator[Finding]:
    """Loss and gradients multiplied by gradient accumulation x processes.

    transformers 5 assumes that a model whose forward has `**kwargs`, as BERT's has, averages its loss over the whole update, and
    no longer divides; BERT averages over each batch. Where there is a log, its losses must show it too.
    """
    factor, accumulation = facts.batches_per_update, facts.gradient_accumulation_steps
    if factor == 1 or facts.model.averages_per_batch is False or not facts.has_training:
        return
    ratio = _loss_ratio(facts.log_history)
    if facts.model.averages_per_batch is None or (facts.log_history and ratio is None):
        yield note(
            f"not checked: whether loss and gradients are multiplied by the {factor} batches of an update",
            "That depends on the model's class and its accepts_loss_kwargs, which are unknown from this source",
            "Pass the built Trainer to diagnose()",
        )
        return
    if ratio is not None and ratio < math.sqrt(factor):
        return
    logged = "" if ratio is None else f"; the log shows a training loss of {ratio:.3g} times the evaluation's"
    yield warning(
        f"loss and gradients of {facts.model.name} are multiplied by {factor}: gradient_accumulation_steps={accumulation} x "
        f"{factor // accumulation} processes",
        "Trainer expects an average over the whole update, but the model averages over each batch; max_grad_norm clips "
        f"{factor} times earlier{logged}",
        "Set model.accepts_loss_kwargs = False before the Trainer is made; the recipe of this package does",
    )


def single_process(facts: Facts) -> Iterator[Finding]:
    """One process, or several that train independently, where N should train together."""
    launch = facts.launch
    if launch is None or launch.num_processes < 2:
        return
    count = launch.num_processes
    if launch.trainer_processes is not None:
        if launch.trainer_processes < count:
            yield error(
                f"{count} processes were started, but the Trainer counts {launch.trainer_processes}",
                f"Each trains by itself on all data, and all write into one folder; the run has {count} times the intended "
                "updates",
                "On CPUs set use_cpu=True in the training arguments",
            )
    elif launch.distributed_type in _SINGLE and not launch.uses_mpirun:
        yield error(
            f"accelerate starts one process, not {count}: distributed_type is {launch.distributed_type}",
            f"The run has {count} times the intended updates, with batches {count} times smaller",
            "Write distributed_type: MULTI_GPU, on CPUs with use_cpu: true"
            + ("" if launch.distributed_type == "MULTI_CPU" else "; or num_processes: 1"),
        )


def engine_ignores_schedule(facts: Facts) -> Iterator[Finding]:
    """DeepSpeed that ignores the schedule or the optimizer.

    https://github.com/huggingface/transformers/issues/10330, /issues/22751, https://github.com/huggingface/accelerate/issues/2124.
    """
    section = (facts.deepspeed or {}).get("scheduler")
    if isinstance(section, Mapping):
        ignored = facts.schedule or facts.lr_scheduler_type or "the schedule of the training arguments"
        yield error(
            f"DeepSpeed uses its own schedule and ignores {ignored}",
            f"It trains with the section scheduler of its configuration, {brief(dict(section))}, not with the training arguments",
            "Delete the section scheduler from the DeepSpeed configuration",
        )
    if facts.drops_optimizers:
        yield error(
            "under DeepSpeed, Trainer drops what is passed in optimizers=",
            "It makes another optimizer and another schedule from the training arguments, without an error",
            "Leave out optimizers=: set learning_rate, optim and lr_scheduler_type, or use ScheduledTrainer(schedule=...)",
        )


def _loss_ratio(history: Rows) -> float | None:
    """Return the latest training loss that an evaluation follows, as a multiple of the evaluation's loss."""
    losses, evaluations = history.column("loss"), history.column("eval_loss")
    for evaluation in np.flatnonzero(evaluations > 0)[-1:]:
        for training in np.flatnonzero(np.isfinite(losses[: evaluation + 1]))[-1:]:
            return float(losses[training] / evaluations[evaluation])
    return None


CHECKS = (loss_multiplied, single_process, engine_ignores_schedule)
