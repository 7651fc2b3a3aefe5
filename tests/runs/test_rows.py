"""Rows by column: what is read is what was written, and what a crash has damaged is left out."""

import json
import math

import numpy as np
import pytest

from hf_lrsched.runs import rows as rows_module
from hf_lrsched.runs.rows import Rows, parse_row

ROWS = [
    {"step": 1, "loss": 0.5, "name": "a"},
    {"step": 2, "loss": None},
    {"step": 3, "loss": math.inf, "list": [1, 2], "flag": True},
    {"step": 4, "loss": 0.25, "more": {"a": 1}},
]


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_rows_come_back(block, monkeypatch):
    monkeypatch.setattr(rows_module, "_BLOCK", block)
    rows = Rows(ROWS)
    assert rows == ROWS and list(rows) == ROWS and len(rows) == 4
    assert rows[-1] == ROWS[-1] and rows[1:3] == ROWS[1:3] and [*reversed(rows)] == ROWS[::-1]
    assert rows.names == ["step", "loss", "name", "list", "flag", "more"]
    assert type(rows[0]["step"]) is int and type(rows[0]["loss"]) is float
    with pytest.raises(IndexError):
        rows[4]


def test_columns():
    rows = Rows(ROWS)
    assert rows.column("step").tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(rows.column("loss"), [0.5, np.nan, np.nan, 0.25])
    np.testing.assert_array_equal(rows.column("nothing"), [np.nan] * 4)
    assert rows.others["loss"] == {1: None, 2: math.inf} and "step" not in rows.others
    assert Rows().column("step").tolist() == []


def test_a_whole_number_beyond_all_floats_is_kept_as_it_is():
    rows = Rows([{"step": 1, "loss": 10**400}, {"step": 2, "loss": 0.5}])
    assert rows[0] == {"step": 1, "loss": 10**400} and rows.others == {"loss": {0: 10**400}}
    np.testing.assert_array_equal(rows.column("loss"), [np.nan, 0.5])


def test_selection():
    rows = Rows(ROWS)
    assert rows.select([3, 2]) == [ROWS[3], ROWS[2]]
    assert rows.select(rows.column("step") > 2) == ROWS[2:]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_damaged_lines_are_left_out_and_counted(tmp_path, block, monkeypatch):
    monkeypatch.setattr(rows_module, "_BLOCK", block)
    lines = [b'{"step": 1}', b"", b'{"step": 2', b"[1, 2]", b"\xff\x00", b'{"a": [1', b"2]}", b'{"step": 3}', b'{"st']
    (tmp_path / "rows").write_bytes(b"\n".join(lines))
    rows = Rows.read(tmp_path / "rows")
    assert rows == [{"step": 1}, {"step": 3}] and rows.num_lost == 6


def test_devices_are_not_read(tmp_path):
    (tmp_path / "rows").symlink_to("/dev/zero")
    assert Rows.read(tmp_path / "rows") == [] == Rows.read(tmp_path / "missing")


def test_rows_of_one_column(tmp_path):
    (tmp_path / "rows").write_text("".join(json.dumps({"step": step}) + "\n" for step in range(3)))
    assert Rows.read(tmp_path / "rows") == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_one_row():
    assert parse_row(b'{"a": 1}') == {"a": 1} and parse_row(b"[" * 100_000) is None is parse_row(b"3")
