"""Trains runs of many kinds, for `leave_one_out.py`: tasks, architectures, optimizers, lengths, habits of logging and evaluating.

    python benchmarks/monitor/make_families.py --output runs.jsonl.gz
    python benchmarks/monitor/make_families.py --output runs.jsonl.gz --only regression --most 20

Nothing is downloaded: the data are made here, and all models are small enough for one CPU core. For each cell of a task and an
architecture, a sweep over the peak LR comes first, one short run for each LR; its best LR is the healthy one. Then come healthy
runs with other schedules, optimizers, lengths and habits, and runs made ill by one cause each. A run's verdict is that of its
test metric against the best of the sweep: `healthy` within 1 point of accuracy (2 % of a loss), `near` within 2.5 (5 %), else
`worse`; a run that was made ill is `ill`, or `harmless` where it is not behind all the same. A cell whose best run hardly beats
the worst one of the sweep shows nothing: look at the sweep before its runs are used. The sweep has 200 updates, so that healthy
runs of 40 and 100 end behind it, as `worse`, and do not count.

Each run is one line of JSON, appended when it is done. Started again, the script goes on with the runs that the file lacks.
"""

import argparse
import contextlib
import gzip
import io
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from hf_lrsched import ScheduledTrainer
from hf_lrsched.optim.wrappers import weight_rms

VOCAB, LENGTH, CLASSES = 64, 16, 4
HEALTHY = (
    "warmup(10%) >> linear()",
    "warmup(6%) >> cosine()",
    "linear()",
    "warmup(5%) >> hold() >> one_minus_sqrt(over=30%)",
    "warmup(5%) >> hold()",
)
CAUSES = {
    "lr_x30": (30.0, None),
    "lr_x100": (100.0, None),
    "lr_d30": (1 / 30, None),
    "lr_d100": (1 / 100, None),
    "no_warmup": (12.0, "linear()"),
    "long_warmup": (1.0, "warmup(60%) >> linear()"),
    "early_decay": (1.0, "warmup(5%) >> linear(over=20%) >> hold()"),
    "shuffled_validation": (1.0, None),
    "tiny_validation": (1.0, None),
}
NUM_VALIDATION, NUM_TEST, NUM_TINY = 200, 400, 12


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


def make_tokens(rows: int, draw: torch.Generator) -> torch.Tensor:
    """Return sequences in which each token depends on the one before, as in a text."""
    table = torch.rand(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1)).pow(8)
    tokens = [torch.randint(2, VOCAB, (rows,), generator=draw)]
    for _ in range(LENGTH - 1):
        tokens.append(torch.multinomial(table[tokens[-1]], 1, generator=draw)[:, 0])
    return torch.stack(tokens, 1)


def majority(rows: int, draw: torch.Generator) -> Rows:
    """The class whose tokens are the most frequent."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    counts = torch.stack([(tokens % CLASSES == each).sum(1) for each in range(CLASSES)], 1)
    return Rows({"input_ids": tokens, "labels": counts.argmax(1)})


def contains(rows: int, draw: torch.Generator) -> Rows:
    """Whether one of three tokens occurs; one sample in three has none."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    return Rows({"input_ids": tokens, "labels": (tokens < 3).any(1).long()})


def parity_tags(rows: int, draw: torch.Generator) -> Rows:
    """Of each token, the class of the token before it."""
    tokens = make_tokens(rows, draw)
    return Rows({"input_ids": tokens, "labels": torch.roll(tokens, 1, 1) % CLASSES})


def causal(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_tokens(rows, draw)
    return Rows({"input_ids": tokens, "labels": tokens})


def masked(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_tokens(rows, draw)
    is_masked = torch.rand(tokens.shape, generator=draw) < 0.15
    return Rows({"input_ids": tokens.masked_fill(is_masked, 1), "labels": tokens.masked_fill(~is_masked, -100)})


def friedman(rows: int, draw: torch.Generator) -> Rows:
    """Friedman's first regression (1991), with a standardized target."""
    x = torch.rand(rows, 10, generator=draw)
    y = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return Rows({"x": x, "labels": (y + torch.randn(rows, generator=draw) - 14.4) / 5.0})


def tabular(rows: int, draw: torch.Generator) -> Rows:
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
    picture = ((lines - shift[:, None, None]) % 8 == 0).float() + 0.5 * torch.randn(rows, 8, 8, generator=draw)
    return Rows({"x": picture.flatten(1), "labels": label})


def pairs(rows: int, draw: torch.Generator) -> Rows:
    """A vector and a noisy, mixed copy of it, for a contrastive loss."""
    x = torch.randn(rows, 16, generator=draw)
    mix = torch.randn(16, 16, generator=torch.Generator().manual_seed(2)) / 4
    return Rows({"x": x, "labels": torch.tanh(x @ mix) + 0.1 * torch.randn(rows, 16, generator=draw)})


class Network(nn.Module):
    """A network on columns: an MLP or a small CNN, with the loss of its task.

    Args:
        kind (`str`): `mlp`, `cnn` or `towers`.
        size (`int`): Its inputs.
        outputs (`int`): Its outputs; with one, the loss is the squared error.
    """

    def __init__(self, kind: str, size: int, outputs: int):
        super().__init__()
        self.config = PretrainedConfig()
        self.kind = kind
        wide = 64
        self.body: nn.Module = nn.Sequential(nn.Linear(size, wide), nn.GELU(), nn.Linear(wide, wide), nn.GELU())
        if kind == "cnn":
            convolutions = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
            self.body = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *convolutions, nn.Flatten(), nn.Linear(1024, wide))
        self.head = nn.Linear(wide, outputs)
        self.other = (
            nn.Sequential(nn.Linear(16, wide), nn.GELU(), nn.Linear(wide, outputs)) if kind == "towers" else None
        )

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.head(self.body(x))
        if self.other is not None:
            scores = nn.functional.normalize(out) @ nn.functional.normalize(self.other(labels)).T / 0.1
            return {"loss": nn.functional.cross_entropy(scores, torch.arange(len(x))), "logits": scores}
        if out.shape[1] == 1:
            return {"loss": nn.functional.mse_loss(out[:, 0], labels), "logits": out}
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


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


def bert(kind: Any, layers: int, classes: int) -> Any:
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": layers}
    return kind(BertConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, num_labels=classes, **sizes))


def gpt2(layers: int) -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=LENGTH, n_embd=48, n_layer=layers, n_head=4))


@dataclass(frozen=True)
class Cell:
    """A task and an architecture.

    Args:
        family, name (`str`): Its family and name.
        make_rows (`Callable`): Makes the data.
        make_model (`Callable`): Makes the model.
        lrs (`tuple[float, ...]`): The peak LRs of the sweep.
        metric (`str`): `accuracy` or `loss`.
    """

    family: str
    name: str
    make_rows: Callable[[int, torch.Generator], Rows]
    make_model: Callable[[], Any]
    lrs: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    metric: str = "accuracy"


CELLS = (
    Cell("bert", "majority-bert1", majority, lambda: bert(BertForSequenceClassification, 1, CLASSES)),
    Cell("bert", "majority-bert3", majority, lambda: bert(BertForSequenceClassification, 3, CLASSES)),
    Cell("bert", "contains-bert2", contains, lambda: bert(BertForSequenceClassification, 2, 2)),
    Cell("tokens", "tags-bert1", parity_tags, lambda: bert(BertForTokenClassification, 1, CLASSES)),
    Cell("tokens", "tags-bert3", parity_tags, lambda: bert(BertForTokenClassification, 3, CLASSES)),
    Cell("causal_lm", "causal-gpt1", causal, lambda: gpt2(1), metric="loss"),
    Cell("causal_lm", "causal-gpt3", causal, lambda: gpt2(3), metric="loss"),
    Cell("masked_lm", "masked-bert2", masked, lambda: bert(BertForMaskedLM, 2, 2), metric="loss"),
    Cell("lstm", "majority-lstm", majority, lambda: LSTM(CLASSES)),
    Cell("lstm", "contains-lstm", contains, lambda: LSTM(2)),
    Cell("regression", "friedman-mlp", friedman, lambda: Network("mlp", 10, 1), (1e-3, 3e-3, 1e-2, 3e-2), "loss"),
    Cell("tabular", "spirals-mlp", tabular, lambda: Network("mlp", 10, 2)),
    Cell("vision", "stripes-cnn", stripes, lambda: Network("cnn", 64, 4)),
    Cell("vision", "stripes-mlp", stripes, lambda: Network("mlp", 64, 4)),
    Cell("contrastive", "pairs-towers", pairs, lambda: Network("towers", 16, 32), metric="loss"),
)
OPTIMIZERS = {"adamw_torch": 1.0, "adafactor": 1.0, "rmsprop": 0.3, "sgd": 30.0}
LENGTHS = (40, 100, 200, 400, 1000)
LOGGING, EVALUATIONS = (1, 5, 10, 50, 500), (0, 4, 8, 12, 25)


@dataclass(frozen=True)
class Plan:
    """One run to train."""

    cell: Cell
    name: str
    cause: str
    lr: float
    schedule: str = HEALTHY[0]
    num_updates: int = 200
    optimizer: str = "adamw_torch"
    logging_steps: int = 10
    num_evaluations: int = 10
    seed: int = 0


def sweep(cell: Cell) -> list[Plan]:
    return [Plan(cell, f"{cell.name}-sweep-{lr:g}", "sweep", lr) for lr in cell.lrs]


def plan_runs(cell: Cell, lr: float) -> Iterator[Plan]:
    """Yield the runs of a cell whose best LR is known, always the same ones."""
    for seed in range(8):
        draw = random.Random(f"{cell.name} {seed}")
        optimizer = draw.choice([*OPTIMIZERS, "adamw_torch", "adamw_torch"])
        yield Plan(
            cell,
            f"{cell.name}-healthy-{seed}",
            "healthy",
            lr * OPTIMIZERS[optimizer],
            draw.choice(HEALTHY),
            draw.choice(LENGTHS),
            optimizer,
            draw.choice(LOGGING),
            draw.choice(EVALUATIONS),
            seed + 1,
        )
    for cause, (factor, schedule) in CAUSES.items():
        for seed in range(2):
            draw = random.Random(f"{cell.name} {cause} {seed}")
            yield replace(
                Plan(cell, f"{cell.name}-{cause}-{seed}", cause, lr * factor),
                schedule=schedule or draw.choice(HEALTHY[:2]),
                num_updates=draw.choice(LENGTHS[1:4]),
                logging_steps=draw.choice(LOGGING),
                num_evaluations=draw.choice(EVALUATIONS[2:]),
                seed=seed + 1,
            )


class Tape(TrainerCallback):
    """Records the loss and the LR of every update, and the evaluations."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.weight_rms = 0.0
        self.records: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        self.weight_rms = weight_rms(optimizer)

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, lr_scheduler: Any = None, **kwargs: Any
    ) -> None:
        self.lrs.append(lr_scheduler.get_last_lr()[0])

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.records.append({"step": state.global_step, "loss": _short(logs["loss"])})

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        row = {key: _short(value) for key, value in metrics.items() if key in ("eval_loss", "eval_accuracy")}
        self.evaluations.append({"step": state.global_step, **row})


class TapedTrainer(ScheduledTrainer):
    """Keeps the loss of every update."""

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(*args, **kwargs)
        self.losses.append(_short(float(loss)))
        return loss


def measure_accuracy(prediction: Any) -> dict[str, float]:
    logits, labels = torch.as_tensor(prediction.predictions), torch.as_tensor(prediction.label_ids)
    return {"accuracy": float((logits.argmax(-1) == labels).float().mean())}


def train(plan: Plan) -> dict[str, Any]:
    """Train a run, and return its line."""
    draw = torch.Generator().manual_seed(plan.seed)
    batch, cell = 32, plan.cell
    num_train = min(4096, max(1, plan.num_updates // 3) * batch)
    rows = cell.make_rows(num_train + NUM_VALIDATION + NUM_TEST, draw)
    validation = rows.part(num_train, num_train + NUM_VALIDATION)
    if plan.cause == "shuffled_validation":
        order = torch.randperm(NUM_VALIDATION, generator=draw)
        validation = Rows({**validation.columns, "labels": validation.columns["labels"][order]})
    if plan.cause == "tiny_validation":
        validation = validation.part(0, NUM_TINY)
    set_seed(plan.seed)
    model = cell.make_model()
    tape = Tape()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=plan.num_updates,
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=200,
            learning_rate=plan.lr,
            optim=plan.optimizer,
            logging_steps=plan.logging_steps,
            eval_strategy="steps" if plan.num_evaluations else "no",
            eval_steps=max(1, plan.num_updates // max(1, plan.num_evaluations)),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=plan.seed,
        )
        has_accuracy = cell.metric == "accuracy"
        trainer = TapedTrainer(
            model=model,
            args=arguments,
            schedule=plan.schedule,
            train_dataset=rows.part(0, num_train),
            eval_dataset=validation,
            compute_metrics=measure_accuracy if has_accuracy else None,
            callbacks=[tape],
        )
        trainer.losses = []
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        rms = tape.weight_rms
        final = trainer.evaluate(rows.part(num_train + NUM_VALIDATION, len(rows)), metric_key_prefix="test")
    updates_per_epoch = num_train // batch
    return {
        "name": plan.name,
        "family": cell.family,
        "cell": cell.name,
        "cause": plan.cause,
        "schedule": plan.schedule,
        "lr": plan.lr,
        "optim": plan.optimizer,
        "num_updates": plan.num_updates,
        "updates_per_epoch": updates_per_epoch,
        "epochs": plan.num_updates / updates_per_epoch,
        "logging_steps": plan.logging_steps,
        "seed": plan.seed,
        "weight_rms": rms,
        "step_ratio": plan.lr / rms if plan.optimizer in ("adamw_torch", "rmsprop") else 0.0,
        "losses": trainer.losses,
        "lrs": tape.lrs,
        "records": tape.records,
        "evaluations": [{**each, "samples": len(validation)} for each in tape.evaluations if "eval_loss" in each],
        "final": {key: _short(value) for key, value in final.items() if key in ("test_loss", "test_accuracy")},
        "key": [cell.metric, 1 if has_accuracy else -1],
    }


def judge(row: dict[str, Any], best: float) -> str:
    """Return the verdict on a run, against the best test metric of its cell."""
    name, sign = row["key"]
    behind = sign * (best - float(row["final"][f"test_{name}"]))
    behind = behind if name == "accuracy" else behind / (2 * abs(best))
    is_ill = row["cause"] in CAUSES
    if not behind <= 0.01:  # NaN is ill
        return "ill" if is_ill else "near" if behind <= 0.025 else "worse"
    if not is_ill:
        return "healthy"
    return "ill" if row["cause"] in ("shuffled_validation", "tiny_validation", "long_warmup") else "harmless"


def _short(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", type=Path, required=True, help="the file to add to: .jsonl.gz")
    arguments.add_argument("--only", default="", help="only cells whose family or name holds this")
    arguments.add_argument("--most", type=int, default=10**9, help="train so many runs at most")
    args = arguments.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    rows: dict[str, dict[str, Any]] = {}
    if args.output.exists():
        with gzip.open(args.output, "rt", encoding="utf-8") as file:
            rows = {row["name"]: row for row in map(json.loads, file)}
    left = args.most
    for cell in CELLS:
        if args.only not in f"{cell.family} {cell.name}":
            continue
        best = None
        for stage in range(2):
            plans = sweep(cell) if stage == 0 else list(plan_runs(cell, best["lr"]))
            for plan in plans:
                if plan.name not in rows and left > 0:
                    left -= 1
                    row = rows[plan.name] = train(plan)
                    if best is not None:
                        row["verdict"] = judge(row, best["value"])
                        _append(args.output, row)
                    print(f"{row['name']}: {row['final']} {row.get('verdict', '')}", flush=True)
            if any(plan.name not in rows for plan in plans):
                break
            if stage == 0:
                best = _choose(cell, [rows[plan.name] for plan in plans])
                for plan in plans:  # judged once all of them are known
                    if "verdict" not in rows[plan.name]:
                        rows[plan.name] |= {
                            "verdict": judge(rows[plan.name], best["value"]),
                            "best_of_cell": best["value"],
                        }
                        _append(args.output, rows[plan.name])
    return 0


def _choose(cell: Cell, rows: list[dict[str, Any]]) -> dict[str, float]:
    sign = 1 if cell.metric == "accuracy" else -1
    values = [float(row["final"][f"test_{cell.metric}"]) for row in rows]
    index = max(range(len(rows)), key=lambda i: sign * values[i] if math.isfinite(values[i]) else -math.inf)
    return {"lr": rows[index]["lr"], "value": values[index]}


def _append(path: Path, row: dict[str, Any]) -> None:
    with gzip.open(path, "at", encoding="utf-8") as file:  # a gzip file may have several parts
        file.write(json.dumps(row, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
