"""`hf-lrsched preview`: a schedule's table, drawing and figure."""

import argparse
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from ..plots.preview import Preview
from ..schedules import Horizon, Schedule, ScheduleError, parse
from ..schedules.errors import nearest
from ..schedules.registry import import_names


def _preview(arguments: argparse.Namespace) -> int:
    config = _read_config(arguments.config) if arguments.config else {}
    if config.get("schedule_module"):
        import_names(str(config["schedule_module"]))
    texts = [*arguments.schedules, *([config["schedule"]] if config.get("schedule") else [])]
    if not texts:
        raise ScheduleError("no schedule: give one such as 'warmup(10%) >> linear()', or a --config that has one.")
    schedules: list[Schedule] = [parse(text) for text in texts]
    horizon = Horizon(
        _updates(arguments, config),
        arguments.updates_per_epoch,
        arguments.samples_per_update,
        arguments.tokens_per_update,
    )
    lr = arguments.lr if arguments.lr is not None else config.get("learning_rate")
    preview = Preview.of(schedules, horizon, None if lr is None else _peak(lr))
    if arguments.json == "-":
        import json

        json.dump(preview.to_data(), sys.stdout)
        print()
        return 0
    _print_preview(preview)
    for path, endings in (
        (arguments.png, (".png", ".svg", ".pdf")),
        (arguments.csv, (".csv",)),
        (arguments.json, (".json",)),
    ):
        if path:
            if Path(path).suffix not in endings:
                raise ScheduleError(f"{path}: the ending must be {' or '.join(endings)}.")
            print(f"wrote {preview.save(path, arguments.force)}")
    return 0


def _print_preview(preview: Preview) -> None:
    size = shutil.get_terminal_size((100, 24))
    try:
        print(preview.drawing(min(size.columns, 140), 20, colour=sys.stdout.isatty()))
    except ScheduleError as error:
        print(f"(no drawing: {error})", file=sys.stderr)
    print(preview.table())


def _updates(arguments: argparse.Namespace, config: dict[str, Any]) -> int:
    if arguments.updates is not None:
        return int(arguments.updates)
    max_steps = _number(config, "max_steps", -1)
    if max_steps > 0:
        return int(max_steps)
    if arguments.updates_per_epoch and arguments.config:
        return math.ceil(_number(config, "num_train_epochs", 3) * int(arguments.updates_per_epoch))
    raise ScheduleError(
        "the number of updates is not known; give --updates N (batches / gradient accumulation, over all epochs)"
        + (", or --updates-per-epoch N for the epochs of the config." if arguments.config else ".")
    )


def _number(config: dict[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    try:
        number = float(str(value))  # YAML reads 2e-5 as a text
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ScheduleError(f"{name} of the config must be a finite number, got {value!r}.")
    return number


def _peak(value: object) -> float:
    try:
        lr = float(str(value))  # YAML reads 2e-5 as a text
    except (TypeError, ValueError):
        lr = math.nan
    if not (math.isfinite(lr) and lr > 0):
        raise ScheduleError(f"the peak learning rate must be a finite number above 0, got {value!r}.")
    return lr


def _read_config(path: str) -> dict[str, Any]:
    import yaml

    file = Path(path)
    if not file.is_file():
        near = nearest(file.name, [other.name for other in file.parent.glob("*.y*ml")] if file.parent.is_dir() else [])
        raise ScheduleError(f"the config {path} does not exist.{near}")
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScheduleError(f"the config {path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ScheduleError(f"the config {path} must be a mapping of names to values.")
    return config
