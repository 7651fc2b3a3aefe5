"""Complete and corrupted checkpoints: real ones, with every file cut, overwritten and deleted in turn."""

import json
import logging
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from hf_lrsched import ScheduledTrainer, ScheduleError
from hf_lrsched.runs.checkpoints import CHECKSUMS, find_corruption, find_latest_complete_checkpoint

UPDATES = 6
HAS_BIN = "save_safetensors" in TrainingArguments.__dataclass_fields__  # transformers 4 only


class Row(torch.nn.Module):
    """One weight for each of four numbers, all zero at first; not a PreTrainedModel."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4))

    def forward(self, input_ids, labels):
        return {"loss": ((input_ids[:, :4] @ self.weight) - labels).square().mean()}


def bert():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(vocab_size=40, max_position_embeddings=16, **sizes))


def make_trainer(folder, *, cls=ScheduledTrainer, model=None, callbacks=(), **changed):
    """A run of 6 updates with a checkpoint after every second one."""
    source = random.Random(0)
    rows = [{"input_ids": torch.tensor(source.choices(range(40), k=8)), "labels": i % 2} for i in range(4 * UPDATES)]
    if isinstance(model, Row):
        rows = [{"input_ids": row["input_ids"].float(), "labels": float(row["labels"])} for row in rows]
    args = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "learning_rate": 1e-3, "logging_steps": 1}
    args |= {"save_strategy": "steps", "save_steps": 2, "report_to": "none", "use_cpu": True, "disable_tqdm": True}
    return cls(
        model=model or bert(),
        args=TrainingArguments(output_dir=str(folder), **args | changed),
        train_dataset=rows,
        callbacks=list(callbacks),
        **({"schedule": "warmup(2) >> linear()"} if cls is ScheduledTrainer else {}),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of an uninterrupted run: checkpoint-2, -4 and -6."""
    folder = tmp_path_factory.mktemp("complete") / "run"
    make_trainer(folder).train()
    return folder


@pytest.fixture
def copied(run, tmp_path):
    """The same folder, to be damaged; its checkpoints were made long ago, for rotation goes by time."""
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    for update in (2, 4, 6):
        os.utime(folder / f"checkpoint-{update}", times=(1e9 + update, 1e9 + update))
    return folder


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def weights(folder):
    return load_file(folder / "model.safetensors")


# What is complete, and what is not

FILES = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]
FILES += ["trainer_state.json", "config.json"]

WAYS = {
    "empty": lambda data: b"",
    "1 byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "all but the end": lambda data: data.rstrip(b"\n")[:-1],  # a JSON file without its last newline is complete
    "zeros": lambda data: bytes(len(data)),
    "zeros, then its second half": lambda data: bytes(len(data) // 2) + data[len(data) // 2 :],
    "its first half, then zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_corrupted_file_is_found_and_named(copied, name, way):
    checkpoint = copied / "checkpoint-6"
    assert find_corruption(checkpoint) is None
    before = content(checkpoint)
    (checkpoint / name).write_bytes(WAYS[way](before[Path(name)]))
    assert name in find_corruption(checkpoint)
    assert ("empty" in find_corruption(checkpoint)) == (way == "empty")
    assert content(checkpoint).keys() == before.keys()


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("config.json", "training_args.bin")])
def test_missing_file_is_found_and_named(copied, name):
    (copied / "checkpoint-6" / name).unlink()
    assert name in find_corruption(copied / "checkpoint-6") and "missing" in find_corruption(copied / "checkpoint-6")


def load(path):
    """What a resume gets to see."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, weights_only=path.name != "rng_state.pth")  # which holds NumPy's state


def same(mine, other):
    if isinstance(mine, torch.Tensor):
        return torch.equal(mine, other)
    if isinstance(mine, dict):
        return mine.keys() == other.keys() and all(same(value, other[key]) for key, value in mine.items())
    if isinstance(mine, list | tuple):
        return len(mine) == len(other) and all(map(same, mine, other))
    return bool((mine == other).all()) if hasattr(mine, "all") else mine == other


@pytest.mark.parametrize("name", [name for name in FILES if name != "training_args.bin"])
def test_complete_files_load_as_they_were_saved(run, tmp_path_factory, name):
    """Cut anywhere, and with zeros anywhere in what has checksums or a grammar."""
    checkpoint = Path(shutil.copytree(run / "checkpoint-6", tmp_path_factory.mktemp("copy") / "checkpoint-6"))
    data, saved = (checkpoint / name).read_bytes(), load(checkpoint / name)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, len(data) - 1), st.integers(1, len(data)), st.booleans())
    def each(start, count, cut):
        corrupted = (
            data[:start] if cut else data[:start] + bytes(len(data[start : start + count])) + data[start + count :]
        )
        (checkpoint / name).write_bytes(corrupted)
        found = find_corruption(checkpoint)
        if found is None:
            assert same(load(checkpoint / name), saved), "called complete, but differs"
        else:
            assert name in found

    each()


@pytest.mark.parametrize("place", [0.3, 0.7, 0.999])
def test_a_flipped_bit_in_the_weights_is_found(copied, place):
    """safetensors has no checksums: ours are written at each save."""
    path = copied / "checkpoint-6" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    assert find_corruption(copied / "checkpoint-6") == (
        "model.safetensors is corrupted: its checksum does not match the one written when it was saved"
    )
    assert find_latest_complete_checkpoint(copied)[0] == copied / "checkpoint-4"


def test_without_checksums_a_flipped_bit_is_not_seen(copied):
    """A checkpoint of the stock Trainer; and one that the stock Trainer has saved over ours."""
    for name in ("checkpoint-4", "checkpoint-6"):
        path = copied / name / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    (copied / "checkpoint-4" / CHECKSUMS).unlink()
    (copied / "checkpoint-6" / "trainer_state.json").write_text('{"global_step": 6}')
    assert find_corruption(copied / "checkpoint-4") is None is find_corruption(copied / "checkpoint-6")


def test_checksums_are_of_the_latest_save(copied):
    checksums = json.loads((copied / "checkpoint-6" / CHECKSUMS).read_text())
    assert [*checksums] == ["model.safetensors", "trainer_state.json"]
    (copied / "checkpoint-6" / CHECKSUMS).write_text('{"model.safetensors": "crc32:0"}')  # of an older save, cut off
    make_trainer(copied).train(resume_from_checkpoint=str(copied / "checkpoint-4"))
    assert json.loads((copied / "checkpoint-6" / CHECKSUMS).read_text()).keys() == checksums.keys()
    assert find_corruption(copied / "checkpoint-6") is None


def test_update_must_match_the_folder_name(copied):
    shutil.rmtree(copied / "checkpoint-4")
    (copied / "checkpoint-6").rename(copied / "checkpoint-4")
    assert (
        find_corruption(copied / "checkpoint-4") == "trainer_state.json does not belong to this folder; its update is 6"
    )
    (copied / "checkpoint-4").rename(copied / "best")  # a name without a number says nothing
    assert find_corruption(copied / "best") is None


def test_folder_that_is_no_checkpoint(copied, tmp_path):
    assert find_corruption(tmp_path / "none") == "there is no such folder"
    assert find_corruption(tmp_path) == "this is not a checkpoint: it has no trainer_state.json"
    assert find_corruption(copied / "checkpoint-6" / "config.json") == "there is no such folder"


def test_nothing_is_unpickled(copied):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    torch.save({"state": Trap()}, copied / "checkpoint-6" / "optimizer.pt")
    assert find_corruption(copied / "checkpoint-6") is None


# No false alarm


def sharded(trainer):
    save = trainer.model.save_pretrained
    trainer.model.save_pretrained = lambda *args, **kwargs: save(*args, **kwargs, max_shard_size="4KB")


SETTINGS = {
    "save_only_model": {"save_only_model": True},
    "adafactor": {"optim": "adafactor"},
    "adagrad": {"optim": "adagrad"},
    "SGD": {"optim": "sgd"},
    "accumulation": {"gradient_accumulation_steps": 2, "save_steps": 1},
    "LR 0": {"max_steps": 3, "save_steps": 1},
    **({"pytorch_model.bin": {"save_safetensors": False}} if HAS_BIN else {}),
}


@pytest.mark.parametrize("cls", [ScheduledTrainer, Trainer])
@pytest.mark.parametrize("case", SETTINGS)
def test_real_checkpoints_are_complete(tmp_path, case, cls):
    make_trainer(tmp_path, cls=cls, **SETTINGS[case]).train()
    found = {path.name: find_corruption(path) for path in tmp_path.glob("checkpoint-*")}
    assert found and set(found.values()) == {None}


def test_model_of_zeros_is_complete(tmp_path):
    make_trainer(tmp_path, model=Row(), max_steps=3, save_steps=1).train()
    assert not weights(tmp_path / "checkpoint-1")["weight"].any()  # the LR of the first update is 0
    assert find_corruption(tmp_path / "checkpoint-1") is None


@pytest.mark.parametrize("ending", ["safetensors", *(["bin"] if HAS_BIN else [])])
def test_a_sharded_model(tmp_path, ending):
    trainer = make_trainer(tmp_path, **({} if ending == "safetensors" else {"save_safetensors": False}))
    sharded(trainer)
    trainer.train()
    checkpoint = tmp_path / "checkpoint-6"
    shards = sorted(checkpoint.glob(f"*-of-*.{ending}"))
    assert len(shards) > 2 and find_corruption(checkpoint) is None
    for shard in shards:
        data = shard.read_bytes()
        for corrupted in (b"", data[:-1]):
            shard.write_bytes(corrupted)
            assert shard.name in find_corruption(checkpoint)
        shard.unlink()
        assert f"{shard.name} is missing" in find_corruption(checkpoint)
        shard.write_bytes(data)
    (index,) = checkpoint.glob("*.index.json")
    data = index.read_bytes()
    for corrupted in (b"", data[: len(data) // 2], b"{}"):
        index.write_bytes(corrupted)
        assert index.name in find_corruption(checkpoint)
    index.unlink()
    assert "weights are missing" in find_corruption(checkpoint)


def test_index_beside_a_complete_model_is_ignored(copied):
    """Trainer reads model.safetensors where it is there."""
    index = {"weight_map": {"x": "model-00001-of-00002.safetensors"}}
    (copied / "checkpoint-6" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert find_corruption(copied / "checkpoint-6") is None


def test_several_processes(copied):
    checkpoint = copied / "checkpoint-6"
    data = (checkpoint / "rng_state.pth").read_bytes()
    (checkpoint / "rng_state.pth").unlink()
    for ranks, missing in (((0, 1, 2), None), ((0, 2), 1), ((8, 9), None), ((8, 10), 9)):
        for path in checkpoint.glob("rng_state_*.pth"):
            path.unlink()
        for rank in ranks:
            (checkpoint / f"rng_state_{rank}.pth").write_bytes(data)
        assert find_corruption(checkpoint) == (None if missing is None else f"rng_state_{missing}.pth is missing")
    (checkpoint / "rng_state_8.pth").write_bytes(data[:-5])
    assert "rng_state_8.pth is corrupted" in find_corruption(checkpoint)


def test_an_adapter(copied):
    """As peft saves it: no model, but an adapter, and more of them in folders of their own."""
    checkpoint = copied / "checkpoint-6"
    (checkpoint / "model.safetensors").unlink()
    for folder in (checkpoint, checkpoint / "second"):
        folder.mkdir(exist_ok=True)
        save_file({"lora_A": torch.ones(2, 8), "lora_B": torch.zeros(8, 2)}, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text("{}")
        assert find_corruption(checkpoint) is None
    path = checkpoint / "second" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "adapter_model.safetensors is corrupted" in find_corruption(checkpoint)


@pytest.mark.parametrize(
    ("files", "gone"),
    [
        (["latest", "zero_to_fp32.py", "global_step6/mp_rank_00_model_states.pt"], ["optimizer.pt", "scheduler.pt"]),
        (["latest", "global_step6/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], ["optimizer.pt"]),
        (["pytorch_model_fsdp_0/__0_0.distcp", "optimizer_0/__0_0.distcp"], ["optimizer.pt", "model.safetensors"]),
        (["pytorch_model_fsdp.bin", "optimizer.bin"], ["optimizer.pt", "model.safetensors", "training_args.bin"]),
    ],
    ids=["DeepSpeed", "DeepSpeed with a scheduler of one's own", "FSDP, sharded", "FSDP, one file"],
)
def test_deepspeed_and_fsdp_folders_are_complete(copied, files, gone):
    checkpoint = copied / "checkpoint-6"
    for name in gone:
        (checkpoint / name).unlink()
    for name in files:
        (checkpoint / name).parent.mkdir(exist_ok=True)
        (checkpoint / name).write_bytes(b"a format of its own")
    assert find_corruption(checkpoint) is None
    (checkpoint / "trainer_state.json").unlink()
    assert "trainer_state.json" in find_corruption(checkpoint)


def test_files_of_unknown_names_are_not_judged(copied):
    checkpoint = copied / "checkpoint-6"
    for name in ("notes.json", "metrics.pt", "embeddings.bin", "rng_state_of_mine.txt"):
        (checkpoint / name).write_bytes(b"\0")
    assert find_corruption(checkpoint) is None


def test_model_with_its_own_file_layout(copied):
    """sentence-transformers, for one, gives each module a folder."""
    checkpoint = copied / "checkpoint-6"
    (checkpoint / "0_Module").mkdir()
    (checkpoint / "model.safetensors").rename(checkpoint / "0_Module" / "weights.safetensors")
    assert find_corruption(checkpoint) is None


def test_saved_without_checksums_or_in_the_legacy_torch_format(copied):
    path = copied / "checkpoint-6" / "optimizer.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert find_corruption(copied / "checkpoint-6") is None
    if not hasattr(torch.serialization, "set_crc32_options"):
        return
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(state, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert find_corruption(copied / "checkpoint-6") is None
    path.write_bytes(path.read_bytes()[:-1])
    assert "optimizer.pt is corrupted" in find_corruption(copied / "checkpoint-6")


# The latest complete one


def test_latest_complete_checkpoint_by_number(copied, tmp_path):
    shutil.copytree(copied / "checkpoint-6", copied / "checkpoint-10")
    (copied / "checkpoint-10" / "trainer_state.json").write_text('{"global_step": 10}')
    assert find_latest_complete_checkpoint(copied) == (copied / "checkpoint-10", {})
    (copied / "checkpoint-10" / "scheduler.pt").unlink()
    (copied / "checkpoint-6" / "trainer_state.json").unlink()
    shutil.copytree(copied / "checkpoint-2", copied / "checkpoint-best")
    (copied / "checkpoint-12").write_text("a file")
    complete, corrupted = find_latest_complete_checkpoint(copied)
    assert complete == copied / "checkpoint-4"
    assert list(corrupted) == [copied / "checkpoint-10", copied / "checkpoint-6"]
    assert corrupted[copied / "checkpoint-10"] == "scheduler.pt is missing"
    assert corrupted[copied / "checkpoint-6"].startswith("trainer_state.json, which Trainer writes last, is missing")


# In Trainer


class Watch(TrainerCallback):
    """The updates done when a run begins, and what is on the disk then."""

    def __init__(self, folder):
        self.folder, self.began, self.seen = folder, [], None

    def on_train_begin(self, args, state, control, **kwargs):
        self.began.append(state.global_step)
        self.seen = content(self.folder)


def corrupt(folder, way):
    if way == "cut off":  # as a kill leaves it
        (folder / "trainer_state.json").unlink()
        (folder / "rng_state.pth").unlink()
    path = folder / ("scheduler.pt" if way == "cut off" else "optimizer.pt")
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("way", ["cut off", "lost"])
@pytest.mark.parametrize("corrupted", [[6], [6, 4]], ids=["one", "two"])
def test_resume_true_uses_the_latest_complete_checkpoint(run, copied, caplog, corrupted, way, limit):
    for update in corrupted:
        corrupt(copied / f"checkpoint-{update}", way)
    before, watch = content(copied), Watch(copied)
    with caplog.at_level(logging.WARNING, "hf_lrsched"):
        trainer = make_trainer(copied, callbacks=[watch], save_total_limit=limit)
        trainer.train(resume_from_checkpoint=True)
    begin = min(corrupted) - 2
    assert watch.began == [begin] and trainer.state.global_step == UPDATES
    assert watch.seen == before, "something was changed before the first update"
    messages = [record.getMessage() for record in caplog.records if "corrupted" in record.getMessage()]
    assert len(messages) == len(corrupted)
    for update, message in zip(corrupted, messages, strict=True):
        assert (
            f"checkpoint-{update} is corrupted: " in message
            and f"resumes from {copied / f'checkpoint-{begin}'}" in message
        )
        assert ("trainer_state.json" if way == "cut off" else "optimizer.pt") in message

    # The corrupted ones are saved again, in the same folder; no file of them is left.
    complete = weights(run / "checkpoint-6")
    assert find_latest_complete_checkpoint(copied) == (copied / "checkpoint-6", {})
    assert all(torch.equal(value, complete[key]) for key, value in weights(copied / "checkpoint-6").items())
    saved = [torch.load(folder / "checkpoint-6" / "scheduler.pt", weights_only=True) for folder in (run, copied)]
    assert saved[0] == saved[1]
    left = {path.name: find_corruption(path) for path in copied.glob("checkpoint-*")}
    assert set(left.values()) == {None}
    assert len(left) == (3 if limit is None else limit)


@pytest.mark.parametrize("limit", [1, 2])
def test_rotation_keeps_the_new_checkpoints_not_the_corrupted_ones(copied, limit):
    """The run resumes before two corrupted ones; rotation, which goes by time, keeps those that are saved again."""
    seen = []

    class Look(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            seen.append((state.global_step, find_latest_complete_checkpoint(copied)[0]))

    for update in (4, 6):
        corrupt(copied / f"checkpoint-{update}", "lost")
    make_trainer(copied, callbacks=[Look()], save_total_limit=limit).train(resume_from_checkpoint=True)
    assert seen == [(update, copied / f"checkpoint-{update}") for update in (4, 6)]


def test_resume_is_refused_when_all_are_corrupted(copied):
    for update in (2, 4, 6):
        corrupt(copied / f"checkpoint-{update}", "lost")
    before, watch = content(copied), Watch(copied)
    trainer = make_trainer(copied, callbacks=[watch])
    with pytest.raises(
        ScheduleError, match=r"no checkpoint in .* is complete .checkpoint-6: optimizer.pt is corrupted.*-4: .*-2: "
    ):
        trainer.train(resume_from_checkpoint=True)
    assert watch.began == [] and content(copied) == before


def test_resume_true_without_any_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="No valid checkpoint found") as error:
        make_trainer(tmp_path).train(resume_from_checkpoint=True)
    assert not isinstance(error.value, ScheduleError)  # Trainer's own


def test_corrupted_checkpoint_by_path_is_refused(copied):
    corrupt(copied / "checkpoint-4", "lost")
    watch = Watch(copied)
    trainer = make_trainer(copied, callbacks=[watch])
    for wanted in (copied / "checkpoint-4", str(copied / "checkpoint-4")):
        with pytest.raises(
            ScheduleError, match=r"Can't find a valid checkpoint at .*checkpoint-4: optimizer.pt is corrupted: .*"
        ) as error:
            trainer.train(resume_from_checkpoint=wanted)
        assert f"Latest complete checkpoint: {copied / 'checkpoint-6'}." in str(error.value)
    with pytest.raises(
        ScheduleError, match=r"checkpoint-5: there is no such folder\. Latest complete checkpoint: .*checkpoint-6\."
    ):
        trainer.train(str(copied / "checkpoint-5"))
    assert watch.began == []


@pytest.mark.parametrize("wanted", [None, False, "path", "Path"])
def test_resume_from_a_complete_checkpoint_or_from_none(copied, wanted):
    watch = Watch(copied)
    path = {"path": str(copied / "checkpoint-2"), "Path": copied / "checkpoint-2"}.get(wanted, wanted)
    make_trainer(copied, callbacks=[watch]).train(resume_from_checkpoint=path)
    assert watch.began == [2 if wanted else 0]


def test_interrupted_save_over_an_old_folder_is_corrupted(copied, monkeypatch):
    """Each file is complete, but some are old ones."""
    save = torch.save

    def dies(state, path, *args, **kwargs):
        if str(path).endswith("scheduler.pt"):
            raise KeyboardInterrupt
        save(state, path, *args, **kwargs)

    trainer = make_trainer(copied)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch, "save", dies)
        trainer.train(resume_from_checkpoint=str(copied / "checkpoint-4"))
    assert find_corruption(copied / "checkpoint-6").startswith(
        "trainer_state.json, which Trainer writes last, is missing"
    )


def test_trainer_state_is_written_after_every_random_state(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    seen = []

    def look():
        files = {path.name for path in (tmp_path / f"checkpoint-{trainer.state.global_step}").glob("*")}
        seen.append((trainer.state.global_step, "rng_state.pth" in files, "trainer_state.json" in files))

    monkeypatch.setattr(trainer.accelerator, "wait_for_everyone", look)
    trainer.train()
    assert [each for each in seen if each[0] in (2, 4, 6)][:1] == [(2, True, False)]
    assert {(update, True, False) for update in (2, 4, 6)} <= set(seen)
