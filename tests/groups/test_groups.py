"""Named parameter groups, on real models made tiny: who is in which group, with which LR and weight decay."""

import logging
import random
import re
from dataclasses import dataclass

import pytest
import torch
import transformers
from torch import nn
from transformers import HfArgumentParser, Trainer, TrainingArguments

from hf_lrsched import (
    GroupArguments,
    ScheduleArguments,
    ScheduleError,
    freeze_groups,
    gradual_unfreezing,
    layerwise_groups,
    parse,
    regex_groups,
)
from hf_lrsched.groups import LayerwiseGroups, explain_groups

LR, DECAY = 2e-5, 0.9
SIZES = {"num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 30, "max_position_embeddings": 16}
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, **SIZES}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}


def make(name, config, **settings):
    torch.manual_seed(0)
    return getattr(transformers, name)(getattr(transformers, config)(**settings))


def layers(prefix, count=3):
    """`{prefix.2: 1, prefix.1: 2, prefix.0: 3}`: the top layer is one step below the head."""
    return {f"{prefix}.{number}.": count - number for number in range(count)}


BERT = {"bert.embeddings.": 4, **layers("bert.encoder.layer"), "bert.pooler.": 0}

#: A model, and how many steps below the head what begins with these names is.
MODELS = {
    "BertForSequenceClassification": ("BertConfig", SMALL, {**BERT, "classifier.": 0}),
    "BertForTokenClassification": ("BertConfig", SMALL, {**BERT, "classifier.": 0}),
    "BertForQuestionAnswering": ("BertConfig", SMALL, {**BERT, "qa_outputs.": 0}),
    # The decoder is tied to the word embeddings, so that only its bias is the head's.
    "BertForMaskedLM": ("BertConfig", SMALL, {**BERT, "cls.predictions.": 0}),
    "BertModel": ("BertConfig", SMALL, {"embeddings.": 4, **layers("encoder.layer"), "pooler.": 0}),
    "RobertaForSequenceClassification": (
        "RobertaConfig",
        SMALL,
        {"roberta.embeddings.": 4, **layers("roberta.encoder.layer"), "classifier.": 0},
    ),
    "XLMRobertaForTokenClassification": (
        "XLMRobertaConfig",
        SMALL,
        {"roberta.embeddings.": 4, **layers("roberta.encoder.layer"), "classifier.": 0},
    ),
    "DistilBertForSequenceClassification": (
        "DistilBertConfig",
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "vocab_size": 30, "max_position_embeddings": 16},
        {
            "distilbert.embeddings.": 4,
            **layers("distilbert.transformer.layer"),
            "pre_classifier.": 0,
            "classifier.": 0,
        },
    ),
    "ElectraForSequenceClassification": (
        "ElectraConfig",
        {**SMALL, "embedding_size": 8},
        {
            "electra.embeddings.": 4,
            "electra.embeddings_project.": 4,
            **layers("electra.encoder.layer"),
            "classifier.": 0,
        },
    ),
    "DebertaForSequenceClassification": (
        "DebertaConfig",
        {**SMALL, **DISENTANGLED},
        {
            "deberta.embeddings.": 4,
            "deberta.encoder.rel_embeddings.": 4,
            **layers("deberta.encoder.layer"),
            "pooler.": 0,
            "classifier.": 0,
        },
    ),
    "DebertaV2ForSequenceClassification": (
        "DebertaV2Config",
        {**SMALL, **DISENTANGLED, "position_buckets": 4, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3},
        {
            "deberta.embeddings.": 4,
            "deberta.encoder.rel_embeddings.": 4,
            "deberta.encoder.LayerNorm.": 4,
            "deberta.encoder.conv.": 4,
            **layers("deberta.encoder.layer"),
            "pooler.": 0,
            "classifier.": 0,
        },
    ),
    "ModernBertForSequenceClassification": (
        "ModernBertConfig",
        {**SMALL, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
        {"model.embeddings.": 4, **layers("model.layers"), "model.final_norm.": 0, "head.": 0, "classifier.": 0},
    ),
    "MPNetForSequenceClassification": (
        "MPNetConfig",
        SMALL,
        {
            "mpnet.embeddings.": 4,
            "mpnet.encoder.relative_attention_bias.": 4,
            **layers("mpnet.encoder.layer"),
            "classifier.": 0,
        },
    ),
    "AlbertForSequenceClassification": (
        "AlbertConfig",
        {**SMALL, "embedding_size": 8},
        {
            "albert.embeddings.": 2,
            "albert.encoder.embedding_hidden_mapping_in.": 2,
            "albert.encoder.albert_layer_groups.0.": 1,
            "albert.pooler.": 0,
            "classifier.": 0,
        },
    ),
}


@pytest.fixture(params=MODELS)
def known(request):
    """A model, and the steps below the head of each of its parameters."""
    config, settings, steps = MODELS[request.param]
    model = make(request.param, config, **settings)
    below = {}
    for name, _ in model.named_parameters():
        (prefix,) = [prefix for prefix in steps if name.startswith(prefix)]
        below[name] = steps[prefix]
    assert set(below.values()) == set(range(max(steps.values()) + 1))
    return model, below


@pytest.fixture
def bert():
    return make("BertForSequenceClassification", "BertConfig", **SMALL)


def by_name(model, groups, key):
    """A group's value for each parameter, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group[key] for group in groups for parameter in group["params"]}


def named(*names, **options):
    """Groups without parameters, for what only looks at names."""
    return [{"name": name, "params": [], "lr": 1.0, **options} for name in names]


# Who is where


def test_every_lr_is_the_formulas(known):
    model, below = known
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=DECAY), "lr")
    assert lrs == {name: pytest.approx(LR * DECAY**steps, rel=1e-12) for name, steps in below.items()}


def test_a_heads_own_lr_is_only_the_heads(known):
    model, below = known
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=DECAY, head_lr=1e-3), "lr")
    assert lrs == {
        name: pytest.approx(LR * DECAY**steps if steps else 1e-3, rel=1e-12) for name, steps in below.items()
    }


def test_names_from_the_top_down(known):
    model, below = known
    count = max(below.values()) - 1
    order = ["head", *(f"layer_{number}" for number in reversed(range(count))), "embeddings"]
    groups = layerwise_groups(model, lr=LR)
    stems = list(dict.fromkeys(group["name"].removesuffix("/no_decay") for group in groups))
    assert stems == order
    places = by_name(model, groups, "name")
    assert {name: place.removesuffix("/no_decay") for name, place in places.items()} == {
        name: order[steps] for name, steps in below.items()
    }


def test_weight_decay_is_split_as_trainer_splits_it(known, tmp_path):
    model, _ = known
    args = TrainingArguments(str(tmp_path), weight_decay=0.01, report_to="none", use_cpu=True)
    stock = by_name(model, Trainer(model=model, args=args).create_optimizer().param_groups, "weight_decay")
    groups = layerwise_groups(model, lr=LR, weight_decay=0.01)
    assert by_name(model, groups, "weight_decay") == stock
    assert {group["weight_decay"] for group in groups if group["name"].endswith("/no_decay")} == {0.0}
    assert {group["weight_decay"] for group in groups if not group["name"].endswith("/no_decay")} == {0.01}


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_bert_base_has_28_groups(weight_decay):
    model = make("BertForSequenceClassification", "BertConfig", **{**SMALL, "num_hidden_layers": 12})
    groups = layerwise_groups(model, lr=2e-5, decay=0.95, weight_decay=weight_decay)
    places = ["head", *(f"layer_{number}" for number in range(11, -1, -1)), "embeddings"]
    assert [group["name"] for group in groups] == [place + end for place in places for end in ("", "/no_decay")]
    assert [group["lr"] for group in groups[::2]] == pytest.approx([2e-5 * 0.95**steps for steps in range(14)])
    assert all(group.keys() == {"params", "lr", "weight_decay", "name"} for group in groups)
    optimizer = torch.optim.AdamW(groups)
    assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in groups]


def test_against_the_papers_code():
    """`get_optimizer_grouped_parameters` of the repository of arXiv 2006.05987, in short."""
    model = make("BertForSequenceClassification", "BertConfig", **{**SMALL, "num_hidden_layers": 6})
    expected = {name: LR for name, _ in model.named_parameters() if "classifier" in name or "pooler" in name}
    lr = LR
    for layer in reversed([model.bert.embeddings, *model.bert.encoder.layer]):
        lr *= 0.95
        inside = {id(parameter) for parameter in layer.parameters()}
        expected |= {name: lr for name, parameter in model.named_parameters() if id(parameter) in inside}
    lrs = by_name(model, layerwise_groups(model, lr=LR, decay=0.95), "lr")
    assert lrs == {name: pytest.approx(lr, rel=1e-12) for name, lr in expected.items()}


@pytest.mark.parametrize("seed", range(8))
def test_every_trained_parameter_once_whatever_is_frozen(known, seed):
    """Layers count whether they are trained or not, so the LRs of the others do not move."""
    model, below = known
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


def test_a_tied_parameter_comes_once():
    model = make("BertForMaskedLM", "BertConfig", **SMALL)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    found = [id(each) for group in layerwise_groups(model, lr=LR) for each in group["params"]]
    assert found.count(id(model.cls.predictions.decoder.weight)) == 1


@pytest.mark.parametrize(("blocks", "told"), [(1, "share the weights of 1"), (3, "share the weights of 3")])
def test_alberts_layers_share_their_weights(caplog, blocks, told):
    settings = {**SMALL, "num_hidden_layers": 12, "num_hidden_groups": blocks, "embedding_size": 8}
    model = make("AlbertForSequenceClassification", "AlbertConfig", **settings)
    with caplog.at_level(logging.WARNING):
        groups = layerwise_groups(model, lr=LR, decay=0.5)
    assert told in caplog.text and "the 12 layers of AlbertForSequenceClassification" in caplog.text
    lrs = {group["name"]: group["lr"] for group in groups}
    assert lrs[f"layer_{blocks - 1}"] == LR * 0.5  # the top layer's
    assert lrs["embeddings"] == LR * 0.5 ** (blocks + 1)
    table = explain_groups(groups, model).splitlines()
    shared = {row.split()[0]: row.split()[1] for row in table[2:] if row.split()[0] in ("layer_0", "layer_2")}
    assert shared == ({"layer_0": "0-11"} if blocks == 1 else {"layer_0": "0-3", "layer_2": "8-11"})


def test_no_note_where_nothing_is_shared(caplog, bert):
    layerwise_groups(bert, lr=LR)
    assert caplog.text == ""


# Other names


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)


class Own(nn.Module):
    """A model of one's own, of `count` layers called `name`."""

    def __init__(self, name="layers", count=2):
        super().__init__()
        self.features = nn.Linear(4, 4)
        setattr(self, name, nn.ModuleList(Block() for _ in range(count)))
        self.final_norm = nn.LayerNorm(4)
        self.classifier = nn.Linear(4, 2)


def test_a_model_of_ones_own():
    """What is declared before the layers feeds them; what comes after stands above."""
    model = Own()
    places = by_name(model, layerwise_groups(model, lr=LR), "name")
    assert places["features.weight"] == "embeddings"
    assert places["layers.1.norm.weight"] == "layer_1/no_decay"
    assert places["final_norm.weight"] == "head/no_decay"
    assert places["classifier.weight"] == "head"


@pytest.mark.parametrize("name", ["pooler", "classifier", "head", "score"])
def test_what_stands_above_may_be_declared_first(name):
    """NomicBERT declares its pooler before its layers."""
    model = nn.ModuleDict({name: nn.Linear(4, 2), "features": nn.Linear(4, 4), "layers": nn.ModuleList([Block()])})
    places = by_name(model, layerwise_groups(model, lr=LR), "name")
    assert places[f"{name}.weight"] == "head" and places["features.weight"] == "embeddings"


def test_layer_pattern():
    model = make("GPT2ForSequenceClassification", "GPT2Config", n_embd=16, n_layer=12, n_head=2, vocab_size=30)
    groups = layerwise_groups(model, lr=1.0, decay=0.5, layer_pattern=r"\.h\.(\d+)\.")
    lrs = by_name(model, groups, "lr")
    assert lrs["score.weight"] == lrs["transformer.ln_f.weight"] == 1.0
    assert lrs["transformer.h.11.attn.c_attn.weight"] == 0.5  # 11 is above 2
    assert lrs["transformer.h.2.ln_1.bias"] == 0.5**10
    assert lrs["transformer.wte.weight"] == lrs["transformer.wpe.weight"] == 0.5**13


def test_two_stacks_by_one_pattern():
    sizes = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 30}
    model = make("BartForSequenceClassification", "BartConfig", d_model=16, **sizes, **heads)
    with pytest.raises(
        ScheduleError, match=r"2 places: 'model\.encoder\.layers\.0\.', 'model\.decoder.*layer_pattern.*'layers"
    ):
        layerwise_groups(model, lr=LR)
    lrs = by_name(model, layerwise_groups(model, lr=1.0, decay=0.5, layer_pattern=r"layers\.(\d+)\."), "lr")
    assert lrs["model.encoder.layers.0.fc1.weight"] == lrs["model.decoder.layers.0.fc1.weight"] == 0.25
    assert lrs["model.shared.weight"] == lrs["model.decoder.embed_positions.weight"] == 0.125


class Wrapped(nn.Module):
    """A module within another, so that its names begin with `prefix`."""

    def __init__(self, prefix, model):
        super().__init__()
        first, _, rest = prefix.partition(".")
        setattr(self, first, Wrapped(rest, model) if rest else model)
        self.base_model_prefix = getattr(model, "base_model_prefix", "")


@pytest.mark.parametrize("prefix", ["module", "_orig_mod", "base_model.model", "module._orig_mod"])
def test_wrapped_models_have_the_same_groups(known, prefix):
    model, _ = known
    wrapped = Wrapped(prefix, model)
    places = by_name(wrapped, layerwise_groups(wrapped, lr=LR), "name")
    assert {name.removeprefix(f"{prefix}."): place for name, place in places.items()} == by_name(
        model, layerwise_groups(model, lr=LR), "name"
    )


def test_layers_within_the_head_are_the_heads(bert):
    bert.classifier = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 2)])})
    places = by_name(bert, layerwise_groups(bert, lr=LR), "name")
    assert places["classifier.layers.1.weight"] == "head"
    assert places["bert.encoder.layer.1.output.dense.weight"] == "layer_1"


UNKNOWN = {
    "no layers": (
        lambda: Own("blocks"),
        None,
        r"Own has no layers.*layer_pattern.*'blocks\\\.\(\\d\+\)\\\.'.*'features.weight'",
    ),
    "sublayers": (
        lambda: make("T5ForSequenceClassification", "T5Config", d_model=16, num_layers=2, num_heads=2, d_ff=32),
        None,
        r"T5ForSequenceClassification are numbered in 4 places: .*and 1 more. Give layer_pattern",
    ),
    "no pattern": (Own, "(", r"layer_pattern is not a regular expression: '\(': "),
    "no group": (Own, r"layers\.\d+", "layer_pattern needs one group in parentheses.*has 0"),
    "two groups": (Own, r"(layers)\.(\d+)", "has 2. Parentheses that only hold together"),
    "no match": (Own, r"blocks\.(\d+)", "matches no parameter; their names are like 'features.weight'"),
    "no number": (
        Own,
        r"layers\.\d+\.(\w+)",
        "takes 'attention' in 'layers.0.attention.weight' for a layer's number",
    ),
    "no text": (Own, 3, "layer_pattern must be a regular expression, got 3"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_layers_that_are_not_found(case):
    make_model, pattern, message = UNKNOWN[case]
    model = make_model()
    with pytest.raises(ScheduleError, match=message):
        layerwise_groups(model, lr=LR, layer_pattern=pattern)


BAD = [
    ({"decay": 0}, "decay must be above 0 and at most 1, got 0"),
    ({"decay": 1.1}, "decay must be above 0 and at most 1, got 1.1"),
    ({"decay": -0.9}, "decay must be above 0"),
    ({"decay": float("nan")}, "decay must be above 0"),
    ({"decay": None}, "decay must be above 0"),
    ({"decay": True}, "decay must be above 0"),
    ({"lr": -1e-5}, "lr must be a finite learning rate"),
    ({"lr": float("nan")}, "lr must be a finite learning rate"),
    ({"lr": float("inf")}, "lr must be a finite learning rate"),
    ({"head_lr": -1.0}, "head_lr must be a finite learning rate"),
    ({"head_lr": float("nan")}, "head_lr must be a finite learning rate"),
    ({"weight_decay": -0.01}, "weight_decay must be"),
    ({"lora_plus_ratio": 0}, "lora_plus_ratio must be a finite number above 0"),
    ({"lora_plus_ratio": float("nan")}, "lora_plus_ratio must be a finite number above 0"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=str)
def test_values_that_cannot_be_meant(bert, settings, message):
    with pytest.raises(ScheduleError, match=message):
        layerwise_groups(bert, **{"lr": LR, **settings})


def test_a_model_without_anything_to_train(bert):
    with pytest.raises(ScheduleError, match="BertForSequenceClassification has nothing to train"):
        layerwise_groups(bert.requires_grad_(False), lr=LR)


# LoRA+


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
    inner = Own()
    inner.embeddings = EmbeddingAdapter()
    for index, layer in enumerate(inner.layers):
        layer.attention = Adapter(layer.attention, bias=index == 1)
    model = Wrapped("base_model.model", inner)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or "classifier" in name
    return model


def test_lora_plus_raises_only_b(adapted):
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


def test_lora_in_the_head_has_the_ratio_of_the_heads_lr(adapted):
    adapted.base_model.model.classifier = Adapter(nn.Linear(4, 2))
    groups = layerwise_groups(adapted, lr=1e-4, head_lr=1e-3, lora_plus_ratio=16)
    lrs = {group["name"]: group["lr"] for group in groups}
    assert (lrs["head"], lrs["head/lora_B"], lrs["layer_1/lora_B"]) == pytest.approx((1e-3, 16e-3, 16e-4))


def test_without_a_ratio_lora_has_no_groups_of_its_own(adapted):
    names = {group["name"] for group in layerwise_groups(adapted, lr=1e-4)}
    assert names == {"head", "head/no_decay", "layer_1", "layer_1/no_decay", "layer_0", "embeddings"}


@pytest.mark.parametrize("frozen", [False, True])
def test_lora_plus_without_lora_is_refused(bert, adapted, frozen):
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad = "_B" not in name
    model = adapted if frozen else bert
    with pytest.raises(ScheduleError, match=r"lora_plus_ratio=16 would have no effect: .*lora_B"):
        layerwise_groups(model, lr=1e-4, lora_plus_ratio=16)


# Regular expressions


def test_regex_groups(bert):
    rules = {
        "top": {"pattern": r"classifier|pooler", "lr": 1e-3, "weight_decay": 0.1},
        "body": {"pattern": r"encoder", "schedule": "freeze(1ep) >> linear()"},
        "rest": r"embeddings",
    }
    groups = regex_groups(bert, rules, lr=1e-5, weight_decay=0.01)
    told = [(group["name"], group["lr"], group["weight_decay"], group.get("schedule")) for group in groups]
    own = "freeze(1ep) >> linear()"
    assert told == [
        ("top", 1e-3, 0.1, None),
        ("top/no_decay", 1e-3, 0.0, None),
        ("body", 1e-5, 0.01, own),
        ("body/no_decay", 1e-5, 0.0, own),
        ("rest", 1e-5, 0.01, None),
        ("rest/no_decay", 1e-5, 0.0, None),
    ]
    places = by_name(bert, groups, "name")
    assert places.keys() == {name for name, _ in bert.named_parameters()}
    assert {name for name, place in places.items() if place.startswith("body")} == {
        name for name in places if ".encoder." in name
    }
    torch.optim.AdamW(groups)


def test_what_is_not_said_is_left_to_the_optimizer(bert):
    groups = regex_groups(bert, {"all": ""})
    assert [group.keys() for group in groups] == [{"params", "name"}, {"params", "name", "weight_decay"}]
    first, second = torch.optim.AdamW(groups, lr=0.5, weight_decay=0.25).param_groups
    assert (first["lr"], second["lr"], first["weight_decay"], second["weight_decay"]) == (0.5, 0.5, 0.25, 0.0)


REFUSED = {
    "overlap": ({"a": "bert", "b": "bert.pooler"}, r"overlap: 'bert\.pooler\.dense\.weight', .* of 'a' and 'b'"),
    "misses": (
        {"a": "bert"},
        r"^'classifier\.weight', 'classifier\.bias' match no pattern",
    ),
    "many misses": ({"a": "classifier"}, r"'bert\.embeddings.* and 52 more match no pattern"),
    "no match": ({"a": "", "b": "clasifier"}, "the pattern 'clasifier' of group 'b' matches no parameter"),
    "no pattern": ({"a": {"lr": 1}}, "group 'a' needs a pattern"),
    "not a pattern": ({"a": "("}, r"the pattern of group 'a' is not a regular expression"),
    "unknown option": (
        {"a": {"pattern": "", "wieght_decay": 0}},
        "unknown option 'wieght_decay'.*Did you mean 'weight_decay'",
    ),
    "duplicate": ([("a", "bert"), ("a", "classifier")], "2 groups are called 'a'"),
    "duplicate by its end": ({"a": "bert", "a/no_decay": "classifier"}, "2 parameter groups are called 'a/no_decay'"),
    "bad lr": ({"a": {"pattern": "", "lr": -1}}, "the lr of group 'a' must be a finite learning rate"),
    "nan lr": ({"a": {"pattern": "", "lr": float("nan")}}, "the lr of group 'a' must be a finite learning rate"),
    "bad decay": ({"a": {"pattern": "", "weight_decay": "x"}}, "the weight_decay of group 'a' must be"),
    "bad schedule": ({"a": {"pattern": "", "schedule": "linaer()"}}, "Did you mean 'linear'"),
    "nothing": ({}, "a dict of names and patterns"),
    "a list of dicts": ([{"name": "a"}], "a dict of names and patterns"),
    "no name": ({"": ""}, "the name of a group must be a text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_regex_groups(bert, case):
    rules, message = REFUSED[case]
    with pytest.raises(ScheduleError, match=message):
        regex_groups(bert, rules)


def test_why_a_pattern_matches_nothing():
    model = make("BertForMaskedLM", "BertConfig", **SMALL)
    with pytest.raises(ScheduleError, match=r"It matches 'cls\.predictions\.decoder\.weight'.* tied to another"):
        regex_groups(model, {"a": r"decoder\.weight", "b": ""})


# Freezing


LAYERWISE = ("head", "head/no_decay", "layer_11", "layer_11/no_decay", "layer_2", "embeddings", "embeddings/no_decay")


def test_unfreezing_from_the_head_down():
    """Epoch 1: the head alone; each epoch one more, the embeddings last: the factors of 5 epochs of 4 updates."""
    groups = gradual_unfreezing(named(*reversed(LAYERWISE)), "linear()", every="1ep")
    assert [group["name"] for group in groups] == [*reversed(LAYERWISE)]
    thaw = {"head": 0, "layer_11": 4, "layer_2": 8, "embeddings": 12}
    for group in groups:
        curve = parse(group.get("schedule", "linear()")).resolve(20, 4)
        first = thaw[group["name"].removesuffix("/no_decay")]
        assert [curve(t) for t in range(20)] == pytest.approx([0 if t < first else 1 - t / 20 for t in range(20)])
    assert "schedule" not in groups[-1]  # the head follows the main schedule


@pytest.mark.parametrize(
    ("every", "texts"),
    [
        (50, ["freeze(50)", "freeze(100)"]),
        ("0.5ep", ["freeze(0.5ep)", "freeze(1ep)"]),
        ("10%", ["freeze(10%)", "freeze(20%)"]),
        (0.1, ["freeze(10%)", "freeze(20%)"]),
        ("1000sa", ["freeze(1000sa)", "freeze(2000sa)"]),
    ],
)
def test_lengths_of_unfreezing(every, texts):
    groups = gradual_unfreezing(named("head", "layer_0", "embeddings"), "cosine()", every)
    assert [group.get("schedule") for group in groups] == [None, *(f"cosine() * {text}" for text in texts)]


def test_unfreezing_in_an_order_of_ones_own():
    names = ["backbone", "backbone/no_decay", "neck", "top", "top/no_decay"]
    groups = gradual_unfreezing(named(*names), "linear()", "1ep", order=["top", "neck", "backbone"])
    assert {group["name"]: group.get("schedule") for group in groups} == {
        "top": None,
        "top/no_decay": None,
        "neck": "linear() * freeze(1ep)",
        "backbone": "linear() * freeze(2ep)",
        "backbone/no_decay": "linear() * freeze(2ep)",
    }


def test_a_groups_own_schedule_is_what_is_masked():
    groups = [*named("head"), *named("layer_0", schedule="warmup(5) >> hold()")]
    assert gradual_unfreezing(groups, "linear()")[1]["schedule"] == "(warmup(5) >> hold()) * freeze(1ep)"
    assert groups[1]["schedule"] == "warmup(5) >> hold()"  # what was given stays as it is


def test_frozen_throughout():
    groups = freeze_groups(named(*LAYERWISE), ["embeddings", "layer_2"])
    frozen = {group["name"] for group in groups if "schedule" in group}
    assert frozen == {"embeddings", "embeddings/no_decay", "layer_2"}
    curve = parse(groups[-1]["schedule"]).resolve(7)
    assert [curve(t) for t in range(9)] == [0] * 9


ORDERS = {
    "unknown": (named("head", "layer_1"), ["head", "layer1"], "no group 'layer1'; .*Did you mean 'layer_1'"),
    "twice": (named("head", "layer_1"), ["head", "layer_1", "head"], "'head' is there twice"),
    "twice by its stem": (
        named("head", "layer_1", "layer_1/no_decay"),
        ["head", "layer_1", "layer_1/no_decay"],
        "'layer_1/no_decay' is there twice: by 'layer_1' and by 'layer_1/no_decay'",
    ),
    "left out": (named("head", "layer_1", "embeddings"), ["head", "layer_1"], "order leaves out 'embeddings'"),
    "a text": (named("head"), "head", "names of groups are a list"),
    "no name": ([{"params": []}], ["head"], "group 0 has no name"),
    "no name, no order": ([*named("head"), {"params": []}], None, "group 1 has no name"),
    "same names": (named("head", "head"), None, "2 parameter groups are called 'head'"),
    "names of one's own": (named("head", "neck"), None, "where does the group 'neck' stand.*order="),
    "no head": (named("layer_1", "layer_0"), None, "no group 'head'"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_refused_orders(case):
    groups, order, message = ORDERS[case]
    with pytest.raises(ScheduleError, match=message):
        gradual_unfreezing(groups, "linear()", order=order)


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("1epoch", "every has the unknown unit"),
        (0, "every must be above 0"),
        ("50%", "would thaw after 100% of the run: 2 times every=50%"),
    ],
)
def test_refused_steps(every, message):
    with pytest.raises(ScheduleError, match=message):
        gradual_unfreezing(named("head", "layer_0", "embeddings"), "linear()", every)


def test_refused_freezing():
    groups = named("head", "embeddings")
    with pytest.raises(ScheduleError, match="leaves nothing to train"):
        freeze_groups(groups, ["head", "embeddings"])
    with pytest.raises(ScheduleError, match=r"no group 'embedings'.*Did you mean 'embeddings'"):
        freeze_groups(groups, ["embedings"])


# The table


def test_the_table(bert):
    bert.bert.embeddings.requires_grad_(False)
    groups = layerwise_groups(bert, lr=1e-4, decay=0.5, weight_decay=0.01, head_lr=1e-3)
    table = explain_groups(freeze_groups(groups, ["layer_0"]), bert)
    # 16 x 16 + 2 x 16 in the head; four of 16 x 16 and two of 16 x 32 in a layer; biases and norms apart.
    assert (
        table
        == """\
8 parameter groups, 6,978 parameters
  name              layers  tensors  parameters   peak LR  weight decay  schedule
  head                            2         288     0.001          0.01
  head/no_decay                   2          18     0.001             0
  layer_2           2             6       2,048     5e-05          0.01
  layer_2/no_decay  2            10         176     5e-05             0
  layer_1           1             6       2,048   2.5e-05          0.01
  layer_1/no_decay  1            10         176   2.5e-05             0
  layer_0           0             6       2,048  1.25e-05          0.01  freeze()
  layer_0/no_decay  0            10         176  1.25e-05             0  freeze()"""
    )


def test_the_table_of_an_optimizer_shows_the_peaks(bert):
    """Not the LR of the moment; groups without names are numbered, and layers are told where they are known."""
    halves = [list(bert.bert.encoder.layer[:2].parameters()), list(bert.bert.encoder.layer[2].parameters())]
    optimizer = torch.optim.SGD([{"params": half} for half in halves], lr=0.5)
    for group in optimizer.param_groups:
        group["initial_lr"], group["lr"] = group["lr"], 0.0
    assert explain_groups(optimizer, bert).splitlines()[2:] == [
        "  group_0  0-1          32       4,448      0.5             0",
        "  group_1  2            16       2,224      0.5             0",
    ]


# Flags


def test_flags():
    parser = HfArgumentParser((ScheduleArguments, GroupArguments, TrainingArguments))
    flags = ["--layer_decay", "0.95", "--head_learning_rate", "1e-3", "--unfreeze_every", "5%"]
    flags += ["--freeze", "embeddings", "layer_0", "--lora_plus_ratio", "16", "--layer_pattern", r"h\.(\d+)"]
    _, groups, _ = parser.parse_args_into_dataclasses([*flags, "--output_dir", "out"])
    assert groups.rule == LayerwiseGroups(
        decay=0.95,
        head_lr=1e-3,
        lora_plus_ratio=16,
        layer_pattern=r"h\.(\d+)",
        unfreeze_every="5%",
        freeze=("embeddings", "layer_0"),
    )
    _, unset, _ = parser.parse_args_into_dataclasses(["--output_dir", "out"])
    assert unset.rule is None
    assert "LoRA+" in " ".join(parser.format_help().split())  # a bare % in a help text fails only there


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"layer_decay": "0.9"}, LayerwiseGroups(decay=0.9)),
        ({"unfreeze_every": 100}, LayerwiseGroups(unfreeze_every="100")),
        ({"freeze": "embeddings, layer_0"}, LayerwiseGroups(freeze=("embeddings", "layer_0"))),
        ({"freeze": ["embeddings,layer_0"]}, LayerwiseGroups(freeze=("embeddings", "layer_0"))),
    ],
    ids=str,
)
def test_what_yaml_may_bring(given, rule):
    (groups,) = HfArgumentParser(GroupArguments).parse_dict(given)
    assert groups.rule == rule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer_decay": 1.5}, "layer_decay must be above 0 and at most 1, got 1.5"),
        ({"layer_decay": "high"}, "layer_decay must be above 0 and at most 1, got 'high'"),
        ({"layer_decay": True}, "layer_decay must be"),
        ({"head_learning_rate": -1e-3}, "head_learning_rate must be a finite learning rate"),
        ({"head_learning_rate": [1e-3]}, "head_learning_rate must be a finite learning rate"),
        ({"lora_plus_ratio": "nan"}, "lora_plus_ratio must be a finite number above 0"),
        ({"layer_pattern": "("}, "layer_pattern is not a regular expression"),
        ({"unfreeze_every": "1 epoch"}, "unfreeze_every has the unknown unit"),
        ({"unfreeze_every": True}, "unfreeze_every must be"),
        ({"freeze": 3}, "freeze must be names of groups"),
        ({"freeze": ["embeddings", 3]}, "freeze must be names of groups"),
        ({"freeze": ""}, "freeze must be names of groups"),
    ],
    ids=str,
)
def test_refused_flags(given, message):
    with pytest.raises(ScheduleError, match=message):
        HfArgumentParser(GroupArguments).parse_dict(given)


def test_flags_among_the_training_arguments(tmp_path):
    @dataclass
    class Args(ScheduleArguments, GroupArguments, TrainingArguments):
        pass

    (args,) = HfArgumentParser(Args).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), "--layer_decay", "0.9", "--schedule", "linear()", "--use_cpu", "true"]
    )
    assert args.rule == LayerwiseGroups(decay=0.9)
    assert args.device.type == "cpu"  # TrainingArguments' own __post_init__ has run
    assert re.search(r'"layer_decay": 0.9', args.to_json_string())
