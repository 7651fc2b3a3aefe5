"""What a text is labelled with: one label, several labels, or a number; how each is read, learned and measured."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import evaluate
import numpy as np

from .data import Split
from .errors import RecipeError
from .labels import (
    MULTI,
    REGRESSION,
    SINGLE,
    check_known_labels,
    list_labels,
    order_labels,
    read_label_sets,
    read_labels,
    read_numbers,
)
from .losses import mean_binary_cross_entropy, mean_cross_entropy
from .metrics import classification_metrics, multi_label_metrics, regression_metrics


class SingleLabel:
    """Each text has one label.

    Args:
        splits (`dict[str, Split]`): The splits.
        columns (`Sequence[str]`): The label column.

    Attributes:
        labels (`dict[str, list]`): For each row of each split its label by name, its labels by name, or its number.
        names (`tuple[str, ...]`): All labels in the order of their numbers; none for regression.

    Raises:
        RecipeError: A row has no label or an invalid one, or the labels of the splits do not match.
    """

    name: ClassVar[str] = SINGLE
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "matthews_correlation")

    def __init__(self, splits: dict[str, Split], columns: Sequence[str]):
        if len(columns) > 1 and self.name != MULTI:
            raise RecipeError(f"--problem_type {self.name} takes one label column, got {', '.join(columns)}.")
        self.labels: dict[str, list[Any]] = {}
        self.names: tuple[str, ...] = ()
        self.read(splits, columns)

    def read(self, splits: dict[str, Split], columns: Sequence[str]) -> None:
        """Set `labels` and `names`."""
        self.labels = {name: read_labels(split, *columns) for name, split in splits.items()}
        self.names = order_labels(splits["train"].rows.features[columns[0]], self.labels["train"])
        check_known_labels({name: [[label] for label in each] for name, each in self.labels.items()}, splits)

    def get_target(self, label: Any, names: Sequence[str]) -> Any:
        """Return what the model learns for a row: here the number of the label."""
        return names.index(label)

    def describe(self) -> list[str]:
        """Describe the labels in lines for the user."""
        names = self.names
        f1 = f"the F1 of the label {names[1]!r}" if len(names) == 2 else f"the mean F1 of {len(names)} labels"
        return [f"one of {len(names)} labels each: {list_labels(names)}", f"F1 is {f1}"]

    def get_baselines(self, labels: Sequence[Any]) -> dict[str, float]:
        """Return what a model that learned nothing scores: here the accuracy of the most frequent label."""
        return {"accuracy": max(Counter(labels).values()) / len(labels)} if labels else {}

    def make_metrics(self) -> evaluate.CombinedEvaluations:
        """Return the metrics of decisions."""
        return classification_metrics(len(self.names))

    def decide(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        """Return the decisions: here the label with the largest logit."""
        return np.argmax(logits, axis=-1)

    def mean_loss(self, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        """Return the mean loss over rows."""
        return mean_cross_entropy(logits, targets, weights)


class MultiLabel(SingleLabel):
    """Each text has any number of labels."""

    name = MULTI
    metrics = ("f1_micro", "f1_macro", "subset_accuracy")

    def read(self, splits: dict[str, Split], columns: Sequence[str]) -> None:
        self.labels = {name: read_label_sets(split, columns) for name, split in splits.items()}
        if len(set(map(frozenset, self.labels["train"]))) < 2:
            raise RecipeError(f"all rows of {splits['train'].source} have the same labels: there is nothing to learn.")
        if len(columns) > 1:
            self.names = tuple(columns)
            return
        feature = getattr(splits["train"].rows.features[columns[0]], "feature", None)
        self.names = order_labels(feature, [name for names in self.labels["train"] for name in names])
        check_known_labels(self.labels, splits)

    def get_target(self, label: Any, names: Sequence[str]) -> Any:
        return [float(name in label) for name in names]

    def describe(self) -> list[str]:
        return [f"any of {len(self.names)} labels each: {list_labels(self.names)}"]

    def get_baselines(self, labels: Sequence[Any]) -> dict[str, float]:
        return {}

    def make_metrics(self) -> evaluate.CombinedEvaluations:
        return multi_label_metrics()

    def decide(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        return (logits > np.log(threshold / (1 - threshold))).astype(int)

    def mean_loss(self, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        return mean_binary_cross_entropy(logits, targets, weights)


class Regression(SingleLabel):
    """Each text has a number."""

    name = REGRESSION
    metrics = ("mse", "pearson", "spearmanr")

    def read(self, splits: dict[str, Split], columns: Sequence[str]) -> None:
        self.labels = {name: read_numbers(split, *columns) for name, split in splits.items()}

    def get_target(self, label: Any, names: Sequence[str]) -> Any:
        return label

    def describe(self) -> list[str]:
        numbers = self.labels["train"]
        return [f"regression on numbers from {min(numbers):g} to {max(numbers):g}"]

    def get_baselines(self, labels: Sequence[Any]) -> dict[str, float]:
        return {}

    def make_metrics(self) -> evaluate.CombinedEvaluations:
        return regression_metrics()

    def decide(self, logits: np.ndarray, threshold: float) -> np.ndarray:
        return logits[..., 0]

    def mean_loss(self, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        return float(np.mean((logits[..., 0].astype(np.float64) - targets) ** 2))


PROBLEM_TYPES = {kind.name: kind for kind in (SingleLabel, MultiLabel, Regression)}
