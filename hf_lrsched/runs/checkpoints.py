"""Which checkpoint of an output folder is whole: a run that dies while it saves leaves a torn one."""

import json
import logging
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers.trainer import TRAINER_STATE_NAME

from ..schedules import ScheduleError

logger = logging.getLogger(__name__)

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")

#: What Trainer looks for when it resumes; a sharded model has an index that names its files.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
#: Zip archives, as torch.save makes them.
_ARCHIVES = (
    *("pytorch_model.bin", "pytorch_model-*.bin", "adapter_model.bin", "*/adapter_model.bin", "training_args.bin"),
    *("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth"),
)
_JSON = (
    *("config.json", "generation_config.json", "adapter_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
#: Traces of DeepSpeed, FSDP, TPUs and SageMaker, which keep weights and optimizer in files of their own.
_OTHERS_FILES = (
    *("global_step*", "latest", "zero_to_fp32.py", "pytorch_model_fsdp*", "optimizer_*", "optimizer.bin"),
    *("rank*-of-*", "optimizer.pt_*", "user_content.pt"),
)

#: How torch.save began before it made zip archives; such a file has no checksums.
_OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_BLOCK = 1 << 20


def damage(folder: str | os.PathLike[str]) -> str | None:
    """Why a Trainer's checkpoint can't be resumed as it was saved, or None for a whole one.

    Looked at are: `trainer_state.json`, which is written last; the lengths that a safetensors file's header tells; the
    checksums in what `torch.save` wrote (this reads the file once, at some gigabytes a second); that each file that the
    others call for is there. Nothing is unpickled and no tensor is made. Folders of DeepSpeed or FSDP, and files of
    unknown names, are taken to be whole as far as they are not known. A safetensors file has no checksums: of bytes in it
    that were lost to zeros, only a whole second half is found.

    Args:
        folder (`str` or `Path`): The checkpoint.

    Returns:
        `str`, *optional*: What is damaged; it names the file.

    Example:
    ```python
    >>> damage("no-such-run/checkpoint-500")
    'there is no such folder'

    ```
    """
    return next(_damages(Path(folder)), None)


def last_whole_checkpoint(output_dir: str | os.PathLike[str]) -> tuple[Path | None, dict[Path, str]]:
    """The newest whole checkpoint of an output folder, and the newer ones that are torn, each with its damage.

    Args:
        output_dir (`str` or `Path`): The folder with `checkpoint-500`, `checkpoint-1000`, ….

    Returns:
        `tuple[Path | None, dict[Path, str]]`: The newest by number comes first in the second.

    Example:
    ```python
    >>> last_whole_checkpoint("no-such-run")
    (None, {})

    ```
    """
    numbers = {
        path: _CHECKPOINT.fullmatch(path.name) for path in Path(output_dir).glob("checkpoint-*") if path.is_dir()
    }
    torn: dict[Path, str] = {}
    for _, path in sorted(((int(match[1]), path) for path, match in numbers.items() if match), reverse=True):
        found = damage(path)
        if found is None:
            return path, torn
        torn[path] = found
    return None, torn


def checkpoint_to_resume(wanted: bool | str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> Path | None:
    """The checkpoint that `resume_from_checkpoint=` means; each torn one that is passed over is told by a warning.

    Args:
        wanted (`bool`, `str` or `Path`): True for the newest whole one, or a checkpoint.
        output_dir (`str` or `Path`): Where to look for the newest.

    Returns:
        `Path`, *optional*: None where there is no checkpoint at all.

    Raises:
        ScheduleError: The checkpoint is torn; or each one is.
    """
    if wanted is not True:
        return _checked(Path(str(wanted)))
    whole, torn = last_whole_checkpoint(output_dir)
    if whole is None and torn:
        listed = "; ".join(f"{path.name}: {found}" for path, found in torn.items())
        raise ScheduleError(
            f"can't resume: no checkpoint in {output_dir} is whole ({listed}). Begin anew, in another folder."
        )
    for path, found in torn.items():
        logger.warning(f"the checkpoint {path} is torn: {found}. The run goes on from {whole} instead.")
    return whole


def _checked(checkpoint: Path) -> Path:
    found = damage(checkpoint)
    if found is None:
        return checkpoint
    whole, _ = last_whole_checkpoint(checkpoint.parent)
    hint = "" if whole is None else f" The newest whole one there is {whole}."
    raise ScheduleError(f"can't resume from {checkpoint}: {found}.{hint}")


def _damages(folder: Path) -> Iterator[str]:
    """Only the first is asked for, so that what follows a check may trust what it looked at."""
    if not folder.is_dir():
        yield "there is no such folder"
        return
    yield from _in_trainer_state(folder)
    for name in _JSON:
        if (folder / name).exists():
            yield from _in_json(folder / name)
    is_others = any(next(folder.glob(pattern), None) for pattern in _OTHERS_FILES)
    yield from _in_weights(folder, is_others)
    for pattern in _ARCHIVES:
        for path in sorted(folder.glob(pattern)):
            yield from _in_archive(path)
    if not is_others:
        yield from _missing_state(folder)


def _in_trainer_state(folder: Path) -> Iterator[str]:
    path, name = folder / TRAINER_STATE_NAME, _CHECKPOINT.fullmatch(folder.resolve().name)
    if not path.exists():
        cut = f"{path.name}, which is written last, is missing: its saving was cut off"
        yield cut if name else f"it is no checkpoint, for it has no {path.name}"
        return
    yield from _in_json(path)
    update = _read_json(path).get("global_step")
    if type(update) is not int:
        yield f"{path.name} is damaged: its global_step is {update!r}"
    elif name and int(name[1]) != update:
        yield f"{path.name} is of another update than the folder's name: {update}"


def _in_weights(folder: Path, is_others: bool) -> Iterator[str]:
    for path in sorted(folder.rglob("*.safetensors")):
        yield from _in_safetensors(path)
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).exists() or not index.exists():
            continue  # beside a whole file an index is an older save's, which Trainer does not read
        yield from _in_json(index)
        shards = _read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            yield f"{index.name} is damaged: it has no weight_map"
            return
        for shard in sorted(set(map(str, shards.values()))):
            if not (folder / shard).exists():
                yield f"{shard} is missing, which {index.name} names"
    if is_others or any((folder / name).exists() for name in _WEIGHTS):
        return
    # A Trainer with a save_model of its own may have put them anywhere, under any name.
    found = [path.name for ending in ("safetensors", "bin") for path in folder.rglob(f"*.{ending}")]
    names = set(found) - {"training_args.bin"}
    shards = {name for name in names if _SHARD.fullmatch(name)}
    if names == shards:
        yield f"the model's weights are missing: there is no {'model.safetensors.index.json' if shards else _WEIGHTS[0]}"


def _missing_state(folder: Path) -> Iterator[str]:
    """With save_only_model none of these is there; else all."""
    states = [sorted(folder.glob(pattern)) for pattern in ("optimizer.pt", "scheduler.pt", "rng_state*.pth")]
    if not any(states) and not (folder / "scaler.pt").exists():
        return
    for name, files in zip(("optimizer.pt", "scheduler.pt", "rng_state.pth"), states, strict=True):
        if not files:
            yield f"{name} is missing"
    # Each process writes its own. On machines that share no folder they need not begin at 0.
    ranks = {int(match[1]) for path in states[2] if (match := re.fullmatch(r"rng_state_(\d+)\.pth", path.name))}
    for rank in range(min(ranks, default=0), max(ranks, default=0)):
        if rank not in ranks:
            yield f"rng_state_{rank}.pth is missing"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _in_json(path: Path) -> Iterator[str]:
    try:
        if not isinstance(_read_json(path), dict):
            yield f"{path.name} is damaged: it holds no settings"
    except (OSError, ValueError, RecursionError) as error:
        yield _damaged(path, error)


def _in_archive(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            if file.read(len(_OLD_FORMAT)) == _OLD_FORMAT:
                return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.CRC for member in members):
                bad = archive.testzip()
                if bad is not None:
                    yield f"{path.name} is damaged: the checksum of {bad} is another one"
            for member in members:  # torch.serialization.set_crc32_options(False) saves without checksums
                archive.open(member).close()
    except Exception as error:  # zipfile dies of many errors on bytes that make no sense
        yield _damaged(path, error)


def _in_safetensors(path: Path) -> Iterator[str]:
    try:
        with safe_open(path, framework="numpy"):  # reads the header, which must account for every byte of the file
            pass
        if _lost_its_end(path):
            yield f"{path.name} is damaged: from the middle of a tensor on there are zeros only"
    except Exception as error:  # safetensors has an error class of its own
        yield _damaged(path, error)


def _lost_its_end(path: Path) -> bool:
    """Is at least half of a safetensors file's data zeros, from within a tensor to the end? Tensors of zeros begin as such."""
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
        end = size = file.seek(0, os.SEEK_END)
        while end > start:
            begin = max(start, end - _BLOCK)
            file.seek(begin)
            rest = file.read(end - begin).rstrip(b"\0")
            if rest:
                end = begin + len(rest)
                break
            end = begin
    first_bytes = [start + tensor["data_offsets"][0] for name, tensor in header.items() if name != "__metadata__"]
    within = not any(end <= first < end + 8 for first in first_bytes)  # a number's last bytes may be zeros
    return within and 2 * (size - end) >= size - start > 0


def _damaged(path: Path, error: Exception) -> str:
    try:
        if path.stat().st_size == 0:
            return f"{path.name} is empty"
    except OSError:
        pass
    return f"{path.name} is damaged: {' '.join(str(error).split()) or type(error).__name__}"
