"""A tiny model, a tiny data set, and a Trainer on them that records the LR of every update."""

import dataclasses
import gc
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PretrainedConfig, Trainer, TrainerCallback, TrainingArguments

from hf_lrsched import ScheduledTrainer

PEAK = 1e-3


class Net(nn.Module):
    """A classifier of four numbers. Its dropout makes a run depend on its random numbers."""

    def __init__(self, dropout=0.3):
        super().__init__()
        self.config = PretrainedConfig()  # model cards read it
        self.encoder = nn.Linear(4, 8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, 2)

    def forward(self, x, labels=None):
        logits = self.head(self.dropout(torch.tanh(self.encoder(x))))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class GivenLosses(nn.Module):
    """A model that returns the given losses, one per forward pass in training."""

    def __init__(self, losses):
        super().__init__()
        self.config = PretrainedConfig()
        self.weight = nn.Parameter(torch.zeros(2))
        self.losses = iter(losses)

    def forward(self, x, labels=None):
        loss = next(self.losses) if self.training else 0.5
        return {"loss": loss + 0 * self.weight.sum(), "logits": x[:, :2]}


class Recorder(TrainerCallback):
    """Record the LRs of the optimizer before each step, and the metrics that callbacks get."""

    def __init__(self):
        self.groups = []  # [update][group]
        self.metrics = []

    @property
    def used(self):
        return [lrs[0] for lrs in self.groups]

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.groups.append([float(group["lr"]) for group in optimizer.param_groups])

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self.metrics.append(dict(metrics))


def samples(count):
    generator = torch.Generator().manual_seed(count)
    features = torch.randn(count, 4, generator=generator)
    return [{"x": row, "labels": int(row.sum() > 0)} for row in features]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Several workers share the cores, and sums have the same order in each process of a test."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _frozen_imports(_one_thread):
    """Keep accelerate's garbage collections from searching what is imported, which takes longer than a tiny run.

    It stays frozen for all later modules: to search it once in each of them would take minutes in all.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def data():
    """`data(24)` returns 24 samples, always the same."""
    return samples


@pytest.fixture
def net():
    def make(**kwargs):
        torch.manual_seed(0)
        return Net(**kwargs)

    return make


@pytest.fixture
def grouped(net):
    """Make a model and an optimizer with a group for each LR. `names` are the names of the groups."""

    def make(*lrs, names=None, optimizer=torch.optim.SGD):
        model = net()
        parts = [model.encoder, model.head] if len(lrs) == 2 else [model]
        groups = [{"params": list(part.parameters()), "lr": lr} for part, lr in zip(parts, lrs, strict=True)]
        for group, name in zip(groups, names or [], strict=False):
            group["name"] = name
        return model, optimizer(groups, lr=1.0)

    return make


@pytest.fixture
def training_args(tmp_path):
    """Make arguments for a silent run on the CPU."""

    def make(cls=TrainingArguments, **kwargs):
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "learning_rate": PEAK,
            "weight_decay": 0.01,
            "report_to": "none",
            "save_strategy": "no",
            "use_cpu": True,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
        }
        return cls(**defaults | kwargs)

    return make


@pytest.fixture
def make_trainer(training_args, net):
    """`make_trainer(schedule, **training_arguments)`, with `trainer.recorder`; 24 samples in batches of 4."""

    def make(
        schedule=None,
        *,
        cls=ScheduledTrainer,
        args_class=TrainingArguments,
        model=None,
        train=24,
        dev=None,
        compute_metrics=None,
        callbacks=(),
        optimizers=(None, None),
        model_init=None,
        **kwargs,
    ):
        recorder = Recorder()
        fields = {"schedule": schedule} if schedule is not None and cls is not Trainer else {}
        if "schedule_in_args" in kwargs:
            kwargs["schedule"] = kwargs.pop("schedule_in_args")
        trainer = cls(
            model=None if model_init else (net() if model is None else model),
            args=training_args(args_class, **kwargs),
            train_dataset=samples(train) if isinstance(train, int) else train,
            eval_dataset=samples(8) if dev is None else dev,
            compute_metrics=compute_metrics,
            callbacks=[recorder, *callbacks],
            optimizers=optimizers,
            model_init=(lambda: model_init()) if model_init else None,  # Trainer counts its arguments
            **fields,
        )
        trainer.recorder = recorder
        return trainer

    return make


@pytest.fixture
def searchable(make_trainer, data):
    """`searchable(schedule, **settings)`: a run of 48 updates, long enough for `find_lr`; 32 samples to evaluate on."""

    def make(schedule="warmup(10%) >> linear()", **kwargs):
        return make_trainer(schedule, **{"train": 64, "dev": data(32), "num_train_epochs": 3} | kwargs)

    return make


@pytest.fixture
def has_argument():
    """Whether this version of transformers has a training argument."""
    return {field.name for field in dataclasses.fields(TrainingArguments)}.__contains__


@pytest.fixture
def fill_disk(monkeypatch):
    """Let a disk be full before the eleventh byte of each file whose name has a text."""

    def fill(part):
        write = Path.write_bytes

        def write_ten_bytes(self, content):
            if part not in self.name:
                return write(self, content)
            write(self, content[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", write_ten_bytes)

    return fill
