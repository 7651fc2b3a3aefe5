"""Models whose loss Trainer multiplies: found if and only if it does."""

import pytest
import torch
import transformers
from transformers import Trainer, TrainerCallback

from tests.doctor.files import checks_of

IS_FIVE = int(transformers.__version__.partition(".")[0]) >= 5


class Losses(TrainerCallback):
    def __init__(self):
        self.first = None

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.first = logs.get("loss") if self.first is None else self.first


def first_loss(make_trainer, model, texts, **settings):
    losses = Losses()
    trainer = make_trainer(
        model=model,
        data=texts,
        extra={"callbacks": [losses]},
        logging_steps=1,
        max_steps=1,
        learning_rate=2e-5,
        **settings,
    )
    found = checks_of(trainer)
    trainer.train()
    return found, float(losses.first)


def test_found_if_and_only_if_trainer_multiplies(make_trainer, pretrained, texts):
    """Found if and only if Trainer really multiplies: 4.57 does not."""
    found, once = first_loss(make_trainer, pretrained, texts, per_device_train_batch_size=8)
    assert not found
    state = {name: value.clone() for name, value in pretrained.state_dict().items()}
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, loss = first_loss(make_trainer, pretrained, texts, **settings)
    assert (found == {"loss_multiplied"}) == IS_FIVE == (loss / once > 3)
    pretrained.load_state_dict(state)
    pretrained.accepts_loss_kwargs = False
    found, loss = first_loss(make_trainer, pretrained, texts, **settings)
    assert not found and loss / once == pytest.approx(1, rel=0.01)


def test_llama_for_classification_but_not_for_causal_lm(make_trainer, texts):
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=0,
    )
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, many = first_loss(make_trainer, LlamaForSequenceClassification(config), texts, **settings)
    assert found == {"loss_multiplied"} and many > 2
    words = [{**text, "labels": text["input_ids"]} for text in texts]
    found, loss = first_loss(make_trainer, LlamaForCausalLM(config), words, **settings)
    assert not found and loss < 4


def test_question_answering_is_not_multiplied(make_trainer, answering, texts):
    data = [{**text, "start_positions": 1, "end_positions": 2} for text in texts]
    for row in data:
        del row["labels"]
    settings = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    found, loss = first_loss(make_trainer, answering, data, **settings)
    assert not found and loss < 2


def test_custom_loss_is_not_checked(make_trainer, bert, texts):
    class Own(Trainer):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs)

    settings = {"gradient_accumulation_steps": 4, "learning_rate": 2e-5, "logging_steps": 1}
    assert checks_of(make_trainer(Own, model=bert, data=texts, **settings)) == set()
    by_function = make_trainer(
        model=bert, data=texts, extra={"compute_loss_func": lambda *args, **kwargs: 0}, **settings
    )
    assert checks_of(by_function) == set()


TINY = {"vocab_size": 20, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "pad_token_id": 0}
T5 = {"vocab_size": 20, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
CLASSES = {
    "GPT2LMHeadModel": {"vocab_size": 20, "n_embd": 16, "n_layer": 1, "n_head": 2},
    "Qwen2ForCausalLM": TINY | {"intermediate_size": 16, "num_key_value_heads": 2},
    "T5ForConditionalGeneration": T5 | {"decoder_start_token_id": 0},
    "BertForMaskedLM": TINY | {"intermediate_size": 16},
    "ModernBertForMaskedLM": TINY | {"intermediate_size": 16, "global_attn_every_n_layers": 1},
    "OPTForCausalLM": TINY | {"ffn_dim": 16, "word_embed_proj_dim": 16},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_language_models_are_found_if_and_only_if_trainer_multiplies(name, make_trainer, texts):
    model_class = getattr(transformers, name)
    data = [{**text, "labels": text["input_ids"]} for text in texts]
    losses, findings = [], []
    for batch, accumulation in ((8, 1), (2, 4)):
        torch.manual_seed(0)
        model = model_class(model_class.config_class(**CLASSES[name]))
        settings = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        found, loss = first_loss(make_trainer, model, data, **settings)
        losses.append(loss)
        findings.append("loss_multiplied" in found)
    assert findings == [False, losses[1] / losses[0] > 2]
