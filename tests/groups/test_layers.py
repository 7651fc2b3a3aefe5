"""The part of the model that each parameter belongs to, on real models made tiny."""

import logging

import pytest
from torch import nn

from hf_lrsched import ScheduleError, freeze_groups, layerwise_groups
from hf_lrsched.groups import explain_groups
from tests.groups.models import LR, SMALL, Block, CustomModel, NestedModel, by_name, make_model


def test_parts_are_ordered_from_the_top_down(known_model):
    model, below = known_model
    count = max(below.values()) - 1
    order = ["head", *(f"layer_{number}" for number in reversed(range(count))), "embeddings"]
    groups = layerwise_groups(model, lr=LR)
    stems = list(dict.fromkeys(group["name"].partition("/")[0] for group in groups))
    assert stems == order
    places = by_name(model, groups, "name")
    assert {name: place.partition("/")[0] for name, place in places.items()} == {
        name: order[steps] for name, steps in below.items()
    }


def test_tied_parameter_is_in_one_group():
    model = make_model("BertForMaskedLM", "BertConfig", **SMALL)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    found = [id(each) for group in layerwise_groups(model, lr=LR) for each in group["params"]]
    assert found.count(id(model.cls.predictions.decoder.weight)) == 1


@pytest.mark.parametrize(("blocks", "message"), [(1, "share the weights of 1"), (3, "share the weights of 3")])
def test_albert_layers_share_weights(caplog, blocks, message):
    settings = {**SMALL, "num_hidden_layers": 12, "num_hidden_groups": blocks, "embedding_size": 8}
    model = make_model("AlbertForSequenceClassification", "AlbertConfig", **settings)
    with caplog.at_level(logging.WARNING):
        groups = layerwise_groups(model, lr=LR, decay=0.5)
    assert message in caplog.text and "the 12 layers of AlbertForSequenceClassification" in caplog.text
    lrs = {group["name"]: group["lr"] for group in groups}
    assert lrs[f"layer_{blocks - 1}"] == LR * 0.5  # the top layer's
    assert lrs["embeddings"] == LR * 0.5 ** (blocks + 1)
    table = explain_groups(groups, model).splitlines()
    shared = {row.split()[0]: row.split()[1] for row in table[2:] if row.split()[0] in ("layer_0", "layer_2")}
    assert shared == ({"layer_0": "0-11"} if blocks == 1 else {"layer_0": "0-3", "layer_2": "8-11"})


def test_no_warning_without_shared_weights(caplog, bert):
    layerwise_groups(bert, lr=LR)
    assert caplog.text == ""


def test_custom_model():
    """What is declared before the layers feeds them; what comes after stands above."""
    model = CustomModel()
    places = by_name(model, layerwise_groups(model, lr=LR), "name")
    assert places["features.weight"] == "embeddings"
    assert places["layers.1.norm.weight"] == "layer_1/no_decay"
    assert places["final_norm.weight"] == "head/no_decay"
    assert places["classifier.weight"] == "head"


@pytest.mark.parametrize("name", ["pooler", "classifier", "head", "score"])
def test_head_declared_before_the_layers(name):
    """NomicBERT declares its pooler before its layers."""
    model = nn.ModuleDict({name: nn.Linear(4, 2), "features": nn.Linear(4, 4), "layers": nn.ModuleList([Block()])})
    places = by_name(model, layerwise_groups(model, lr=LR), "name")
    assert places[f"{name}.weight"] == "head" and places["features.weight"] == "embeddings"


def test_layer_pattern():
    model = make_model("GPT2ForSequenceClassification", "GPT2Config", n_embd=16, n_layer=12, n_head=2, vocab_size=30)
    groups = layerwise_groups(model, lr=1.0, decay=0.5, layer_pattern=r"\.h\.(\d+)\.")
    lrs = by_name(model, groups, "lr")
    assert lrs["score.weight"] == lrs["transformer.ln_f.weight"] == 1.0
    assert lrs["transformer.h.11.attn.c_attn.weight"] == 0.5  # 11 is above 2
    assert lrs["transformer.h.2.ln_1.bias"] == 0.5**10
    assert lrs["transformer.wte.weight"] == lrs["transformer.wpe.weight"] == 0.5**13


def test_two_stacks_of_layers_need_a_pattern():
    sizes = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 30}
    model = make_model("BartForSequenceClassification", "BartConfig", d_model=16, **sizes, **heads)
    with pytest.raises(
        ScheduleError, match=r"2 places: 'model\.encoder\.layers\.0\.', 'model\.decoder.*layer_pattern.*'layers"
    ):
        layerwise_groups(model, lr=LR)
    lrs = by_name(model, layerwise_groups(model, lr=1.0, decay=0.5, layer_pattern=r"layers\.(\d+)\."), "lr")
    assert lrs["model.encoder.layers.0.fc1.weight"] == lrs["model.decoder.layers.0.fc1.weight"] == 0.25
    assert lrs["model.shared.weight"] == lrs["model.decoder.embed_positions.weight"] == 0.125


@pytest.mark.parametrize("prefix", ["module", "_orig_mod", "base_model.model", "module._orig_mod"])
def test_wrapped_models_have_the_same_groups(known_model, prefix):
    model, _ = known_model
    wrapped = NestedModel(prefix, model)
    places = by_name(wrapped, layerwise_groups(wrapped, lr=LR), "name")
    assert {name.removeprefix(f"{prefix}."): place for name, place in places.items()} == by_name(
        model, layerwise_groups(model, lr=LR), "name"
    )


def test_layers_inside_the_head_belong_to_the_head(bert):
    bert.classifier = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 2)])})
    places = by_name(bert, layerwise_groups(bert, lr=LR), "name")
    assert places["classifier.layers.1.weight"] == "head"
    assert places["bert.encoder.layer.1.output.dense.weight"] == "layer_1"


NOT_FOUND = {
    "no layers": (
        lambda: CustomModel("blocks"),
        None,
        r"CustomModel has no layers.*layer_pattern.*'blocks\\\.\(\\d\+\)\\\.'.*'features.weight'",
    ),
    "sublayers": (
        lambda: make_model("T5ForSequenceClassification", "T5Config", d_model=16, num_layers=2, num_heads=2, d_ff=32),
        None,
        r"T5ForSequenceClassification are numbered in 4 places: .*and 1 more. Give layer_pattern",
    ),
    "no pattern": (CustomModel, "(", r"layer_pattern is not a regular expression: '\(': "),
    "no group": (CustomModel, r"layers\.\d+", "layer_pattern needs one group in parentheses.*has 0"),
    "two groups": (CustomModel, r"(layers)\.(\d+)", "has 2. Write parentheses that capture nothing as"),
    "no match": (CustomModel, r"blocks\.(\d+)", r"matches no parameter\. Examples of their names: 'features.weight'"),
    "no number": (
        CustomModel,
        r"layers\.\d+\.(\w+)",
        "captures 'attention' in 'layers.0.attention.weight', which is not a layer's number",
    ),
    "no text": (CustomModel, 3, "layer_pattern must be a regular expression, got 3"),
}


@pytest.mark.parametrize("case", NOT_FOUND)
def test_layers_not_found(case):
    make_model, pattern, message = NOT_FOUND[case]
    model = make_model()
    with pytest.raises(ScheduleError, match=message):
        layerwise_groups(model, lr=LR, layer_pattern=pattern)


def test_tied_output_layer_is_named():
    """A language model whose output layer is its embeddings: of the head only the final norm is left."""
    model = make_model("GPT2LMHeadModel", "GPT2Config", n_embd=16, n_layer=2, n_head=2, vocab_size=30)
    groups = layerwise_groups(model, lr=1.0, decay=0.5, layer_pattern=r"\.h\.(\d+)\.", head_lr=3.0)
    names = by_name(model, groups, "name")
    assert names["transformer.wte.weight"] == "embeddings/tied_head"
    assert names["transformer.wpe.weight"] == "embeddings"
    assert names["transformer.ln_f.weight"] == "head/final_norm/no_decay"
    lrs = by_name(model, groups, "lr")
    assert lrs["transformer.wte.weight"] == lrs["transformer.wpe.weight"] == 0.125
    assert lrs["transformer.ln_f.weight"] == 3.0
    frozen = {group["name"] for group in freeze_groups(groups, ["embeddings"]) if "schedule" in group}
    assert frozen == {"embeddings", "embeddings/tied_head"}


def test_tied_output_layer_with_a_larger_head():
    model = make_model("BertForMaskedLM", "BertConfig", **SMALL)
    names = by_name(model, layerwise_groups(model, lr=LR), "name")
    assert names["bert.embeddings.word_embeddings.weight"] == "embeddings/tied_head"
    assert names["cls.predictions.transform.dense.weight"] == "head"


@pytest.mark.parametrize("method", ["PromptTuningConfig", "PromptEncoderConfig"])
def test_soft_prompts_belong_to_the_head(bert, method):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = peft.get_peft_model(bert, getattr(peft, method)(task_type="SEQ_CLS", num_virtual_tokens=3))
    for parameter in model.parameters():
        parameter.requires_grad = True
    names = by_name(model, layerwise_groups(model, lr=LR), "name")
    added = {part for name, part in names.items() if "prompt_encoder" in name}
    assert {part.partition("/")[0] for part in added} == {"head"}
    assert names[next(name for name in names if "word_embeddings" in name)] == "embeddings"
    assert names[next(name for name in names if "layer.1.attention.self.query" in name)] == "layer_1"
