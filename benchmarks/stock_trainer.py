"""Train the stock Trainer on labelled sentences. benchmarks/sst2.py compares the recipe with this script.

All settings are the defaults of `TrainingArguments` (AdamW, linear decay to 0 without warmup, batches in random order,
padded to their longest sentence), except the batch size, the number of epochs and one evaluation per epoch.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a model's folder or Hub name")
    parser.add_argument("--train-file", required=True, help="CSV with the columns sentence and label (0, 1, ...)")
    parser.add_argument("--validation-file", required=True)
    parser.add_argument("--output-dir", type=Path, required=True, help="log_history.json is written there")
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--use-cpu", action="store_true")
    args = parser.parse_args()

    set_seed(args.seed)
    files = {"train": args.train_file, "validation": args.validation_file}
    splits = load_dataset("csv", data_files=files, keep_default_na=False)
    tokenizer = AutoTokenizer.from_pretrained(args.model)

    def encode(rows: dict[str, list[Any]]) -> dict[str, Any]:
        return {**tokenizer(rows["sentence"], truncation=True, max_length=args.max_length), "labels": rows["label"]}

    labels = len(set(splits["train"]["label"]))
    splits = splits.map(encode, batched=True, remove_columns=splits["train"].column_names)
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=labels),
        args=TrainingArguments(
            output_dir=str(args.output_dir),
            per_device_train_batch_size=args.batch_size,
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            seed=args.seed,
            eval_strategy="epoch",
            report_to="none",
            use_cpu=args.use_cpu,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda prediction: {
            "accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))
        },
    )
    trainer.train()
    (args.output_dir / "log_history.json").write_text(json.dumps(trainer.state.log_history), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
