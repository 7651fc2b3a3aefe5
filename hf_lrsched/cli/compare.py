"""`hf-lrsched compare`: compare schedules and learning rates over seeds, on as many processes as there are."""

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ..compare.cells import Grid, read_lrs
from ..compare.storage import MISSED_HEARTBEATS, bind_folder, open_study
from ..compare.summary import Comparison, format_summary
from ..compare.worker import Worker
from ..console import print_text
from ..files import read_settings
from ..schedules import ScheduleError
from ..schedules.errors import brief, nearest
from ..schedules.metric_names import get_metric_direction
from ..schedules.units import as_duration
from .recipe import add_recipe_arguments, build_recipe_command

_DEFAULTS: dict[str, Any] = {
    "recipe": None,
    "seeds": 10,
    "storage": "sqlite:///runs/compare.db",
    "metric": "accuracy",
    "name": None,
    "output_dir": None,
    "time_limit": None,
    "prune": None,
    "heartbeat": 20,
    "retry_failed": False,
}


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return _is_word(value) or (isinstance(value, list) and bool(value) and all(map(_is_word, value)))


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


#: What a file may have: which values, and how a message describes them.
_IN_FILE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "config": (_is_word, "the file with the recipe's settings"),
    "recipe": (_is_word, "a script"),
    "schedule": (_is_list, "a schedule, or a list of schedules"),
    "learning_rate": (_is_list, "a number or auto, or a list of these"),
    "seeds": (_is_count, "a whole number above 0"),
    "storage": (_is_word, "a URL"),
    "metric": (_is_word, "the name of a metric"),
    "name": (_is_word, "a text"),
    "output_dir": (_is_word, "a folder"),
    "time_limit": (_is_word, "a time such as 2h"),
    "prune": (lambda value: value in ("median", False), "median or off"),
    "heartbeat": (_is_count, "a whole number of seconds above 0"),
    "set": (lambda value: isinstance(value, dict), "names and values such as {num_train_epochs: 2}"),
}
#: Seconds. With fewer, a live process may miss its heartbeats on a machine with more processes than processors.
_SAFE_HEARTBEAT = 10
#: The settings of the recipe that differ from run to run.
_OF_CELLS = ("schedule", "learning_rate", "seed", "output_dir", "resume_from_checkpoint")


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `compare` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        argument_default=argparse.SUPPRESS,
        help="compare schedules and learning rates over seeds",
        description="Runs a recipe with each schedule, learning rate and seed, and shows which differences are larger than "
        "the spread over seeds. Start the same command once for each processor or GPU: the processes share the runs through "
        "--storage. If a process dies, another one takes over its run. After an interruption, repeat the command to continue. "
        "CONFIG.yaml has the recipe's settings; or it has the names of these flags, and `config` with the recipe's file.",
        epilog="example: hf-lrsched compare recipes/configs/demo.yaml --schedule 'warmup(10%) >> linear()' 'warmup(10%) >> "
        "cosine()' --learning_rate 1e-4 auto --seeds 10 --storage sqlite:///runs/compare.db",
    )
    add_recipe_arguments(parser)
    add = parser.add_argument
    add("--schedule", nargs="+", metavar="TEXT", help="schedules; the others are compared with the first")
    add("--learning_rate", nargs="+", metavar="LR", help="peak LRs; auto is searched, once for each schedule")
    add("--seeds", type=int, metavar="N", help="runs of each schedule, with the seeds 0 to N-1; default: 10")
    add("--storage", metavar="URL", help=f"the database of the runs; default: {_DEFAULTS['storage']}")
    add("--metric", metavar="NAME", help="the metric to compare; default: accuracy")
    add("--name", metavar="NAME", help="the name of the study in the storage; default: those of CONFIG and the metric")
    add("--output_dir", metavar="DIR", help="the folder of runs and results; default: runs/compare/ and CONFIG's name")
    add("--time-limit", metavar="TIME", help="begin no run after this time, e.g. 2h")
    add("--prune", choices=("median",), help="end runs that are worse than the median; this favours fast beginnings")
    add(
        "--heartbeat",
        type=int,
        metavar="SECONDS",
        help="how often a process signals that it is alive; after three missing signals it counts as dead; default: 20",
    )
    add("--retry-failed", action="store_true", help="repeat the runs that failed")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run cells until none is left, and show the comparison; return 1 if a run failed, 128 + n after a signal n."""
    given = _merge_file(arguments)
    command = build_recipe_command(given)
    config = read_settings(given.config) | dict(each.partition("=")[::2] for each in given.settings)
    schedules, lrs = (_get_list(given, name, config) for name in ("schedule", "learning_rate"))
    grid = Grid(tuple(schedules), read_lrs(lrs), given.seeds)
    if given.heartbeat < 1:
        raise ScheduleError(f"--heartbeat must be at least 1, got {given.heartbeat}.")
    if given.heartbeat < _SAFE_HEARTBEAT:
        print_text(
            f"warning: with --heartbeat {given.heartbeat}, a process that waits {MISSED_HEARTBEATS * given.heartbeat} s on a busy machine is "
            f"taken for dead while it runs, and its run fails in another process. Use {_SAFE_HEARTBEAT} or more.",
            sys.stderr,
        )
    limit = as_duration(given.time_limit, "--time-limit").seconds if given.time_limit else math.inf
    recipe = {name: each for name, each in config.items() if name not in _OF_CELLS} | {"recipe": Path(command[1]).name}
    if given.storage == _DEFAULTS["storage"]:
        Path("runs").mkdir(exist_ok=True)
    study = open_study(
        given.storage,
        given.name or f"{given.config.stem} {given.metric}",
        {**recipe, "--metric": given.metric, "--prune": given.prune, "--heartbeat": given.heartbeat},
        maximize=get_metric_direction(given.metric) != "min",
        heartbeat=given.heartbeat,
        prune=given.prune is not None,
    )
    folder = Path(given.output_dir or f"runs/compare/{given.config.stem}")
    bind_folder(folder, recipe)
    worker = Worker(study, grid, command, folder, given.metric, given.heartbeat, print_text)
    if given.retry_failed:
        worker.repeat_failed()
    ended_by = 0
    earlier = signal.signal(signal.SIGTERM, _interrupt)
    try:
        worker.work(limit)
    except KeyboardInterrupt as interrupt:
        ended_by = 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
        print_text("interrupted; repeat the command to continue")
    finally:
        signal.signal(signal.SIGTERM, earlier)
    status = _show(Comparison(grid, worker.list_outcomes(), given.metric), folder)
    return ended_by or status


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let the worker end the recipe and give its run back."""
    raise KeyboardInterrupt(number)


def _show(comparison: Comparison, folder: Path) -> int:
    print_text(format_summary(comparison.make_table()))
    for line in comparison.write(folder):
        print_text(line)
    states = [outcome.state for outcome in comparison.outcomes]
    if missing := states.count("waiting") + states.count("running"):
        print_text(f"{missing} of {len(states)} runs not done; repeat the command to continue")
    for outcome in comparison.outcomes:
        if outcome.state == "failed":
            print_text(f"failed: {outcome.cell}: {outcome.error}")
    return int("failed" in states)


def _merge_file(arguments: argparse.Namespace) -> argparse.Namespace:
    """Add the settings of a file that has flags of this command, and the defaults; flags of the command line come first."""
    from_file = _read_file(arguments.config)
    settings = [*from_file.pop("set", []), *arguments.settings]
    given = vars(arguments) | ({"config": from_file["config"]} if from_file else {})
    found = argparse.Namespace(**{**_DEFAULTS, **from_file, **given, "settings": settings})
    for setting in found.settings:
        if (name := setting.partition("=")[0]) in _OF_CELLS:
            raise ScheduleError(f"--set {name} has no effect: compare gives each run its own {name}.")
    return found


def _read_file(path: Path) -> dict[str, Any]:
    """Read the flags of this command from a file; a recipe's configuration has none. What is null has its default."""
    content = read_settings(path)
    if "config" not in content:
        return {}
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name not in _IN_FILE:
            raise ScheduleError(f"{path}: unknown setting {name!r}.{nearest(name, _IN_FILE)}")
        is_allowed, what = _IN_FILE[name]
        if value is None and name in _DEFAULTS:
            continue
        if not is_allowed(value):
            raise ScheduleError(f"{path}: {name} must be {what}, got {brief(value)}.")
        found[name] = value
    for name in ("config", "recipe"):
        if name in found:
            found[name] = Path(str(found[name]))
    for name in ("schedule", "learning_rate"):
        if name in found and not isinstance(found[name], list):
            found[name] = [found[name]]
    if "time_limit" in found:
        as_duration(found["time_limit"], f"{path}: time_limit")
    found["prune"] = found.get("prune") or None
    found["set"] = [f"{name}={_to_text(str(name), value, path)}" for name, value in found.get("set", {}).items()]
    return found


def _to_text(name: str, value: Any, path: Path) -> str:
    """Write a value of `set` as the recipe's flag takes it."""
    if value is None:
        raise ScheduleError(
            f"{path}: {name} of set must have a value, got null. Leave it out for the recipe's own value."
        )
    if value is False and name.endswith("_strategy"):
        return "no"  # YAML reads a bare `no` as false
    try:
        if isinstance(value, list):
            return ",".join(map(str, value))
        return json.dumps(value) if isinstance(value, dict) else str(value)
    except (TypeError, ValueError):  # YAML also has dates, sets, bytes, loops and very long numbers
        raise ScheduleError(
            f"{path}: {name} of set has a value that no flag can have, got {brief(value)}. Put a date in quotes."
        ) from None


def _get_list(given: argparse.Namespace, name: str, config: dict[str, Any]) -> list[Any]:
    """The values of a flag, else the one of the recipe's configuration."""
    values: list[Any] = getattr(given, name, None) or ([config[name]] if name in config else [])
    if not values:
        raise ScheduleError(f"--{name} is required, for {given.config} has none.")
    return values
