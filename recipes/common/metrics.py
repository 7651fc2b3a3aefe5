"""Metrics as `evaluate` metrics that need no network, on top of scikit-learn and SciPy."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import classification_report
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

#: What a prediction is, by the type of its values.
LABEL, NUMBER = datasets.Value("int64"), datasets.Value("float64")
LABELS, TAGS = datasets.Sequence(LABEL), datasets.Sequence(datasets.Value("string"))


class LocalMetric(evaluate.Metric):
    """A metric from a function. `evaluate.load` would fetch a script from the Hub.

    Args:
        function (`Callable`): Computes the metrics of references and predictions.
        feature (`datasets.Value` or `datasets.Sequence`): What one reference and one prediction is.
    """

    def __init__(self, function: Callable[[Sequence[Any], Sequence[Any]], dict[str, float]], feature: Any):
        self.function, self.feature = function, feature
        super().__init__(keep_in_memory=True)  # processes that share a cache folder would wait for each other

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.function.__doc__ or "",
            citation="",
            inputs_description="",
            features=datasets.Features({"predictions": self.feature, "references": self.feature}),
        )

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        return self.function(references, predictions)


def classification_metrics(num_labels: int) -> evaluate.CombinedEvaluations:
    """Return accuracy, F1 (of label 1 of two, else the mean of all labels that occur) and Matthews' correlation."""
    f1 = partial(_f1, average="binary" if num_labels == 2 else "macro")
    return evaluate.combine([LocalMetric(function, LABEL) for function in (_accuracy, f1, _matthews)])


def regression_metrics() -> evaluate.CombinedEvaluations:
    """Return the mean squared error, and Pearson's and Spearman's correlation."""
    return evaluate.combine([LocalMetric(function, NUMBER) for function in (_mean_squared_error, _pearson, _spearman)])


def multi_label_metrics() -> evaluate.CombinedEvaluations:
    """Return micro and macro F1, and the share of rows with all labels correct."""
    return evaluate.combine([LocalMetric(_multi_label, LABELS)])


def entity_metrics() -> evaluate.CombinedEvaluations:
    """Return seqeval's precision, recall and F1 over all entities and per type, and the share of correct tags."""
    return evaluate.combine([LocalMetric(_entities, TAGS)])


def tag_metrics() -> evaluate.CombinedEvaluations:
    """Return the share of correct tags and the mean F1 of the tags."""
    return evaluate.combine([LocalMetric(_tags, TAGS)])


def _accuracy(references: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Return the share of correct predictions."""
    return {"accuracy": float(accuracy_score(references, predictions))}


def _f1(references: Sequence[int], predictions: Sequence[int], average: str) -> dict[str, float]:
    """Return the F1 of label 1 (`binary`), or the mean F1 of all labels that occur (`macro`)."""
    return {"f1": float(f1_score(references, predictions, average=average, zero_division=0.0))}


def _matthews(references: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Matthews' correlation: 1 if all predictions are correct, 0 for guesses and for a constant prediction."""
    return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}


def _mean_squared_error(references: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Return the mean squared difference."""
    return {"mse": float(np.mean((np.asarray(references) - np.asarray(predictions)) ** 2))}


def _pearson(references: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Pearson's correlation; 0 where one side is constant."""
    return {"pearson": _correlation(pearsonr, references, predictions)}


def _spearman(references: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Spearman's correlation of ranks; 0 where one side is constant."""
    return {"spearmanr": _correlation(spearmanr, references, predictions)}


def _correlation(function: Callable[..., Any], references: Sequence[float], predictions: Sequence[float]) -> float:
    if np.ptp(references) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(function(references, predictions).statistic)


def _multi_label(references: Sequence[Sequence[int]], predictions: Sequence[Sequence[int]]) -> dict[str, float]:
    """F1 over all decisions (`micro`), mean F1 of the labels (`macro`), and the share of rows without an error."""
    true, said = np.asarray(references), np.asarray(predictions)
    return {
        "f1_micro": float(f1_score(true, said, average="micro", zero_division=0.0)),
        "f1_macro": float(f1_score(true, said, average="macro", zero_division=0.0)),
        "subset_accuracy": float(np.mean((true == said).all(axis=1))),
    }


def _entities(references: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over all entities (`f1`) and per type (`f1/PER`). Both ends and the type must be correct."""
    has_entities = any(
        tag != "O" for tags in (*references, *predictions) for tag in tags
    )  # else seqeval warns of a mean of nothing
    report = classification_report(references, predictions, output_dict=True, zero_division=0) if has_entities else {}
    overall = report.pop("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
    for mean in ("macro avg", "weighted avg"):
        report.pop(mean, None)
    scores = {name.removesuffix("-score"): float(value) for name, value in overall.items() if name != "support"}
    for kind, values in sorted(report.items()):
        scores |= {f"{name.removesuffix('-score')}/{kind}": float(values[name]) for name in values if name != "support"}
    return {**scores, **_accuracy(*(list(chain.from_iterable(tags)) for tags in (references, predictions)))}


def _tags(references: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the share of correct tags, and the mean F1 of all tags that occur."""
    true, said = (list(chain.from_iterable(sentences)) for sentences in (references, predictions))
    return {**_accuracy(true, said), **_f1(true, said, average="macro")}
