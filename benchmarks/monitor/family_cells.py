"""The cells of `make_families.py`: the tasks of `family_tasks.py`, and architectures that train in seconds."""

import functools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from family_tasks import (
    CLASSES,
    LENGTH,
    TOPICS,
    VOCAB,
    Rows,
    Texts,
    blobs,
    checkers,
    flags,
    forecast,
    leading,
    majority,
    markov,
    masked,
    noisy_stripes,
    pairs,
    peaks,
    ranges,
    rare,
    records,
    reversal,
    sentiments,
    sorting,
    spirals,
    stripes,
    sums,
    tags,
    tones,
    topics,
    waves,
    word_lengths,
)
from small_models import package_model
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AutoModel,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    ResNetConfig,
    ResNetForImageClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)


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


class Tagger(nn.Module):
    """A GRU that reads tokens in both directions, and tags each of them."""

    def __init__(self, classes: int):
        super().__init__()
        self.config = PretrainedConfig()
        self.words = nn.Embedding(VOCAB, 32)
        self.gru = nn.GRU(32, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, classes)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.gru(self.words(input_ids))[0])
        return {"loss": nn.functional.cross_entropy(out.flatten(0, 1), labels.flatten()), "logits": out}


class Sets(nn.Module):
    """A network that sees a sample's numbers as a set."""

    def __init__(self) -> None:
        super().__init__()
        self.config = PretrainedConfig()
        self.each = nn.Sequential(nn.Linear(1, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU())
        self.all = nn.Sequential(nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.all(self.each(x[..., None]).amax(1))
        return {"loss": nn.functional.mse_loss(out[:, 0], labels), "logits": out}


class Marks(nn.Module):
    """An MLP whose outputs are marks, each there or not."""

    def __init__(self) -> None:
        super().__init__()
        self.config = PretrainedConfig()
        self.body = nn.Sequential(nn.Linear(12, 96), nn.ReLU(), nn.LayerNorm(96), nn.Linear(96, 96), nn.ReLU())
        self.head = nn.Linear(96, 12)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.body(x))
        return {"loss": nn.functional.binary_cross_entropy_with_logits(out, labels), "logits": out}


class Waves(nn.Module):
    """Convolutions along a series."""

    def __init__(self, classes: int):
        super().__init__()
        self.config = PretrainedConfig()
        first, second = nn.Conv1d(1, 16, 7, padding=3), nn.Conv1d(16, 32, 5, stride=2)
        self.body = nn.Sequential(nn.Unflatten(1, (1, -1)), first, nn.GELU(), second, nn.GELU())
        self.head = nn.Linear(32, classes)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.body(x).square().mean(2).sqrt())
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


class Residual(nn.Module):
    """A residual network of the library over pictures of 12 x 12."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
        self.config = ResNetConfig(num_channels=1, num_labels=4, **sizes)
        self.net = ResNetForImageClassification(self.config)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Any:
        return self.net(pixel_values=x.view(-1, 1, 12, 12), labels=labels)


class Pictures(nn.Module):
    """A vision transformer over pictures of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 1}
        self.config = ViTConfig(image_size=8, patch_size=2, num_channels=1, num_labels=4, **sizes)
        self.vit = ViTForImageClassification(self.config)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Any:
        return self.vit(pixel_values=x.view(-1, 1, 8, 8), labels=labels)


@functools.cache
def _read_minilm(tokens: tuple[int, ...]) -> Any:
    """Read the package's BERT, and keep the words of these tokens."""
    bert = AutoModel.from_pretrained(package_model()).float()
    words = bert.embeddings.word_embeddings.weight[torch.tensor(tokens)].detach().clone()
    bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(words, freeze=False, padding_idx=0)
    bert.config.vocab_size = len(tokens)
    return bert


class MiniLMForClassification(nn.Module):
    """A pretrained MiniLM with a new head on the mean of its outputs, or on each of them."""

    def __init__(self, texts: Texts, classes: int, of_tokens: bool = False):
        super().__init__()
        self.bert, self.of_tokens = deepcopy(_read_minilm(tuple(texts.tokens))), of_tokens
        self.config = self.bert.config
        self.config.num_labels = classes
        self.head = nn.Linear(self.config.hidden_size, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Any:
        states, mask = self.bert(input_ids, attention_mask).last_hidden_state, attention_mask[..., None]
        out = self.head(states if self.of_tokens else (states * mask).sum(1) / mask.sum(1))
        return {"loss": nn.functional.cross_entropy(out.flatten(0, -2), labels.flatten()), "logits": out}


def add_lora(texts: Texts, classes: int) -> Any:
    from peft import LoraConfig, get_peft_model  # an optional library

    config = LoraConfig(r=8, target_modules=["query", "value"], modules_to_save=["head"])
    return get_peft_model(MiniLMForClassification(texts, classes), config)


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


def albert() -> Any:
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = AlbertConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, embedding_size=24, num_labels=3, **sizes)
    return AlbertForSequenceClassification(config)


def neox() -> Any:
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2}
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, **sizes))


def bart() -> Any:
    sizes = {"d_model": 48, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 0}
    return BartForConditionalGeneration(
        BartConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, **sizes, **heads, **tokens)
    )


@dataclass(frozen=True)
class Cell:
    """A task, an architecture and an optimizer.

    Args:
        family, name (`str`): Its family and name.
        make_rows (`Callable`): Makes the data.
        make_model (`Callable`): Makes the model.
        lrs (`tuple[float, ...]`): The peak LRs of the sweep.
        metric (`str`): `accuracy` or `loss`.
        optimizer (`str`): As in `TrainingArguments.optim`; `momentum` is SGD with a momentum of 0.9.
        corpus (`str`, *optional*): The folder of texts of which data and model are made.
        batch (`int`): Samples of an update.
        lengths (`tuple[int, ...]`): The updates of its runs; the sweep has the second.
    """

    family: str
    name: str
    make_rows: Callable[..., Rows]
    make_model: Callable[..., Any]
    lrs: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    metric: str = "accuracy"
    optimizer: str = "adamw_torch"
    corpus: str | None = None
    batch: int = 32
    lengths: tuple[int, ...] = (40, 120, 240)

    def __reduce__(self) -> Any:
        return get_cell, (self.name,)  # another process has its own functions

    @property
    def is_contrastive(self) -> bool:
        return self.name == "pairs-towers"


def _text(name: str, make_rows: Any, make_model: Any, metric: str = "accuracy", **others: Any) -> Cell:
    given = {"lrs": (1e-4, 3e-4, 1e-3), "corpus": "banking77", "batch": 16, "lengths": (40, 60, 90)} | others
    return Cell("LoRA" if name.endswith("lora") else "pretrained", name, make_rows, make_model, metric=metric, **given)


HIGH = (1e-3, 3e-3, 1e-2, 3e-2)
OF_SGD = (3e-2, 0.1, 0.3, 1.0)
# Only the smallest models have long runs.
LONG, SOME = (100, 200, 400, 1000, 2000), (100, 200, 300, 600)
OF_MOMENTUM, OF_LION = (3e-3, 1e-2, 3e-2, 0.1), (3e-4, 1e-3, 3e-3, 1e-2)
OF_LORA = (1e-3, 3e-3, 1e-2)
#: Those at hand when the rules were made.
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
    Cell("regression", "waves-mlp", waves, lambda: Network("mlp", 8, 1), OF_SGD, "loss", "sgd", lengths=LONG),
    Cell("regression", "forecast-gru", forecast, lambda: Network("gru", 8, 1), HIGH, "loss", lengths=LONG),
    Cell("tabular", "spirals-mlp", spirals, lambda: Network("mlp", 10, 2), lengths=LONG),
    Cell("tabular", "spirals-deep", spirals, lambda: Network("deep", 10, 2), optimizer="rmsprop", lengths=LONG),
    Cell("vision", "stripes-cnn", stripes, lambda: Network("cnn", 64, 4), OF_SGD, optimizer="sgd", lengths=LONG),
    Cell("vision", "stripes-norm", stripes, lambda: Network("norm", 64, 4), lengths=LONG),
    Cell("vision", "stripes-vit", stripes, Pictures),
    Cell("denoising", "stripes-mlp", noisy_stripes, lambda: Network("mlp", 64, 64), HIGH, "loss", lengths=LONG),
    Cell("contrastive", "pairs-towers", pairs, lambda: Network("towers", 16, 32), HIGH, "loss", lengths=LONG),
)
#: Those that the rules had never seen when they were scored on them.
FRESH = (
    _text("sst2-minilm", sentiments, lambda texts: MiniLMForClassification(texts, 2), corpus="sst2"),
    _text("sst2-lora", sentiments, lambda texts: add_lora(texts, 2), lrs=OF_LORA, corpus="sst2"),
    _text("topics-minilm", topics, lambda texts: MiniLMForClassification(texts, len(TOPICS) + 1)),
    _text("topics-lora", topics, lambda texts: add_lora(texts, len(TOPICS) + 1), lrs=OF_LORA),
    _text("lengths-minilm", word_lengths, lambda texts: MiniLMForClassification(texts, 2, of_tokens=True)),
    Cell("albert", "rare-albert", rare, albert, HIGH),
    Cell("tokens", "records-gru", records, lambda: Tagger(3), (3e-3, 1e-2, 3e-2, 0.1), optimizer="adafactor"),
    Cell("causal_lm", "sums-neox", sums, neox, HIGH, "loss", lengths=(60, 200, 400)),
    Cell("seq2seq", "sorting-bart", sorting, bart, metric="loss", lengths=(60, 200, 300)),
    Cell("series", "tones-conv", tones, lambda: Waves(5), optimizer="rmsprop", lengths=SOME),
    Cell(
        "pictures",
        "blobs-resnet",
        blobs,
        Residual,
        (1e-2, 3e-2, 0.1, 0.3),
        optimizer="momentum",
        lengths=(60, 200, 400),
    ),
    Cell(
        "boards",
        "checkers-lion",
        checkers,
        lambda: Network("deep", 4, 2),
        OF_LION,
        "accuracy",
        "lion_32bit",
        lengths=(150, 400, 600),
    ),
    Cell("marks", "flags-mlp", flags, Marks, HIGH, "loss", lengths=SOME),
    Cell("sets", "ranges-sets", ranges, Sets, (1e-2, 3e-2, 0.1, 0.3), "loss", "adagrad", lengths=SOME),
    Cell("hills", "peaks-mlp", peaks, lambda: Network("mlp", 6, 1), OF_MOMENTUM, "loss", "momentum", lengths=SOME),
)


def get_cell(name: str) -> Cell:
    return next(cell for cell in CELLS + FRESH if cell.name == name)
