"""Append-only rows: complete after a kill at any byte, and no reason to end a training."""

import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_lrsched.runs.append_only import Appender, last_row
from hf_lrsched.runs.rows import Rows

resource = pytest.importorskip("resource")  # not on Windows

ROWS = [
    {"start": 0, "step": 1, "loss": 0.5, "name": "ein Über-Name ✓"},
    {"start": 0, "step": 2, "loss": None, "nested": {"a": [1, 2.5, "x\ny"]}},
    {"start": 0, "step": 3, "loss": 1e-300},
]


def write(path, rows):
    file = Appender(path)
    for row in rows:
        file.append(row)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "record" / "train.jsonl"


def test_a_row_is_a_line_of_json(path):
    content = write(path, ROWS).decode("utf-8")
    assert [json.loads(line) for line in content.splitlines()] == ROWS
    assert "✓" in content and content.endswith("}\n")
    assert Rows.read(path) == ROWS and last_row(path) == ROWS[-1]


def test_cut_at_every_byte_and_continued(path):
    content = write(path, ROWS)
    ends = [place + 1 for place, byte in enumerate(content) if byte == 10]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        # the end of its line is not needed to read a row
        complete = sum(end - 1 <= cut for end in ends)
        assert Rows.read(path) == ROWS[:complete]
        assert last_row(path) == (ROWS[complete - 1] if complete else None)
        assert path.read_bytes() == content[:cut]  # reading changes nothing
        after = write(path, [ROWS[0]])
        # what any reader of JSON lines reads
        assert [json.loads(line) for line in after.decode("utf-8").splitlines()] == [*ROWS[:complete], ROWS[0]]


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xff\xfe{", b"[1, 2]", b'"text"', b"{" * 3000, b"[" * 300_000, b"\n"])
def test_what_a_failing_disk_leaves(path, tail):
    content = write(path, ROWS)
    path.write_bytes(content + tail)
    assert Rows.read(path) == ROWS
    write(path, [ROWS[0]])
    assert Rows.read(path) == [*ROWS, ROWS[0]]


def test_a_damaged_row_in_the_middle_costs_that_row(path):
    lines = write(path, ROWS).splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:9] + b"\0\xff" + lines[1][11:] + lines[2])
    assert Rows.read(path) == [ROWS[0], ROWS[2]]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def plain(value):
    """What JSON has for it."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return [plain(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=4), max_size=4))
def test_any_row_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "any.jsonl"
    for row in rows:
        Appender(path).append(row)
    assert Rows.read(path) == [plain(row) for row in rows]


def test_nan_and_infinity_become_null(path):
    write(path, [{"a": float("nan"), "b": [float("-inf"), 1.0], "c": np.float64("inf"), "d": {"e": float("inf")}}])
    write(path, [{"path": path, "odd": "\ud800"}])
    assert Rows.read(path) == [
        {"a": None, "b": [None, 1.0], "c": None, "d": {"e": None}},
        {"path": str(path), "odd": "?"},
    ]
    assert b"NaN" not in path.read_bytes() and b"Inf" not in path.read_bytes()


@pytest.fixture
def room():
    """`room(bytes)`: no file may be longer, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_and_space_again(path, room, caplog):
    expected = [{"start": 0, "step": step} for step in range(1, 31)]
    file = Appender(path)
    for row in expected[:10]:
        file.append(row)
    with caplog.at_level(logging.WARNING):
        try:
            room(path.stat().st_size + 7)  # a part of a row
            for row in expected[10:20]:
                file.append(row)
            while_full = path.read_bytes()
        finally:
            room(resource.RLIM_INFINITY)
        assert [json.loads(line) for line in while_full.splitlines()] == expected[:10]
        for row in expected[20:]:
            file.append(row)
    assert Rows.read(path) == expected
    assert len(caplog.records) == 1 and "Training goes on" in caplog.text


def test_waiting_rows_are_limited(path, room):
    file = Appender(path)
    file.append({"step": 0})
    try:
        room(path.stat().st_size)
        for step in range(1, 3000):
            file.append({"step": step})
    finally:
        room(resource.RLIM_INFINITY)
    file.append({"step": 3000})
    found = [row["step"] for row in Rows.read(path)]
    assert found[0] == 0 and found[-1] == 3000 and len(found) < 1500


def test_dev_full(tmp_path, caplog):
    path = tmp_path / "train.jsonl"
    path.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        write_to = Appender(path)
        write_to.append(ROWS[0])
        write_to.append(ROWS[1])
    assert caplog.text.count("No space left on device") == 1
    assert Rows.read(path) == []  # it would never end
