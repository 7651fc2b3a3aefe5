"""find_lr: search the peak LR of a run by short probe runs."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from torch.utils.data import Subset
from tqdm.auto import tqdm
from transformers import set_seed
from transformers.trainer_utils import has_length

from ..integrations.distributed import on_main_process
from ..optim.wrappers import unwrap_optimizer
from ..runs.metrics import find_metric
from ..schedules import ScheduleError
from ..schedules.arguments import as_count, as_positive
from ..schedules.numbers import format_count
from .method import Plan, Point, choose_horizons, estimate, next_probe
from .result import LRSearch, Probe
from .snapshot import undisturbed
from .trial import Run, describe_run, make_probe, make_trial, refuse_single_run

#: Where a search begins, by a part of the optimizer's name. Other optimizers take steps of about the LR's size.
_STARTS = {"sgd": 0.1, "lion": 1e-4, "": 5e-4}
#: Adapters are small, and take a larger LR.
_ADAPTER_FACTOR = 4.0
#: Of the training set, at most this share is held out where there is no evaluation set.
_HELD_OUT_SHARE = 0.1
_MIN_HELD_OUT = 16


def find_lr(
    trainer: Any,
    *,
    metric: str | None = None,
    eval_samples: int = 512,
    seeds: int = 1,
    budget: float = 1.0,
    start: float | None = None,
    low: float = 1e-8,
    high: float = 10.0,
    on_probe: Callable[[Probe], Any] | None = None,
) -> LRSearch:
    """Find the peak LR of the run that a Trainer is about to begin.

    A handful of probes run the whole schedule of the run in 1/16 and 1/4 of its updates, with its optimizer, groups, batches and
    loss, and are scored on held-out loss. The best LR falls with the length of a run; the suggestion is corrected for that.
    The peaks of all groups are scaled together. The Trainer is left as it was: weights, optimizer, random numbers,
    callbacks, reporters and files. See docs/find_lr.md for the method and its figures.

    Args:
        trainer (`transformers.Trainer`): Any Trainer with an optimizer and a schedule of its own making.
        metric (`str`, *optional*): A metric of `compute_metrics` to show beside the loss. Defaults to `metric_for_best_model`.
        eval_samples (`int`, defaults to 512): Samples that a probe is scored on: a fixed part of the evaluation set, or, where
            there is none, at most a tenth of the training set, on which the probes then do not train.
        seeds (`int`, defaults to 1): Run each probe with so many seeds. The cost grows by this factor.
        budget (`float`, defaults to 1): The updates of the probes of one seed are at most this multiple of those of the run.
        start (`float`, *optional*): The first LR. Defaults to one that is usual for the optimizer.
        low (`float`, defaults to 1e-8): The lowest LR that is tried.
        high (`float`, defaults to 10): The highest LR that is tried.
        on_probe (`Callable`, *optional*): Called with each [`Probe`] on the main process.

    Returns:
        [`LRSearch`]: After Ctrl-C, with what is known by then.

    Raises:
        ScheduleError: Before the first probe: the run is too short, has no held-out data, has a scheduler that cannot be shortened,
            or runs under FSDP or DeepSpeed. After it: every probe diverged.

    Example:
    ```python
    search = find_lr(trainer)
    print(search)
    trainer.args.learning_rate = search.suggestion
    trainer.train()
    ```
    """
    seeds, eval_samples = as_count(seeds, "seeds"), as_count(eval_samples, "eval_samples")
    budget, low, high = as_positive(budget, "budget"), as_positive(low, "low"), as_positive(high, "high")
    start = None if start is None else as_positive(start, "start")
    _check_trainer(trainer)
    sample, train_dataset, held_out = _hold_out(trainer, eval_samples)
    metric = metric or _other_than_loss(trainer.args.metric_for_best_model)
    with undisturbed(trainer) as restore:
        run, optimizer = describe_run(trainer)
        start = start or _choose_start(trainer, optimizer)
        plan = Plan(run.total, choose_horizons(run.total), start, low, high, budget)
        del optimizer
        restore()
        plan = replace(plan, start_loss=_evaluate(make_trial(trainer), sample, metric)[0])
        probes: list[Probe] = []
        was_interrupted = False
        try:
            with _make_progress_bar(trainer, round(budget * run.total) * seeds) as bar:
                while (wanted := next_probe(_average(probes), plan)) is not None:
                    for seed in range(seeds):
                        restore()
                        bar.set_postfix_str(f"probe {len(probes) + 1}, LR {wanted[0]:.3g}")
                        if seed:
                            set_seed(trainer.args.seed + seed)
                        probes.append(_run_probe(trainer, run, *wanted, seed, train_dataset, sample, metric))
                        bar.update(probes[-1].updates)
                        if on_probe is not None and trainer.is_world_process_zero():
                            on_probe(probes[-1])
        except KeyboardInterrupt:
            was_interrupted = True
    known = {"total": run.total, "reference": run.reference, "start_loss": plan.start_loss}
    return _conclude(probes, plan, was_interrupted, {**known, "held_out": held_out, "metric": metric})


def _conclude(probes: list[Probe], plan: Plan, was_interrupted: bool, known: dict[str, Any]) -> LRSearch:
    """Make the result of what is known of a search and what its probes say."""
    points = _average(probes)
    notes = [f"The search was interrupted after {format_count(len(probes), 'probe')}."] if was_interrupted else []
    known = {**known, "probes": tuple(probes), "is_complete": not was_interrupted}
    if was_interrupted and not any(math.isfinite(point.loss) for point in points):
        return LRSearch(None, None, None, notes=tuple(notes), **known)
    found = estimate(points, plan)
    return LRSearch(
        float(f"{found.lr:.3g}"),  # digits that say no more than is known, and can be typed
        found.low,
        found.high,
        valleys=tuple(valley._asdict() for valley in found.valleys),
        exponent=found.exponent,
        notes=(*notes, *found.notes),
        **known,
    )


def _run_probe(
    trainer: Any, run: Run, lr: float, updates: int, seed: int, train_dataset: Any, sample: Any, metric: str | None
) -> Probe:
    begin = time.perf_counter()
    trial = make_probe(trainer, run, lr, updates, train_dataset)
    trial.train()
    trial.is_in_train = True  # so that no evaluation in half precision casts the weights
    loss, value = _evaluate(trial, sample, metric)
    # The main process's values hold for all, so that all choose the same next probe.
    return Probe(lr, updates, *on_main_process(lambda: (loss, value)), seed=seed, seconds=time.perf_counter() - begin)


def _evaluate(trial: Any, sample: Any, metric: str | None) -> tuple[float, float | None]:
    trial.args.prediction_loss_only = metric is None
    metrics = trial.evaluate(eval_dataset=sample, metric_key_prefix="eval")
    if "eval_loss" not in metrics:
        raise ScheduleError(
            "find_lr() compares eval_loss, but the evaluation returned none. The evaluation set needs labels "
            f"(label_names={trial.label_names}); got {', '.join(metrics)}."
        )
    loss = float(metrics["eval_loss"])
    if metric is None:
        return loss, None
    return loss, float(metrics[find_metric(metric, metrics, "in an evaluation")])


def _hold_out(trainer: Any, size: int) -> tuple[Any, Any, str]:
    """The samples to score on, the training set without them or `None`, and what they are in words."""
    held_out, name = trainer.eval_dataset, "the evaluation set"
    if isinstance(held_out, dict):
        key = next(iter(held_out), None)
        held_out, name = held_out.get(key), f"the evaluation set {key!r}"
    if held_out is not None:
        if not has_length(held_out):
            return list(itertools.islice(held_out, size)), None, f"the first {size} samples of {name}"
        if len(held_out) == 0:
            raise ScheduleError(f"the LR cannot be found: {name} is empty.")
        chosen = min(size, len(held_out))
        text = f"all {chosen} samples of {name}" if chosen == len(held_out) else f"{chosen} samples of {name}"
        return _select(held_out, _shuffle(len(held_out))[:chosen]), None, text
    train = trainer.train_dataset
    if train is None or not has_length(train):
        raise ScheduleError(
            "the LR cannot be found without an eval_dataset: no sample can be held out of a train_dataset without a length. "
            "Give an eval_dataset."
        )
    order = _shuffle(len(train))
    chosen = min(size, int(len(train) * _HELD_OUT_SHARE))
    if chosen < _MIN_HELD_OUT:
        raise ScheduleError(
            f"the LR cannot be found: there is no eval_dataset, and a tenth of the {len(train)} training samples is too little to "
            f"compare LRs on. Give an eval_dataset of {_MIN_HELD_OUT} samples or more."
        )
    text = f"{chosen} samples of the training set, on which the probes did not train"
    return _select(train, order[:chosen]), _select(train, order[chosen:]), text


def _shuffle(size: int) -> list[int]:
    """The same order in every search: the samples must not depend on the state of a random number generator."""
    order: list[int] = np.random.default_rng(0).permutation(size).tolist()
    return order


def _select(dataset: Any, indices: list[int]) -> Any:
    return dataset.select(sorted(indices)) if hasattr(dataset, "select") else Subset(dataset, sorted(indices))


def _choose_start(trainer: Any, optimizer: Any) -> float:
    name = type(unwrap_optimizer(optimizer)).__name__.lower()
    start = next(lr for part, lr in _STARTS.items() if part in name)
    return start * (_ADAPTER_FACTOR if hasattr(trainer.model, "peft_config") else 1.0)


def _check_trainer(trainer: Any) -> None:
    refuse_single_run(trainer, "find_lr()")
    if trainer.lr_scheduler is not None and not getattr(trainer, "_created_lr_scheduler", False):
        raise ScheduleError(
            f"find_lr() cannot shorten the {type(trainer.lr_scheduler).__name__} in optimizers=. Use ScheduledTrainer(schedule=...) or "
            "lr_scheduler_type, and leave the scheduler out."
        )


def _other_than_loss(metric: str | None) -> str | None:
    return None if metric is None or metric.removeprefix("eval_") == "loss" else metric


def _average(probes: list[Probe]) -> list[Point]:
    """One point for each LR and horizon: the mean loss of its seeds, and its error."""
    losses: dict[tuple[float, int], list[float]] = {}
    for probe in probes:
        losses.setdefault((probe.lr, probe.updates), []).append(probe.loss)
    return [
        Point(
            lr,
            updates,
            float(np.mean(values)),
            float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0,
        )
        for (lr, updates), values in losses.items()
    ]


def _make_progress_bar(trainer: Any, max_updates: int) -> Any:
    """A progress bar in updates. How many of them the search takes depends on the losses."""
    is_shown = trainer.is_world_process_zero() and not trainer.args.disable_tqdm
    return tqdm(total=max_updates, disable=not is_shown, desc="finding the LR", unit=" updates", leave=False)
