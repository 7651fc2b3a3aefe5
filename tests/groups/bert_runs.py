"""A tiny BERT, its peak LRs under one rule, and what a test reads from its optimizer."""

import torch
from transformers import BertConfig, BertForSequenceClassification

from hf_lrsched.groups import LayerwiseGroups

PEAK, HEAD = 1e-3, 1e-2
UPDATES = 6  # of an epoch: 24 samples in batches of 4
RULE = LayerwiseGroups(decay=0.5, head_lr=HEAD)
#: Two layers: the head, the upper one, the lower one, the embeddings.
PEAKS = {"head": HEAD, "layer_1": PEAK / 2, "layer_0": PEAK / 4, "embeddings": PEAK / 8}
NAMES = [part + end for part in PEAKS for end in ("", "/no_decay")]


def tiny_bert(**settings):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(
        BertConfig(**sizes, vocab_size=20, max_position_embeddings=8, type_vocab_size=1, **settings)
    )
    model.accepts_loss_kwargs = False
    return model


def texts(count):
    words = torch.randint(1, 20, (count, 6), generator=torch.Generator().manual_seed(count))
    return [{"input_ids": row, "labels": int(row[0] > 9)} for row in words]


def options_of(optimizer, model, without=("params", "lr", "name")):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: {key: value for key, value in group.items() if key not in without}
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def peaks_of(optimizer):
    return {group["name"]: group.get("initial_lr", group["lr"]) for group in optimizer.param_groups}


def part_of(name):
    return name.removesuffix("/no_decay")


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
