"""Metrics of label numbers as `evaluate` metrics that need no network, on top of scikit-learn."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


class _LabelMetric(evaluate.Metric):
    """A metric of predicted and true label numbers. `evaluate.load` would fetch its script from the Hub."""

    def __init__(self, **kwargs: Any):
        super().__init__(keep_in_memory=True, **kwargs)  # processes that share a cache folder would wait for each other

    def _info(self) -> evaluate.MetricInfo:
        numbers = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=type(self).__doc__,
            citation="",
            inputs_description="Label numbers.",
            features=datasets.Features({"predictions": numbers, "references": numbers}),
        )


class Accuracy(_LabelMetric):
    """The share of correct predictions."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class F1(_LabelMetric):
    """The F1 of label 1 (`binary`), or the mean F1 of all labels that occur (`macro`)."""

    def __init__(self, average: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.average = average

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"f1": float(f1_score(references, predictions, average=self.average, zero_division=0.0))}


class Matthews(_LabelMetric):
    """Matthews' correlation: 1 if all predictions are correct, 0 for guesses and for a constant prediction."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}


def combine(*metrics: evaluate.Metric) -> evaluate.CombinedEvaluations:
    """Combine metrics that are computed from the same predictions."""
    return evaluate.combine(list(metrics))
