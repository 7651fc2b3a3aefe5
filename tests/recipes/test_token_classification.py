"""The token classification recipe on a tiny model: its data, its checks, its metrics."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.recipe_runs import as_flags

SENTENCES = [
    ("the film is good", "O B-ART O O"),
    ("a great actor was bright", "O B-PER I-PER O O"),
    ("bad", "B-ART"),
] * 6


@pytest.fixture
def main(recipe):
    import token_classification

    return lambda settings: token_classification.main(as_flags(settings))


def write_conll(path, sentences=SENTENCES, separator="\t"):
    blocks = [
        "".join(f"{word}{separator}{tag}\n" for word, tag in zip(words.split(), tags.split(), strict=True))
        for words, tags in sentences
    ]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.fixture
def settings(flags, tmp_path):
    file = write_conll(tmp_path / "train.conll")
    return {
        **flags,
        "train_file": file,
        "validation_file": file,
        "max_steps": 3,
        "learning_rate": 1e-2,
        "ignore_mismatched_sizes": "true",
    }


def test_conll_run(main, settings):
    assert main({**settings, "max_steps": 40, "metric_for_best_model": "f1/ART"}) == 0
    folder = Path(settings["output_dir"])
    last = json.loads((folder / "metrics.json").read_text())[-1]
    assert last["f1"] == last["f1/ART"] == last["f1/PER"] == last["accuracy"] == 1  # each word has one tag
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    assert list(labels.values()) == ["O", "B-ART", "I-ART", "B-PER", "I-PER"]


def test_packed_training_equals_padded_training(main, settings, monkeypatch, capfd):
    """The batches are packed, and what is learned does not show it."""
    from common.packing import PackingCollator

    shapes, losses, tokens, pack = [], [], [], PackingCollator.__call__

    def note(self, samples):
        batch = pack(self, samples)
        shapes.append((len(samples), *batch["input_ids"].shape))
        return batch

    monkeypatch.setattr(PackingCollator, "__call__", note)
    for is_packed, line in (("true", "texts are packed: "), ("false", "texts are padded: --pack_texts is false; --")):
        folder = Path(settings["output_dir"]).with_name(is_packed)
        given = {"save_strategy": "no", "include_num_input_tokens_seen": "non_padding", "pack_texts": is_packed}
        assert main({**settings, **given, "output_dir": folder}) == 0
        assert line in capfd.readouterr().out
        history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        losses.append([each.get("loss", each.get("eval_loss")) for each in history[:-1]])
        tokens.append([each["num_input_tokens_seen"] for each in history if "loss" in each])
    assert shapes == [(8, 1, shapes[0][2]), (8, 1, shapes[1][2]), (2, 1, shapes[2][2])]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert tokens[0] == tokens[1]


def load(**settings):
    from token_classification import TokenClassificationArguments, load_data

    return load_data(TokenClassificationArguments(**{name: str(value) for name, value in settings.items()}))


def test_conll_with_comments_documents_and_columns(tmp_path):
    text = "-DOCSTART- -X- O\n\n# sent_id = 1\n1\tGood\tADJ\tgood\n2\t#\tSYM\t#\n\n\n3\tfilm\tNOUN\tfilm\n"
    (tmp_path / "a.conllu").write_text(text.replace("\n", "\r\n"))
    data = load(train_file=tmp_path / "a.conllu", conll_columns="1,2")
    assert data.splits["train"].to_list() == [
        {"words": ["Good", "#"], "tags": ["ADJ", "SYM"]},
        {"words": ["film"], "tags": ["NOUN"]},
    ]
    assert not data.has_entities and data.names == ("ADJ", "NOUN", "SYM")


def test_conllu_lines_that_are_no_words(tmp_path):
    text = "1-2\tdont\t_\n1\tdo\tAUX\n2\tnt\tPART\n2.1\tit\t_\n3\t1-2\tNUM\n"
    (tmp_path / "a.conllu").write_text(text)
    rows = load(train_file=tmp_path / "a.conllu", conll_columns="1,2").splits["train"].to_list()
    assert rows == [{"words": ["do", "nt", "1-2"], "tags": ["AUX", "PART", "NUM"]}]


def test_word_with_a_space_among_columns(tmp_path):
    file = tmp_path / "a.conll"
    file.write_text("a O\nNew York B-LOC\n")
    with pytest.raises(Exception, match=r"a\.conll, line 2: 'New York B-LOC' has 3 columns, but the line above has 2"):
        load(train_file=file)
    file.write_text("a\tO\nNew York\tB-LOC\n")
    assert load(train_file=file).splits["train"]["words"][:] == [["a", "New York"]]


def test_numbered_tags_of_a_dataset_keep_their_order(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

    names = ["O", "B-X", "I-X", "B-Y"]
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    rows = Dataset.from_dict({"tokens": [["a", "b"], ["c"]], "ner_tags": [[1, 2], [0]]}, features=features)
    DatasetDict(train=rows, validation=rows).save_to_disk(str(tmp_path / "saved"))
    data = load(dataset_name=tmp_path / "saved")
    assert data.names == tuple(names)
    assert data.splits["validation"][0] == {"words": ["a", "b"], "tags": ["B-X", "I-X"]}


@pytest.mark.parametrize("label_all", [False, True])
def test_tags_of_tokens(model_folder, label_all):
    from datasets import Dataset
    from token_classification import tokenize
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    rows = Dataset.from_dict({"words": [["film-film", "is", "good"]], "tags": [["B-X", "O", "I-X"]]})
    found = tokenize({"train": rows, "test": rows}, tokenizer, ["O", "B-X", "I-X"], 8, label_all)
    # [CLS] film - film is good [SEP]: the first word has three tokens
    rest = [2, 2] if label_all else [-100, -100]
    assert found["train"]["labels"][0] == [-100, 1, *rest, 0, 2, -100]
    assert found["test"]["labels"][0] == [-100, 1, -100, -100, 0, 2, -100]


def count_entities(tags):
    """The entities of a sentence in IOB2 with valid tags: type, first and last word."""
    found, start = set(), None
    for index, tag in enumerate([*tags, "O"]):
        if start is not None and tag[0] != "I":
            found.add((tags[start][2:], start, index - 1))
            start = None
        if tag[0] == "B":
            start = index
    return found


def test_metrics_equal_counted_entities_in_1000_random_cases():
    from common.metrics import entity_metrics

    source = np.random.default_rng(0)

    def make_tags():
        tags = ["O"]
        for _ in range(source.integers(3, 12)):
            allowed = ["O", "B-X", "B-Y", *([f"I-{tags[-1][2:]}"] if tags[-1] != "O" else [])]
            tags.append(str(source.choice(allowed)))
        return tags[1:]

    metrics = entity_metrics()
    for _ in range(1000):
        true = [make_tags() for _ in range(3)]
        said = [make_tags() for _ in range(3)]
        said = [(mine + ["O"] * len(other))[: len(other)] for mine, other in zip(said, true, strict=True)]
        found = metrics.compute(references=true, predictions=said)
        sets = [
            {(row, *each) for row, tags in enumerate(side) for each in count_entities(tags)} for side in (true, said)
        ]
        for kind in (None, "X", "Y"):
            real, guessed = ({each for each in side if kind in (None, each[1])} for side in sets)
            if kind and not real and not guessed:
                continue
            both, suffix = len(real & guessed), f"/{kind}" if kind else ""
            assert found[f"precision{suffix}"] == pytest.approx(both / len(guessed) if guessed else 0)
            assert found[f"recall{suffix}"] == pytest.approx(both / len(real) if real else 0)
            f1 = 2 * both / (len(real) + len(guessed)) if real or guessed else 0
            assert found[f"f1{suffix}"] == pytest.approx(f1)


@pytest.mark.filterwarnings("error")
def test_metrics_without_any_entity():
    from common.metrics import entity_metrics

    found = entity_metrics().compute(references=[["O", "O"]], predictions=[["O", "O"]])
    assert found == {"precision": 0, "recall": 0, "f1": 0, "accuracy": 1}


def test_metrics_of_tags_equal_hand_counts():
    from common.metrics import tag_metrics

    found = tag_metrics().compute(references=[["N", "V"], ["N"]], predictions=[["N", "N"], ["N"]])
    assert found == pytest.approx({"accuracy": 2 / 3, "f1": (0.8 + 0) / 2})


INVALID = {
    "no begin": (
        "a\tO\n\nfilm\tO\nplot\tI-X\n",
        r"file.conll, line 3, word 2: I-X follows O, so the entity has no begin. Write B-X",
    ),
    "begin of another type": ("a\tB-Y\nplot\tI-X\n", "word 2: I-X follows B-Y"),
    "no tag": ("a\tO\nfilm\n", r"file.conll, line 2: 'film' has no tag"),
    "unknown tag": ("a\tB-LAW\n", r"line 1: the validation split has the label 'B-LAW' .1 row., .* it has O, B-ART"),
    "no sentence": ("\n\n", "is empty"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_files(main, settings, tmp_path, case, capfd):
    text, message = INVALID[case]
    (tmp_path / "file.conll").write_text(text)
    assert main({**settings, "validation_file": tmp_path / "file.conll"}) == 2
    assert re.search(message, capfd.readouterr().err)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "row 2: 2 words, but 1 tags"),
        ({"tokens": [], "tags": []}, "row 2: the sentence is empty"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "row 2, word 2: the word is empty"),
        ({"tokens": ["a", "b"], "tags": ["O", ""]}, "row 2, word 2: the tag is missing"),
        ({"tokens": "a b", "tags": ["O", "O"]}, "can't be read|must hold lists"),
    ],
)
def test_invalid_rows(tmp_path, row, message):
    file = tmp_path / "rows.jsonl"
    rows = [{"tokens": ["a", "b"], "tags": ["O", "B-X"]}, row]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(Exception, match=message):
        load(train_file=file)


def test_word_of_zero_width_characters_draws_a_warning(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"tokens": ["a", "\u200b\ufeff", "\u200e"], "tags": ["O", "B-X", "O"]}))
    (warning,) = load(train_file=file).warnings
    assert warning.startswith(
        f"warning: {file}, row 1, word 2: the word has no visible character (2 such words in the train"
    )


def test_entities_that_begin_with_i(tmp_path):
    file = write_conll(tmp_path / "a.conll", [("film plot", "I-X I-X"), ("a", "O")], separator=" ")
    with pytest.raises(Exception, match="--tag_scheme iob1"):
        load(train_file=file)
    assert load(train_file=file, tag_scheme="iob1").names == ("O", "B-X", "I-X")


def test_single_word_entities_of_iobes(tmp_path):
    file = write_conll(tmp_path / "a.conll", [("film plot a", "B-X E-X S-X")])
    assert load(train_file=file).has_entities
    file = write_conll(tmp_path / "b.conll", [("film plot a", "S-X E-X O")])
    with pytest.raises(Exception, match="E-X follows S-X"):
        load(train_file=file)


def test_tags_of_a_dataset_that_uses_all_keep_their_order(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

    names = ["B-Y", "O", "B-X"]
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    rows = Dataset.from_dict({"tokens": [["a", "b", "c"]], "ner_tags": [[0, 1, 2]]}, features=features)
    DatasetDict(train=rows, validation=rows).save_to_disk(str(tmp_path / "saved"))
    assert load(dataset_name=tmp_path / "saved").names == tuple(names)


@pytest.mark.parametrize(
    ("tags", "odd", "like"),
    [
        (["O B-X", "O b-x"], "row 2, word 2: the tag 'b-x'", "'B-X'"),
        (["o b-x i-x", "o"], "row 1, word 1: the tag 'o'", "'b-x'"),
        (["O B-X", "X O"], "row 2, word 1: the tag 'X'", "'B-X'"),
    ],
)
def test_tags_of_entities_among_others(tmp_path, tags, odd, like):
    file = tmp_path / "rows.jsonl"
    rows = [{"tokens": row.split(), "tags": row.split()} for row in tags]
    file.write_text("\n".join(map(json.dumps, rows)))
    expected = f"{odd} marks no entity, but there are tags such as {like}.*--tag_scheme plain"
    with pytest.raises(Exception, match=expected):
        load(train_file=file)
    plain = load(train_file=file, tag_scheme="plain")
    assert not plain.has_entities and set(plain.names) == set(" ".join(tags).split())


def test_tags_of_entities_among_others_in_validation(tmp_path):
    train = write_conll(tmp_path / "train.conll", [("film a", "B-X O")])
    dev = write_conll(tmp_path / "dev.conll", [("a film", "O b-X")])
    with pytest.raises(Exception, match=r"dev\.conll, line 1, word 2: the tag 'b-X'"):
        load(train_file=train, validation_file=dev)


@pytest.mark.parametrize("tags", ["NOUN O", "S-adj U-verb NOUN", "-LRB- B I"])
def test_plain_tags(tmp_path, tags):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"tokens": tags.split(), "tags": tags.split()}))
    assert not load(train_file=file).has_entities


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"metric_for_best_model": "f1/LOC"},
            "'f1/LOC' is unknown; there are loss, precision, recall, f1, precision/ART",
        ),
        ({"tag_scheme": "bilou"}, "--tag_scheme is one of iob2, iob1, iobes, plain"),
        ({"conll_columns": "word"}, "--conll_columns takes two numbers"),
        ({"label_column_name": "pos"}, "no column 'pos'"),
    ],
)
def test_invalid_settings(main, settings, given, message, capfd):
    assert main({**settings, **given}) == 2
    assert message in capfd.readouterr().err


def test_tokenizer_without_word_ids():
    from common.model import check_word_ids

    with pytest.raises(Exception, match="does not report which word each token is from"):
        check_word_ids(type("SlowTokenizer", (), {"is_fast": False})())
