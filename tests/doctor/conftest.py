"""A tiny stock Trainer, and models that Trainer takes for pretrained ones."""

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PretrainedConfig,
    Trainer,
    TrainingArguments,
)


class Net(nn.Module):
    """Two numbers in, two classes out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config = PretrainedConfig()
        self.head = nn.Linear(2, 2)

    def forward(self, x, labels=None):
        logits = self.head(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Endless(torch.utils.data.IterableDataset):
    """Data without a length."""

    def __iter__(self):
        while True:
            yield {"x": torch.ones(2), "labels": 0}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """As if no launcher had started this process."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_args(tmp_path):
    def make(**kwargs):
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "logging_steps": 2,
            "report_to": "none",
            "save_strategy": "no",
            "use_cpu": True,
            "disable_tqdm": True,
        }
        return TrainingArguments(**defaults | kwargs)

    return make


@pytest.fixture
def make_trainer(make_args):
    """`make_trainer(cls, model=..., samples=40, optimizers=..., schedule=..., **training_arguments)`."""

    def make(cls=Trainer, *, model=None, data=None, samples=40, optimizers=(None, None), extra=None, **kwargs):
        rows = [{"x": torch.tensor([float(i), 1.0]), "labels": i % 2} for i in range(samples)]
        return cls(
            model=Net() if model is None else model,
            args=make_args(**kwargs),
            train_dataset=rows if data is None else data,
            optimizers=optimizers,
            **(extra or {}),
        )

    return make


def _bert(cls, vocabulary=20, name=""):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = cls(config)
    model.config._name_or_path = name
    return model


@pytest.fixture
def bert():
    """A small BERT that tells texts apart."""
    return _bert(BertForSequenceClassification)


@pytest.fixture
def pretrained():
    """One with a million parameters and the name of a pretrained one."""
    return _bert(BertForSequenceClassification, vocabulary=9000, name="google-bert/bert-base-uncased")


@pytest.fixture
def answering():
    """One that answers questions."""
    return _bert(BertForQuestionAnswering)


@pytest.fixture
def texts():
    """Eight texts of four tokens."""
    return [{"input_ids": [1 + i, 2, 3, 4], "attention_mask": [1] * 4, "labels": i % 2} for i in range(8)]


@pytest.fixture
def endless():
    return Endless()
