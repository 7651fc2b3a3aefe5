"""UsedLRs: the LR that each parameter group used at the latest update, as entries of a record."""

from typing import Any

import torch

from ..groups.main_group import find_main_group


class UsedLRs:
    """The LR that each parameter group used at the latest update.

    Groups with the same peak and schedule, such as those with and without weight decay, are shown as one, by the name of the
    first.
    """

    def __init__(self) -> None:
        #: The index of the group whose LR is shown as `learning_rate`.
        self.main = 0
        self._update = 0
        self._lrs: list[Any] = []
        self._names: list[str] = []
        self._same_as: list[int] = []
        self._of_evaluation: dict[str, float] = {}

    def read(self, update: int, groups: list[dict[str, Any]]) -> None:
        """Read the LRs from an optimizer's groups, once for each update.

        Args:
            update (`int`): The update that uses them, counted from 1.
            groups (`list[dict[str, Any]]`): The optimizer's `param_groups`, between its step and the scheduler's.
        """
        if update == self._update:
            return
        self._update = update
        # Tensor LRs are written in place: a reference to one would show the LR of the next update. The first test is the faster
        # one, and nearly always enough.
        self._lrs = [
            lr.clone() if type(lr := group["lr"]) is not float and isinstance(lr, torch.Tensor) else lr
            for group in groups
        ]
        if len(self._names) != len(groups):
            self._names, self.main = get_group_names(groups), find_main_group(groups)
            self._same_as = find_distinct_groups(groups)

    def show_evaluation(self, record: dict[str, Any]) -> None:
        """Show the LRs of an earlier evaluation from here on, since its weights are those that are loaded.

        Args:
            record (`dict[str, Any]`): Its record, with the entries of this class.
        """
        entries = {key: value for key, value in record.items() if key.startswith(("eval_learning_rate", "eval_lr/"))}
        self._of_evaluation = {key.removeprefix("eval_"): value for key, value in entries.items() if value is not None}

    def values(self) -> dict[str, float]:
        """Return the LR of the main group as `learning_rate` and, where the groups' LRs differ, `lr/<name>` for each curve."""
        if self._of_evaluation:
            return dict(self._of_evaluation)
        lrs = [float(lr) for lr in self._lrs]
        return {"learning_rate": lrs[self.main], **self._by_curve(lrs)} if lrs else {}

    def make_evaluation_entries(self, record: dict[str, Any]) -> dict[str, float]:
        """Return the entries to add to a record of an evaluation: those of [`values`], with the evaluation's prefix.

        Args:
            record (`dict[str, Any]`): A record of Trainer. Nothing is added to one of another kind.
        """
        prefix = get_evaluation_prefix(record)
        return {} if prefix is None else {f"{prefix}_{name}": lr for name, lr in self.values().items()}

    def make_training_entries(self, record: dict[str, Any]) -> dict[str, float]:
        """The entries to add to a training record for the reporters: `lr/<name>` for each curve, where the LRs differ."""
        return self._by_curve([*map(float, self._lrs)]) if "learning_rate" in record and "loss" in record else {}

    def _by_curve(self, lrs: list[float]) -> dict[str, float]:
        if len(set(lrs)) < 2:
            return {}
        if any(lr != lrs[first] for lr, first in zip(lrs, self._same_as, strict=True)):  # another scheduler's rule
            self._same_as = [*range(len(lrs))]
        return {f"lr/{self._names[first]}": lrs[first] for first in dict.fromkeys(self._same_as)}


def get_group_names(groups: list[dict[str, Any]]) -> list[str]:
    """Return the names of parameter groups: `"name"`, else `group_<index>`; a name that is taken gets the index appended.

    Example:
    ```python
    >>> get_group_names([{"name": "body"}, {"name": "body"}, {}])
    ['body', 'body/1', 'group_2']

    ```
    """
    names: list[str] = []
    for index, group in enumerate(groups):
        name = str(group.get("name", f"group_{index}"))
        while name in names:
            name = f"{name}/{index}"
        names.append(name)
    return names


def find_distinct_groups(groups: list[dict[str, Any]]) -> list[int]:
    """For each parameter group, the index of the first one with its peak LR and its schedule."""
    curves = [(float(group.get("initial_lr", group["lr"])), str(group.get("schedule"))) for group in groups]
    return [curves.index(curve) for curve in curves]


def get_evaluation_prefix(record: dict[str, Any]) -> str | None:
    """Return the prefix of an evaluation's metrics: `eval`, or the caller's `metric_key_prefix`; `None` for any other record.

    The prefix of one of several evaluation sets is `eval_<set>`. All sets have the same LR, so it is logged under `eval`.
    """
    for key in record:
        # The summary at the end of a run has a `train_runtime`, too. It alone has `total_flos`.
        if key.endswith("_runtime") and not (key == "train_runtime" and "total_flos" in record):
            return "eval" if key.startswith("eval_") else key.removesuffix("_runtime")
    # Some libraries measure no time.
    return "eval" if any(key.startswith("eval_") for key in record) else None
