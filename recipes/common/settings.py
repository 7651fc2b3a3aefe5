"""Read settings from a YAML or JSON file and from flags, which override the file, for HfArgumentParser."""

import dataclasses
import glob
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from transformers import HfArgumentParser

from hf_lrsched.files import read_yaml
from hf_lrsched.schedules.errors import nearest

from .errors import RecipeError

#: Names of settings in other versions of transformers or in other scripts, and the names here.
_RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "group_by_length": "train_sampling_strategy",
    "train_sampling_strategy": "group_by_length",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "no_cuda": "use_cpu",
    "model": "model_name_or_path",
    "dataset": "dataset_name",
    "text_column_name": "text_column_names",
}
_HINTS = {
    "overwrite_output_dir": " A recipe overwrites nothing: choose another --output_dir, or continue the run that is there "
    "with --resume_from_checkpoint true.",
    "warmup_ratio": " A warmup is part of the schedule: --schedule 'warmup(10%) >> linear()'.",
}
_ABSENT = object()
#: The learning rate that is searched before the run.
AUTO = "auto"


class RecipeParser(HfArgumentParser):
    """An HfArgumentParser that raises an error instead of printing all flags, and takes no abbreviated flags."""

    def __init__(self, dataclass_types: Iterable[type], **kwargs: Any):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)
        for action in self._actions:
            if action.dest == "learning_rate":
                action.type, action.help = read_learning_rate, "The peak LR, or auto: it is searched first."
            if action.dest == "include_num_input_tokens_seen":
                action.type = read_counted_tokens  # HfArgumentParser takes it for true or false

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message)

    @property
    def settings(self) -> list[str]:
        """The names of all settings."""
        return [each.name for dtype in self.dataclass_types for each in dataclasses.fields(dtype) if each.init]

    def settings_in(self, attribute: str) -> set[str]:
        """Return the settings that the dataclasses list in a class attribute: `paths` or `lists`."""
        return {name for dtype in self.dataclass_types for name in getattr(dtype, attribute, ())}


def read_learning_rate(text: str) -> float | str:
    """Read a learning rate: a number, or `auto`."""
    if text.strip().lower() == AUTO:
        return AUTO
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"a number or {AUTO} is expected, got {text!r}") from None


def read_counted_tokens(text: str) -> str:
    """Read which tokens Trainer counts: `all`, `non_padding` or `no`; true and false are `all` and `no`."""
    counted = {"true": "all", "false": "no"}.get(text.strip().lower(), text.strip())
    if counted not in ("all", "non_padding", "no"):
        raise ArgumentTypeError(f"all, non_padding or no is expected, got {text!r}")
    return counted


def read_settings(parser: RecipeParser, argv: Sequence[str]) -> dict[str, Any]:
    """Read the settings of `script.py [CONFIG.yaml] [--flag value ...]`.

    Args:
        parser ([`RecipeParser`]): Knows every setting.
        argv (`Sequence[str]`): The command line without the script.

    Returns:
        `dict[str, Any]`: The values that are given, by name. A relative path in the file counts from the working directory,
        else from the folder of the file.

    Raises:
        RecipeError: The file is missing or invalid, a setting is unknown, or a value has the wrong type.
    """
    flags = list(argv)
    values: dict[str, Any] = {}
    if flags and not flags[0].startswith("-"):
        path = Path(flags.pop(0))
        if path.suffix not in (".yaml", ".yml", ".json"):
            raise RecipeError(f"the first argument is a .yaml, .yml or .json file or a --flag, got {str(path)!r}.")
        values = _typed(parser, read_yaml(path), path)  # JSON is YAML, too
        for name in parser.settings_in("paths") & set(values):
            values[name] = _beside(values[name], path.parent)
    return values | _read_flags(parser, flags)


def _typed(parser: RecipeParser, content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read each value of the file as its flag is read, so that file and flags mean the same."""
    hints = {name: hint for dtype in parser.dataclass_types for name, hint in get_type_hints(dtype).items()}
    values = {}
    for name, value in content.items():
        if name not in parser.settings:
            raise RecipeError(f"{path}: unknown setting {name!r}.{_suggest(name, parser.settings)}")
        if value is None:
            continue
        if isinstance(value, list) and name in parser.settings_in("lists"):
            value = ",".join(map(str, value))
        if isinstance(value, (list, dict)):
            if type(value).__name__ not in str(hints[name]):
                raise RecipeError(f"{path}: {name} must be a single value, got the {type(value).__name__} {value!r}.")
            values[name] = value
            continue
        if value is False and name.endswith("_strategy"):
            value = "no"  # YAML reads a bare `no` as false
        try:
            values[name] = vars(parser.parse_args([f"--{name}={value}"]))[name]
        except RecipeError as error:
            raise RecipeError(f"{path}: {name}: {str(error).split(': ', 1)[-1]}") from None
    return values


def _read_flags(parser: RecipeParser, flags: list[str]) -> dict[str, Any]:
    known = parser.settings
    # argparse keeps a value that the namespace already has: a setting that is still absent was not given.
    namespace = Namespace(**dict.fromkeys(known, _ABSENT))
    given, unknown = parser.parse_known_args(flags, namespace)
    for flag in unknown:
        if flag.startswith("-"):
            name = flag.lstrip("-").split("=")[0].replace("-", "_")
            raise RecipeError(f"unknown flag {flag.split('=')[0]}.{_suggest(name, known, '--')}")
    if unknown:
        raise RecipeError(f"{' '.join(unknown)!r} belongs to no flag.")
    return {name: value for name, value in vars(given).items() if value is not _ABSENT}


def _suggest(name: str, known: list[str], dashes: str = "") -> str:
    if name in _HINTS:
        return _HINTS[name]
    if _RENAMED.get(name) in known:
        return f" Here it is {dashes}{_RENAMED[name]}."
    return nearest(name, known).replace("'", f"'{dashes}", 1)


def _beside(value: str, folder: Path) -> str:
    path = Path(value).expanduser()
    if path.is_absolute() or _exists(path) or not _exists(folder / path):
        return value
    return str(folder / path)


def _exists(path: Path) -> bool:
    """Return whether there is such a path, or a file that matches the pattern."""
    return path.exists() or bool(glob.glob(str(path), recursive=True))  # noqa: PTH207
