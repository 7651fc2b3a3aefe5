"""Trainer's checkpoints on disk: which there are, and which of them are complete. A run that dies while it saves leaves a corrupted one."""

import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ..files import read_json, replace_file
from ..schedules import ScheduleError
from .json_stream import read_json_with_rows
from .rows import Rows

logger = logging.getLogger(__name__)

#: What Trainer writes last into a checkpoint; its own name for it is `TRAINER_STATE_NAME`.
TRAINER_STATE = "trainer_state.json"
#: Checksums of the files that have none of their own, written when the checkpoint was complete.
CHECKSUMS = "checksums.json"

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
#: What Trainer looks for when it resumes. A sharded model has an index that names its files.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "adapter_model.bin")
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
_FOREIGN_FILES = (
    *("global_step*", "latest", "zero_to_fp32.py", "pytorch_model_fsdp*", "optimizer_*", "optimizer.bin"),
    *("rank*-of-*", "optimizer.pt_*", "user_content.pt"),
)
#: How a file of `torch.save(…, _use_new_zipfile_serialization=False)` begins. It has no checksums.
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_BLOCK = 1 << 20


def get_checkpoint_folder(output_dir: str | os.PathLike[str], update: int) -> Path:
    """Return the folder that Trainer gives the checkpoint of an update.

    Example:
    ```python
    >>> get_checkpoint_folder("out", 500).name
    'checkpoint-500'

    ```
    """
    return Path(output_dir, f"checkpoint-{update}")


def list_checkpoints(output_dir: str | os.PathLike[str]) -> dict[int, Path]:
    """List the checkpoints of an output folder by their updates, the earliest first.

    Example:
    ```python
    >>> list_checkpoints("no-such-run")
    {}

    ```
    """
    folders = {path: _CHECKPOINT.fullmatch(path.name) for path in Path(output_dir).glob("checkpoint-*")}
    found = {int(match[1]): path for path, match in folders.items() if match and path.is_dir()}
    return dict(sorted(found.items()))


def read_trainer_state(path: Path) -> dict[str, Any]:
    """Read a `trainer_state.json`, its `log_history` as [`Rows`].

    Raises:
        ScheduleError: The file cannot be read, or is something else.
    """
    state = read_json_with_rows(path)
    if not isinstance(state.get("log_history"), Rows):
        raise ScheduleError(f"{path} is no {TRAINER_STATE}: it has no log_history.")
    return state


def find_corruption(folder: str | os.PathLike[str]) -> str | None:
    """Find out why a Trainer's checkpoint cannot be resumed as it was saved; `None` for a complete one.

    Checked are: `trainer_state.json`, which Trainer writes last; the lengths in a safetensors file's header; the
    checksums within what `torch.save` wrote, and those of [`write_checksums`] (this reads each file once, at some
    gigabytes a second); that each file is there that another one needs. Nothing is unpickled and no tensor is made.
    Files of DeepSpeed or FSDP and files of unknown names are not judged.

    Args:
        folder (`str` or `Path`): The checkpoint.

    Returns:
        `str`, *optional*: What is corrupted or missing, with the file's name.

    Example:
    ```python
    >>> find_corruption("no-such-run/checkpoint-500")
    'there is no such folder'

    ```
    """
    try:
        _check(Path(folder))
    except _CorruptedError as error:
        return str(error)
    return None


def find_latest_complete_checkpoint(output_dir: str | os.PathLike[str]) -> tuple[Path | None, dict[Path, str]]:
    """Find the latest complete checkpoint of an output folder, and the later ones that are corrupted.

    Args:
        output_dir (`str` or `Path`): The folder with `checkpoint-500`, `checkpoint-1000`, ….

    Returns:
        `tuple[Path | None, dict[Path, str]]`: The checkpoint, and what is wrong with each later one, the latest first.

    Example:
    ```python
    >>> find_latest_complete_checkpoint("no-such-run")
    (None, {})

    ```
    """
    corrupted: dict[Path, str] = {}
    for path in reversed(list_checkpoints(output_dir).values()):
        found = find_corruption(path)
        if found is None:
            return path, corrupted
        corrupted[path] = found
    return None, corrupted


def resolve_checkpoint(wanted: bool | str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> Path | None:
    """Find the checkpoint that `resume_from_checkpoint=` stands for; warn of each corrupted one that is passed over.

    Args:
        wanted (`bool`, `str` or `Path`): True for the latest complete one, or a checkpoint.
        output_dir (`str` or `Path`): Where to look for the latest one.

    Returns:
        `Path`, *optional*: None where there is no checkpoint at all.

    Raises:
        ScheduleError: The checkpoint is corrupted; or every one is.
    """
    if wanted is not True:
        return _require_complete(Path(str(wanted)))
    complete, corrupted = find_latest_complete_checkpoint(output_dir)
    if complete is None and corrupted:
        listed = "; ".join(f"{path.name}: {found}" for path, found in corrupted.items())
        raise ScheduleError(
            f"cannot resume: no checkpoint in {output_dir} is complete ({listed}). Start again in another folder."
        )
    for path, found in corrupted.items():
        logger.warning(f"the checkpoint {path} is corrupted: {found}. The run resumes from {complete} instead.")
    return complete


def mark_incomplete(folder: Path) -> None:
    """Remove the state and the checksums of a checkpoint that is about to be written anew.

    A run that is resumed from an older checkpoint may find a folder of this name. Its state, which is written last, must
    not make the folder look complete while its other files are replaced one by one.
    """
    for name in (TRAINER_STATE, CHECKSUMS):
        (folder / name).unlink(missing_ok=True)


def write_checksums(folder: str | os.PathLike[str]) -> None:
    """Write the checksums of a checkpoint's safetensors files beside them; `torch.save` writes its own.

    Args:
        folder (`str` or `Path`): The checkpoint, just saved.
    """
    folder = Path(folder)
    files = sorted(folder.rglob("*.safetensors"))
    if files and (folder / TRAINER_STATE).is_file():
        found = {path.relative_to(folder).as_posix(): _checksum(path) for path in (*files, folder / TRAINER_STATE)}
        replace_file(folder / CHECKSUMS, json.dumps(found, indent=1).encode())


def _read_checksums(folder: Path) -> Mapping[str, Any]:
    """The checksums of this very save: another Trainer may have saved over the folder, and its state then does not match."""
    found = _load_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else {}
    return found if found.get(TRAINER_STATE) == _checksum(folder / TRAINER_STATE) else {}


class _CorruptedError(Exception):
    """A checkpoint is not complete, and why."""


def _require_complete(checkpoint: Path) -> Path:
    found = find_corruption(checkpoint)
    if found is None:
        return checkpoint
    complete, _ = find_latest_complete_checkpoint(checkpoint.parent)
    # Trainer's own words for a folder that is missing: what a user searches for, and what other code may look for.
    hint = "" if complete is None else f" Latest complete checkpoint: {complete}."
    raise ScheduleError(f"Can't find a valid checkpoint at {checkpoint}: {found}.{hint}")


def _check(folder: Path) -> None:
    """What follows a check may trust what it has looked at."""
    if not folder.is_dir():
        raise _CorruptedError("there is no such folder")
    _check_trainer_state(folder)
    for name in _JSON:
        if (folder / name).exists():
            _load_json(folder / name)
    is_foreign = any(next(folder.glob(pattern), None) for pattern in _FOREIGN_FILES)
    _check_weights(folder, is_foreign)
    for pattern in _ARCHIVES:
        for path in sorted(folder.glob(pattern)):
            _check_archive(path)
    if not is_foreign:
        _check_nothing_missing(folder)


def _check_trainer_state(folder: Path) -> None:
    path, name = folder / TRAINER_STATE, _CHECKPOINT.fullmatch(folder.resolve().name)
    if not path.exists():
        cut_off = f"{TRAINER_STATE}, which Trainer writes last, is missing: the saving was interrupted"
        raise _CorruptedError(cut_off if name else f"this is not a checkpoint: it has no {TRAINER_STATE}")
    update = _load_json(path).get("global_step")
    if type(update) is not int:
        raise _CorruptedError(f"{TRAINER_STATE} is corrupted: its global_step is {update!r}")
    if name and int(name[1]) != update:
        raise _CorruptedError(f"{TRAINER_STATE} does not belong to this folder; its update is {update}")


def _check_weights(folder: Path, is_foreign: bool) -> None:
    checksums = _read_checksums(folder)
    for path in sorted(folder.rglob("*.safetensors")):
        _check_safetensors(path, checksums.get(path.relative_to(folder).as_posix()))
    for name in _WEIGHTS[:2]:
        # Beside a complete file an index is an older save's, which Trainer does not read.
        if not (folder / name).exists():
            _check_shards(folder / f"{name}.index.json")
    names = [*_WEIGHTS, *(f"{name}.index.json" for name in _WEIGHTS[:2])]
    if is_foreign or any((folder / name).exists() for name in names):
        return
    # A Trainer with a save_model of its own may have put them anywhere, under any name.
    found = {path.name for ending in ("safetensors", "bin") for path in folder.rglob(f"*.{ending}")}
    found.discard("training_args.bin")
    if all(map(_SHARD.fullmatch, found)):
        missing = "model.safetensors.index.json" if found else "model.safetensors"
        raise _CorruptedError(f"the model's weights are missing: there is no {missing}")


def _check_shards(index: Path) -> None:
    if not index.exists():
        return
    shards = _load_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise _CorruptedError(f"{index.name} is corrupted: it has no weight_map")
    for shard in sorted(set(map(str, shards.values()))):
        if not (index.parent / shard).exists():
            raise _CorruptedError(f"{shard} is missing, which {index.name} names")


def _check_nothing_missing(folder: Path) -> None:
    """With save_only_model none of these is there; else all."""
    patterns = {"optimizer.pt": "optimizer.pt", "scheduler.pt": "scheduler.pt", "rng_state.pth": "rng_state*.pth"}
    states = {name: list(folder.glob(pattern)) for name, pattern in patterns.items()}
    if not any(states.values()) and not (folder / "scaler.pt").exists():
        return
    for name, files in states.items():
        if not files:
            raise _CorruptedError(f"{name} is missing")
    # Each process writes its own. On machines that share no folder they need not begin at 0.
    matches = [re.fullmatch(r"rng_state_(\d+)\.pth", path.name) for path in states["rng_state.pth"]]
    ranks = {int(match[1]) for match in matches if match}
    for rank in range(min(ranks, default=0), max(ranks, default=0)):
        if rank not in ranks:
            raise _CorruptedError(f"rng_state_{rank}.pth is missing")


def _load_json(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path)
    except (ScheduleError, OSError) as error:
        raise _corrupted(path, error) from error


def _check_archive(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if file.read(len(_LEGACY_TORCH)) == _LEGACY_TORCH:
                return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            bad = archive.testzip() if any(member.CRC for member in members) else None
            for member in members:  # torch.serialization.set_crc32_options(False) saves without checksums
                archive.open(member).close()
    except Exception as error:  # zipfile raises errors of many types for bytes that make no sense
        raise _corrupted(path, error) from error
    if bad is not None:
        raise _CorruptedError(f"{path.name} is corrupted: checksum mismatch in {bad}")


def _check_safetensors(path: Path, checksum: object) -> None:
    try:
        with safe_open(path, framework="numpy"):  # reads the header, which must account for every byte of the file
            pass
    except Exception as error:  # safetensors has an error class of its own
        raise _corrupted(path, error) from error
    if checksum is not None and _checksum(path) != checksum:
        raise _CorruptedError(
            f"{path.name} is corrupted: its checksum does not match the one written when it was saved"
        )


def _checksum(path: Path) -> str:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return f"crc32:{checksum:08x}"


def _corrupted(path: Path, error: Exception) -> _CorruptedError:
    if path.is_file() and path.stat().st_size == 0:
        return _CorruptedError(f"{path.name} is empty")
    return _CorruptedError(f"{path.name} is corrupted: {' '.join(str(error).split()) or type(error).__name__}")
