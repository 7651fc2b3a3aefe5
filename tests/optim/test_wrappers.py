"""What kind of optimizer it is, and how large the weights are."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import (
    Adafactor,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from hf_lrsched.optim.wrappers import (
    find_module,
    get_guess_loss,
    get_step_ratio,
    has_random_weights,
    is_adaptive,
    is_contrastive,
    steps_in_backward,
    weight_rms,
)


def test_is_adaptive():
    weights = [nn.Parameter(torch.zeros(2))]
    assert is_adaptive(torch.optim.AdamW(weights)) and is_adaptive(torch.optim.RMSprop(weights))
    assert not is_adaptive(torch.optim.SGD(weights, lr=1.0))
    assert not is_adaptive(
        type("DAdaptAdam", (torch.optim.AdamW,), {})(weights, lr=1.0)
    )  # a factor of the LR that it finds


def test_weight_rms():
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, 3.0)
    assert weight_rms(torch.optim.AdamW(model.parameters())) == pytest.approx(3.0)
    assert weight_rms(torch.optim.AdamW(nn.LayerNorm(4).parameters())) == 0.0  # no matrix


def test_the_size_of_a_step():
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, 0.5)
    weights = list(model.parameters())
    assert get_step_ratio(torch.optim.AdamW(weights, lr=1e-3)) == pytest.approx(2e-3)
    assert get_step_ratio(torch.optim.SGD(weights, lr=1.0)) is None
    assert get_step_ratio(torch.optim.AdamW(nn.LayerNorm(4).parameters())) is None
    as_trainer_makes_it = Adafactor(weights, lr=1e-3, scale_parameter=False, relative_step=False)
    assert get_step_ratio(as_trainer_makes_it) == pytest.approx(2e-3)
    assert get_step_ratio(Adafactor(weights, lr=1e-3, relative_step=False)) == pytest.approx(
        1e-3
    )  # of the weights, whatever they are
    assert get_step_ratio(torch.optim.Adafactor(weights, lr=1e-2)) == pytest.approx(
        1e-2
    )  # has no setting, and always does so
    assert get_step_ratio(type("FusedLAMB", (torch.optim.AdamW,), {})(weights, lr=1e-2)) == pytest.approx(1e-2)
    lion = type("Lion", (torch.optim.SGD,), {})(weights, lr=1e-3)
    assert get_step_ratio(lion) == pytest.approx(6e-3)


def test_a_few_weights_with_a_high_lr_do_not_stand_for_the_model():
    model, scale = nn.Linear(100, 100), nn.Parameter(torch.ones(1, 1))
    nn.init.constant_(model.weight, 0.5)
    optimizer = torch.optim.AdamW([{"params": [model.weight]}, {"params": [scale], "lr": 0.01}], lr=1e-3)
    assert get_step_ratio(optimizer) == pytest.approx(2e-3, rel=0.01)
    optimizer.param_groups[0] |= {"lr": 0.0, "initial_lr": 1e-3}  # at the start of a warmup
    assert get_step_ratio(optimizer) == pytest.approx(2e-3, rel=0.01)


SIZED = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 50}


@pytest.mark.parametrize(
    "make",
    [
        lambda: BertForSequenceClassification(BertConfig(**SIZED)),
        lambda: nn.Sequential(nn.Embedding(50, 32), nn.LSTM(32, 32), nn.Linear(32, 2)),
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.Linear(32, 32)),
    ],
)
def test_models_begin_with_random_weights(make):
    for seed in range(5):
        torch.manual_seed(seed)
        model = make()
        assert has_random_weights(model)
        for weights in model.parameters():  # heavy tails, as training makes them
            weights.data *= 1 + weights.data.abs() / weights.data.abs().mean()
        assert not has_random_weights(model)


def test_a_model_that_was_loaded_by_its_name_does_not_begin_with_random_weights(tmp_path):
    BertForSequenceClassification(BertConfig(**SIZED)).save_pretrained(tmp_path / "saved")
    loaded = BertForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert not has_random_weights(loaded)
    assert not has_random_weights(nn.Sequential(loaded, nn.Linear(32, 2)))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d])
def test_a_model_whose_norms_were_trained_does_not_begin_with_random_weights(norm):
    model = nn.Sequential(nn.Linear(64, 64), norm(64))
    assert has_random_weights(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model(torch.randn(8, 64)).pow(3).sum().backward()
    optimizer.step()  # as loaded by hand after a single update
    assert not has_random_weights(model)


def test_the_kind_of_weights_makes_no_difference():
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        assert has_random_weights(nn.Linear(300, 300).to(kind))
    model = nn.Conv2d(64, 64, 3).to(memory_format=torch.channels_last)
    assert has_random_weights(model)


def test_without_matrices_or_with_quantized_ones_nothing_is_said_to_be_random():
    assert not has_random_weights(nn.LayerNorm(4)) and not has_random_weights(SimpleNamespace())
    model = nn.Linear(32, 32)
    model.weight = nn.Parameter(torch.zeros(32, 32, dtype=torch.uint8), requires_grad=False)
    assert not has_random_weights(model)
    model.weight = nn.Parameter(torch.zeros(32, 32))
    assert not has_random_weights(model)


def test_steps_in_backward():
    weights = [nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.AdamW(weights)
    assert not steps_in_backward(optimizer)
    weights[0].register_post_accumulate_grad_hook(lambda weight: None)
    assert steps_in_backward(optimizer)


def test_find_module():
    model = nn.Linear(2, 2)
    assert find_module(model) is model
    assert find_module(SimpleNamespace(model_body=model)) is model
    assert find_module(SimpleNamespace()) is None


SIZES = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 50}


@pytest.mark.parametrize(
    ("kind", "settings", "count"),
    [
        (BertForSequenceClassification, {"num_labels": 3}, 3),
        (BertForSequenceClassification, {"num_labels": 1}, None),
        (BertForSequenceClassification, {"num_labels": 3, "problem_type": "multi_label_classification"}, None),
        (BertForMaskedLM, {}, 50),
        (BertModel, {}, None),
    ],
)
def test_the_loss_of_uniform_guesses(kind, settings, count):
    loss = get_guess_loss(kind(BertConfig(**SIZES, **settings)))
    assert loss == (None if count is None else pytest.approx(math.log(count)))
    assert get_guess_loss(nn.Linear(2, 2)) is None


@pytest.mark.parametrize(("task_type", "is_clip"), [("FEATURE_EXTRACTION", True), ("CAUSAL_LM", False), (None, False)])
def test_a_model_with_lora_has_the_loss_of_its_base_model(task_type, is_clip):
    peft = pytest.importorskip("peft")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision, text = {**sizes, "image_size": 8, "patch_size": 4}, {**sizes, "vocab_size": 64}
    if is_clip:
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision))
    else:
        config = LlavaConfig(vision_config=CLIPVisionConfig(**vision), text_config=LlamaConfig(**text))
        model = LlavaForConditionalGeneration(config)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], task_type=task_type))
    assert is_contrastive(model) == is_contrastive(wrapped) == is_clip


@pytest.mark.parametrize(
    ("name", "expected"), [("SentenceTransformer", True), ("SparseEncoder", True), ("CrossEncoder", False)]
)
def test_a_cross_encoder_scores_each_pair_by_itself(name, expected):
    kind = getattr(pytest.importorskip("sentence_transformers"), name)
    assert is_contrastive(kind.__new__(kind)) == expected


def test_which_losses_compare_the_samples_of_a_batch():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**sizes, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config={**sizes, "image_size": 8, "patch_size": 4}))
    assert is_contrastive(clip)
    assert not any(map(is_contrastive, (BertModel(BertConfig(**SIZES)), nn.Linear(2, 2), None)))
