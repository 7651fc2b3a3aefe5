"""Read a column with one label per row: each row's label by name, and all labels in the order of their numbers."""

from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset

from hf_lrsched.schedules.errors import nearest

from .errors import RecipeError


def guess_label_column(train: Dataset) -> str | None:
    """Return the label column if it is unambiguous: `label`, `labels`, or the only column of classes."""
    classes = [name for name, feature in train.features.items() if isinstance(feature, ClassLabel)]
    candidates = [name for name in ("label", "labels") if name in train.features] or classes
    return candidates[0] if len(candidates) == 1 else None


def read_labels(split: Dataset, column: str, source: str) -> list[str]:
    """Return each row's label by its name; the name of a number is the number.

    Raises:
        RecipeError: A row has no label or several, or its label is a fraction.
    """
    feature = split.features[column]
    labels = []
    for row, value in enumerate(split[column][:], start=1):
        if isinstance(value, list | dict):
            raise RecipeError(f"{source}: column {column!r} holds several labels in row {row}; this recipe takes one.")
        if value is None or value == "" or (isinstance(feature, ClassLabel) and value < 0) or value != value:
            raise RecipeError(f"{source}: no label in column {column!r} of row {row}.")
        if isinstance(value, float) and not value.is_integer():
            raise RecipeError(f"{source}: the label of row {row} is {value}; a label is a name or a whole number.")
        if isinstance(feature, ClassLabel):
            value = feature.int2str(value)
        labels.append(str(int(value)) if isinstance(value, float) else str(value).strip())
    return labels


def order_labels(feature: Any, train_labels: Sequence[str]) -> tuple[str, ...]:
    """Return all labels in the order of their numbers: the dataset's own order, else numeric, else alphabetical.

    Raises:
        RecipeError: The training split has only one label.
    """
    found = set(train_labels)
    if len(found) < 2:
        raise RecipeError(f"the training split has only one label, {train_labels[0]!r}: there is nothing to learn.")
    if isinstance(feature, ClassLabel):
        return tuple(feature.names)
    is_numeric = all(label.lstrip("-").isdecimal() for label in found)
    return tuple(sorted(found, key=int) if is_numeric else sorted(found))


def check_known_labels(labels: dict[str, list[str]]) -> None:
    """Raise a RecipeError if another split has a label that the training split lacks."""
    known = sorted(set(labels["train"]))
    for split in sorted(set(labels) - {"train"}):
        for label in sorted(set(labels[split]) - set(known)):
            raise RecipeError(
                f"the {split} split has the label {label!r} ({labels[split].count(label)} rows), but the training split does "
                f"not; it has {list_labels(known)}.{nearest(label, known)}"
            )


def list_labels(names: Sequence[str], limit: int = 20) -> str:
    """List the first labels, separated by commas."""
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def set_labels(config: Any, names: Sequence[str]) -> list[str]:
    """Write the labels into a model's configuration, and return them in the order of the model's outputs.

    A model that knows exactly these labels keeps its own order.
    """
    if set(config.label2id or {}) != set(names):
        config.num_labels = len(names)
        config.label2id = {name: index for index, name in enumerate(names)}
    config.id2label = {index: name for name, index in config.label2id.items()}
    return [config.id2label[index] for index in range(len(names))]
