"""Weights of labels in the loss."""

import numpy as np
import pytest


def test_balanced_weights_equal_those_of_scikit_learn():
    from common.class_weights import compute_class_weights
    from sklearn.utils.class_weight import compute_class_weight

    labels = ["a"] * 6 + ["b"] * 3 + ["c"]
    found = compute_class_weights("balanced", "single_label_classification", labels, ["c", "a", "b"])
    names = np.array(["c", "a", "b"])
    assert found == pytest.approx(compute_class_weight("balanced", classes=names, y=np.array(labels)))


def test_balanced_weights_of_several_labels():
    from common.class_weights import compute_class_weights

    labels = [["a"], ["a", "b"], [], ["a"]]
    found = compute_class_weights("balanced", "multi_label_classification", labels, ["a", "b"])
    assert found == pytest.approx([1 / 3, 3])  # rows without the label for each row with it


def test_weights_by_name():
    from common.class_weights import compute_class_weights

    kind, labels = "single_label_classification", ["x=1", "b c"]
    assert compute_class_weights("x=1=2, b c=0.5", kind, labels, ["b c", "x=1", "d"]).tolist() == [0.5, 2.0, 1.0]
    assert compute_class_weights(None, kind, labels, labels) is None
    with pytest.raises(Exception, match="'heavy' is no weight"):
        compute_class_weights("b c=heavy", kind, labels, labels)
    with pytest.raises(Exception, match="needs labels, but this is regression"):
        compute_class_weights("balanced", "regression", [0.5], [])
