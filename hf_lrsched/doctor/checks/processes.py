"""Checks of what several processes make of a run."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import Facts
from ..finding import Finding
from ..from_settings import is_finite
from .format import error, warning

#: accelerate starts one process for these, whatever num_processes says.
_ALONE = ("NO", "MULTI_CPU")


def loss_multiplied(facts: Facts) -> Iterator[Finding]:
    """Loss and gradients multiplied by gradient accumulation x processes.

    transformers 5 takes a model whose forward has `**kwargs`, as BERT's has, to average its loss over the whole update, and
    no longer divides; BERT averages over each batch. Where there is a log, its losses must show it, too.
    """
    processes = facts.processes if facts.averages_over_processes else 1
    factor = facts.accumulation * processes
    if factor == 1 or not facts.model.ignores_item_count:
        return
    ratio = _loss_ratio(facts.history)
    if ratio is not None and ratio < math.sqrt(factor):
        return
    seen = "" if ratio is None else f"; in the log the training loss is {ratio:.3g} times the evaluation's"
    yield warning(
        f"loss and gradients of {facts.model.name} are multiplied by {factor}: {facts.accumulation} accumulated "
        f"batch{'es' if facts.accumulation > 1 else ''} x {processes} process{'es' if processes > 1 else ''}",
        f"Trainer takes the model to average over the whole update, and it averages over each batch; clipping at max_grad_norm "
        f"then bites {factor} times earlier{seen}",
        "Set model.accepts_loss_kwargs = False before the Trainer is made; this package's recipe does",
    )


def one_process(facts: Facts) -> Iterator[Finding]:
    """Settings by which one process trains, or several that do not know of each other, where N are meant to train together."""
    launch = facts.launch
    if launch is None or launch.wanted < 2:
        return
    if launch.seen is not None:
        if launch.seen < launch.wanted:
            yield error(
                f"{launch.wanted} processes were started, and the Trainer knows of {launch.seen}",
                f"Each trains by itself on all data, and all write into one folder; the run has {launch.wanted} times the updates "
                "that were meant",
                "On CPUs set use_cpu=True in the training arguments",
            )
    elif launch.distributed_type in _ALONE and not launch.uses_mpirun:
        yield error(
            f"accelerate starts one process, not {launch.wanted}: distributed_type is {launch.distributed_type}",
            f"A run has {launch.wanted} times the updates that were meant, with batches {launch.wanted} times smaller, and a "
            "schedule in updates covers less of it",
            "Write distributed_type: MULTI_GPU, on CPUs together with use_cpu: true"
            + ("" if launch.distributed_type == "MULTI_CPU" else "; or num_processes: 1"),
        )


def engine_ignores_schedule(facts: Facts) -> Iterator[Finding]:
    """DeepSpeed or FSDP that ignores the schedule, the optimizer or the groups' LRs.

    https://github.com/huggingface/transformers/issues/10330, /issues/22751, https://github.com/huggingface/accelerate/issues/2124.
    """
    section = (facts.deepspeed or {}).get("scheduler")
    if isinstance(section, Mapping):
        kind = section.get("type")
        mine = facts.schedule or facts.lr_scheduler_type or "the one of the training arguments"
        yield error(
            f'DeepSpeed follows a schedule of its own, "scheduler": {{"type": "{kind}"}}, and not {mine}',
            _own_numbers(section, facts) or "What the training arguments say of the schedule has no effect",
            "Delete the section scheduler from the DeepSpeed configuration",
        )
    if facts.drops_optimizers:
        yield error(
            "under DeepSpeed, Trainer drops what is passed in optimizers=",
            "It makes another optimizer and another schedule from the training arguments, without a word",
            "Leave optimizers= out: set learning_rate, optim and lr_scheduler_type, or train with ScheduledTrainer(schedule=...)",
        )
    if facts.flattens and len({lr for lr in facts.group_lrs if lr > 0}) > 1:
        lrs = sorted(set(facts.group_lrs))
        yield warning(
            "FSDP with use_orig_params=false melts the parameters of several groups into one",
            f"Groups of {lrs[0]:.3g} to {lrs[-1]:.3g} can no longer be told apart, so their LRs are lost",
            "Set use_orig_params: true in fsdp_config, or fsdp_version 2",
        )


def _loss_ratio(history: tuple[Mapping[str, Any], ...]) -> float | None:
    """The latest training loss, as a multiple of the evaluation's that follows it."""
    training: float | None = None
    ratio: float | None = None
    for record in history:
        if is_finite(record.get("loss")):
            training = float(record["loss"])
        if training is not None and is_finite(record.get("eval_loss")) and record["eval_loss"] > 0:
            ratio = training / float(record["eval_loss"])
    return ratio


def _own_numbers(section: Mapping[str, Any], facts: Facts) -> str:
    params = section.get("params")
    numbers = (
        {} if not isinstance(params, Mapping) else {name: params[name] for name in params if is_finite(params[name])}
    )
    told = ", ".join(f"{name}={value:g}" for name, value in numbers.items())
    peak = "" if facts.learning_rate is None else f" beside learning_rate={facts.learning_rate:.3g}"
    return f"It is told {told}{peak}" if told else ""
