"""A JSON object with one long list is read as json reads it, whatever the size of the pieces."""

import json
import math

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.runs import json_stream
from hf_lrsched.runs.json_stream import read_json_with_rows
from hf_lrsched.runs.rows import Rows

ROWS = [
    {"step": 1, "loss": 0.5, "note": 'a "}, {" in a text, é'},
    {"step": 2, "loss": 1e-7, "nested": {"list": [{"a": 1}, {"b": [2]}]}},
    {"step": 12, "loss": 0.25},
]
CONTENTS = {
    "first": {"log_history": ROWS, "z": [{"a": 1}, {"b": 2}], "end": 12345},
    "last": {"epoch": 1.5, "inner": {"log_history": [1]}, "log_history": ROWS},
    "empty": {"log_history": [], "end": None},
    "alone": {"log_history": ROWS[:1]},
    "none": {"end": True},
    "no list": {"log_history": "text"},
}


@pytest.mark.parametrize("chunk", [1, 2, 7, 40, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", CONTENTS)
def test_content(tmp_path, monkeypatch, name, indent, chunk):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    path, content = tmp_path / "state.json", CONTENTS[name]
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding="utf-8")
    found = read_json_with_rows(path, "log_history")
    assert found == content
    assert isinstance(found.get("log_history", Rows()), Rows) is (name != "no list")


def test_what_is_no_record_is_left_out(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"log_history": [1, {"step": 1}, null, [], {"step": NaN}]}')
    rows = read_json_with_rows(path, "log_history")["log_history"]
    assert rows[0] == {"step": 1} and math.isnan(rows[1]["step"]) and len(rows) == 2
    assert rows.num_lost == 3


def test_long_value_is_not_parsed_again_with_each_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 1)
    path, content = tmp_path / "state.json", {"long": [*range(100_000)], "log_history": ROWS}  # minutes, if it were
    path.write_text(json.dumps(content))
    assert read_json_with_rows(path, "log_history") == content


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize(
    "text",
    [
        "     ",
        "[]    ",
        "null",
        "{",
        "{}x",
        '{"a" 1}',
        '{"a": 1,}',
        '{"a": }',
        '{"log_history": [{"a": 1}',
        '{"log_history": [{"a": 1}}',
    ],
)
def test_text_that_is_no_json_object(tmp_path, monkeypatch, text, chunk):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ScheduleError, match=r"state\.json is not JSON: .*cut off|is empty|must be a mapping"):
        read_json_with_rows(path, "log_history")


def test_file_that_is_not_read(tmp_path):
    with pytest.raises(ScheduleError, match="is a folder"):
        read_json_with_rows(tmp_path, "log_history")
    path = tmp_path / "state.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ScheduleError, match="not a text file in UTF-8"):
        read_json_with_rows(path, "log_history")
