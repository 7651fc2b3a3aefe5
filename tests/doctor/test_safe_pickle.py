"""Pickled files are read without executing anything, and corrupted ones are one clear error."""

import collections
import pickle
import time
import tracemalloc
import zipfile

import pytest
import torch
from transformers import TrainingArguments

from hf_lrsched import ScheduleError, diagnose
from hf_lrsched.doctor import get_facts
from hf_lrsched.doctor.safe_pickle import MAX_BYTES, Inert, read_pickle
from tests.doctor.configurations import lambda_state
from tests.doctor.files import archive, evils, raw


@pytest.mark.parametrize("name", dict(evils("mark")))
@pytest.mark.parametrize("is_zip", [False, True])
def test_nothing_in_a_pickled_file_is_executed(name, is_zip, tmp_path):
    mark = tmp_path / "executed"
    content = dict(evils(mark))[name]
    path = tmp_path / "training_args.bin"
    archive(path, content) if is_zip else path.write_bytes(content)
    with pytest.raises(ScheduleError, match="not training arguments") as error:
        diagnose(path)
    assert not mark.exists()
    assert str(path) in str(error.value)


def test_classes_are_not_instantiated(tmp_path, monkeypatch):
    """A class of transformers that would do something when it is made does nothing: it is not even imported."""
    made = []
    monkeypatch.setattr(TrainingArguments, "__post_init__", lambda self: made.append(self))
    monkeypatch.setattr(TrainingArguments, "__setstate__", lambda self, state: made.append(state), raising=False)
    args = object.__new__(TrainingArguments)
    args.__dict__.update({"output_dir": "o", "learning_rate": 1e-5})
    torch.save(args, tmp_path / "training_args.bin")
    assert get_facts(tmp_path / "training_args.bin").learning_rate == 1e-5
    content = raw("transformers.pipelines", "TextGenerationPipeline", "a")
    found = read_pickle(archive(tmp_path / "b.bin", content))
    assert isinstance(found, Inert) and type(found).__name__ == "TextGenerationPipeline"
    assert made == []


def test_state_cannot_replace_methods(tmp_path):
    # BUILD with slots sets attributes: here __class__ and __setstate__ of a stand-in.
    content = (
        b"\x80\x02ctransformers\nTrainingArguments\n)R(N}(X\x0c\x00\x00\x00__setstate__ctransformers\nTrainer\n"
        b"X\x09\x00\x00\x00__class__ctransformers\nTrainer\nutb}X\x01\x00\x00\x00aK\x01sb."
    )
    found = read_pickle(archive(tmp_path / "training_args.bin", content))
    assert type(found).__mro__[1] is Inert and type(found).__name__ == "TrainingArguments"
    with pytest.raises(ScheduleError, match="not training arguments"):
        diagnose(tmp_path / "training_args.bin")


@pytest.mark.parametrize(
    "content",
    {
        "extension": b"\x80\x02\x82\x01.",
        "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        "marks": b"\x80\x02(((((.",
    }.items(),
    ids=lambda item: item[0],
)
def test_false_lengths_cost_nothing(content, tmp_path):
    path = tmp_path / "training_args.bin"
    path.write_bytes(content[1])
    tracemalloc.start()
    with pytest.raises(ScheduleError, match=r"corrupted|not training arguments"):
        diagnose(path)
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    tracemalloc.stop()


@pytest.mark.parametrize(
    "opcodes", [b"N0", b"N", b"]", b"(", b"2", b"\x85", b"2\x86", b"ca\nb\n0"], ids=lambda opcodes: repr(opcodes)[2:-1]
)
def test_many_opcodes_take_seconds(opcodes, tmp_path):
    """A zip archive of some thousand bytes holds 41 million opcodes: they are not read, and one of MAX_BYTES is."""
    start = time.monotonic()
    for size in (MAX_BYTES - 10, 41_000_000):
        path = tmp_path / "training_args.bin"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("archive/data.pkl", b"\x80\x02N" + opcodes * (size // len(opcodes)) + b"N.")
        with pytest.raises(ScheduleError, match=r"too large|corrupted|not training arguments"):
            diagnose(path)
    assert time.monotonic() - start < 10


def test_huge_pickle_is_not_read(tmp_path):
    path = tmp_path / "training_args.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("archive/data.pkl", "w") as member:
        for _ in range(2):
            member.write(b"\0" * 2**20)
    assert path.stat().st_size < 2**20
    with pytest.raises(ScheduleError, match="too large"):
        diagnose(path)
    sparse = tmp_path / "sparse.bin"
    with sparse.open("wb") as file:
        file.write(b"\x80\x02")
        file.truncate(2**36)
    with pytest.raises(ScheduleError, match="too large"):
        diagnose(sparse)


def test_other_zip_archives(tmp_path):
    inner = tmp_path / "inner.bin"
    torch.save(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"), inner)
    nested = archive(tmp_path / "nested.bin", inner.read_bytes())
    with pytest.raises(ScheduleError, match="corrupted"):
        diagnose(nested)
    two = tmp_path / "two.bin"
    with zipfile.ZipFile(two, "w") as file:
        file.writestr("a/data.pkl", b"N.")
        file.writestr("b/data.pkl", b"N.")
    with pytest.raises(ScheduleError, match=r"2 data\.pkl"):
        diagnose(two)
    with pytest.raises(ScheduleError, match=r"0 data\.pkl"):
        diagnose(archive(tmp_path / "none.bin", b"", "x/../../data.txt"))


@pytest.mark.parametrize(
    "held", [None, [1], {"a": 1}, torch.ones(3), collections.OrderedDict(w=torch.ones(2))], ids=str
)
def test_other_content(held, tmp_path):
    torch.save(held, tmp_path / "pytorch_model.bin")
    with pytest.raises(ScheduleError, match="not training arguments"):
        diagnose(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_pickle(share, tmp_path):
    path = tmp_path / "training_args.bin"
    torch.save(TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ScheduleError, match="corrupted"):
        diagnose(path)


def test_any_changed_byte_is_one_clear_error(tmp_path):
    """Whatever is wrong with a file, the error is one of ours, and nothing hangs."""
    good = pickle.dumps(lambda_state(5, 1e-5))
    path = tmp_path / "training_args.bin"
    for index in range(len(good)):
        path.write_bytes(good[:index] + bytes([good[index] ^ 0x15]) + good[index + 1 :])
        with pytest.raises(ScheduleError):
            diagnose(path)
