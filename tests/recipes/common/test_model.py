"""The limits of models on texts."""

import pytest


@pytest.mark.parametrize(("model_type", "limit"), [("bert", 514), ("roberta", 512), ("mpnet", 512)])
def test_longest_text_of_a_model(model_type, limit):
    """RoBERTa's positions begin at 2; its tokenizer need not know that."""
    from common.model import max_length
    from transformers import AutoConfig

    class Tokenizer:
        model_max_length = int(1e30)

        def num_special_tokens_to_add(self):
            return 2

    config = AutoConfig.for_model(model_type, max_position_embeddings=514, pad_token_id=1)
    assert max_length(None, config, Tokenizer(), default=9999) == limit
    assert max_length(limit, config, Tokenizer()) == limit
    with pytest.raises(Exception, match=f"is more than the model takes: at most {limit} tokens"):
        max_length(limit + 1, config, Tokenizer())
