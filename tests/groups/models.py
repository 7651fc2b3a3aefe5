"""Real models made tiny, and the part of the model that each of their parameters belongs to."""

import torch
import transformers
from torch import nn

LR = 2e-5
SIZES = {"num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 30, "max_position_embeddings": 16}
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, **SIZES}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}


def make_model(name, config, **settings):
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


def by_name(model, groups, key):
    """A group's value for each parameter, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group[key] for group in groups for parameter in group["params"]}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)


class CustomModel(nn.Module):
    """A user's own model, with `count` layers called `name`."""

    def __init__(self, name="layers", count=2):
        super().__init__()
        self.features = nn.Linear(4, 4)
        setattr(self, name, nn.ModuleList(Block() for _ in range(count)))
        self.final_norm = nn.LayerNorm(4)
        self.classifier = nn.Linear(4, 2)


class NestedModel(nn.Module):
    """A module within another, so that its names begin with `prefix`."""

    def __init__(self, prefix, model):
        super().__init__()
        first, _, rest = prefix.partition(".")
        setattr(self, first, NestedModel(rest, model) if rest else model)
        self.base_model_prefix = getattr(model, "base_model_prefix", "")
