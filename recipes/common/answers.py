"""Answers from the scores of their first and last tokens, and how right they are: exact match and F1 as SQuAD defines them."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class AnswerOptions:
    """How answers are chosen.

    Args:
        n_best (`int`, defaults to 20): How many of the best first and last tokens are combined.
        max_length (`int`, defaults to 30): The most tokens of an answer.
        may_be_empty (`bool`, defaults to `False`): Whether a question may have no answer.
        empty_threshold (`float`, defaults to 0): No answer is given if its score is higher than the best one's by more than this.
    """

    n_best: int = 20
    max_length: int = 30
    may_be_empty: bool = False
    empty_threshold: float = 0.0


def find_answers(
    logits: Sequence[np.ndarray],
    offsets: Sequence[np.ndarray],
    rows: Sequence[int],
    contexts: Sequence[str],
    options: AnswerOptions,
) -> list[str]:
    """Return the best answer to each question; an empty text if there is none.

    The score of an answer is the sum of its two logits. That of no answer is the sum of the first token's, the least one of all
    pieces.

    Args:
        logits (`Sequence[np.ndarray]`): Of first and of last tokens; each of shape (features, tokens).
        offsets (`Sequence[np.ndarray]`): For each feature, begin and end of each token in the context, or -1.
        rows (`Sequence[int]`): The question of each feature.
        contexts (`Sequence[str]`): The context of each question.
        options ([`AnswerOptions`]): How answers are chosen.
    """
    best = [(-np.inf, "")] * len(contexts)
    empty = np.full(len(contexts), np.inf)
    for start_logits, end_logits, places, row in zip(*logits, offsets, rows, strict=True):
        empty[row] = min(empty[row], start_logits[0] + end_logits[0])
        score, first, last = _find_span(start_logits[: len(places)], end_logits[: len(places)], places, options)
        if score > best[row][0]:
            best[row] = (score, contexts[row][places[first, 0] : places[last, 1]])
    return [
        "" if options.may_be_empty and nothing - score > options.empty_threshold else text
        for (score, text), nothing in zip(best, empty, strict=True)
    ]


def _find_span(
    start_logits: np.ndarray, end_logits: np.ndarray, places: np.ndarray, options: AnswerOptions
) -> tuple[float, int, int]:
    """Return the score, the first and the last token of the best span among the best tokens of the context."""
    inside = np.flatnonzero(places[:, 0] >= 0)
    if not len(inside):
        return -np.inf, 0, 0
    starts = inside[np.argsort(-start_logits[inside], kind="stable")[: options.n_best]]
    ends = inside[np.argsort(-end_logits[inside], kind="stable")[: options.n_best]]
    length = ends[None, :] - starts[:, None] + 1
    scores = np.where(
        (length >= 1) & (length <= options.max_length),
        start_logits[starts][:, None] + end_logits[ends][None, :],
        -np.inf,
    )
    first, last = np.unravel_index(np.argmax(scores), scores.shape)
    return float(scores[first, last]), int(starts[first]), int(ends[last])


def score_answers(answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return exact match and F1 in percent; where some questions have no answer, those of the others, too.

    Args:
        answers (`Sequence[str]`): The answer to each question, or an empty text.
        references (`Sequence[Sequence[str]]`): The right answers to each question. None: there is no answer.
    """
    exact, f1 = (
        np.array([_best(score, said, truth) for said, truth in zip(answers, references, strict=True)])
        for score in (exact_match, token_f1)
    )
    scores = {"exact_match": 100 * exact.mean(), "f1": 100 * f1.mean()}
    answerable = np.array([bool(truth) for truth in references])
    if not answerable.all():
        scores["no_answer_accuracy"] = 100 * exact[~answerable].mean()
        if answerable.any():
            scores |= {"answer_exact_match": 100 * exact[answerable].mean(), "answer_f1": 100 * f1[answerable].mean()}
    return {name: float(value) for name, value in scores.items()}


def _best(score: Callable[[str, str], float], answer: str, references: Sequence[str]) -> float:
    """Return the best score against the references that have words, or against no answer."""
    return max(score(answer, right) for right in [each for each in references if normalize(each)] or [""])


def normalize(text: str) -> str:
    """Return a text in lower case without punctuation, English articles and repeated spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, right: str) -> float:
    """Return 1 if two answers are equal after [`normalize`], else 0."""
    return float(normalize(answer) == normalize(right))


def token_f1(answer: str, right: str) -> float:
    """Return the F1 of the words of two answers; where one has none, whether both have none."""
    said, true = normalize(answer).split(), normalize(right).split()
    if not said or not true:
        return float(said == true)
    shared = sum((Counter(said) & Counter(true)).values())
    return 2 * shared / (len(said) + len(true))
