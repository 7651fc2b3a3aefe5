"""Train the stock Trainer on tokens, questions, masked words or labelled texts. benchmarks/recipes.py compares the recipes with it.

The scripts follow what the documentation of transformers' example scripts says of their defaults: batches in random order;
`run_ner` pads each batch to its longest sentence, and so does `run_mlm --line_by_line`; `run_qa` and `run_glue` pad every sample to
`--max-length`. Schedule, updates and batch size are given, so that both sides use the same LRs.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "recipes"))

from common.answers import AnswerOptions, find_answers, score_answers  # equal to SQuAD's own, see tests/recipes
from common.conll import complete_tags
from scipy.stats import pearsonr
from seqeval.metrics import f1_score
from sklearn.metrics import f1_score as label_f1

IGNORED = -100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and validation.jsonl")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output-dir", type=Path, required=True, help="log_history.json is written there")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--stride", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--warmup", type=int, required=True, help="updates of linear warmup")
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    set_seed(args.seed)
    rows = DatasetDict({name: read_rows(args.data / f"{name}.jsonl") for name in ("train", "validation")})
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model, splits, collator, metrics = TASKS[args.task](rows, tokenizer, args)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(args.output_dir),
            per_device_train_batch_size=args.batch_size,
            max_steps=args.updates,
            learning_rate=args.learning_rate,
            warmup_steps=args.warmup,
            seed=args.seed,
            eval_strategy="steps",
            eval_steps=args.updates,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        data_collator=collator,
        compute_metrics=metrics,
    )
    trainer.train()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "log_history.json").write_text(json.dumps(trainer.state.log_history), encoding="utf-8")
    return 0


def read_rows(path: Path) -> Dataset:
    return Dataset.from_list([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


Prepared = tuple[Any, DatasetDict, Any, Callable[..., dict[str, float]] | None]


def tokens(rows: DatasetDict, tokenizer: Any, args: argparse.Namespace) -> Prepared:
    """As `run_ner`."""
    names = complete_tags(
        {tag for tags in rows["train"]["tags"] for tag in tags}
    )  # the recipe's, so that heads begin alike

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = tokenizer(batch["tokens"], is_split_into_words=True, truncation=True, max_length=args.max_length)
        labels = []
        for row, tags in enumerate(batch["tags"]):
            words = encoded.word_ids(row)
            first = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
            labels.append(
                [names.index(tags[word]) if is_first else IGNORED for word, is_first in zip(words, first, strict=True)]
            )
        return {**encoded, "labels": labels}

    def metrics(prediction: Any) -> dict[str, float]:
        kept = prediction.label_ids != IGNORED
        said, true = (
            [[names[tag] for tag in row[keep]] for row, keep in zip(each, kept, strict=True)]
            for each in (prediction.predictions.argmax(-1), prediction.label_ids)
        )
        return {"f1": f1_score(true, said)}

    model = AutoModelForTokenClassification.from_pretrained(args.model, num_labels=len(names))
    splits = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    return model, splits, DataCollatorForTokenClassification(tokenizer), metrics


def questions(rows: DatasetDict, tokenizer: Any, args: argparse.Namespace) -> Prepared:
    """As `run_qa`."""

    def encode(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, Any]:
        encoded = tokenizer(
            batch["question"],
            batch["context"],
            truncation="only_second",
            max_length=args.max_length,
            stride=args.stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        )
        of, mapping = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
        starts, ends, places = [], [], []
        for feature, row in enumerate(of):
            inside = [part == 1 for part in encoded.sequence_ids(feature)]
            place = [pair if held else (-1, -1) for pair, held in zip(mapping[feature], inside, strict=True)]
            answers, span = batch["answers"][row], (0, 0)
            if answers["text"]:
                begin = answers["answer_start"][0]
                stop = begin + len(answers["text"][0])
                held = [
                    token for token, (left, right) in enumerate(place) if left >= 0 and right > begin and left < stop
                ]
                if held and place[held[0]][0] <= begin and place[held[-1]][1] >= stop:
                    span = (held[0], held[-1])
            starts.append(span[0])
            ends.append(span[1])
            places.append(place)
        rows_of = [indices[row] for row in of]
        return {**encoded, "start_positions": starts, "end_positions": ends, "row": rows_of, "places": places}

    splits = rows.map(encode, batched=True, with_indices=True, remove_columns=rows["train"].column_names)
    held = splits["validation"]
    references = [answers["text"] for answers in rows["validation"]["answers"]]

    def metrics(prediction: Any) -> dict[str, float]:
        options = AnswerOptions(may_be_empty=any(not each for each in references))
        offsets = [np.array(place) for place in held["places"]]
        answers = find_answers(
            prediction.predictions[:2], offsets, held["row"][:], rows["validation"]["context"][:], options
        )
        return {"f1": score_answers(answers, references)["f1"]}

    model = AutoModelForQuestionAnswering.from_pretrained(args.model)
    return model, splits.remove_columns(["row", "places"]), default_data_collator, metrics


def masked(rows: DatasetDict, tokenizer: Any, args: argparse.Namespace) -> Prepared:
    """As `run_mlm` with `--line_by_line`, so that both sides have the same texts in an update."""

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        return {"input_ids": tokenizer(batch["text"], truncation=True, max_length=args.max_length)["input_ids"]}

    splits = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    return AutoModelForMaskedLM.from_pretrained(args.model), splits, collator, None


def numbers(rows: DatasetDict, tokenizer: Any, args: argparse.Namespace) -> Prepared:
    """As `run_glue` on STS-B."""
    encode = encode_texts(tokenizer, args.max_length, ("sentence1", "sentence2"), float)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=1, problem_type="regression")

    def metrics(prediction: Any) -> dict[str, float]:
        return {"pearson": float(pearsonr(prediction.predictions[:, 0], prediction.label_ids).statistic)}

    return (
        model,
        rows.map(encode, batched=True, remove_columns=rows["train"].column_names),
        default_data_collator,
        metrics,
    )


def labels(rows: DatasetDict, tokenizer: Any, args: argparse.Namespace) -> Prepared:
    """As `run_classification` with several labels."""
    names = sorted({name for names in rows["train"]["label"] for name in names})
    encode = encode_texts(tokenizer, args.max_length, ("text",), lambda of: [float(name in of) for name in names])
    model = AutoModelForSequenceClassification.from_pretrained(
        args.model, num_labels=len(names), problem_type="multi_label_classification"
    )

    def metrics(prediction: Any) -> dict[str, float]:
        return {"f1_micro": float(label_f1(prediction.label_ids, prediction.predictions > 0, average="micro"))}

    return (
        model,
        rows.map(encode, batched=True, remove_columns=rows["train"].column_names),
        default_data_collator,
        metrics,
    )


def encode_texts(
    tokenizer: Any, max_length: int, columns: tuple[str, ...], target: Callable[[Any], Any]
) -> Callable[[dict[str, list[Any]]], dict[str, Any]]:
    """Make the function that tokenizes texts or pairs of texts, padded to the maximum length."""

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        texts = [batch[column] for column in columns]
        encoded = tokenizer(*texts, truncation=True, max_length=max_length, padding="max_length")
        return {**encoded, "labels": [target(label) for label in batch["label"]]}

    return encode


TASKS: dict[str, Callable[..., Prepared]] = {
    "tokens": tokens,
    "tokens of paragraphs": tokens,
    "questions": questions,
    "masked words": masked,
    "numbers": numbers,
    "several labels": labels,
}

if __name__ == "__main__":
    sys.exit(main())
