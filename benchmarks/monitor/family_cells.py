"""The cells of `make_families.py`: tasks made here, or of a folder of texts, and architectures that train in seconds."""

import csv
import functools
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from small_models import package_model
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

VOCAB, LENGTH, CLASSES, GROUPS = 64, 16, 4, 7
_MAX_WORDS = 12


class Rows(Dataset):  # type: ignore[type-arg]  # torch leaves it untyped
    """Samples of tensors, by their names."""

    def __init__(self, columns: dict[str, torch.Tensor]):
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index] for name, values in self.columns.items()}

    def part(self, start: int, end: int) -> "Rows":
        return Rows({name: values[start:end] for name, values in self.columns.items()})


def make_chain(rows: int, draw: torch.Generator, sharpness: int = 8) -> torch.Tensor:
    """Return sequences in which each token depends on the one before, as in a text."""
    table = torch.rand(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1)).pow(sharpness)
    tokens = [torch.randint(2, VOCAB, (rows,), generator=draw)]
    for _ in range(LENGTH - 1):
        tokens.append(torch.multinomial(table[tokens[-1]], 1, generator=draw)[:, 0])
    return torch.stack(tokens, 1)


def majority(rows: int, draw: torch.Generator) -> Rows:
    """The class whose tokens are the most frequent."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    counts = torch.stack([(tokens % CLASSES == each).sum(1) for each in range(CLASSES)], 1)
    return Rows({"input_ids": tokens, "labels": counts.argmax(1)})


def leading(rows: int, draw: torch.Generator) -> Rows:
    """The class of the first token, with one label in eight drawn at random."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    noise = torch.randint(0, CLASSES, (rows,), generator=draw)
    is_noise = torch.rand(rows, generator=draw) < 1 / 8
    return Rows({"input_ids": tokens, "labels": torch.where(is_noise, noise, tokens[:, 0] % CLASSES)})


def tags(rows: int, draw: torch.Generator) -> Rows:
    """Of each token, whether it and the one before are of one half each; one tag in eight is drawn at random."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    labels = (tokens % 2) * 2 + torch.roll(tokens, 1, 1) % 2
    is_noise = torch.rand(tokens.shape, generator=draw) < 1 / 8
    return Rows({"input_ids": tokens, "labels": torch.where(is_noise, tokens % CLASSES, labels)})


def markov(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_chain(rows, draw)
    return Rows({"input_ids": tokens, "labels": tokens})


def masked(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_chain(rows, draw, sharpness=40)
    is_masked = torch.rand(tokens.shape, generator=draw) < 0.15
    is_masked[:, 5] = True  # no sample without a masked token
    return Rows({"input_ids": tokens.masked_fill(is_masked, 1), "labels": tokens.masked_fill(~is_masked, -100)})


def reversal(rows: int, draw: torch.Generator) -> Rows:
    """A chain of tokens, to be written backwards."""
    tokens = make_chain(rows, draw)
    return Rows({"input_ids": tokens, "labels": tokens.flip(1)})


def waves(rows: int, draw: torch.Generator) -> Rows:
    """A standardized target that swings along one direction and bends along another."""
    x = torch.randn(rows, 8, generator=draw)
    first, second = torch.randn(2, 8, generator=torch.Generator().manual_seed(3)) / math.sqrt(8)
    y = torch.sin(2 * x @ first) + 0.5 * (x @ second).square() + 0.2 * torch.randn(rows, generator=draw)
    return Rows({"x": x, "labels": y - 0.5})


def forecast(rows: int, draw: torch.Generator) -> Rows:
    """The next value of a noisy sum of two oscillations."""
    time = torch.arange(25.0)
    speed = 0.2 + 0.8 * torch.rand(2, rows, 1, generator=draw)
    phase = 2 * math.pi * torch.rand(2, rows, 1, generator=draw)
    series = torch.sin(speed * time + phase).sum(0) + 0.1 * torch.randn(rows, 25, generator=draw)
    return Rows({"x": series[:, :-1], "labels": series[:, -1]})


def spirals(rows: int, draw: torch.Generator) -> Rows:
    """Two interleaved spirals of half a turn in ten columns, eight of them noise."""
    angle, label = math.pi * torch.rand(rows, generator=draw), torch.randint(0, 2, (rows,), generator=draw)
    x = 0.5 * torch.randn(rows, 10, generator=draw)
    x[:, 0], x[:, 1] = angle * torch.cos(angle + math.pi * label), angle * torch.sin(angle + math.pi * label)
    return Rows({"x": x, "labels": label})


def stripes(rows: int, draw: torch.Generator) -> Rows:
    """Noisy pictures of 8 x 8 with a stripe in one of four directions."""
    label = torch.randint(0, 4, (rows,), generator=draw)
    shift = torch.randint(0, 8, (rows,), generator=draw)
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    lines = torch.stack([row, column, row + column, row - column])[label]
    picture = ((lines - shift[:, None, None]) % 8 == 0).float() + 0.7 * torch.randn(rows, 8, 8, generator=draw)
    return Rows({"x": picture.flatten(1), "labels": label})


def noisy_stripes(rows: int, draw: torch.Generator) -> Rows:
    """The same pictures, to be freed of further noise."""
    clean = stripes(rows, draw).columns["x"]
    return Rows({"x": clean + 0.5 * torch.randn(clean.shape, generator=draw), "labels": clean})


def pairs(rows: int, draw: torch.Generator) -> Rows:
    """A vector and a noisy, mixed copy of it, for a contrastive loss."""
    x = torch.randn(rows, 16, generator=draw)
    mix = torch.randn(16, 16, generator=torch.Generator().manual_seed(2)) / 4
    return Rows({"x": x, "labels": torch.tanh(x @ mix) + 0.1 * torch.randn(rows, 16, generator=draw)})


class Texts:
    """Banking77's questions as tokens: the 1,500 most frequent ones of them, a place for all others, one for a mask, 0 for none."""

    def __init__(self, data: Path):
        with (data / "banking77" / "train.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        tokenizer = AutoTokenizer.from_pretrained(package_model())
        found = tokenizer([row["text"] for row in rows], truncation=True, max_length=_MAX_WORDS)["input_ids"]
        counts: dict[int, int] = {}
        for token in (token for each in found for token in each):
            counts[token] = counts.get(token, 0) + 1
        frequent = sorted(counts, key=lambda token: (-counts[token], token))[:1500]
        #: The tokenizer's number of each place.
        self.tokens = [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id, *frequent]
        place = {token: index for index, token in enumerate(self.tokens)}
        ids = [[place.get(token, 1) for token in each] for each in found]
        self.ids = torch.tensor([each + [0] * (_MAX_WORDS - len(each)) for each in ids])
        names = sorted({row["label"] for row in rows})
        self.intents = torch.tensor([names.index(row["label"]) for row in rows])
        words = tokenizer.convert_ids_to_tokens(self.tokens)
        self.letters = torch.tensor([len(word.strip("#")) for word in words])

    def pick(self, rows: int, draw: torch.Generator) -> torch.Tensor:
        return torch.randperm(len(self.ids), generator=draw)[torch.arange(rows) % len(self.ids)]


@functools.cache
def read_texts(data: Path) -> Texts:
    return Texts(data)


def _with_mask(ids: torch.Tensor, **others: torch.Tensor) -> Rows:
    return Rows({"input_ids": ids, "attention_mask": (ids != 0).long(), **others})


def intent_groups(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """Which of seven groups of eleven intents, in the order of the alphabet."""
    index = texts.pick(rows, draw)
    return _with_mask(texts.ids[index], labels=texts.intents[index] // 11)


def word_lengths(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """Of each token, whether the one before it is longer."""
    ids = texts.ids[texts.pick(rows, draw)]
    longer = (texts.letters[torch.roll(ids, 1, 1)] > texts.letters[ids]).long()
    return _with_mask(ids, labels=longer.masked_fill(ids == 0, -100))


def mean_length(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """The mean number of letters of a text's tokens, standardized."""
    ids = texts.ids[texts.pick(rows, draw)]
    is_word = ids != 0
    mean = (texts.letters[ids] * is_word).sum(1) / is_word.sum(1)
    return _with_mask(ids, labels=((mean - 3.9) / 0.5).float())


def masked_text(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    ids = texts.ids[texts.pick(rows, draw)]
    is_masked = (torch.rand(ids.shape, generator=draw) < 0.2) & (ids != 0)
    is_masked[:, 2] = True
    return _with_mask(ids.masked_fill(is_masked, 2), labels=ids.masked_fill(~is_masked, -100))


def same_intent(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """Two texts of one intent, for a contrastive loss: the second is in `labels`."""
    index = texts.pick(rows, draw)
    order = torch.argsort(texts.intents, stable=True)
    first = torch.searchsorted(texts.intents[order].contiguous(), texts.intents[index])
    count = torch.bincount(texts.intents)[texts.intents[index]]
    other = order[first + (torch.rand(rows, generator=draw) * count).long()]
    return _with_mask(texts.ids[index], labels=texts.ids[other])


class Network(nn.Module):
    """A network on columns, with the loss of its task.

    Args:
        kind (`str`): `mlp`, `deep`, `cnn`, `norm` (a CNN with batch normalization), `gru` or `towers`.
        size (`int`): Its inputs.
        outputs (`int`): Its outputs; with real labels the loss is the squared error.
    """

    def __init__(self, kind: str, size: int, outputs: int):
        super().__init__()
        self.config = PretrainedConfig()
        wide = 64
        layers: list[nn.Module] = [nn.Linear(size, wide), nn.GELU(), nn.Linear(wide, wide), nn.GELU()]
        if kind == "deep":
            layers += [nn.Linear(wide, wide), nn.GELU(), nn.Linear(wide, wide), nn.GELU()]
        if kind in ("cnn", "norm"):
            norms = [nn.BatchNorm2d(16), nn.BatchNorm2d(16)] if kind == "norm" else [nn.Identity(), nn.Identity()]
            first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
            layers = [nn.Unflatten(1, (1, 8, 8)), first, norms[0], nn.ReLU(), second, norms[1], nn.ReLU()]
            layers += [nn.Flatten(), nn.Linear(1024, wide)]
        self.body = nn.Sequential(*layers)
        self.gru = nn.GRU(1, wide, batch_first=True) if kind == "gru" else None
        self.head = nn.Linear(wide, outputs)
        other = nn.Sequential(nn.Linear(16, wide), nn.GELU(), nn.Linear(wide, outputs))
        self.other = other if kind == "towers" else None

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.body(x) if self.gru is None else self.gru(x[..., None])[0][:, -1])
        if self.other is not None:
            return get_contrastive_loss(out, self.other(labels))
        if labels.is_floating_point():
            return {"loss": nn.functional.mse_loss(out.view_as(labels), labels), "logits": out}
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


def get_contrastive_loss(left: torch.Tensor, right: torch.Tensor, scale: float = 10.0) -> dict[str, torch.Tensor]:
    """Return the loss of finding the other half of each pair among those of the batch."""
    scores = scale * nn.functional.normalize(left) @ nn.functional.normalize(right).T
    return {"loss": nn.functional.cross_entropy(scores, torch.arange(len(left), device=left.device)), "logits": scores}


class LSTM(nn.Module):
    """An LSTM over tokens."""

    def __init__(self, classes: int):
        super().__init__()
        self.config = PretrainedConfig()
        self.words = nn.Embedding(VOCAB, 32)
        self.lstm = nn.LSTM(32, 48, batch_first=True)
        self.head = nn.Linear(48, classes)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.lstm(self.words(input_ids))[0].mean(1))
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


class Pictures(nn.Module):
    """A vision transformer over pictures of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 1}
        self.config = ViTConfig(image_size=8, patch_size=2, num_channels=1, num_labels=4, **sizes)
        self.vit = ViTForImageClassification(self.config)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Any:
        return self.vit(pixel_values=x.view(-1, 1, 8, 8), labels=labels)


class Sentences(nn.Module):
    """The mean of a pretrained BERT's outputs, with a contrastive loss."""

    def __init__(self, texts: Texts):
        super().__init__()
        self.bert = cut_minilm(AutoModel, texts)
        self.config = self.bert.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Any:
        return get_contrastive_loss(self.encode(input_ids, attention_mask), self.encode(labels, (labels != 0).long()))

    def encode(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


@functools.cache
def _read_minilm(kind: Any, tokens: tuple[int, ...]) -> Any:
    """Read the package's BERT, and keep two of its six layers and the words of these tokens."""
    model = kind.from_pretrained(package_model()).float()
    bert = getattr(model, "bert", model)
    bert.encoder.layer = bert.encoder.layer[:2]
    words = bert.embeddings.word_embeddings.weight[torch.tensor(tokens)].detach().clone()
    bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(words, freeze=False, padding_idx=0)
    model.config.vocab_size, model.config.num_hidden_layers = len(tokens), 2
    if kind is AutoModelForMaskedLM:
        head = model.cls.predictions
        head.decoder = nn.Linear(words.shape[1], len(tokens))
        head.decoder.weight, head.bias = bert.embeddings.word_embeddings.weight, head.decoder.bias
    return model


def cut_minilm(kind: Any, texts: Texts, outputs: int | None = None) -> Any:
    """Return a copy of the cut BERT, with a new head of so many outputs."""
    model = deepcopy(_read_minilm(kind, tuple(texts.tokens)))
    if outputs is not None:
        model.classifier = nn.Linear(model.config.hidden_size, outputs)
        nn.init.normal_(model.classifier.weight, std=0.02)
        nn.init.zeros_(model.classifier.bias)
        model.num_labels = model.config.num_labels = outputs
    return model


def add_lora(texts: Texts) -> Any:
    from peft import LoraConfig, get_peft_model  # an optional library

    model = cut_minilm(AutoModelForSequenceClassification, texts, GROUPS)
    return get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"]))


def bert(kind: Any, layers: int, classes: int) -> Any:
    """Return a BERT with random weights as the library makes them."""
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": layers}
    return kind(BertConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, num_labels=classes, **sizes))


def gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=LENGTH, n_embd=48, n_layer=1, n_head=4))


def llama() -> Any:
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, **sizes))


def t5() -> Any:
    sizes = {"d_model": 48, "d_ff": 96, "d_kv": 12, "num_heads": 4, "num_layers": 1}
    return T5ForConditionalGeneration(T5Config(vocab_size=VOCAB, decoder_start_token_id=0, **sizes))


@dataclass(frozen=True)
class Cell:
    """A task, an architecture and an optimizer.

    Args:
        family, name (`str`): Its family and name.
        make_rows (`Callable`): Makes the data.
        make_model (`Callable`): Makes the model.
        lrs (`tuple[float, ...]`): The peak LRs of the sweep.
        metric (`str`): `accuracy` or `loss`.
        optimizer (`str`): As in `TrainingArguments.optim`.
        is_text (`bool`): Whether data and model are made of the texts.
        batch (`int`): Samples of an update.
    """

    family: str
    name: str
    make_rows: Callable[..., Rows]
    make_model: Callable[..., Any]
    lrs: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    metric: str = "accuracy"
    optimizer: str = "adamw_torch"
    is_text: bool = False
    batch: int = 32

    def __reduce__(self) -> Any:
        return get_cell, (self.name,)  # another process has its own functions

    @property
    def is_contrastive(self) -> bool:
        return self.name in ("pairs-towers", "intents-minilm")

    @property
    def lengths(self) -> tuple[int, ...]:
        """The updates of its runs; the sweep has the second. Only the smallest models have long runs."""
        if self.is_text:
            return 40, 80, 120
        is_small = self.family in ("regression", "tabular", "vision", "denoising", "contrastive")
        return (100, 200, 400, 1000, 2000) if is_small and self.name != "stripes-vit" else (40, 120, 240)


def _text(name: str, make_rows: Any, make_model: Any, metric: str = "accuracy", **others: Any) -> Cell:
    lrs = (1e-4, 3e-4, 1e-3)
    family = "LoRA" if name.endswith("lora") else "pretrained"
    return Cell(family, name, make_rows, make_model, **({"lrs": lrs} | others), metric=metric, is_text=True, batch=16)


HIGH = (1e-3, 3e-3, 1e-2, 3e-2)
OF_SGD = (3e-2, 0.1, 0.3, 1.0)
CELLS = (
    Cell("bert", "majority-bert2", majority, lambda: bert(BertForSequenceClassification, 2, CLASSES)),
    Cell(
        "bert",
        "leading-bert1",
        leading,
        lambda: bert(BertForSequenceClassification, 1, CLASSES),
        HIGH,
        optimizer="adafactor",
    ),
    Cell("tokens", "tags-bert1", tags, lambda: bert(BertForTokenClassification, 1, CLASSES)),
    Cell("causal_lm", "markov-gpt2", markov, gpt2, HIGH, "loss"),
    Cell("causal_lm", "markov-llama", markov, llama, HIGH, "loss", "adafactor"),
    Cell("masked_lm", "masked-bert1", masked, lambda: bert(BertForMaskedLM, 1, 2), HIGH, "loss"),
    Cell("seq2seq", "reversal-t5", reversal, t5, HIGH, "loss", "adafactor"),
    Cell("lstm", "majority-lstm", majority, lambda: LSTM(CLASSES), HIGH, optimizer="rmsprop"),
    Cell("lstm", "leading-lstm", leading, lambda: LSTM(CLASSES), HIGH),
    Cell("regression", "waves-mlp", waves, lambda: Network("mlp", 8, 1), OF_SGD, "loss", "sgd"),
    Cell("regression", "forecast-gru", forecast, lambda: Network("gru", 8, 1), HIGH, "loss"),
    Cell("tabular", "spirals-mlp", spirals, lambda: Network("mlp", 10, 2)),
    Cell("tabular", "spirals-deep", spirals, lambda: Network("deep", 10, 2), optimizer="rmsprop"),
    Cell("vision", "stripes-cnn", stripes, lambda: Network("cnn", 64, 4), OF_SGD, optimizer="sgd"),
    Cell("vision", "stripes-norm", stripes, lambda: Network("norm", 64, 4)),
    Cell("vision", "stripes-vit", stripes, Pictures),
    Cell("denoising", "stripes-mlp", noisy_stripes, lambda: Network("mlp", 64, 64), HIGH, "loss"),
    Cell("contrastive", "pairs-towers", pairs, lambda: Network("towers", 16, 32), HIGH, "loss"),
    _text("groups-lora", intent_groups, add_lora, lrs=(1e-3, 3e-3, 1e-2)),
    _text(
        "groups-minilm",
        intent_groups,
        lambda texts: cut_minilm(AutoModelForSequenceClassification, texts, GROUPS),
    ),
    _text("lengths-minilm", word_lengths, lambda texts: cut_minilm(AutoModelForTokenClassification, texts, 2)),
    _text("mean-minilm", mean_length, lambda texts: cut_minilm(AutoModelForSequenceClassification, texts, 1), "loss"),
    _text("masked-minilm", masked_text, lambda texts: cut_minilm(AutoModelForMaskedLM, texts), "loss"),
    _text("intents-minilm", same_intent, Sentences, "loss"),
)


def get_cell(name: str) -> Cell:
    return next(cell for cell in CELLS if cell.name == name)
