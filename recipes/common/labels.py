"""Read labels by name, row by row: one label, several labels, or a number; and the order of all labels."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hf_lrsched.schedules.errors import nearest
from hf_lrsched.schedules.numbers import format_count

from .data import Split, check_column
from .errors import RecipeError

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"
#: The cells of a column that says whether a label applies.
_INDICATORS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def guess_label_column(train: Dataset) -> str | None:
    """Return the label column if it is unambiguous: `label`, `labels`, or the only column of classes."""
    classes = [name for name, feature in train.features.items() if isinstance(feature, ClassLabel)]
    candidates = [name for name in ("label", "labels") if name in train.features] or classes
    return candidates[0] if len(candidates) == 1 else None


def guess_problem_type(train: Split, columns: Sequence[str]) -> str:
    """Return several labels for several columns or for lists, regression for fractions, else one label."""
    if len(columns) > 1:
        return MULTI
    values = train.values(columns[0])
    if any(isinstance(value, list) for value in values):
        return MULTI
    numbers = [value for value in values if isinstance(value, float | Decimal) and math.isfinite(value)]
    is_fraction = any(value % 1 for value in numbers)
    return REGRESSION if is_fraction else SINGLE


def read_labels(split: Split, column: str) -> list[str]:
    """Return each row's label by its name; the name of a number is the number.

    Raises:
        RecipeError: A row has no label or several, or its label is a fraction.
    """
    feature = split.rows.features[column]
    return [_read_label(value, feature, column, split, row) for row, value in enumerate(split.values(column))]


def _read_label(value: Any, feature: Any, column: str, split: Split, row: int) -> str:
    if isinstance(value, list | dict):
        raise RecipeError(
            f"{split.at(row)}: column {column!r} holds several labels. Set --problem_type {MULTI}, or choose a column with one."
        )
    is_blank = isinstance(value, str) and not value.strip()
    if value is None or is_blank or value != value or (isinstance(feature, ClassLabel) and value < 0):
        raise RecipeError(f"{split.at(row)}: no label in column {column!r}.")
    if isinstance(value, float) and not value.is_integer():
        raise RecipeError(
            f"{split.at(row)}: the label is {value}; a label is a name or a whole number. For numbers set --problem_type "
            f"{REGRESSION}."
        )
    if isinstance(feature, ClassLabel):
        return feature.int2str(value)
    return str(int(value)) if isinstance(value, float) else str(value).strip()


def read_label_sets(split: Split, columns: Sequence[str]) -> list[list[str]]:
    """Return the labels that apply to each row: those in the list of one column, or the columns with a 1.

    Raises:
        RecipeError: A value is no list, a label is in a list twice, or a column holds anything but 0 and 1.
    """
    if len(columns) > 1:
        return _read_indicators(split, columns)
    (column,) = columns
    feature = getattr(split.rows.features[column], "feature", None)
    sets = []
    for row, values in enumerate(split.values(column)):
        if not isinstance(values, list):
            raise RecipeError(
                f"{split.at(row)}: column {column!r} holds {values!r}, not a list of labels. In a CSV file, give each label its own "
                "column of 0 and 1, and name them all: --label_column_name bug,question."
            )
        names = [_read_label(value, feature, column, split, row) for value in values]
        if len(set(names)) < len(names):
            raise RecipeError(
                f"{split.at(row)}: the list {values} in column {column!r} holds a label twice; it must hold the labels that apply, not "
                "a 0 or 1 for each label."
            )
        sets.append(names)
    return sets


def _read_indicators(split: Split, columns: Sequence[str]) -> list[list[str]]:
    applies = {}
    for column in columns:
        check_column(split, column)
        values = split.values(column)
        for row, value in enumerate(values):
            if str(value).lower() not in _INDICATORS:
                raise RecipeError(f"{split.at(row)}: column {column!r} holds {value!r}, but it must hold 0 or 1.")
        applies[column] = [_INDICATORS[str(value).lower()] for value in values]
    return [[column for column in columns if applies[column][row]] for row in range(len(split.rows))]


def read_numbers(split: Split, column: str) -> list[float]:
    """Return each row's number.

    Raises:
        RecipeError: A row has no number.
    """
    numbers = []
    for row, value in enumerate(split.values(column)):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            hint = " Write decimals with a point." if isinstance(value, str) and "," in value else ""
            raise RecipeError(f"{split.at(row)}: {value!r} in column {column!r} is not a number.{hint}")
        numbers.append(number)
    if len(numbers) > 1 and split.name == "train" and np.ptp(numbers) == 0:
        raise RecipeError(f"all rows of {split.source} have the number {numbers[0]}: there is nothing to learn.")
    return numbers


def order_labels(feature: Any, train_labels: Sequence[str]) -> tuple[str, ...]:
    """Return all labels in the order of their numbers: the dataset's own order, else numeric, else alphabetical.

    Raises:
        RecipeError: The training split has only one label.
    """
    found = set(train_labels)
    if len(found) < 2:
        only = f"only one label, {train_labels[0]!r}" if train_labels else "no label"
        raise RecipeError(f"the training split has {only}: there is nothing to learn.")
    if isinstance(feature, ClassLabel):
        return tuple(feature.names)
    is_numeric = all(re.fullmatch(r"-?\d+", label) for label in found)
    return tuple(sorted(sorted(found), key=int) if is_numeric else sorted(found))  # 1 and 01, too, in one order


def check_known_labels(
    labels: dict[str, list[list[str]]], splits: dict[str, Split], names: Sequence[str] | None = None
) -> None:
    """Raise a RecipeError if another split has a label that the training split lacks.

    Args:
        labels (`dict[str, list[list[str]]]`): The labels of each row of each split.
        splits (`dict[str, Split]`): The splits.
        names (`Sequence[str]`, *optional*): The known labels. Defaults to those of the training split.
    """
    known = names or sorted({name for names in labels["train"] for name in names})
    for split in sorted(set(labels) - {"train"}):
        unknown: dict[str, list[int]] = {}
        for row, names in enumerate(labels[split]):
            for name in set(names) - set(known):
                unknown.setdefault(name, []).append(row)
        for label, rows in unknown.items():
            raise RecipeError(
                f"{splits[split].at(rows[0])}: the {split} split has the label {label!r} ({format_count(len(rows), 'row')}), but the training split "
                f"does not; it has {list_labels(known)}.{nearest(label, known)}"
            )


def list_labels(names: Sequence[str], limit: int = 20) -> str:
    """List the first labels, separated by commas."""
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def set_labels(config: Any, names: Sequence[str], *, new_head: bool = False) -> list[str]:
    """Write the labels into a model's configuration, and return them in the order of the model's outputs.

    A model that knows exactly these labels keeps its own order.

    Args:
        config (`PretrainedConfig`): The model's configuration.
        names (`Sequence[str]`): The labels of the data.
        new_head (`bool`, defaults to `False`): Whether other labels of the checkpoint may be replaced.

    Raises:
        RecipeError: The checkpoint was trained on other labels.
    """
    own = config.label2id or {}
    if set(own) != set(names):
        is_trained = own and not any(name.startswith("LABEL_") for name in own)
        if is_trained and not new_head:
            raise RecipeError(
                f"the checkpoint knows the labels {list_labels(sorted(own))}, but the data has {list_labels(names)}. Use data with these "
                "labels, or replace those of the checkpoint: --ignore_mismatched_sizes true."
            )
        config.num_labels = len(names)
        config.label2id = {name: index for index, name in enumerate(names)}
    config.id2label = {index: name for name, index in config.label2id.items()}
    return [config.id2label[index] for index in range(len(names))]
