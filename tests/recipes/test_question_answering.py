"""The question answering recipe on a tiny model: its data, its features, its answers, its metrics."""

import collections
import json
import random
import re
import string
from pathlib import Path

import numpy as np
import pytest

from tests.recipe_runs import as_flags

CONTEXT = "the film was long . the plot is bright and the actor was great"


def make_squad(rows):
    """Content in the format of SQuAD from pairs of a question and an answer or none."""
    qas = [
        {
            "id": str(number),
            "question": question,
            "answers": [{"text": answer, "answer_start": CONTEXT.find(answer)}] if answer else [],
        }
        for number, (question, answer) in enumerate(rows)
    ]
    return {"version": "2.0", "data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]}


@pytest.fixture
def main(recipe):
    import question_answering

    return lambda settings: question_answering.main(as_flags(settings))


@pytest.fixture
def settings(flags, tmp_path):
    rows = [("the film was", "long"), ("is the plot", "bright"), ("the scene was", None)] * 4
    (tmp_path / "squad.json").write_text(json.dumps(make_squad(rows)))
    files = dict.fromkeys(("train_file", "validation_file", "test_file"), tmp_path / "squad.json")
    return {**flags, **files, "max_steps": 3, "learning_rate": 1e-2, "max_seq_length": 16, "doc_stride": 4}


def test_squad_run(main, settings):
    """The metrics are those of the best spans that the saved model gives, each question by itself."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    assert main({**settings, "max_steps": 12, "max_seq_length": 64, "max_answer_length": 5}) == 0
    folder = Path(settings["output_dir"])
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModelForQuestionAnswering, AutoTokenizer))
    right = []
    for question, answer in (("the film was", "long"), ("is the plot", "bright"), ("the scene was", "")):
        inputs = tokenizer(question, CONTEXT, return_tensors="pt", return_offsets_mapping=True)
        places = inputs.pop("offset_mapping")[0].tolist()
        inside = [place for place, of in enumerate(inputs.sequence_ids(0)) if of == 1]
        with torch.no_grad():
            output = model.eval()(**inputs)
        start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
        spans = [(start[a] + end[b], places[a][0], places[b][1]) for a in inside for b in inside if 0 <= b - a < 5]
        score, begin, stop = max(spans)
        said = "" if start[0] + end[0] > score else CONTEXT[begin:stop]
        right.append(squad_normalize(said) == answer)
    last = json.loads((folder / "metrics.json").read_text())[-1]
    assert last["exact_match"] == pytest.approx(100 * np.mean(right))
    assert last["no_answer_accuracy"] == 100 * right[2]
    test = json.loads((folder / "test_results.json").read_text())
    assert test["test_f1"] == last["f1"] and test["test_loss"] == pytest.approx(last["validation_loss"])


def test_loss_and_answers_do_not_depend_on_the_batch_size(main, settings, tmp_path):
    found = []
    for batch_size in (3, 64):
        folder = tmp_path / f"run{batch_size}"
        given = {"per_device_eval_batch_size": batch_size, "output_dir": folder, "save_strategy": "no"}
        assert main({**settings, **given}) == 0
        found.append(json.loads((folder / "metrics.json").read_text())[-1])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def load(path):
    from question_answering import QuestionAnsweringArguments, load_data

    return load_data(QuestionAnsweringArguments(train_file=str(path)))["train"].remove_columns("place")


def test_squad_and_tables_hold_the_same(tmp_path):
    (tmp_path / "squad.json").write_text(json.dumps(make_squad([("q 1", "long"), ("q 2", None)])), encoding="utf-8-sig")
    rows = load(tmp_path / "squad.json")
    assert rows.to_list() == [
        {"question": "q 1", "context": CONTEXT, "answers": {"text": ["long"], "answer_start": [13]}},
        {"question": "q 2", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
    ]
    rows.to_json(str(tmp_path / "rows.jsonl"))
    assert load(tmp_path / "rows.jsonl").to_list() == rows.to_list()
    (tmp_path / "rows.json").write_text(json.dumps(rows.to_list()))
    assert load(tmp_path / "rows.json").to_list() == rows.to_list()


def test_features(model_folder):
    from datasets import Dataset
    from question_answering import tokenize
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    answers = {"text": ["bright"], "answer_start": [CONTEXT.find("bright")]}
    rows = Dataset.from_list([{"question": " the plot", "context": CONTEXT, "answers": answers, "place": "row 1"}])
    features = tokenize(rows, tokenizer, 12, 2, "train")
    pieces = [tokenizer.convert_ids_to_tokens(ids) for ids in features["input_ids"]]
    assert all(len(piece) <= 12 and piece[:4] == ["[CLS]", "the", "plot", "[SEP]"] for piece in pieces)
    held = 0
    for row, piece in zip(features, pieces, strict=True):
        start, end = row["start_positions"], row["end_positions"]
        if "bright" in piece:
            held += 1
            assert piece[start : end + 1] == ["bright"]
            assert CONTEXT[row["offsets"][start][0] : row["offsets"][end][1]] == "bright"
        else:
            assert (start, end) == (0, 0)
        assert row["offsets"][:4] == [[-1, -1]] * 4
    assert held >= 1 and len(pieces) == 3


def test_answers_of_given_scores():
    from common.answers import AnswerOptions, find_answers

    context = "one two three four"
    places = np.array([[-1, -1], [-1, -1], [0, 3], [4, 7], [8, 13], [14, 18]])
    start, end = np.full(6, -9.0), np.full(6, -9.0)
    start[[0, 3, 5]], end[[0, 2, 4]] = [1.0, 4.0, 5.0], [1.0, 7.0, 3.0]

    def answer(**options):
        return find_answers([start[None], end[None]], [places], [0], [context], AnswerOptions(**options))

    # the best start, four, is after all good ends; "two three" has 4 + 3, no answer 1 + 1
    assert answer() == ["two three"]
    assert answer(max_length=1) == ["one"]  # -9 + 7, as three has only -9 + 3, and four 5 - 9
    assert answer(may_be_empty=True) == ["two three"]
    assert answer(may_be_empty=True, empty_threshold=-6) == [""]


def test_best_piece_gives_the_answer():
    from common.answers import AnswerOptions, find_answers

    places = np.array([[-1, -1], [0, 3]])
    logits = [np.array([[3.0, 1.0], [0.0, 2.0]])] * 2
    found = find_answers(logits, [places, places], [0, 0], ["one"], AnswerOptions(may_be_empty=True))
    assert found == ["one"]  # no answer counts with its least score, that of the second piece


# The functions of SQuAD's own evaluation, version 2.0, for comparison.


def squad_normalize(text):
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split())


def squad_f1(gold, said):
    gold, said = squad_normalize(gold).split(), squad_normalize(said).split()
    same = sum((collections.Counter(gold) & collections.Counter(said)).values())
    if len(gold) == 0 or len(said) == 0:
        return int(gold == said)
    if same == 0:
        return 0
    precision, recall = same / len(said), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def test_scores_equal_those_of_squad_in_1000_random_cases():
    from common.answers import score_answers

    source = random.Random(0)
    words = ["a", "the", "The", "an", "red", "Red", "fox,", "fox", "jumps.", "over", "-", "1,000", "it's", "Öl"]

    def make():
        return " ".join(source.choices(words, k=source.randint(0, 4)))

    said = [make() for _ in range(1000)]
    truth = [[make() or "fox" for _ in range(source.choice([0, 1, 1, 3]))] for _ in said]
    exact, f1 = [], []
    for answer, golds in zip(said, truth, strict=True):
        kept = [gold for gold in golds if squad_normalize(gold)] or [""]
        exact.append(max(int(squad_normalize(gold) == squad_normalize(answer)) for gold in kept))
        f1.append(max(squad_f1(gold, answer) for gold in kept))
        single = score_answers([answer], [golds])
        assert single["exact_match"] == 100 * exact[-1] and single["f1"] == pytest.approx(100 * f1[-1])
    found = score_answers(said, truth)
    has = np.array([bool(golds) for golds in truth])
    assert found["exact_match"] == pytest.approx(100 * np.mean(exact)) and found["f1"] == pytest.approx(
        100 * np.mean(f1)
    )
    assert found["answer_f1"] == pytest.approx(100 * np.mean(np.array(f1)[has]))
    assert found["no_answer_accuracy"] == pytest.approx(100 * np.mean(np.array(exact)[~has]))


INVALID = {
    "wrong offset": (
        {"text": ["plot"], "answer_start": [5]},
        r"row 2: the answer 'plot' is not at offset 5, where 'ilm ' stands. It is at 24",
    ),
    "not in the context": ({"text": ["dull"], "answer_start": [5]}, "row 2: .* The context does not hold it"),
    "beyond the text": (
        {"text": ["plot"], "answer_start": [500]},
        "row 2: answer_start is 500, but the context has 62 characters",
    ),
    "negative offset": ({"text": ["plot"], "answer_start": [-4]}, "row 2: answer_start is -4"),
    "lists of different lengths": ({"text": ["plot"], "answer_start": []}, "row 2: 1 texts of answers, but 0 offsets"),
    "fraction as offset": ({"text": ["plot"], "answer_start": [24.0]}, r"answer_start is \d+\.0, not a whole number"),
    "empty answer": ({"text": [""], "answer_start": [0]}, "row 2: an answer is empty"),
    "answer of spaces": ({"text": [" "], "answer_start": [3]}, "row 2: an answer is empty"),
    "no lists": ({"text": None, "answer_start": None}, "row 2: text and answer_start must be lists, got None and None"),
}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": "long", "answer_start": 13}, "row 1: text and answer_start must be lists, got 'long' and 13"),
        ({"text": [5], "answer_start": [13]}, "row 1: the answer 5 is not a text"),
        (None, "row 1: answers must be an object with the lists text and answer_start, got None"),
    ],
)
def test_answers_of_other_types(tmp_path, answers, message):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"question": "the film", "context": CONTEXT, "answers": answers}))
    with pytest.raises(Exception, match=message):
        load(file)


def test_rows_with_a_list_of_answers(tmp_path):
    """As in the files of SQuAD, one object for each answer."""
    file = tmp_path / "rows.jsonl"
    rows = [
        {"question": "q", "context": CONTEXT, "answers": each} for each in ([{"text": "long", "answer_start": 13}], [])
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    answers = load(file)["answers"][:]
    assert answers == [{"text": ["long"], "answer_start": [13]}, {"text": [], "answer_start": []}]
    file.write_text(json.dumps(rows[0] | {"answers": [{"text": "long"}]}))
    with pytest.raises(Exception, match=r"row 1: answer_start is None, not a whole number"):
        load(file)


def test_impossible_question_with_an_answer(tmp_path):
    file, content = tmp_path / "squad.json", make_squad([("q", "long")])
    content["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = True
    file.write_text(json.dumps(content))
    with pytest.raises(Exception, match="question '0': it has an answer, but is_impossible is true"):
        load(file)


@pytest.mark.parametrize("case", INVALID)
def test_invalid_answers(tmp_path, case):
    answers, message = INVALID[case]
    rows = [{"text": ["long"], "answer_start": [13]}, answers]
    lines = [json.dumps({"question": "the film", "context": CONTEXT, "answers": each}) for each in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(Exception, match=message):
        load(tmp_path / "rows.jsonl")


def test_invalid_squad_files(tmp_path):
    file = tmp_path / "squad.json"
    content = make_squad([("q", "long")])
    del content["data"][0]["paragraphs"][0]["qas"][0]["question"]
    file.write_text(json.dumps(content))
    with pytest.raises(Exception, match=r"squad\.json, article 1, a question: 'question' is missing"):
        load(file)
    file.write_text(json.dumps(make_squad([(" \u200b", "long")])))
    with pytest.raises(Exception, match="question '0': the question is empty"):
        load(file)
    file.write_text(json.dumps(make_squad([("q", None)])))
    with pytest.raises(Exception, match=r"no question of .* has an answer"):
        load(file)
    content = make_squad([("q", "long")])
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = {"text": ["long"], "answer_start": [13]}
    file.write_text(json.dumps(content))
    with pytest.raises(Exception, match=r"squad\.json, question '0': 'answers' holds .* it is a list"):
        load(file)
    for data in ({"a": 1}, ["a"], [{"paragraphs": None}], [{"paragraphs": [{"context": "x", "qas": ["q"]}]}]):
        file.write_text(json.dumps({"data": data}))
        with pytest.raises(Exception, match=r"squad\.json.*In the format of SQuAD it is"):
            load(file)
    file.write_text('\n{"data": [')
    with pytest.raises(Exception, match=r"squad\.json, line 2, character 11: not JSON"):
        load(file)
    file.write_text('{"data": ' + "[" * 200_000)
    with pytest.raises(Exception, match=r"squad\.json has too many brackets within one another"):
        load(file)


def test_question_without_room_for_its_paragraph(main, settings, tmp_path, capfd):
    (tmp_path / "long.json").write_text(json.dumps(make_squad([("q", "long"), ("the film " * 6, "long")])))
    assert main({**settings, "validation_file": tmp_path / "long.json"}) == 2
    assert (
        f"{tmp_path / 'long.json'}, question '1': the question has 12 tokens, but at most 8" in capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"label_smoothing_factor": 0.1},
            "This run has another loss: numbers, class weights, or starts and ends of answers",
        ),
        ({"n_best_size": 0}, "--n_best_size must be at least 1, got 0"),
        (
            {"metric_for_best_model": "em"},
            "'em' is unknown; there are loss, exact_match, f1, no_answer_accuracy, answer_exact",
        ),
    ],
)
def test_invalid_settings(main, settings, given, message, capfd):
    assert main({**settings, **given}) == 2
    assert message in capfd.readouterr().err
