"""The metrics of runs: their names in plots and tables, and which of them are shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..schedules import ScheduleError
from ..schedules.errors import nearest
from ..schedules.metric_names import get_metric_direction
from .run import Run

#: Metrics that are drawn where none are named: so many lines can be distinguished.
_MAX_METRICS = 4
#: Metrics of training records, drawn where nothing but losses was evaluated.
_TRAINING_METRICS = ("reward", "rewards/accuracies", "rewards/margins")
#: The words of a metric's name that are written otherwise.
_SPELLINGS = {"f1": "F1", "matthews": "Matthews"}


def is_loss(name: str) -> bool:
    """Return whether a metric is drawn among the losses."""
    return name == "loss" or name.endswith("_loss")


def get_display_name(name: str) -> str:
    """Write a metric's name as plots and tables show it.

    Example:
    ```python
    >>> [get_display_name(name) for name in ("eval_f1_macro", "eval_loss", "eval_mnli_loss", "loss")]
    ['F1 macro', 'validation loss', 'validation loss, mnli', 'training loss']

    ```
    """
    if name == "loss":
        return "training loss"
    words = [_SPELLINGS.get(word, word) for word in name.removeprefix("eval_").split("_") if word]
    if is_loss(name) and name.startswith("eval_"):
        return ", ".join(filter(None, ["validation loss", " ".join(words[:-1])]))
    return " ".join(words) or name


def resolve_metric(run: Run, name: str | None) -> str | None:
    """Find a metric's name in the run's records, given with or without `eval_`; `None` where there is no such metric."""
    return next((each for each in (name, f"eval_{name}") if each in run.metrics), None)


def require_metric(runs: Sequence[Run], name: str) -> str:
    """Find a metric that one of the runs has.

    Raises:
        ScheduleError: No run has it.
    """
    of = f" of {runs[0].name}" if len(runs) == 1 and runs[0].name else ""
    return find_metric(name, [metric for run in runs for metric in run.metrics], f"among the evaluations{of}")


def find_metric(name: str, known: Iterable[str], where: str) -> str:
    """Find a metric among those that are known, given with or without `eval_`.

    Raises:
        ScheduleError: It is not there, which `where` says.
    """
    names = {each: each.removeprefix("eval_") for each in known}
    found = next((each for each in (name, f"eval_{name}") if each in names), None)
    if found is None:
        listed = ", ".join(dict.fromkeys(names.values())) or "none"
        hint = nearest(name.removeprefix("eval_"), names.values())
        raise ScheduleError(f"no metric {name!r} {where}; there are {listed}.{hint}")
    return found


def find_main_metric(runs: Sequence[Run], metrics: Sequence[str] | None = None) -> str | None:
    """Choose the metric by which runs are judged.

    That is what a run itself takes for its best model (`metric_for_best_model`), else a metric whose direction its name
    says, else a validation loss: whether an entropy should rise or fall is not known.

    Args:
        runs (`Sequence[Run]`): The runs.
        metrics (`Sequence[str]`, *optional*): Among which to choose. Defaults to all; the one that most runs have is taken.
    """
    if metrics is None:
        metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    by_best = [resolve_metric(run, run.best_metric) for run in runs]
    others = [name for name in metrics if not is_loss(name)]
    choices = [name for name in others if name in by_best]
    choices = choices or [name for name in others if get_metric_direction(name)] or [*filter(is_loss, metrics)]
    return max(choices, key=lambda name: sum(name in run.metrics for run in runs), default=None)


def choose_metrics(run: Run, metrics: Sequence[str] | None = None) -> list[str]:
    """Choose the metrics to draw: those that are named, else up to four of one scale, else the losses.

    Raises:
        ScheduleError: The run has no such metric.
    """
    if metrics is not None:
        return [require_metric([run], name) for name in metrics]
    others = [name for name in run.metrics if not is_loss(name)]
    if not others:  # TRL's online trainers have their metrics in the training records
        return [name for name in _TRAINING_METRICS if len(run.points(name)[0])] or run.metrics
    main = find_main_metric([run])
    first = main if main in others else others[0]
    return [first, *(name for name in others if name != first and _have_one_scale(run, first, name))][:_MAX_METRICS]


def find_common_metrics(runs: Sequence[Run]) -> list[str]:
    """Choose the metric that all runs have, by which they are compared, and their validation loss."""
    common = [name for name in runs[0].metrics if all(name in run.metrics for run in runs[1:])]
    main = find_main_metric(runs, common)
    return list(dict.fromkeys([*([main] if main else []), *filter(is_loss, common)]))[:2]


def _have_one_scale(run: Run, first: str, name: str) -> bool:
    """Return whether both lie between -1 and 1, or have sizes that one axis can show."""
    one, other = (float(np.abs(run.points(each)[1]).max()) for each in (first, name))
    if one <= 1 or other <= 1:
        return one <= 1 and other <= 1
    return one / 10 <= other <= one * 10


def make_distinct_names(runs: Sequence[Run]) -> list[str]:
    """Name the runs; where two have the same name, with as many of their folders as distinguish them, else numbered."""
    names = [run.name or "run" for run in runs]
    for name in [name for name, count in Counter(names).items() if count > 1]:
        same = [index for index, each in enumerate(names) if each == name]
        folders = [_folder_of(runs[index]).parts for index in same]
        longest = max(map(len, folders), default=0)
        tries = [["/".join(parts[-length:]) for parts in folders] for length in range(2, longest + 1)]
        tries.append([f"{name}/{runs[index].path.name}" for index in same])
        tries.append([f"{name} ({number + 1})" for number in range(len(same))])
        for index, distinct in zip(same, next(each for each in tries if len(set(each)) == len(each)), strict=True):
            names[index] = distinct
    return names


def _folder_of(run: Run) -> Path:
    path = run.path.resolve()
    return next((folder for folder in path.parents if folder.name == run.name), path.parent)
