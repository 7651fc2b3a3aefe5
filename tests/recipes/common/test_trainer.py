"""The recipes' Trainer: the order of evaluation, and exact losses."""

import numpy as np
import pytest


@pytest.fixture
def rows():
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [[1], [1, 2, 3], [1, 2], [4, 5, 6]]})


def test_longest_first(rows):
    from common.trainer import FixedOrderSampler, order_by_length

    assert list(FixedOrderSampler(order_by_length(rows))) == [1, 3, 2, 0]
    assert order_by_length(rows.select([2, 0, 1])).tolist() == [2, 0, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 13])
def test_evaluation_does_not_depend_on_the_batch_size(recipe, flags, tmp_path, batch_size):
    """The loss is that of each row by itself, and predictions belong to their rows."""
    import csv
    import json
    from pathlib import Path

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert recipe({**flags, "max_steps": 2, "per_device_eval_batch_size": batch_size, "learning_rate": 1e-2}) == 0
    folder = Path(flags["output_dir"])
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModelForSequenceClassification, AutoTokenizer))
    losses, correct = [], []
    with Path(flags["validation_file"]).open() as file:
        for row in csv.DictReader(file):
            label = model.config.label2id[row["label"]]
            logits = model.eval()(**tokenizer(row["text"], return_tensors="pt")).logits[0].detach()
            losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(label))))
            correct.append(int(logits.argmax()) == label)
    (last,) = json.loads((folder / "metrics.json").read_text())
    assert last["validation_loss"] == pytest.approx(np.mean(losses), abs=1e-6)
    assert last["accuracy"] == np.mean(correct)
