"""UsedLRs: the LR that each parameter group used at the latest update, as entries of a record."""

from typing import Any

import torch


class UsedLRs:
    """The LR that each parameter group used at the latest update."""

    def __init__(self) -> None:
        self._update = 0
        self._lrs: list[Any] = []
        self._names: list[str] = []

    def read(self, update: int, groups: list[dict[str, Any]]) -> None:
        """Reads the LRs from an optimizer's groups, once for each update.

        Args:
            update (`int`): The update that uses them, counted from 1.
            groups (`list[dict[str, Any]]`): The optimizer's `param_groups`, between its step and the scheduler's.
        """
        if update == self._update:
            return
        self._update = update
        # Tensor LRs are written in place: a reference to one would show the LR of the next update.
        self._lrs = [lr.clone() if isinstance(lr := group["lr"], torch.Tensor) else lr for group in groups]
        if len(self._names) != len(groups):
            self._names = group_names(groups)

    def values(self) -> dict[str, float]:
        """The LR of the first group as `learning_rate` and, where the groups' LRs differ, `lr/<name>` for each."""
        lrs = [float(lr) for lr in self._lrs]
        return {"learning_rate": lrs[0], **self._by_group(lrs)} if lrs else {}

    def evaluation_entries(self, record: dict[str, Any]) -> dict[str, float]:
        """The entries to add to a record of an evaluation: those of [`values`], with the evaluation's prefix.

        Args:
            record (`dict[str, Any]`): A record of Trainer. Nothing is added to one of another kind.
        """
        prefix = evaluation_prefix(record)
        return {} if prefix is None else {f"{prefix}_{name}": lr for name, lr in self.values().items()}

    def training_entries(self, record: dict[str, Any]) -> dict[str, float]:
        """The entries to add to a training record for the reporters: `lr/<name>` for each group, where the LRs differ."""
        return self._by_group([*map(float, self._lrs)]) if "learning_rate" in record and "loss" in record else {}

    def _by_group(self, lrs: list[float]) -> dict[str, float]:
        return {f"lr/{name}": lr for name, lr in zip(self._names, lrs, strict=True)} if len(set(lrs)) > 1 else {}


def group_names(groups: list[dict[str, Any]]) -> list[str]:
    """The names of parameter groups: `"name"`, else `group_<index>`; a name that is taken gets the index appended.

    Example:
    ```python
    >>> group_names([{"name": "body"}, {"name": "body"}, {}])
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


def evaluation_prefix(record: dict[str, Any]) -> str | None:
    """The prefix of an evaluation's metrics: `eval`, or the caller's `metric_key_prefix`; `None` for any other record.

    The prefix of one of several evaluation sets is `eval_<set>`. All sets have the same LR, so it is logged under `eval`.
    """
    for key in record:
        # The summary at the end of a run has a `train_runtime`, too. It alone has `total_flos`.
        if key.endswith("_runtime") and not (key == "train_runtime" and "total_flos" in record):
            return "eval" if key.startswith("eval_") else key.removesuffix("_runtime")
    return None
