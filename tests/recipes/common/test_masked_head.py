"""The head of masked words computes the logits of masked tokens only: the loss and the gradients are those of the whole head."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, BertForMaskedLM, TrainingArguments

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "embedding_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "pad_token_id": 1,
}
DISTILBERT = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
TYPES = ["albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"]


def make_model(model_type):
    torch.manual_seed(0)
    sizes = SIZES if model_type != "distilbert" else {"vocab_size": 50, "max_position_embeddings": 32, **DISTILBERT}
    dropouts = dict.fromkeys(
        ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"), 0.0
    )
    return AutoModelForMaskedLM.from_config(AutoConfig.for_model(model_type, **sizes, **dropouts))


def make_batch():
    ids = torch.randint(5, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    labels = torch.full_like(ids, -100)
    labels[0, 3], labels[2, 5:8], labels[3, 11] = ids[0, 3], ids[2, 5:8], ids[3, 11]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


@pytest.mark.parametrize("model_type", TYPES)
def test_loss_and_gradients_are_those_of_the_whole_head(model_type, tmp_path):
    from common.masked_head import skip_unmasked_logits

    plain = make_model(model_type).train()
    model, batch = copy.deepcopy(plain), make_batch()
    assert skip_unmasked_logits(model, TrainingArguments(str(tmp_path), use_cpu=True))
    expected, found = plain(**batch), model(**batch)
    assert expected.logits.shape == (4, 12, 50) and found.logits.shape == (5, 50)
    torch.testing.assert_close(found.loss, expected.loss)
    expected.loss.backward()
    found.loss.backward()
    for (name, one), other in zip(plain.named_parameters(), model.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_evaluations_and_batches_without_labels_have_all_logits(tmp_path):
    from common.masked_head import skip_unmasked_logits

    model, batch = make_model("bert"), make_batch()
    skip_unmasked_logits(model, TrainingArguments(str(tmp_path), use_cpu=True))
    assert model.eval()(**batch).logits.shape == (4, 12, 50)
    del batch["labels"]
    assert model.train()(**batch).logits.shape == (4, 12, 50)


def test_model_that_is_not_known_stays_as_it_is(tmp_path):
    from common.masked_head import skip_unmasked_logits

    class OwnBert(BertForMaskedLM):
        pass

    model = OwnBert(BertConfig(**SIZES)).train()
    assert not skip_unmasked_logits(model, TrainingArguments(str(tmp_path), use_cpu=True))
    assert model(**make_batch()).logits.shape == (4, 12, 50)
