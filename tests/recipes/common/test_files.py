"""Files as people have them: encodings, delimiters, formats, patterns; and what an error names."""

import csv
import json
import re

import pytest

ROWS = [("gut, sehr gut", "ja"), ('er sagte "nein"', "nein"), ("zwei\nZeilen", "ja"), ("", "nein")]


@pytest.fixture
def read(tmp_path):
    """Returns the rows of a file or of a pattern."""
    from common.data import DataArguments, read_splits

    def read(path, **settings):
        args = DataArguments(train_file=str(path), **settings)
        return read_splits(args, cache_dir=str(tmp_path / "cache"))["train"]

    return read


def write_csv(path, rows, encoding="utf-8", newline="\n", delimiter=",", header=("text", "label")):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows([header, *rows])
    return path


def as_rows(split):
    return list(zip(*split.rows.to_dict().values(), strict=True))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_recognized(read, tmp_path, delimiter, encoding, newline):
    split = read(write_csv(tmp_path / "a.csv", ROWS, encoding, newline, delimiter))
    assert split.rows.column_names == ["text", "label"]
    assert as_rows(split) == ROWS


@pytest.mark.parametrize(
    ("encoding", "text"), [("gb18030", "这部电影很好看"), ("latin-1", "schöne Grüße"), ("cp1252", "10 €")]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_given_encoding(read, tmp_path, encoding, text, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        write_csv(path, [(text, "x")] * 3, encoding)
    else:
        path.write_text((json.dumps({"text": text, "label": "x"}, ensure_ascii=False) + "\n") * 3, encoding=encoding)
    assert read(path, encoding=encoding).values("text") == [text] * 3


@pytest.mark.parametrize(("encoding", "text"), [("gb18030", "这部电影很好看"), ("latin-1", "schöne Grüße")])
def test_unnamed_encoding(read, tmp_path, encoding, text):
    path = write_csv(tmp_path / "a.csv", [("plain", "x"), (text, "x")], encoding)
    with pytest.raises(Exception, match=rf"a.csv, line 3: not UTF-8 .*--encoding {encoding}"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(read, tmp_path, encoding):
    path = write_csv(tmp_path / "a.csv", ROWS, encoding)
    with pytest.raises(Exception, match=f"a.csv holds zero bytes, as UTF-16 does. Set --encoding {encoding}"):
        read(path)
    assert as_rows(read(path, encoding=encoding)) == ROWS


def test_encoding_that_is_not_that_of_the_file(read, tmp_path):
    path = write_csv(tmp_path / "a.csv", [("schön", "x")])
    with pytest.raises(Exception, match=r"a\.csv, line 2: not ASCII .* It may be in UTF-8: leave out --encoding"):
        read(path, encoding="ascii")
    write_csv(path, [("schön", "x")], "utf-8-sig")
    with pytest.raises(Exception, match=r"begins with the mark of UTF-8-SIG, but --encoding is latin-1\. Leave it out"):
        read(path, encoding="latin-1")
    for encoding in ("utf-8", "UTF8"):
        assert read(path, encoding=encoding).rows.to_dict() == {"text": ["schön"], "label": ["x"]}


def test_unknown_encoding(read, tmp_path):
    with pytest.raises(Exception, match="--encoding 'utf-88' is unknown"):
        read(write_csv(tmp_path / "a.csv", ROWS), encoding="utf-88")


def test_chinese_columns_and_paths(read, tmp_path):
    folder = tmp_path / "数据 集"
    folder.mkdir()
    path = write_csv(folder / "训练.csv", [("好看", "正面 评价")], header=("文本", "标签"))
    assert read(path).rows.to_dict() == {"文本": ["好看"], "标签": ["正面 评价"]}


def test_table_formats_give_the_same_rows(read, tmp_path):
    from datasets import Dataset

    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    rows.to_parquet(str(tmp_path / "a.parquet"))
    rows.to_json(str(tmp_path / "a.jsonl"))
    (tmp_path / "a.json").write_text(json.dumps(rows.to_list()))
    rows.save_to_disk(str(tmp_path / "saved"))
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    (tmp_path / "a.arrow").write_bytes(arrow.read_bytes())
    for name in ("a.parquet", "a.jsonl", "a.json", "a.arrow", "saved"):
        assert as_rows(read(tmp_path / name)) == [("a", 0), ("b", 1)], name


def test_pattern_in_natural_order(read, tmp_path):
    for number in (10, 9):
        write_csv(tmp_path / f"part-{number}.csv", [(f"{number} {row}", "x") for row in range(2)])
    split = read(tmp_path / "part-*.csv")
    assert split.values("text") == ["9 0", "9 1", "10 0", "10 1"]
    assert split.at(3) == f"{tmp_path / 'part-10.csv'}, row 2"
    assert split.source == f"{tmp_path / 'part-9.csv'} and 1 other files"


def test_path_with_the_characters_of_a_pattern(read, tmp_path):
    assert len(read(write_csv(tmp_path / "a[1].csv", ROWS)).rows) == 4


def test_saved_splits(tmp_path):
    from common.data import DataArguments, read_splits
    from datasets import Dataset, DatasetDict

    splits = {name: Dataset.from_dict({"text": [name]}) for name in ("train", "validation")}
    DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    found = read_splits(DataArguments(dataset_name=str(tmp_path / "saved")))
    assert {name: split.values("text") for name, split in found.items()} == {
        "train": ["train"],
        "validation": ["validation"],
    }
    assert found["train"].at(0) == f"train of {tmp_path / 'saved'}, row 1"
    with pytest.raises(Exception, match=r"holds several splits\. Give it as --dataset_name"):
        read_splits(DataArguments(train_file=str(tmp_path / "saved")))
    with pytest.raises(Exception, match=r"holds one split\. Give it as --train_file"):
        read_splits(DataArguments(dataset_name=str(tmp_path / "saved" / "train")))


@pytest.mark.parametrize("delimiter", [None, ","])
def test_cell_longer_than_csv_takes(read, tmp_path, delimiter):
    rows = [("word, " * 50_000, "x"), ("short", "y")]
    assert as_rows(read(write_csv(tmp_path / "a.csv", rows), delimiter=delimiter)) == rows


UNREADABLE = {
    "more cells than columns": (
        "text,label\na,x\na,b,x\n",
        "a.csv, row 2 .line 3. has 3 cells, and the header has 2",
    ),
    "more cells in all rows": ("text,label\na,x,\nb,x,\n", "row 1 .line 2. has 3 cells"),
    "open quote": (
        'text,label\nb,x\n"a,x\nb,x\n',
        "a.csv, line 3: a quoted cell goes on after its closing quote, or has none.*--quotes",
    ),
    "long open quote": (
        'text,label\n"a,x\n' + "b,x\n" * 50_000,
        "line 2: a quoted cell goes on after its closing quote, or has none",
    ),
    "quote that another row closes": (
        'text,label\n"a,x\nb "c",x\n',
        "line 2: a quoted cell goes on after its closing quote, or",
    ),
    "quote after a backslash": (
        r'text,label\n"a \"b\" c",x'.replace(r"\n", "\n"),
        "line 2: a quoted cell goes on after",
    ),
    "only spaces": ("  \n", "a.csv is empty"),
    "no rows": ("text,label\n", "a.csv has no rows below its header line 'text,label'"),
    "two columns of one name": ("text,label,label\na,x,y\n", "a.csv, line 1: two columns are called 'label'"),
    "Excel workbook": ("PK\x03\x04", "a.csv is a ZIP archive or an Excel workbook"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_csv(read, tmp_path, case):
    content, message = UNREADABLE[case]
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(Exception) as error:
        read(tmp_path / "a.csv")
    assert re.search(message, str(error.value))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": "b}\n', "a.jsonl, line 2, character 10: not JSON"),
        ("a.jsonl", '{"text": "a"}\n5\n', "a.jsonl, line 2: 5 is not a row"),
        ("a.json", '[{"text": "a"},\n {"text": }]', "a.json, line 2, character 11: not JSON"),
        ("a.json", '[{"text": "a"}, "b"]', "a.json, row 2: 'b' is not a row"),
        ("a.json", "[]", "a.json has no rows"),
        ("a.json", '[{"text": ' + "[" * 200_000, "a.json has too many brackets within one another"),
        ("a.jsonl", '{"text": "a"}\n{"text": ' + "[" * 200_000, "a.jsonl has too many brackets within one another"),
        (
            "a.jsonl",
            '{"text": "a"}\n\n{"text": ["b"]}\n',
            "a.jsonl, line 3: 'text' holds ['b'], which is no valid text or has",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": "\\ud83d"}\n',
            "a.jsonl, line 2: 'text' holds '\\ud83d', which is no valid text",
        ),
        ("a.parquet", "text,label", "a.parquet can't be read as Parquet"),
    ],
)
def test_unreadable_json_names_the_line(read, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(Exception) as error:
        read(tmp_path / name)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"label": "1"}, {"lable": "1"}, "b.jsonl has no 'label'|b.jsonl and .*a.jsonl have different columns"),
        ({"label": 1}, {"label": "x"}, "b.jsonl and .*a.jsonl differ in column 'label': it holds string and int64"),
        ({"label": ["x"]}, {"label": "x"}, "differ in column 'label': it holds string and List"),
    ],
)
def test_files_of_one_split_that_do_not_match(read, tmp_path, first, second, message):
    (tmp_path / "a.jsonl").write_text(json.dumps(first))
    (tmp_path / "b.jsonl").write_text(json.dumps(second))
    with pytest.raises(Exception, match=message):
        read(tmp_path / "*.jsonl")


def test_files_of_one_split_with_types_that_fit(read, tmp_path):
    """Whole numbers beside fractions, nothing beside texts, and other formats."""
    write_csv(tmp_path / "a.csv", [("x", "1", ""), ("y", "2", "")], header=("text", "score", "note"))
    (tmp_path / "b.jsonl").write_text(
        '{"text": "z", "score": 0.5, "note": "n"}\n{"text": "0", "score": 3, "note": null}'
    )
    split = read(tmp_path / "*")
    assert split.rows.to_dict() == {"text": list("xyz0"), "score": [1.0, 2.0, 0.5, 3.0], "note": ["", "", "n", None]}


def test_numbers_of_classes_with_other_names(read, tmp_path):
    from datasets import ClassLabel, Dataset, Features

    for number, names in enumerate((["bad", "good"], ["good", "bad"])):
        rows = Dataset.from_dict({"label": [0]}, features=Features({"label": ClassLabel(names=names)}))
        rows.save_to_disk(str(tmp_path / f"part-{number}"))
    with pytest.raises(Exception, match=r"part-1 and .*part-0 differ in column 'label'"):
        read(tmp_path / "part-*")


def test_labels_are_as_written_in_all_csv_files(tmp_path):
    """A label that looks like a number or like true and false has one name in all files."""
    from common.data import DataArguments, read_splits

    train, dev = (write_csv(tmp_path / f"{name}.csv", []) for name in ("train", "dev"))
    cases = [
        (["01", "02", "x"], ["01", "02"], ["01", "02"]),
        (["true", "unknown"], ["true", "true"], ["true", "true"]),
        (["1", "unknown"], ["1"], ["1"]),
        (["1", "2"], ["2"], [2]),
        (["1.0", "2"], ["2"], [2.0]),
        (["-1", "1e3"], [".5"], [0.5]),
        (["1", ""], ["1"], ["1"]),
        (["9" * 30, "1"], ["1"], ["1"]),
    ]
    for labels, other, expected in cases:
        write_csv(train, [("a", label) for label in labels])
        write_csv(dev, [("7", label) for label in other])
        args = DataArguments(train_file=str(train), validation_file=str(dev))
        splits = read_splits(args, cache_dir=str(tmp_path / "cache"))
        assert splits["validation"].values("label") == expected
        assert splits["validation"].values("text") == ["7"] * len(other)  # texts, since `a` is one


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_labels_whose_type_changes_late(read, tmp_path, ending):
    """`datasets` takes the type of a column from the first rows: 10,000 of CSV, 10 MB of JSON."""
    count, text = (10_001, "a") if ending == "csv" else (11, "a" * 1_000_000)
    rows = [(text, 1)] * count + [(text, "x")]
    if ending == "csv":
        write_csv(tmp_path / "a.csv", rows)
    else:
        (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": t, "label": label}) for t, label in rows))
    assert read(tmp_path / f"a.{ending}").values("label") == ["1"] * count + ["x"]


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
@pytest.mark.parametrize("form", ["list", "lines", "long"])
def test_json_in_other_encodings(read, tmp_path, encoding, form):
    rows = [{"text": "好看" * (3_000_000 if form == "long" else 1), "label": row} for row in range(2)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path = tmp_path / "a.json"
    path.write_text(f"\n [{','.join(lines)}]" if form == "list" else "\n\n".join(lines), encoding=encoding)
    split = read(path, **({} if encoding == "utf-16" else {"encoding": encoding}))
    assert split.rows.to_list() == rows
    assert split.at(1) == f"{path}, {'row 2' if form == 'list' else 'line 3'}"


def test_folder_and_pattern_without_files(read, tmp_path):
    with pytest.raises(Exception, match="no file matches"):
        read(tmp_path / "*.csv")
    with pytest.raises(Exception, match=r"is a folder, but not one that Dataset\.save_to_disk wrote"):
        read(tmp_path)


def test_quotes_that_are_parts_of_texts(read, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"good film\t1\nbad "film"\t0\n')
    with pytest.raises(
        Exception, match=r"a\.tsv, line 2: a quoted cell goes on after its closing quote.*set --quotes false"
    ):
        read(path)
    assert as_rows(read(path, quotes=False)) == [('"good film', 1), ('bad "film"', 0)]


def test_given_delimiter(read, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;a,label\nx;1,y\n")
    assert read(path, delimiter="semicolon").rows.to_dict() == {"text": ["x"], "a,label": ["1,y"]}
    with pytest.raises(Exception, match="--delimiter is comma, semicolon"):
        read(path, delimiter="space")
