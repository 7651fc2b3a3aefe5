"""Sentences of tagged words: CoNLL files, and the entities that their tags mark."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets import Dataset

from hf_lrsched.schedules.numbers import format_count

from .data import Split, find_column
from .errors import RecipeError
from .files import FileOptions, Part, is_blank, read_text

#: How tags mark entities; `plain` tags stand by themselves.
PLAIN = "plain"
SCHEMES = ("iob2", "iob1", "iobes", PLAIN)
_ENTITY = re.compile(r"O|[BIESUL]-.+")
#: Lines of CoNLL-U that are no words: several words written as one (1-2), and words that are not written (8.1).
_NO_WORD = re.compile(r"\d+[-.]\d+")
_LIKE_ENTITY = re.compile(r"[BI]-.+", re.IGNORECASE)


def read_conll(path: Path, options: FileOptions, word: int = 0, tag: int = -1) -> Part:
    """Read sentences from a file with a word and its tag on each line, in columns separated by tabs or spaces.

    Args:
        path (`Path`): The file.
        options ([`FileOptions`]): Its encoding.
        word (`int`, defaults to 0): The column of the word.
        tag (`int`, defaults to -1): The column of the tag.

    Raises:
        RecipeError: A line has too few columns.
    """
    sentences, starts = [], []
    words, tags, num_cells = [], [], 0
    for number, line in enumerate([*read_text(path, options.encoding).split("\n"), ""], start=1):
        cells = line.rstrip().split("\t") if "\t" in line else line.split()
        if not line.strip() or cells[0] == "-DOCSTART-":
            if words:
                sentences.append((words, tags))
            words, tags = [], []
        elif line.startswith("# ") and not words:
            continue  # a comment of CoNLL-U, which stands before its sentence
        elif path.suffix.lower() == ".conllu" and _NO_WORD.fullmatch(cells[0]):
            continue
        elif len(cells) < max(2, word + 1, tag + 1, -word, -tag):
            raise RecipeError(f"{path}, line {number}: {line.strip()!r} has no tag. Each line has a word and its tag.")
        elif words and len(cells) != num_cells and min(word, tag) < 0:
            raise RecipeError(
                f"{path}, line {number}: {line.strip()!r} has {len(cells)} columns, but the line above has {num_cells}. Separate columns "
                "by tabs if words have spaces, or count them from the left, e.g. --conll_columns 0,1."
            )
        else:
            if not words:
                starts.append(f"line {number}")
            num_cells = len(cells)
            words.append(cells[word])
            tags.append(cells[tag])
    rows = {"tokens": [each for each, _ in sentences], "tags": [each for _, each in sentences]}
    return Part(str(path), Dataset.from_dict(rows), starts)


def is_entities(split: Split, sentences: Sequence[Sequence[str]], scheme: str | None) -> bool:
    """Return whether the tags mark entities (`B-PER`) rather than standing by themselves (`NOUN`).

    Raises:
        RecipeError: Some tags look like those of entities, and others do not.
    """
    if scheme == PLAIN:
        return False
    tags = {tag for sentence in sentences for tag in sentence}
    others = {tag for tag in tags if not _ENTITY.fullmatch(tag)}
    like = sorted(filter(_LIKE_ENTITY.fullmatch, tags))
    if not others or not like:
        return not others
    row, number, tag = next(
        (row, number, tag)
        for row, sentence in enumerate(sentences)
        for number, tag in enumerate(sentence, start=1)
        if tag in others
    )
    raise RecipeError(
        f"{split.at(row)}, word {number}: the tag {tag!r} marks no entity, but there are tags such as {like[0]!r}. Write the tags of "
        f"entities as O, B-TYPE and I-TYPE. If tags stand by themselves, set --tag_scheme {PLAIN}."
    )


def guess_scheme(names: Iterable[str]) -> str:
    """Return `iobes` if there are tags for the end of an entity or for a single word, else `iob2`."""
    return "iobes" if any(name[0] in "ESUL" for name in names) else "iob2"


def complete_tags(names: Iterable[str]) -> tuple[str, ...]:
    """Return `O` and each type's tags; a type of which the data has only `B-` gets an `I-`, too."""
    marked = [name for name in names if name != "O"]
    kinds, prefixes = sorted({name[2:] for name in marked}), sorted({name[0] for name in marked} | {"B", "I"})
    return ("O", *(f"{prefix}-{kind}" for kind in kinds for prefix in prefixes))


def check_entities(split: Split, sentences: Sequence[Sequence[str]], scheme: str) -> None:
    """Raise a RecipeError if an entity goes on that has not begun. In IOB1 an entity begins with I."""
    if scheme == "iob1":
        return
    for row, tags in enumerate(sentences):
        for position, (before, tag) in enumerate(zip(["O", *tags], tags, strict=False)):
            if tag[0] in "IEL" and tag != "O" and (before[0] not in "BI" or before[2:] != tag[2:]):
                raise RecipeError(
                    f"{split.at(row)}, word {position + 1}: {tag} follows {before}, so the entity has no begin. Write B-{tag[2:]}, or, "
                    "if entities begin with I in these files, set --tag_scheme iob1."
                )


def read_tags(split: Split, words: str, column: str) -> list[list[str]]:
    """Return the tags of each sentence by name, after checking its words."""
    find_column(split, words, (), "text_column_name")
    find_column(split, column, (), "label_column_name")
    feature = getattr(split.rows.features[column], "feature", None)
    to_name = feature.int2str if hasattr(feature, "int2str") else str
    found = []
    for row, (sentence, tags) in enumerate(zip(split.values(words), split.values(column), strict=True)):
        if not isinstance(sentence, list) or not isinstance(tags, list):
            raise RecipeError(
                f"{split.at(row)}: columns {words!r} and {column!r} must hold lists of words and of tags."
            )
        if not sentence:
            raise RecipeError(f"{split.at(row)}: the sentence is empty. Remove it.")
        if len(sentence) != len(tags):
            raise RecipeError(f"{split.at(row)}: {len(sentence)} words, but {len(tags)} tags.")
        for number, (word, tag) in enumerate(zip(sentence, tags, strict=True), start=1):
            fault = None
            if not isinstance(word, str):
                fault = f"{word!r} is not a text"
            elif not word.strip():
                fault = "the word is empty"
            elif tag in (None, "") or (hasattr(feature, "int2str") and tag < 0):
                fault = "the tag is missing"
            if fault:
                raise RecipeError(f"{split.at(row)}, word {number}: {fault}. Correct the row or remove it.")
        found.append([to_name(tag) for tag in tags])
    return found


def find_invisible_words(split: Split, words: str) -> list[str]:
    """Return a warning if a split has words of nothing but zero-width characters."""
    found = [
        (row, number)
        for row, sentence in enumerate(split.values(words))
        for number, word in enumerate(sentence, start=1)
        if is_blank(word)
    ]
    if not found:
        return []
    row, number = found[0]
    return [
        f"warning: {split.at(row)}, word {number}: the word has no visible character ({format_count(len(found), 'such word')} in the {split.name} "
        "split). Tokenizers drop such a word, and its tag is neither learned nor counted; remove both, or ignore this."
    ]
