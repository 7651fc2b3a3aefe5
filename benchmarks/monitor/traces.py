"""A trace: what a monitor reads of one run, stored small."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "traces"
HALVES = ("tune", "measure")


@dataclass
class Trace:
    """One real run as a monitor reads it.

    Args:
        name (`str`): Its name, unique.
        half (`str`): `tune`, to look at while rules are made, or `measure`, for the figures alone.
        cause (`str`): What makes it ill; `healthy` if nothing does.
        task, model, seed: What was trained.
        schedule (`str`), learning_rate (`float`), batch_size (`int`), epochs (`float`), samples (`int`): How.
        num_updates (`int`), updates_per_epoch (`int`): The horizon.
        weight_rms (`float`): The root mean square of the weight matrices before the first update.
        losses (`list[float | str]`): The loss of each update; `"nan"` and `"inf"` where it was not finite.
        records (`list[dict]`): The Trainer's training records: `step`, `loss`, `grad_norm`.
        evaluations (`list[dict]`): The Trainer's evaluations: `step`, `eval_loss`, `eval_accuracy`, their samples and time.
    """

    name: str
    half: str
    cause: str
    task: str
    model: str
    seed: int
    schedule: str
    learning_rate: float
    batch_size: int
    epochs: float
    samples: int
    num_updates: int = 0
    updates_per_epoch: int = 0
    weight_rms: float = 0.0
    losses: list[Any] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        return self.cause == "healthy"


def read_traces(half: str, folder: Path = FOLDER) -> list[Trace]:
    """The traces of a half."""
    return list(_read(folder / f"{half}.jsonl.gz"))


def _read(path: Path) -> Iterator[Trace]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield Trace(**json.loads(line))


def write_traces(traces: list[Trace], half: str, folder: Path = FOLDER) -> None:
    """Replaces the traces of a half."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(trace), separators=(",", ":")) + "\n" for trace in traces]
    with (folder / f"{half}.jsonl.gz").open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
        file.write("".join(lines).encode())
