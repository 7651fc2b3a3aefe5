"""The recipes' Trainer: the order of training and of evaluation, and exact losses."""

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


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(4, 100, size=1000)


def in_updates(lengths, epoch=0, seed=0, size=8):
    from common.trainer import SimilarLengthSampler

    return np.array(list(SimilarLengthSampler(lengths, size, seed, lambda: epoch))).reshape(-1, size)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17, 250])
def test_each_text_once_in_each_epoch(lengths, count):
    from common.trainer import SimilarLengthSampler

    assert sorted(SimilarLengthSampler(lengths[:count], 8, 0, lambda: 3)) == list(range(count))


def test_order_follows_from_seed_and_epoch(lengths):
    import torch

    first = in_updates(lengths)
    torch.manual_seed(9)  # as after a resume
    assert (in_updates(lengths) == first).all()
    assert (in_updates(lengths, epoch=1) != first).any() and (in_updates(lengths, seed=1) != first).any()


def test_texts_of_an_update_have_similar_lengths(lengths):
    """A fiftieth of the lengths' range for each of 50 updates, and a part of it more."""
    updates = lengths[in_updates(lengths)]
    assert np.mean(np.ptp(updates, axis=1)) < 4
    assert updates[0].max() == lengths.max()


def test_lengths_of_updates_come_in_random_order(lengths):
    """With transformers' sampler they fall by a little from each update to the next."""
    means = lengths[in_updates(lengths)].mean(axis=1)[1:]
    assert 0.4 < np.mean(np.diff(means) > 0) < 0.6
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3


@pytest.mark.parametrize("has_bar", [True, False])
def test_lines_without_types_and_groups(recipe, flags, capfd, has_bar):
    """The lines that are printed leave out each group's LR; the log has it."""
    import json
    from pathlib import Path

    given = {"max_steps": 2, "layer_decay": 0.5, "optim": "adamw_torch", "disable_tqdm": not has_bar}
    assert recipe({**flags, **given, "eval_strategy": "steps", "eval_steps": 2}) == 0
    printed = "".join(capfd.readouterr())
    state = json.loads(Path(flags["output_dir"], "trainer_state.json").read_text())
    assert any(name.startswith("eval_lr/") for record in state["log_history"] for name in record)
    assert "'eval_accuracy'" in printed and "'eval_lr/" not in printed
    card = Path(flags["output_dir"], "README.md").read_text()
    assert "on the train.csv dataset" in card


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
