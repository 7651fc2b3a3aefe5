"""A JSON object with one long list is read as json reads it, however many lines are parsed at once."""

import json
import math
import tracemalloc

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


@pytest.mark.parametrize("block", [1, 10, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", CONTENTS)
def test_content(tmp_path, monkeypatch, name, indent, block):
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    monkeypatch.setattr(json_stream, "_MAX_AT_ONCE", 0 if block < 10_000 else 1_000_000)
    path, content = tmp_path / "state.json", CONTENTS[name]
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding="utf-8")
    found = read_json_with_rows(path)
    assert found == content
    assert isinstance(found.get("log_history", Rows()), Rows) is (name != "no list")


def test_what_is_no_record_is_left_out(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"log_history": [1, {"step": 1}, null, [], {"step": NaN}]}')
    rows = read_json_with_rows(path)["log_history"]
    assert rows[0] == {"step": 1} and math.isnan(rows[1]["step"]) and len(rows) == 2
    assert rows.num_lost == 3


def test_long_list_of_trainer_needs_little_memory(tmp_path):
    """As dicts, a record needs 400 bytes."""
    path, count = tmp_path / "trainer_state.json", 20_000
    records = [{"epoch": step / 7, "grad_norm": 1.5, "loss": 0.5 + step, "step": step} for step in range(count)]
    path.write_text(json.dumps({"best_metric": None, "log_history": records, "max_steps": count}, indent=2) + "\n")
    del records
    tracemalloc.start()
    found = read_json_with_rows(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found["log_history"]), found["max_steps"]) == (count, count)
    assert peak < 300 * count


@pytest.mark.parametrize("content", ['[\n  {\n    "step": 1\n  }],', '[\n  {"step": 1, "nested": [\n  ]}\n  ],'])
def test_lines_that_are_laid_out_in_another_way(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text(f'{{\n  "log_history": {content}\n  "max_steps": 3\n}}')
    found = read_json_with_rows(path)
    assert (found["log_history"][0]["step"], found["max_steps"]) == (1, 3)


@pytest.mark.parametrize(
    "content",
    [
        '[\n    {"step": 1}\n],',
        '[\n    {"step": 1, "nested": [1\n  ]}\n    ],',
        '[\n  {"step": 1, "n": {\n    },\n "a": 1}],',
    ],
)
def test_large_file_whose_brackets_are_on_other_lines_is_read_as_a_whole(tmp_path, monkeypatch, content):
    monkeypatch.setattr(json_stream, "_MAX_AT_ONCE", 0)
    monkeypatch.setattr(json_stream, "_BLOCK", 1)
    path = tmp_path / "state.json"
    path.write_text(f'{{\n  "log_history": {content}\n  "max_steps": 3\n}}\n')
    found = read_json_with_rows(path)
    assert (found["log_history"][0]["step"], found["max_steps"]) == (1, 3)


def test_large_file_that_was_cut_off_is_not_read_a_second_time(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_MAX_AT_ONCE", 0)
    monkeypatch.setattr(json_stream, "read_json", lambda path: pytest.fail("it may not fit into memory"))
    path = tmp_path / "state.json"
    path.write_text('{\n  "log_history": [\n    {\n      "step": 1\n    },\n')
    with pytest.raises(ScheduleError, match="cut off"):
        read_json_with_rows(path)


def test_error_names_the_line_of_the_file(tmp_path):
    path = tmp_path / "state.json"
    text = json.dumps({"epoch": 1, "log_history": ROWS}, indent=2)
    path.write_text(text.replace('"loss": 1e-07', '"loss" 1e-07'))
    with pytest.raises(ScheduleError, match=r"line 11 "):
        read_json_with_rows(path)
    path.write_text(text[: text.index("nested")])
    with pytest.raises(ScheduleError, match=r"line 12 .*cut off"):
        read_json_with_rows(path)


@pytest.mark.parametrize("max_at_once", [0, 1_000_000])
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
        '{\n  "log_history": [\n    {\n      "a": 1\n    }',
        '{\n  "log_history": [\n    {\n      "a": 1\n    \n  ]\n}',
    ],
)
def test_text_that_is_no_json_object(tmp_path, monkeypatch, text, max_at_once):
    monkeypatch.setattr(json_stream, "_MAX_AT_ONCE", max_at_once)
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ScheduleError, match=r"state\.json is not JSON: .*cut off|is empty|must be a mapping"):
        read_json_with_rows(path)


def test_file_that_is_not_read(tmp_path):
    with pytest.raises(ScheduleError, match="is a folder"):
        read_json_with_rows(tmp_path)
    path = tmp_path / "state.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ScheduleError, match="not a text file in UTF-8"):
        read_json_with_rows(path)
