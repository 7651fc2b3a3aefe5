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
        "a.csv can't be read: row 2 .line 3. has 3 cells, and the header has 2",
    ),
    "more cells in all rows": ("text,label\na,x,\nb,x,\n", "row 1 .line 2. has 3 cells"),
    "open quote": ('text,label\n"a,x\nb,x\n', "can't be read: .*Is a quote never closed"),
    "long open quote": ('text,label\n"a,x\n' + "b,x\n" * 50_000, "can't be read: .*Is a quote never closed"),
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
        ("text,label\na,1\n", "text,lable\na,1\n", "b.csv has no 'label'|b.csv and .*a.csv have different columns"),
        ("text,label\na,1\n", "text,label\na,x\n", "differ in column 'label': it holds"),
    ],
)
def test_files_of_one_split_that_do_not_match(read, tmp_path, first, second, message):
    (tmp_path / "a.csv").write_text(first)
    (tmp_path / "b.csv").write_text(second)
    with pytest.raises(Exception, match=message):
        read(tmp_path / "*.csv")


def test_folder_and_pattern_without_files(read, tmp_path):
    with pytest.raises(Exception, match="no file matches"):
        read(tmp_path / "*.csv")
    with pytest.raises(Exception, match=r"is a folder, but not one that Dataset\.save_to_disk wrote"):
        read(tmp_path)


def test_given_delimiter(read, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;a,label\nx;1,y\n")
    assert read(path, delimiter="semicolon").rows.to_dict() == {"text": ["x"], "a,label": ["1,y"]}
    with pytest.raises(Exception, match="--delimiter is comma, semicolon"):
        read(path, delimiter="space")
