"""Layer-wise learning rates and LoRA+: the LR and the weight decay of each parameter, on real models made tiny."""

import random

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from hf_lrsched import ScheduleError, layerwise_groups
from tests.groups.models import LR, SMALL, CustomModel, NestedModel, by_name, make_model

DECAY = 0.9


def test_lrs_follow_the_formula(known_model):
    model, below = known_model
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=DECAY), "lr")
    assert lrs == {name: pytest.approx(LR * DECAY**steps, rel=1e-12) for name, steps in below.items()}


def test_head_lr_applies_to_the_head_only(known_model):
    model, below = known_model
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=DECAY, head_lr=1e-3), "lr")
    assert lrs == {
        name: pytest.approx(LR * DECAY**steps if steps else 1e-3, rel=1e-12) for name, steps in below.items()
    }


def test_weight_decay_equals_trainers(known_model, tmp_path):
    model, _ = known_model
    args = TrainingArguments(str(tmp_path), weight_decay=0.01, report_to="none", use_cpu=True)
    stock = by_name(model, Trainer(model=model, args=args).create_optimizer().param_groups, "weight_decay")
    groups = layerwise_groups(model, lr=LR, weight_decay=0.01)
    assert by_name(model, groups, "weight_decay") == stock
    assert {group["weight_decay"] for group in groups if group["name"].endswith("/no_decay")} == {0.0}
    assert {group["weight_decay"] for group in groups if not group["name"].endswith("/no_decay")} == {0.01}


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_bert_base_has_28_groups(weight_decay):
    model = make_model("BertForSequenceClassification", "BertConfig", **{**SMALL, "num_hidden_layers": 12})
    groups = layerwise_groups(model, lr=2e-5, decay=0.95, weight_decay=weight_decay)
    places = ["head", *(f"layer_{number}" for number in range(11, -1, -1)), "embeddings"]
    assert [group["name"] for group in groups] == [place + end for place in places for end in ("", "/no_decay")]
    assert [group["lr"] for group in groups[::2]] == pytest.approx([2e-5 * 0.95**steps for steps in range(14)])
    assert all(group.keys() == {"params", "lr", "weight_decay", "name"} for group in groups)
    optimizer = torch.optim.AdamW(groups)
    assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in groups]


def test_lrs_equal_those_of_the_papers_code():
    """`get_optimizer_grouped_parameters` of the repository of arXiv 2006.05987, in short."""
    model = make_model("BertForSequenceClassification", "BertConfig", **{**SMALL, "num_hidden_layers": 6})
    expected = {name: LR for name, _ in model.named_parameters() if "classifier" in name or "pooler" in name}
    lr = LR
    for layer in reversed([model.bert.embeddings, *model.bert.encoder.layer]):
        lr *= 0.95
        inside = {id(parameter) for parameter in layer.parameters()}
        expected |= {name: lr for name, parameter in model.named_parameters() if id(parameter) in inside}
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=0.95), "lr")
    assert lrs == {name: pytest.approx(lr, rel=1e-12) for name, lr in expected.items()}


@pytest.mark.parametrize("seed", range(8))
def test_each_trained_parameter_is_in_one_group(known_model, seed):
    """Layers count whether they are trained or not, so the LRs of the others do not move."""
    model, below = known_model
    source = random.Random(seed)
    whole = by_name(model, layerwise_groups(model, lr=LR, decay=DECAY), "lr")
    place = source.choice(sorted(set(below.values())))  # the whole head, a whole layer or all embeddings
    others = sorted(name for name, steps in below.items() if steps != place)
    frozen = set(below) - set(others) | set(source.sample(others, len(others) // 2))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name not in frozen
    groups = layerwise_groups(model, lr=LR, decay=DECAY)
    found = [id(parameter) for group in groups for parameter in group["params"]]
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert sorted(found) == sorted(map(id, trained.values()))
    assert by_name(model, groups, "lr") == {name: whole[name] for name in trained}
    assert all(group["params"] for group in groups)


INVALID_VALUES = [
    ({"decay": 0}, "decay must be the LR of each layer as a fraction .* above 0 and at most 1, got 0"),
    ({"decay": 1.1}, "decay must be the LR of each layer as a fraction .* above 0 and at most 1, got 1.1"),
    ({"decay": -0.9}, "decay must be the LR of each layer .* above 0"),
    ({"decay": float("nan")}, "decay must be the LR of each layer .* above 0"),
    ({"decay": None}, "decay must be the LR of each layer .* above 0"),
    ({"decay": True}, "decay must be the LR of each layer .* above 0"),
    ({"lr": -1e-5}, "lr must be a finite learning rate"),
    ({"lr": float("nan")}, "lr must be a finite learning rate"),
    ({"lr": float("inf")}, "lr must be a finite learning rate"),
    ({"head_lr": -1.0}, "head_lr must be a finite learning rate"),
    ({"head_lr": float("nan")}, "head_lr must be a finite learning rate"),
    ({"weight_decay": -0.01}, "weight_decay must be"),
    ({"lora_plus_ratio": 0}, "lora_plus_ratio must be a finite number above 0"),
    ({"lora_plus_ratio": float("nan")}, "lora_plus_ratio must be a finite number above 0"),
]


@pytest.mark.parametrize(("settings", "message"), INVALID_VALUES, ids=str)
def test_invalid_values(bert, settings, message):
    with pytest.raises(ScheduleError, match=message):
        layerwise_groups(bert, **{"lr": LR, **settings})


def test_model_without_trained_parameters(bert):
    with pytest.raises(ScheduleError, match="BertForSequenceClassification has nothing to train"):
        layerwise_groups(bert.requires_grad_(False), lr=LR)


class Adapter(nn.Module):
    """The names that peft gives to the parts of a LoRA layer."""

    def __init__(self, base, bias=False):
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4, bias=bias)})
        self.lora_magnitude_vector = nn.ParameterDict({"default": nn.Parameter(torch.ones(4))})


class EmbeddingAdapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.base_layer = nn.Embedding(9, 4)
        self.lora_embedding_A = nn.ParameterDict({"default": nn.Parameter(torch.zeros(2, 9))})
        self.lora_embedding_B = nn.ParameterDict({"default": nn.Parameter(torch.zeros(4, 2))})


@pytest.fixture
def adapted():
    """Only LoRA's parameters and the head are trained, as peft arranges it."""
    inner = CustomModel()
    inner.embeddings = EmbeddingAdapter()
    for index, layer in enumerate(inner.layers):
        layer.attention = Adapter(layer.attention, bias=index == 1)
    model = NestedModel("base_model.model", inner)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or "classifier" in name
    return model


def test_lora_plus_raises_the_lr_of_b_matrices_only(adapted):
    groups = layerwise_groups(adapted, lr=1e-4, decay=0.5, weight_decay=0.01, lora_plus_ratio=16)
    found = {name.removeprefix("base_model.model."): lr for name, lr in by_name(adapted, groups, "lr").items()}
    query = "layers.{}.attention.lora_{}.default.{}"
    assert found == pytest.approx(
        {
            "classifier.weight": 1e-4,
            "classifier.bias": 1e-4,
            query.format(1, "A", "weight"): 1e-4 / 2,
            query.format(1, "B", "weight"): 16e-4 / 2,
            query.format(1, "B", "bias"): 16e-4 / 2,
            "layers.1.attention.lora_magnitude_vector.default": 1e-4 / 2,
            query.format(0, "A", "weight"): 1e-4 / 4,
            query.format(0, "B", "weight"): 16e-4 / 4,
            "layers.0.attention.lora_magnitude_vector.default": 1e-4 / 4,
            "embeddings.lora_embedding_A.default": 1e-4 / 8,
            "embeddings.lora_embedding_B.default": 16e-4 / 8,
        },
        rel=1e-12,
    )
    assert [group["name"] for group in groups] == [
        "head",
        "head/no_decay",
        "layer_1",
        "layer_1/lora_B",
        "layer_1/lora_B/no_decay",
        "layer_0",
        "layer_0/lora_B",
        "embeddings",
        "embeddings/lora_B",
    ]


def test_lora_plus_in_the_head(adapted):
    adapted.base_model.model.classifier = Adapter(nn.Linear(4, 2))
    groups = layerwise_groups(adapted, lr=1e-4, head_lr=1e-3, lora_plus_ratio=16)
    lrs = {group["name"]: group["lr"] for group in groups}
    assert (lrs["head"], lrs["head/lora_B"], lrs["layer_1/lora_B"]) == pytest.approx((1e-3, 16e-3, 16e-4))


def test_lora_without_a_ratio_has_no_separate_groups(adapted):
    names = {group["name"] for group in layerwise_groups(adapted, lr=1e-4)}
    assert names == {"head", "head/no_decay", "layer_1", "layer_1/no_decay", "layer_0", "embeddings"}


@pytest.mark.parametrize("frozen", [False, True])
def test_lora_plus_without_lora(bert, adapted, frozen):
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad = "_B" not in name
    model = adapted if frozen else bert
    with pytest.raises(ScheduleError, match=r"lora_plus_ratio=16 would have no effect: .*lora_B"):
        layerwise_groups(model, lr=1e-4, lora_plus_ratio=16)
