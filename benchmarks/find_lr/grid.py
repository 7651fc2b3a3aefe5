"""Full runs over a grid of peak LRs, and shortened runs of the same: the truth that a search for the peak LR is measured against.

    python benchmarks/find_lr/grid.py --data DATA --output benchmarks/find_lr/grid.jsonl --workers 12 --minutes 7

DATA holds `sst2/` and `banking77/` as CSV files; the messages are those of the demo. Each line of the output is one run:
its setting, peak LR, seed, the share of the full run that it lasted, its updates, and its loss and accuracy on held-out
data. A shortened run follows the whole schedule, `warmup(10%) >> linear()`, over its own length.

Every run: batches of 32 in random order, padded to their longest text of at most 64 tokens; gradients clipped to a norm
of 1; no weight decay; dropout as the model has it. On a GPU, matrix products are in TF32.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import multiprocessing
from torch.nn.functional import cross_entropy
from transformers import (
    Adafactor,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    set_seed,
)

from hf_lrsched.schedules import Horizon, parse

SCHEDULE = "warmup(10%) >> linear()"
BATCH, MAX_LENGTH, MASKED = 32, 64, 0.15
MESSAGES = Path(__file__).resolve().parents[2] / "examples" / "data" / "messages"
SEEDS = (0, 1, 2)
SHARES = (1 / 4, 1 / 8, 1 / 16)
#: A shortened run with fewer updates would be little more than its warmup.
MIN_UPDATES = 6


@dataclass(frozen=True)
class Setting:
    """What is trained: `task` on `model` with `optimizer` for `epochs`.

    `scratch` is a BERT of two layers with random weights; of `head` only the pooler and the classifier are trained.
    """

    task: str
    model: str
    optimizer: str
    epochs: float

    def __str__(self) -> str:
        return f"{self.task}/{self.model}/{self.optimizer}/{self.epochs:g}ep"

    @property
    def lrs(self) -> list[float]:
        """Eight peak LRs, evenly spaced in the logarithm."""
        first, last = {
            ("minilm", "adamw"): (3e-5, 3.84e-3),
            ("scratch", "adamw"): (3e-5, 3.84e-3),
            ("lora", "adamw"): (1e-4, 1.28e-2),
            ("minilm", "adafactor"): (1e-5, 1.28e-3),
            ("minilm", "sgd"): (1e-3, 3.0),
            ("scratch", "sgd"): (3e-3, 9.0),
            ("head", "adamw"): (3e-4, 3.84e-2),
        }[self.model, self.optimizer]
        return [float(f"{lr:.3g}") for lr in np.geomspace(first, last, 8)]


SETTINGS = [
    *(Setting("sst2", "minilm", "adamw", epochs) for epochs in (0.25, 1, 3)),
    *(Setting("banking77", "minilm", "adamw", epochs) for epochs in (0.25, 1, 3)),
    *(Setting("messages", "minilm", "adamw", epochs) for epochs in (1, 3)),
    *(Setting("sst2", "lora", "adamw", epochs) for epochs in (1,)),
    *(Setting("banking77", "lora", "adamw", epochs) for epochs in (1, 3)),
    *(Setting("messages", "scratch", "adamw", epochs) for epochs in (3,)),
    *(Setting("banking77", "scratch", "adamw", epochs) for epochs in (3,)),
    *(Setting("banking77-mlm", "minilm", "adamw", epochs) for epochs in (1,)),
    *(Setting("sst2-mlm", "minilm", "adamw", epochs) for epochs in (1, 3)),
    *(Setting("sst2", "minilm", "adafactor", epochs) for epochs in (1,)),
    *(Setting("banking77", "minilm", "adafactor", epochs) for epochs in (1,)),
    *(Setting("sst2", "minilm", "sgd", epochs) for epochs in (1,)),
    *(Setting("banking77", "minilm", "sgd", epochs) for epochs in (1,)),
]
#: Settings that no version of the method was made on before it was measured on them.
FRESH = [
    Setting("messages", "minilm", "adafactor", 3),
    Setting("messages", "minilm", "sgd", 3),
    Setting("messages", "lora", "adamw", 3),
    Setting("messages-mlm", "minilm", "adamw", 3),
    Setting("banking77", "head", "adamw", 1),
    Setting("banking77", "scratch", "sgd", 3),
]


@dataclass(frozen=True)
class Job:
    """One run: a setting, a peak LR, a seed, and the share of the full run that it lasts."""

    setting: Setting
    lr: float
    seed: int
    share: float


@dataclass(frozen=True)
class Texts:
    """Tokenized texts on the device.

    Args:
        ids (`torch.Tensor`): Shape `(texts, MAX_LENGTH)`, padded with 0.
        lengths (`np.ndarray`): Tokens of each text; on the CPU, so that a batch can be cut without waiting for the device.
        labels (`torch.Tensor`): Shape `(texts,)`.
    """

    ids: torch.Tensor
    lengths: np.ndarray
    labels: torch.Tensor


def read_rows(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row.get("sentence") or row["text"], row["label"]) for row in csv.DictReader(file)]


def read_task(data: Path, task: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The training and the held-out rows of a task."""
    generator = np.random.default_rng(0)
    if task == "sst2":
        rows = read_rows(data / "sst2" / "train.csv")
        chosen = generator.permutation(len(rows))[:3000]
        return [rows[index] for index in chosen], read_rows(data / "sst2" / "validation.csv")
    if task == "banking77":
        rows = read_rows(data / "banking77" / "train.csv")
        order = generator.permutation(len(rows))
        return [rows[index] for index in order[1000:]], [rows[index] for index in order[:1000]]
    held_out = [*read_rows(MESSAGES / "validation.csv"), *read_rows(MESSAGES / "test.csv")]
    return read_rows(MESSAGES / "train.csv"), held_out


class Worker:
    """Runs jobs in one process; what they share is loaded once."""

    def __init__(self, data: Path, model: Path, device: str):
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("high")
        self.data, self.folder, self.device = data, model, torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.tasks: dict[str, tuple[Texts, Texts, int]] = {}

    def load(self, task: str) -> tuple[Texts, Texts, int]:
        if task not in self.tasks:
            splits = read_task(self.data, task)
            names = sorted({label for _, label in splits[0]})
            encoded = [self._encode(rows, names) for rows in splits]
            self.tasks[task] = encoded[0], encoded[1], len(names)
        return self.tasks[task]

    def _encode(self, rows: list[tuple[str, str]], names: list[str]) -> Texts:
        settings = {"truncation": True, "max_length": MAX_LENGTH, "padding": "max_length", "return_tensors": "np"}
        batch = self.tokenizer([text for text, _ in rows], **settings)
        labels = torch.tensor([names.index(label) for _, label in rows], device=self.device)
        ids = torch.as_tensor(batch["input_ids"], device=self.device)
        return Texts(ids, batch["attention_mask"].sum(1), labels)

    def make_model(self, setting: Setting, labels: int) -> torch.nn.Module:
        if setting.model == "scratch":
            sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
            config = BertConfig(vocab_size=len(self.tokenizer), num_labels=labels, **sizes)
            return BertForSequenceClassification(config)
        if setting.task.endswith("-mlm"):
            return BertForMaskedLM.from_pretrained(self.folder, dtype=torch.float32)
        model = BertForSequenceClassification.from_pretrained(self.folder, num_labels=labels, dtype=torch.float32)
        if setting.model == "lora":
            from peft import LoraConfig, get_peft_model

            targets = ["query", "value"]
            return get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=targets))
        if setting.model == "head":
            model.bert.embeddings.requires_grad_(False)
            model.bert.encoder.requires_grad_(False)
        return model

    def run(self, job: Job) -> dict[str, Any]:
        """Trains once, and scores on the held-out texts."""
        setting = job.setting
        train, held_out, labels = self.load(setting.task.removesuffix("-mlm"))
        set_seed(job.seed)
        model = self.make_model(setting, labels).to(self.device)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(setting.optimizer, parameters, job.lr)
        per_epoch = math.ceil(len(train.lengths) / BATCH)
        updates = max(round(setting.epochs * per_epoch * job.share), 1)
        lrs = job.lr * parse(SCHEDULE).resolve(Horizon(updates))(np.arange(updates, dtype=float))
        generator = np.random.default_rng(job.seed)
        device_generator = torch.Generator(self.device).manual_seed(job.seed)
        started = time.perf_counter()
        model.train()
        for lr, chosen in zip(lrs, batches(len(train.lengths), generator), strict=False):
            optimizer.param_groups[0]["lr"] = float(lr)
            loss, _, _ = self.score(model, setting, train, chosen, device_generator)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        model.eval()
        mask_generator = torch.Generator(self.device).manual_seed(1)
        totals = torch.zeros(3, device=self.device, dtype=torch.float64)
        with torch.no_grad():
            for chosen in np.array_split(np.argsort(held_out.lengths), math.ceil(len(held_out.lengths) / 128)):
                loss, right, count = self.score(model, setting, held_out, chosen, mask_generator)
                totals += torch.stack([loss * count, right, count]).double()
        loss_sum, right_sum, counted = totals.tolist()
        return {
            "setting": str(setting),
            "lr": job.lr,
            "seed": job.seed,
            "share": job.share,
            "updates": updates,
            "loss": loss_sum / counted,
            "accuracy": right_sum / counted,
            "seconds": round(time.perf_counter() - started, 2),
            "device": "CPU" if self.device.type == "cpu" else torch.cuda.get_device_name(),
        }

    def score(
        self, model: torch.nn.Module, setting: Setting, texts: Texts, chosen: np.ndarray, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The mean loss of a batch, how many answers are right, and how many there are."""
        index = torch.as_tensor(chosen, device=self.device)
        ids = texts.ids[index, : int(texts.lengths[chosen].max())]
        mask = ids != self.tokenizer.pad_token_id
        if setting.task.endswith("-mlm"):
            special = (ids == self.tokenizer.cls_token_id) | (ids == self.tokenizer.sep_token_id) | ~mask
            hidden = (torch.rand(ids.shape, device=ids.device, generator=generator) < MASKED) & ~special
            answers = ids[hidden]
            states = model.bert(torch.where(hidden, self.tokenizer.mask_token_id, ids), attention_mask=mask)
            logits = model.cls(states.last_hidden_state[hidden])  # the vocabulary is large: no logits for other tokens
        else:
            answers = texts.labels[index]
            logits = model(ids, attention_mask=mask).logits
        right = (logits.argmax(-1) == answers).sum()
        return cross_entropy(logits, answers), right, torch.tensor(len(answers), device=self.device)


def make_optimizer(name: str, parameters: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    if name == "adafactor":
        return Adafactor(parameters, lr=lr, scale_parameter=False, relative_step=False, warmup_init=False)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)


def batches(texts: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches without an end, in a new order for each pass."""
    while True:
        order = generator.permutation(texts)
        yield from (order[start : start + BATCH] for start in range(0, texts, BATCH))


def make_jobs(data: Path, settings: list[Setting], seeds: list[int], shares: list[float]) -> list[Job]:
    """All runs, one seed of everything first and short ones before long ones: a stop before the end leaves what can be used."""
    tasks = {setting.task.removesuffix("-mlm") for setting in settings}
    texts = {task: len(read_task(data, task)[0]) for task in tasks}
    jobs: list[tuple[int, int, Job]] = []
    for seed in seeds:
        for share in shares:
            for setting in settings:
                updates = round(setting.epochs * share * math.ceil(texts[setting.task.removesuffix("-mlm")] / BATCH))
                if updates >= MIN_UPDATES:
                    jobs += [(seed, updates, Job(setting, lr, seed, share)) for lr in setting.lrs]
    return [job for _, _, job in sorted(jobs, key=lambda each: each[:2])]


def drop_hopeless(jobs: list[Job], rows: list[dict[str, Any]], points: float) -> list[Job]:
    """Leave out further seeds of LRs whose accuracy with the first one is more than `points` below the best of the setting."""
    first = {
        (row["setting"], row["lr"]): 100 * row["accuracy"] for row in rows if (row["seed"], row["share"]) == (0, 1.0)
    }
    best = {name: max(first[each] for each in first if each[0] == name) for name, _ in first}
    return [
        job
        for job in jobs
        if job.seed == 0 or first.get((str(job.setting), job.lr), math.inf) >= best.get(str(job.setting), 0) - points
    ]


_worker: Worker


def start_worker(*arguments: Any) -> None:
    global _worker
    _worker = Worker(*arguments)


def run_job(job: Job) -> dict[str, Any]:
    return _worker.run(job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines; runs that it has are not made again")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--settings", nargs="+", default=[""], help="only settings whose names contain one of these")
    parser.add_argument("--fresh", action="store_true", help="the settings of FRESH instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[*SEEDS])
    parser.add_argument(
        "--within", type=float, default=math.inf, help="further seeds only of LRs at most these points below the best"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, *SHARES], help="1: only the runs in full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    deadline = time.monotonic() + 60 * args.minutes
    rows = [json.loads(line) for line in args.output.read_text("utf-8").splitlines()] if args.output.exists() else []
    done = {(row["setting"], row["lr"], row["seed"], row["share"]) for row in rows}
    known = FRESH if args.fresh else SETTINGS
    settings = [setting for setting in known if any(part in str(setting) for part in args.settings)]
    jobs = [
        job
        for job in drop_hopeless(make_jobs(args.data, settings, args.seeds, args.shares), rows, args.within)
        if (str(job.setting), job.lr, job.seed, job.share) not in done
    ]
    print(f"{len(jobs)} runs of {len(settings)} settings", flush=True)
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(args.workers, start_worker, (args.data, args.model, args.device)) as pool,
        args.output.open("a", encoding="utf-8") as file,
    ):
        for count, row in enumerate(pool.imap_unordered(run_job, jobs), 1):
            file.write(json.dumps(row) + "\n")
            file.flush()
            if count % 50 == 0:
                print(f"{count} of {len(jobs)}", flush=True)
            if time.monotonic() > deadline:
                print(f"stopped after {args.minutes:g} minutes with {count} runs", flush=True)
                pool.terminate()
                break


if __name__ == "__main__":
    main()
