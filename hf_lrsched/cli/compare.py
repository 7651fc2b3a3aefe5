"""`hf-lrsched compare`: compare schedules and learning rates over seeds, on as many processes as there are."""

import argparse
import math
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from ..compare.cells import Grid, read_lrs
from ..compare.storage import bind_folder, open_study
from ..compare.summary import Comparison, format_table
from ..compare.worker import Worker
from ..console import print_text
from ..runs.files import read_settings
from ..schedules import ScheduleError
from ..schedules.errors import nearest
from ..schedules.metric_names import metric_direction
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
#: The settings of the recipe that differ from run to run.
_OF_CELLS = ("schedule", "learning_rate", "seed", "output_dir", "resume_from_checkpoint")


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `compare` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        argument_default=argparse.SUPPRESS,
        help="compare schedules and learning rates over seeds",
        description="Runs a recipe with each schedule, learning rate and seed, and shows which differences are larger than "
        "the spread over seeds. Start the same command as often as there are processors or GPUs: the processes share the "
        "runs by --storage. The run of a process that dies is given to the others, and a command that is started again "
        "goes on. CONFIG.yaml has the recipe's settings, or the names of these flags, and `config` with the recipe's file.",
        epilog="example: hf-lrsched compare recipes/configs/demo.yaml --schedule 'warmup(10%) >> linear()' 'warmup(10%) >> "
        "cosine()' --learning_rate 1e-4 auto --seeds 10 --storage sqlite:///runs/compare.db",
    )
    add_recipe_arguments(parser)
    add = parser.add_argument
    add("--schedule", nargs="+", metavar="TEXT", help="schedules; the others are compared with the first")
    add(
        "--learning_rate", nargs="+", metavar="LR", help="peak learning rates; auto is searched, once for each schedule"
    )
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
        help="a process that is silent for three of these is dead; default: 20",
    )
    add("--retry-failed", action="store_true", help="repeat the runs that failed")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run cells until none is left, and show the comparison; return 1 if a run failed, 128 + n after a signal n."""
    given = _merge_file(arguments)
    command = build_recipe_command(given)
    config = read_settings(given.config) | dict(each.partition("=")[::2] for each in given.settings)
    grid = Grid(
        tuple(_get_list(given, "schedule", config)),
        read_lrs(_get_list(given, "learning_rate", config)),
        given.seeds,
    )
    if given.heartbeat < 1:
        raise ScheduleError(f"--heartbeat must be at least 1, got {given.heartbeat}.")
    limit = as_duration(given.time_limit, "--time-limit").seconds if given.time_limit else math.inf
    recipe = {name: value for name, value in config.items() if name not in _OF_CELLS} | {
        "recipe": Path(command[1]).name
    }
    if given.storage == _DEFAULTS["storage"]:
        Path("runs").mkdir(exist_ok=True)
    study = open_study(
        given.storage,
        given.name or f"{given.config.stem} {given.metric}",
        {**recipe, "--metric": given.metric, "--prune": given.prune, "--heartbeat": given.heartbeat},
        maximize=metric_direction(given.metric) != "min",
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
        print_text("interrupted; the same command goes on")
    finally:
        signal.signal(signal.SIGTERM, earlier)
    status = _show(Comparison(grid, worker.list_outcomes(), given.metric), folder)
    return ended_by or status


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let the worker end the recipe and give its run back."""
    raise KeyboardInterrupt(number)


def _show(comparison: Comparison, folder: Path) -> int:
    print_text(format_table(comparison.make_table()))
    for line in comparison.write(folder):
        print_text(line)
    states = [outcome.state for outcome in comparison.outcomes]
    if missing := states.count("waiting") + states.count("running"):
        print_text(f"{missing} of {len(states)} runs are missing; the same command goes on")
    for outcome in comparison.outcomes:
        if outcome.state == "failed":
            print_text(f"failed: {outcome.cell}: {outcome.error}")
    return int("failed" in states)


def _merge_file(arguments: argparse.Namespace) -> argparse.Namespace:
    """Add the settings of a file that has flags of this command, and the defaults; flags of the command line come first."""
    from_file: dict[str, Any] = {}
    settings = arguments.settings
    content = read_settings(arguments.config)
    if "config" in content:
        words = []
        for name, value in content.items():
            known = [*_DEFAULTS.keys() - {"retry_failed"}, "config", "schedule", "learning_rate", "set"]
            if name not in known:
                raise ScheduleError(f"{arguments.config}: unknown setting {name!r}.{nearest(name, known)}")
            if name == "set":
                if not isinstance(value, dict):
                    raise ScheduleError(
                        f"{arguments.config}: set takes names and values, e.g. {{num_train_epochs: 2}}, got {value!r}."
                    )
                words += [f"--set={each}={setting}" for each, setting in value.items()]
            elif name != "config":
                words += [
                    f"--{name.replace('time_limit', 'time-limit')}",
                    *map(str, value if isinstance(value, list) else [value]),
                ]
        from_file = vars(arguments.parser.parse_args([str(content["config"]), *words]))
        settings = [*from_file["settings"], *settings]
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if from_file:
        del given["config"]
    found = argparse.Namespace(**{**_DEFAULTS, **from_file, **given, "settings": settings})
    for setting in found.settings:
        if (name := setting.partition("=")[0]) in _OF_CELLS:
            raise ScheduleError(f"--set {name} has no effect: compare gives each run its own {name}.")
    return found


def _get_list(given: argparse.Namespace, name: str, config: dict[str, Any]) -> list[Any]:
    """The values of a flag, else the one of the recipe's configuration."""
    values: list[Any] = getattr(given, name, None) or ([config[name]] if name in config else [])
    if not values:
        raise ScheduleError(f"--{name} is required, for {given.config} has none.")
    return values
