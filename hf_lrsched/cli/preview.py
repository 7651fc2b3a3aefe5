"""`hf-lrsched preview`: a schedule's drawing, table and figure before training."""

import argparse
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from ..console import print_text
from ..files import check_output, read_yaml
from ..plots.preview import Preview
from ..plots.style import FIGURE_ENDINGS
from ..schedules import Horizon, ScheduleError, parse
from ..schedules.arguments import number
from ..schedules.registry import import_names
from .output import print_written

#: Also one that YAML reads as text, such as 2e-5.
_read_number = number("a finite number above 0", lambda x: x > 0, percent=False)


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `preview` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "preview",
        help="draw schedules before training",
        description="Draws the curves that a run would train with, and prints the LR at every phase boundary.",
        epilog="example: hf-lrsched preview 'warmup(10%) >> cosine()' 'warmup(10%) >> step(every=1ep, factor=0.5)' "
        "--updates 345 --updates-per-epoch 115 --lr 2e-5",
    )
    add = parser.add_argument
    add("schedules", nargs="*", metavar="SCHEDULE", help="e.g. 'warmup(10%%) >> linear()'")
    add("--config", metavar="YAML", help="a recipe's YAML: its schedule, learning_rate and length")
    add("--updates", type=int, metavar="N", help="all updates (optimizer steps) of the run")
    add("--updates-per-epoch", type=int, metavar="N", help="for lengths in epochs such as 2ep")
    add("--samples-per-update", type=int, metavar="N", help="for lengths in samples such as 5000sa")
    add("--tokens-per-update", type=int, metavar="N", help="for lengths in tokens such as 1000000tok")
    add("--lr", type=float, metavar="LR", help="the peak learning rate; without it, factors are shown")
    add("--png", metavar="FILE", help="also write a figure: .png, .svg or .pdf")
    add("--csv", metavar="FILE", help="also write update, epoch and LR of each schedule")
    add("--json", metavar="FILE", help="also write everything as JSON; - prints it and nothing else")
    add("--force", action="store_true", help="replace existing files")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Draw the schedules; return the exit status."""
    config = read_yaml(Path(arguments.config)) if arguments.config else {}
    if config.get("schedule_module"):
        import_names(str(config["schedule_module"]))
    texts = [*arguments.schedules, *([config["schedule"]] if config.get("schedule") else [])]
    if not texts:
        raise ScheduleError("no schedule: give one such as 'warmup(10%) >> linear()', or a --config that has one.")
    json_file = None if arguments.json == "-" else arguments.json
    files = [(arguments.png, FIGURE_ENDINGS), (arguments.csv, (".csv",)), (json_file, (".json",))]
    for path, endings in files:
        if path:
            check_output(Path(path), endings, arguments.force)
    horizon = Horizon(
        _count_updates(arguments, config),
        arguments.updates_per_epoch,
        arguments.samples_per_update,
        arguments.tokens_per_update,
    )
    given = config.get("learning_rate") if arguments.lr is None else arguments.lr
    peak = None if given is None else _read_number(given, "the peak learning rate")
    preview = Preview.of([parse(text) for text in texts], horizon, peak)
    if arguments.json == "-":
        json.dump(preview.to_data(), sys.stdout)
        print_text()
        return 0
    size = shutil.get_terminal_size((100, 24))
    try:
        print_text(preview.drawing(min(size.columns, 140), 20, colour=sys.stdout.isatty()))
    except ImportError as error:
        print_text(f"(no drawing: {error})", sys.stderr)
    print_text(preview.table())
    for path, _ in files:
        if path:
            print_written(preview.save(path, arguments.force))
    return 0


def _count_updates(arguments: argparse.Namespace, config: dict[str, Any]) -> int:
    if arguments.updates is not None:
        return int(arguments.updates)
    if config.get("max_steps") not in (None, -1, 0):  # as in TrainingArguments, -1 and 0 mean "by epochs"
        return int(_read_number(config["max_steps"], "max_steps of the config"))
    if arguments.updates_per_epoch and arguments.config:
        epochs = _read_number(config.get("num_train_epochs", 3), "num_train_epochs of the config")
        return math.ceil(epochs * int(arguments.updates_per_epoch))
    raise ScheduleError(
        "the number of updates is not known; give --updates N (batches / gradient accumulation, over all epochs)"
        + (", or --updates-per-epoch N for the epochs of the config." if arguments.config else ".")
    )
