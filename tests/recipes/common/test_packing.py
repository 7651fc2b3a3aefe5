"""Packed texts: what a model computes from them is what it computes from padded ones."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

LENGTHS = [60, 3, 17, 30, 8, 12, 5, 1]
KINDS = ("bert", "roberta")


def make_model(kind, head, **settings):
    """Large weights, so that what a token attends to shows in the loss."""
    import transformers

    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 3}
    config = transformers.AutoConfig.for_model(
        kind,
        **sizes,
        intermediate_size=32,
        max_position_embeddings=66,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.5,
        **settings,
    )
    transformers.set_seed(0)
    return getattr(transformers, f"AutoModelFor{head}").from_config(config)


def make_batch(pad, side):
    """Texts of random tokens of two types, of which a third has no label, padded to the longest."""
    source = torch.Generator().manual_seed(0)
    shape = len(LENGTHS), max(LENGTHS)
    batch = {"input_ids": torch.full(shape, pad), "attention_mask": torch.zeros(shape, dtype=torch.long)}
    batch |= {"labels": torch.full(shape, -100), "token_type_ids": torch.zeros(shape, dtype=torch.long)}
    for row, length in enumerate(LENGTHS):
        places = slice(length) if side == "right" else slice(max(LENGTHS) - length, None)
        batch["input_ids"][row, places] = torch.randint(5, 50, (length,), generator=source)
        batch["attention_mask"][row, places] = 1
        batch["token_type_ids"][row, places] = torch.randint(0, 2, (length,), generator=source)
        labels = torch.randint(0, 3, (length,), generator=source)
        batch["labels"][row, places] = torch.where(torch.arange(length) % 3 == 1, -100, labels)
    return batch


def gradients(model, batch):
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss.item(), torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["TokenClassification", "MaskedLM"])
def test_loss_and_gradients_are_those_of_the_padded_batch(recipe, kind, head):
    from common.packing import PackingCollator, separate_texts

    model = make_model(kind, head).train()
    batch = make_batch(model.config.pad_token_id, "right")
    packed = PackingCollator(lambda samples: samples, model.config)(batch)
    assert packed["input_ids"].numel() < 0.5 * batch["input_ids"].numel()
    assert (packed["labels"] != -100).sum() == (batch["labels"] != -100).sum()
    assert packed["attention_mask"].sum() == sum(LENGTHS)  # what Trainer counts, and a clock of tokens goes by
    (loss, gradient), (expected, right) = gradients(model, separate_texts(packed)), gradients(model, batch)
    assert loss == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(gradient, right, atol=1e-5)
    assert gradients(model, packed)[0] != pytest.approx(expected, abs=1e-2)  # texts that attend to each other


def test_padding_on_the_left(recipe):
    """Positions begin with the text, as they do with padding on the right."""
    from common.packing import PackingCollator

    model = make_model("bert", "TokenClassification")
    left, right = (
        PackingCollator(lambda samples: samples, model.config)(make_batch(0, side)) for side in ("left", "right")
    )
    assert all(torch.equal(left[name], right[name]) for name in right)


def make_args(n_gpu=1, **accelerator):
    from transformers.trainer_pt_utils import AcceleratorConfig

    return SimpleNamespace(n_gpu=n_gpu, accelerator_config=AcceleratorConfig(**accelerator))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["TokenClassification", "MaskedLM"])
def test_known_models_are_packed(recipe, kind, head):
    from common.packing import find_obstacle

    assert find_obstacle(make_model(kind, head), make_args()) is None


@pytest.mark.parametrize(
    ("kind", "settings", "obstacle"),
    [
        ("distilbert", {}, "packing does not support DistilBertForMaskedLM"),
        ("bert", {"attn_implementation": "eager"}, "packing needs the attention sdpa, and the model has eager"),
        ("bert", {"is_decoder": True}, "packing needs a model whose tokens attend to both sides"),
    ],
)
def test_other_models_are_padded(recipe, kind, settings, obstacle):
    from common.packing import find_obstacle

    assert find_obstacle(make_model(kind, "MaskedLM", **settings), make_args()) == obstacle


def test_code_from_the_hub_that_calls_itself_bert_is_padded(recipe):
    from common.packing import find_obstacle
    from transformers import BertForMaskedLM

    class OwnMask(BertForMaskedLM):
        pass

    OwnMask.__module__ = "transformers_modules.somebody.model"
    model = OwnMask(make_model("bert", "MaskedLM").config)
    assert find_obstacle(model, make_args()) == "packing does not support OwnMask"


@pytest.mark.parametrize(
    ("settings", "obstacle"),
    [
        ({"n_gpu": 2}, "this process shares the rows of a batch out among 2 devices"),
        ({"dispatch_batches": True}, "(dispatch_batches, split_batches)"),
        ({"split_batches": True}, "(dispatch_batches, split_batches)"),
    ],
)
def test_batches_that_are_split_are_padded(recipe, settings, obstacle):
    from common.packing import find_obstacle

    assert obstacle in find_obstacle(make_model("bert", "MaskedLM"), make_args(**settings))


@pytest.mark.parametrize("max_row_length", [24, 64, 100])
def test_each_text_is_in_one_row(recipe, max_row_length):
    from common.packing import fill_rows

    source = np.random.default_rng(max_row_length)
    for _ in range(50):
        lengths = source.integers(1, 25, size=source.integers(1, 20))
        rows = fill_rows(lengths, max_row_length)
        assert sorted(text for texts in rows for text in texts) == list(range(len(lengths)))
        tokens = [lengths[texts].sum() for texts in rows]
        assert max(tokens) <= max_row_length
        assert len(rows) * max(tokens) <= len(lengths) * lengths.max()


def test_rows_have_about_the_same_number_of_tokens(recipe):
    from common.packing import fill_rows

    lengths = np.array([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert sorted(lengths[texts].sum() for texts in fill_rows(lengths, 28)) == [27, 28]
    assert fill_rows(np.array([5, 5, 5]), 5) == [[0], [1], [2]]
