"""Questions with answers in a paragraph, in the format of SQuAD or as a table."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from .data import Split, check_texts
from .errors import RecipeError
from .files import FileOptions, Part, invalid_json, is_blank, read_json, read_text, refuse_deep_json

_COLUMNS = ("question", "context")
_KINDS = {list: "a list", str: "a text", int: "a whole number"}


def read_squad(path: Path, options: FileOptions) -> Part:
    """Read a JSON file in the format of SQuAD 1.1 or 2.0, or else as a table.

    Raises:
        RecipeError: The file is no JSON, or an entry is missing.
    """
    content = _read_object(path, options)
    if content is None or "data" not in content:
        return read_json(path, options)
    rows, places = [], []
    for number, article in enumerate(_get(content, "data", list, str(path)), start=1):
        at = f"{path}, article {number}"
        for paragraph in _get(article, "paragraphs", list, at):
            context = _get(paragraph, "context", str, at)
            for question in _get(paragraph, "qas", list, at):
                asked = _get(question, "question", str, f"{at}, a question")
                places.append(f"question {question.get('id', asked)!r}")
                at_question = f"{path}, {places[-1]}"
                answers = _get(question, "answers", list, at_question) if "answers" in question else []
                if answers and question.get("is_impossible") is True:
                    raise RecipeError(
                        f"{at_question}: it has an answer, but is_impossible is true. Remove one of them."
                    )
                texts = [_get(answer, "text", str, at_question) for answer in answers]
                starts = [_get(answer, "answer_start", int, at_question) for answer in answers]
                row = {"question": asked, "context": context}
                rows.append(row | {"answers": {"text": texts, "answer_start": starts}})
    if not rows:
        raise RecipeError(f"{path} has no questions.")
    return Part(str(path), Dataset.from_list(rows), places)


def _get(entry: Any, name: str, kind: type, place: str) -> Any:
    """Return a part of a file in the format of SQuAD, which must be of a kind."""
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        found = f"holds {value!r:.60}" if isinstance(entry, dict) and name in entry else "is missing"
        raise RecipeError(f"{place}: {name!r} {found}. In the format of SQuAD it is {_KINDS[kind]}.")
    return value


def _read_object(path: Path, options: FileOptions) -> dict[str, Any] | None:
    """Return the content of a file that is one JSON object, rather than a list or one object on each line."""
    text = read_text(path, options.encoding)
    try:
        with refuse_deep_json(path):
            content, end = json.JSONDecoder().raw_decode(text, len(text) - len(text.lstrip()))
    except json.JSONDecodeError as error:
        raise invalid_json(path, error) from None
    return content if isinstance(content, dict) and not text[end:].strip() else None


def check_questions(split: Split) -> Dataset:
    """Return the columns `question`, `context` and `answers` after checking each row, and `place`: what an error calls it.

    Raises:
        RecipeError: A column is missing, a text is empty, or an answer is not at its offset.
    """
    check_texts(split, _COLUMNS)
    rows = split.rows
    for column in _COLUMNS:
        empty = next((row for row, text in enumerate(split.values(column)) if is_blank(text)), None)
        if empty is not None:
            raise RecipeError(f"{split.at(empty)}: the {column} is empty. Remove the row.")
    if "answers" not in rows.column_names:
        raise RecipeError(
            f"{split.source}: no column 'answers'. It holds the lists text and answer_start, which are empty where there is no answer."
        )
    found = [_as_lists(answers) for answers in split.values("answers")]
    for row, (context, answers) in enumerate(zip(split.values("context"), found, strict=True)):
        _check_answers(context, answers, split.at(row))
    if any(isinstance(answers, list) for answers in split.values("answers")):
        rows = rows.remove_columns("answers").add_column("answers", found)
    if split.name == "train" and not any(answers["text"] for answers in found):
        raise RecipeError(f"no question of {split.source} has an answer: there is nothing to learn.")
    places = [split.at(row) for row in range(len(rows))]
    return rows.select_columns([*_COLUMNS, "answers"]).add_column("place", places)


def _as_lists(answers: Any) -> Any:
    """Return a list of objects, one for each answer, as an object of two lists."""
    if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers):
        return {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
    return answers


def _check_answers(context: str, answers: Any, place: str) -> None:
    if not isinstance(answers, dict) or not {"text", "answer_start"} <= set(answers):
        raise RecipeError(f"{place}: answers must be an object with the lists text and answer_start, got {answers!r}.")
    texts, starts = answers["text"], answers["answer_start"]
    if not isinstance(texts, list) or not isinstance(starts, list):
        raise RecipeError(f"{place}: text and answer_start must be lists, got {texts!r:.60} and {starts!r:.60}.")
    if len(texts) != len(starts):
        raise RecipeError(f"{place}: {len(texts)} texts of answers, but {len(starts)} offsets.")
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(start, int):
            raise RecipeError(f"{place}: answer_start is {start!r}, not a whole number.")
        if not isinstance(text, str):
            raise RecipeError(f"{place}: the answer {text!r} is not a text.")
        if is_blank(text):
            raise RecipeError(f"{place}: an answer is empty. Where there is no answer, the lists are empty.")
        if not 0 <= start < len(context):
            raise RecipeError(f"{place}: answer_start is {start}, but the context has {len(context)} characters.")
        found = context[start : start + len(text)]
        if found != text:
            right = context.find(text)
            hint = f"It is at {right}." if right >= 0 else "The context does not hold it."
            raise RecipeError(f"{place}: the answer {text!r} is not at offset {start}, where {found!r} stands. {hint}")
