"""Accuracy, F1 and Matthews' correlation as `evaluate` metrics that need no network, on top of scikit-learn."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


class _LabelMetric(evaluate.Metric):
    """A metric of predicted and true label numbers. `evaluate.load` would fetch its script from the Hub."""

    def _info(self) -> evaluate.MetricInfo:
        numbers = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=type(self).__doc__,
            citation="",
            inputs_description="Label numbers.",
            features=datasets.Features({"predictions": numbers, "references": numbers}),
        )


class Accuracy(_LabelMetric):
    """The share of right predictions."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class F1(_LabelMetric):
    """With two labels the F1 of the second (number 1), as in GLUE; with more the mean of all labels' F1 (macro)."""

    num_labels = 2

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        average = "binary" if self.num_labels == 2 else "macro"
        # Of the labels that occur: one that is neither in the data nor predicted has no F1.
        return {"f1": float(f1_score(references, predictions, average=average, zero_division=0.0))}


class Matthews(_LabelMetric):
    """Matthews' correlation: 1 for all right, 0 for guessing or for the same label always."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}


def make_compute_metrics(num_labels: int) -> Callable[[Any], dict[str, float]]:
    """`compute_metrics` for Trainer."""
    # In memory: processes that share a cache folder would wait for each other's files.
    f1 = F1(keep_in_memory=True)
    f1.num_labels = num_labels
    combined = evaluate.combine([Accuracy(keep_in_memory=True), f1, Matthews(keep_in_memory=True)])

    def compute_metrics(prediction: Any) -> dict[str, float]:
        logits = prediction.predictions
        logits = logits[0] if isinstance(logits, tuple) else logits
        return combined.compute(predictions=np.argmax(logits, axis=-1), references=prediction.label_ids)

    return compute_metrics


def explain_f1(names: Sequence[str]) -> str:
    """Which F1 it is."""
    return f"F1 is that of the label {names[1]!r}" if len(names) == 2 else f"F1 is the mean of {len(names)} labels"
