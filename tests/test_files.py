"""Files that a user names: bounded in size and depth, and complete or not at all."""

import os
import time

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.files import (
    MAX_CONFIG_BYTES,
    check_output,
    read_json,
    read_settings,
    read_text,
    read_yaml,
    replace_file,
)


@pytest.fixture
def in_five_cpu_seconds():
    start = time.process_time()
    yield
    assert time.process_time() - start < 5


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml])
def test_devices_and_pipes_are_refused(read, tmp_path, in_five_cpu_seconds):
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "link.yaml").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo.yaml", tmp_path / "link.yaml"):
        with pytest.raises(ScheduleError, match="not a regular file"):
            read(path)
    with pytest.raises(ScheduleError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 90_000,
        "{a: " * 20_000,
        "- " * 45_000,
        "? " * 45_000,
        "".join(" " * depth + "a:\n" for depth in range(400)) + "b: [",
        "a: [" + "1," * 49_990,
    ],
    ids=["brackets", "braces", "dashes", "keys", "indents", "items"],
)
def test_deep_or_long_yaml_is_refused_at_once(text, tmp_path, in_five_cpu_seconds):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ScheduleError):
        read_yaml(tmp_path / "a.yaml")


def test_large_yaml_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ScheduleError, match="more than the 100000 that such a file may have"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.yaml", b"", "a.yaml is empty"),
        ("a.yaml", b"a: [1", "is not YAML"),
        ("a.yaml", b"a: !!python/object:os.system 1", "is not YAML"),
        ("a.yaml", b"- 1", "mapping of names to values, got a list"),
        ("a.yaml", b"\xff\xfe\x00", "not a text file in UTF-8"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"[" * 100_000, "is not JSON"),
        ("a.json", b"3", "got a int"),
        ("a.txt", b"a: 1", "ends in .yaml, .yml, .json"),
    ],
)
def test_invalid_settings_are_one_clear_error(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScheduleError, match=says) as error:
        read_settings(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "config.yaml").write_text("a: 1")
    with pytest.raises(ScheduleError, match=r"does not exist\. Did you mean 'config\.yaml'"):
        read_yaml(tmp_path / "confg.yaml")


def test_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1", encoding="utf-8-sig")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1}


def test_yaml_with_a_name_set_twice(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\nb: 2\na: 3")
    with pytest.raises(ScheduleError, match="a is set twice"):
        read_yaml(tmp_path / "a.yaml")


def test_output_is_checked_before_it_is_written(tmp_path):
    (tmp_path / "a.png").write_text("mine")
    (tmp_path / "b.png").mkdir()
    for name, says in {
        "a.txt": ".png or .svg",
        "no/a.png": "no does not exist",
        "a.png": "--force",
        "b.png": "folder",
    }.items():
        with pytest.raises(ScheduleError, match=says):
            check_output(tmp_path / name, (".png", ".svg"))
    check_output(tmp_path / "a.png", (".png", ".svg"), force=True)
    check_output(tmp_path / "new.PNG", (".png", ".svg"))


def test_replaced_file_is_complete_and_what_dead_processes_left_is_removed(tmp_path):
    old, new, other = tmp_path / ".17-a[1].json", tmp_path / ".18-a[1].json", tmp_path / ".17-b.json"
    mine = tmp_path / ".old-a[1].json"
    for path in (old, new, other, mine):
        path.write_text("half")
    for path in (old, other, mine):
        os.utime(path, (time.time() - 4000,) * 2)
    for content in (b"one", b"two"):
        replace_file(tmp_path / "a[1].json", content)
        assert (tmp_path / "a[1].json").read_bytes() == content
    # A young one may still be written to, by a process on any machine.
    assert set(tmp_path.iterdir()) == {tmp_path / "a[1].json", new, other, mine}


def test_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "latest.png").symlink_to("plots/run.png")
    for content in (b"one", b"two"):
        replace_file(tmp_path / "latest.png", content)
        assert (tmp_path / "plots" / "run.png").read_bytes() == content
    assert (tmp_path / "latest.png").is_symlink()
    assert list((tmp_path / "plots").iterdir()) == [tmp_path / "plots" / "run.png"]


def test_file_that_cannot_be_replaced_leaves_nothing(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError):
        replace_file(tmp_path / "a.json", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_is_written_completely_or_not_at_all(tmp_path, fill_disk):
    replace_file(tmp_path / "a.png", b"one")
    replace_file(tmp_path / "a.png", b"two")
    fill_disk("png")
    for name in ("a.png", "b.png"):
        with pytest.raises(OSError, match="No space left"):
            replace_file(tmp_path / name, b"three")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"two")]
