"""The output folder of a run: held by one process at a time, and what a start finds in it."""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from transformers import TrainingArguments

from hf_lrsched.runs.checkpoints import (
    TRAINER_STATE,
    find_latest_complete_checkpoint,
    read_trainer_state,
    resolve_checkpoint,
)
from hf_lrsched.runs.record import FOLDER as RECORD
from hf_lrsched.trajectory.resume_state import read_state

from .errors import RecipeError, errors_as

#: What a run leaves in its output folder.
_TRACES = (
    "checkpoint-*",
    "record*",
    "*_results.json",
    "trainer_state.json",
    "training_args.bin",
    "metrics.csv",
    "metrics.json",
    "config.json",
    "model*.safetensors",
    "pytorch_model*.bin",
    "README.md",
    "*.png",
)
_PROBE_BYTES = 1 << 20


class OutputFolder:
    """The output folder of a run. Only the main process uses it.

    The folder has a lock, which is released when the process that holds it dies, and a file `.run.json` with that process,
    the run's settings, and whether all results are written.

    Args:
        path (`str` or `Path`): The folder.
        settings (`dict[str, Any]`): The settings of the run that starts now.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any]):
        self.path = Path(path)
        self._lock = FileLock(self.path / ".lock")
        self._note = self.path / ".run.json"
        text = json.dumps(settings, sort_keys=True, default=str)
        self._settings = hashlib.sha256(text.encode()).hexdigest()
        self._last = {}

    def hold(self) -> None:
        """Take the folder for this process, and check that it can be written.

        Raises:
            RecipeError: Another process holds it, or it can't be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RecipeError(f"--output_dir {self.path} is a file.")
        with errors_as(f"--output_dir {self.path} can't be written", OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._acquire()
            except Timeout:
                holder = self._read_note()
                raise RecipeError(
                    f"--output_dir {self.path} is in use by process {holder.get('pid')} on {holder.get('host')}. Wait until it "
                    "ends, or choose another --output_dir."
                ) from None
            probe = self.path / ".write_test"
            try:
                with probe.open("wb") as file:
                    file.write(bytes(_PROBE_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        self._last = self._read_note()

    def _acquire(self) -> None:
        self._lock.acquire(timeout=0)
        if not Path(self._lock.lock_file).exists():  # its former holder removed it in this moment
            self._lock.release()
            self._lock.acquire(timeout=0)

    def release(self) -> None:
        """Release the folder. A run that was refused leaves nothing behind, nor the folder if it made it."""
        if not self._lock.is_locked:
            return
        if not any(any(self.path.glob(pattern)) for pattern in _TRACES):
            self._note.unlink(missing_ok=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def note(self, *, is_complete: bool) -> None:
        """Write down which process holds the folder, with which settings, and whether all results are written."""
        content = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "settings": self._settings,
            "complete": is_complete,
        }
        self._note.write_text(json.dumps(content) + "\n", encoding="utf-8")

    @property
    def is_complete(self) -> bool:
        """Whether the last run in this folder had these settings and wrote all its results."""
        return self._has_same_settings and self._last.get("complete") is True

    @property
    def _has_same_settings(self) -> bool:
        return self._last.get("settings") == self._settings

    def find_checkpoint(self, wanted: Any) -> str | None:
        """Return the checkpoint to resume, or `None` for a new run.

        Args:
            wanted (`bool` or `str`, *optional*): --resume_from_checkpoint: `None` or false for a new run, true for the latest
                complete checkpoint, `auto` for the latest one if there is one, or a checkpoint.

        Raises:
            RecipeError: A new run would overwrite another one, or there is no complete checkpoint to resume.
        """
        choice = str(wanted).lower()
        if wanted is None or choice in ("false", "no", "0"):
            self._refuse_another_run()
            return None
        if choice == "auto":
            newest, _ = find_latest_complete_checkpoint(self.path)
            if newest is not None:
                return str(newest)
            if not self._last or self._last.get("complete"):
                self._refuse_another_run()
            for record in self.path.glob(f"{RECORD}*"):  # of a start that died before its first checkpoint
                shutil.rmtree(record)
            return None
        if choice in ("true", "yes", "1"):
            newest = resolve_checkpoint(True, self.path)
            if newest is None:
                raise RecipeError(
                    f"{self.path} has no complete checkpoint to resume from. With --resume_from_checkpoint auto the run then "
                    "starts from the beginning."
                )
            return str(newest)
        checkpoint = Path(str(wanted))
        resolve_checkpoint(checkpoint, self.path)  # refuses a folder that is no complete checkpoint
        if checkpoint.resolve().parent != self.path.resolve():
            self._refuse_another_run()
        return str(checkpoint)

    def has_ended(self, checkpoint: str) -> bool:
        """Return whether the run of these settings ended at this checkpoint, so that only its results may be missing."""
        if not self._has_same_settings:
            return False
        state = read_trainer_state(Path(checkpoint, TRAINER_STATE))
        control = state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {})
        if not control.get("should_training_stop") and state["global_step"] < state["max_steps"]:
            return False
        scheduler = Path(checkpoint, "scheduler.pt")
        if not scheduler.is_file():
            return True
        run = read_state(torch.load(scheduler, weights_only=True))
        return run.trajectory.cooldown_at is None or run.position >= run.end  # a second SIGTERM cuts off a cooldown

    def _read_note(self) -> dict[str, Any]:
        try:
            content = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _refuse_another_run(self) -> None:
        for pattern in _TRACES:
            found = next(iter(sorted(self.path.glob(pattern))), None)
            if found is not None:
                raise RecipeError(
                    f"{self.path} holds another run ({found.name}), and nothing is overwritten. Choose another --output_dir, or "
                    "continue that run with --resume_from_checkpoint true."
                )


def count_updates(checkpoint: str) -> int:
    """Return the number of updates before a checkpoint."""
    return int(read_trainer_state(Path(checkpoint, TRAINER_STATE))["global_step"])


def collect_settings(args: TrainingArguments, *others: Any) -> dict[str, Any]:
    """Return the settings that make a run what it is: all but where it writes and how it resumes."""
    settings = {key: value for each in (args, *others) for key, value in vars(each).items() if not key.startswith("_")}
    ignored = (
        "output_dir",
        "logging_dir",
        "resume_from_checkpoint",
        "on_resume",
        "distributed_state",
        "deepspeed_plugin",
    )
    return {key: value for key, value in settings.items() if key not in ignored}
