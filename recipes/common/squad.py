"""Questions with answers in a paragraph, in the format of SQuAD or as a table."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from .data import Split, check_texts
from .errors import RecipeError
from .files import FileOptions, Part, read_json, read_text

_COLUMNS = ("question", "context")


def read_squad(path: Path, options: FileOptions) -> Part:
    """Read a JSON file in the format of SQuAD 1.1 or 2.0, or else as a table.

    Raises:
        RecipeError: The file is no JSON, or an entry is missing.
    """
    content = _read_object(path, options)
    if content is None or "data" not in content:
        return read_json(path, options)
    rows = []
    for number, article in enumerate(content["data"], start=1):
        for paragraph in article.get("paragraphs", []):
            for question in paragraph.get("qas", []):
                try:
                    answers = [(answer["text"], answer["answer_start"]) for answer in question.get("answers", [])]
                    row = {"question": question["question"], "context": paragraph["context"]}
                except (KeyError, TypeError) as error:
                    raise RecipeError(
                        f"{path}, article {number}, question {question.get('id')!r}: no entry {error} in the format of SQuAD."
                    ) from None
                texts, starts = (list(each) for each in zip(*answers, strict=True)) if answers else ([], [])
                rows.append(row | {"answers": {"text": texts, "answer_start": starts}})
    return Part(str(path), Dataset.from_list(rows) if rows else Dataset.from_dict({"question": []}))


def _read_object(path: Path, options: FileOptions) -> dict[str, Any] | None:
    """Return the content of a file that is one JSON object, rather than a list or one object on each line."""
    text = read_text(path, options.encoding).lstrip()
    try:
        content, end = json.JSONDecoder().raw_decode(text)
    except ValueError as error:
        raise RecipeError(f"{path} is not JSON: {error}.") from None
    return content if isinstance(content, dict) and not text[end:].strip() else None


def check_questions(split: Split) -> Dataset:
    """Return the columns `question`, `context` and `answers` after checking each row.

    Raises:
        RecipeError: A column is missing, a text is empty, or an answer is not at its offset.
    """
    check_texts(split, _COLUMNS)
    rows = split.rows
    for column in _COLUMNS:
        empty = next((row for row, text in enumerate(split.values(column)) if not text.strip()), None)
        if empty is not None:
            raise RecipeError(f"{split.at(empty)}: the {column} is empty. Remove the row.")
    if "answers" not in rows.column_names:
        raise RecipeError(
            f"{split.source}: no column 'answers'. It holds the lists text and answer_start, which are empty where there is no answer."
        )
    for row, (context, answers) in enumerate(zip(split.values("context"), split.values("answers"), strict=True)):
        _check_answers(context, answers, split.at(row))
    if split.name == "train" and not any(answers["text"] for answers in split.values("answers")):
        raise RecipeError(f"no question of {split.source} has an answer: there is nothing to learn.")
    return rows.select_columns([*_COLUMNS, "answers"])


def _check_answers(context: str, answers: Any, place: str) -> None:
    if not isinstance(answers, dict) or not {"text", "answer_start"} <= set(answers):
        raise RecipeError(f"{place}: answers must be an object with the lists text and answer_start, got {answers!r}.")
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        raise RecipeError(f"{place}: {len(texts)} texts of answers, but {len(starts)} offsets.")
    for text, start in zip(texts, starts, strict=True):
        if not text:
            raise RecipeError(f"{place}: an answer is empty. Where there is no answer, the lists are empty.")
        if not 0 <= start < len(context):
            raise RecipeError(f"{place}: answer_start is {start}, but the context has {len(context)} characters.")
        found = context[start : start + len(text)]
        if found != text:
            right = context.find(text)
            hint = f"It is at {right}." if right >= 0 else "The context does not hold it."
            raise RecipeError(f"{place}: the answer {text!r} is not at offset {start}, where {found!r} stands. {hint}")
