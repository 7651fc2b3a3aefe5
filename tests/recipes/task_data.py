"""Tiny data for each recipe: settings that point to 32 rows to train on and 13 to evaluate on, with lengths that vary."""

import csv
import json
from pathlib import Path

from tests.recipe_runs import reviews

RECIPES = ("text_classification", "regression", "token_classification", "question_answering", "masked_lm")


def script_of(task: str) -> str:
    """The recipe of a task."""
    return "text_classification" if task == "regression" else task


def write_data(task: str, folder: Path) -> dict[str, object]:
    """Write the data of a task into a folder, and return its settings."""
    settings: dict[str, object] = {"ignore_mismatched_sizes": "true"}  # the tiny model has a head for two labels
    for seed, (split, count) in enumerate({"train": 32, "validation": 13}.items()):
        texts = reviews(count, seed)
        ending = {"token_classification": "conll", "question_answering": "json", "masked_lm": "txt"}.get(task, "csv")
        path = folder / f"{split}.{ending}"
        if task == "token_classification":
            path.write_text(
                "\n\n".join("\n".join(f"{word} {tag(word)}" for word in text.split()) for text, _ in texts) + "\n"
            )
        elif task == "question_answering":
            path.write_text(json.dumps([make_question(text, number) for number, (text, _) in enumerate(texts)]))
        elif task == "masked_lm":
            path.write_text("\n".join(text for text, _ in texts))
        else:
            rows = texts if task == "text_classification" else [(text, len(text) / 7) for text, _ in texts]
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *rows])
        settings[f"{split}_file"] = path
    if task == "question_answering":
        settings |= {"max_seq_length": 16, "doc_stride": 4}
    return settings | ({"new_head": "true"} if task == "masked_lm" else {})


def tag(word: str) -> str:
    return {"good": "B-X", "bad": "B-X", "film": "B-Y", "actor": "B-Y"}.get(word, "O")


def make_question(text: str, number: int) -> dict[str, object]:
    """A question after the first word of a text, which a third of the texts do not answer."""
    word = text.split()[0]
    answers = {"text": [word], "answer_start": [0]} if number % 3 else {"text": [], "answer_start": []}
    return {"question": f"the {word}", "context": text, "answers": answers}
