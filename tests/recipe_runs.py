"""Ways to run the recipe as a user does, and tiny data to run it on."""

import csv
import json
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.processes import ROOT, environment

RECIPES = ROOT / "recipes"
SCRIPT = RECIPES / "text_classification.py"

WORDS = [
    "a",
    "the",
    "film",
    "is",
    "was",
    "good",
    "bad",
    "great",
    "awful",
    "dull",
    "bright",
    "plot",
    "actor",
    "scene",
    "long",
    "short",
]


def write_rows(path: Path, rows: Iterable[tuple[str, object]], names: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Sentences of different lengths; one word is the label."""
    source = random.Random(seed)
    rows = []
    for index in range(count):
        label = ("bad", "good")[index % 2]
        words = [*source.choices(WORDS[:5] + WORDS[9:], k=source.randint(2, 20)), label]
        source.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def as_flags(settings: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def state_of(folder: str | Path) -> dict:
    return json.loads(Path(folder, "trainer_state.json").read_text(encoding="utf-8"))


def used_lrs(folder: object) -> list[float]:
    """The LR of every update, of a run that logs every update."""
    return [record["learning_rate"] for record in state_of(folder)["log_history"] if "loss" in record]


def warmup_then_linear(updates: int, warmup: int, peak: float) -> list[float]:
    return [peak * (t / warmup if t < warmup else (updates - t) / (updates - warmup)) for t in range(updates)]


def scheduler_state(folder: Path) -> dict:
    """The scheduler's state in the latest checkpoint."""
    import torch

    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return torch.load(last / "scheduler.pt", weights_only=True)


def has_finished(done: subprocess.CompletedProcess[str]) -> bool:
    """Did all processes do their work? torch's own teardown may abort one on its way out, where a gloo thread drops the
    last reference to a Python object while the interpreter shuts down (pytorch issue 190489)."""
    return done.returncode == 0 or "terminate called without an active exception" in done.stderr


def launch_two(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Launch a script in two processes, as a user does."""
    config = ROOT / "recipes" / "accelerate" / "two_cpu.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command = [*launch, "--main_process_port", "0", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=800)
