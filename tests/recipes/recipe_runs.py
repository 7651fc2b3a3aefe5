"""Ways to run the recipe as a user does, and tiny data to run it on."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"

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


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without a network and without a launcher's variables."""
    launcher = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in launcher}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | more


def run_script(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    """The recipe as a user starts it."""
    command = [sys.executable, str(RECIPES / "text_classification.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=600, **more)


def write_rows(path: Path, rows: Iterable[tuple[str, object]], names: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Sentences of different lengths; the label is told by one word."""
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
