"""Which metrics of a run are drawn."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..schedules import ScheduleError
from ..schedules.errors import nearest
from ..schedules.metric_names import metric_direction
from .run import Run

#: Metrics that are drawn where none are named: so many lines can be told apart.
_MOST = 4


def is_loss(name: str) -> bool:
    """Whether a metric is drawn among the losses."""
    return name == "loss" or name.endswith("_loss")


def available(run: Run) -> list[str]:
    """The metrics that have a finite value."""
    return [name for name in run.metrics if run.series(name)[0]]


def resolved(run: Run, name: str) -> str | None:
    """A metric's name in the run's records, given with or without `eval_`; `None` where there is no such metric."""
    there = available(run)
    return next((each for each in (name, f"eval_{name}") if each in there), None)


def chosen(run: Run, metrics: Sequence[str] | None = None) -> list[str]:
    """The metrics to draw: those that are named, else up to four of one scale, else the losses.

    Raises:
        ScheduleError: The run has no such metric.
    """
    if metrics is not None:
        return [_named(run, name) for name in metrics]
    there = available(run)
    others = [name for name in there if not is_loss(name)]
    if not others:
        return there
    best = resolved(run, run.best_metric) if run.best_metric else None
    first = best if best in others else others[0]
    return [first, *(name for name in others if name != first and _one_scale(run, first, name))][:_MOST]


def in_common(runs: Sequence[Run]) -> list[str]:
    """The metric that all runs have, by which they are compared, and their validation loss."""
    common = [name for name in available(runs[0]) if all(name in available(run) for run in runs[1:])]
    others = [name for name in common if not is_loss(name)]
    best = {resolved(run, run.best_metric) for run in runs if run.best_metric}
    first = [name for name in others if name in best] or others
    return [*first[:1], *(name for name in common if is_loss(name))][:2]


def left_out(run: Run, names: Sequence[str]) -> list[str]:
    """The metrics of the run, without the losses, that are not among these."""
    return [name for name in available(run) if not is_loss(name) and name not in names]


def _named(run: Run, name: str) -> str:
    found = resolved(run, name)
    if found is None:
        there = [each.removeprefix("eval_") for each in available(run)]
        of = f" of {run.name}" if run.name else ""
        raise ScheduleError(
            f"no metric {name!r} among the evaluations{of}; there are {', '.join(there) or 'none'}."
            f"{nearest(name.removeprefix('eval_'), there)}"
        )
    return found


def _one_scale(run: Run, first: str, name: str) -> bool:
    """Both between -1 and 1, or of sizes that one axis can show."""
    one, other = (max(map(abs, run.series(each)[1])) for each in (first, name))
    if one <= 1 or other <= 1:
        return one <= 1 and other <= 1
    return one / 10 <= other <= one * 10


def told_apart(runs: Sequence[Run]) -> list[str]:
    """The runs' names; where two have the same, with as many of their folders as tell them apart, else numbered."""
    names = [run.name or "run" for run in runs]
    for name in [name for name, count in Counter(names).items() if count > 1]:
        same = [index for index, each in enumerate(names) if each == name]
        homes = [_home(runs[index]).parts for index in same]
        tries = [
            ["/".join(home[-length:]) for home in homes] for length in range(2, max(map(len, homes), default=0) + 1)
        ]
        tries += [
            [f"{name}/{runs[index].path.name}" for index in same],
            [f"{name} ({n + 1})" for n in range(len(same))],
        ]
        found = next(each for each in tries if len(set(each)) == len(each))
        for index, told in zip(same, found, strict=True):
            names[index] = told
    return names


def _home(run: Run) -> Path:
    path = run.path.resolve()
    return next((folder for folder in path.parents if folder.name == run.name), path.parent)


def words(name: str) -> str:
    """A metric's name as it is spoken: `matthews correlation` for `eval_matthews_correlation`.

    Example:
    ```python
    >>> words("eval_f1_macro"), words("eval_loss"), words("eval_mnli_loss")
    ('F1 macro', 'validation loss', 'mnli loss')

    ```
    """
    name = name.removeprefix("eval_")
    if name == "loss":
        return "validation loss"
    spoken = {"f1": "F1", "matthews": "Matthews"}
    return " ".join(spoken.get(word, word) for word in name.split("_") if word) or name


def is_lower_better(name: str) -> bool:
    """Whether a metric's name says that less is better: a loss, an error, a perplexity."""
    return metric_direction(name) == "min"
