"""A YAML or JSON file and the command line's flags, which override it, as the dataclasses of HfArgumentParser."""

import dataclasses
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import yaml
from errors import RecipeError
from transformers import HfArgumentParser

from hf_lrsched.runs.files import read_yaml
from hf_lrsched.schedules.errors import nearest

#: What a setting was called in another version of transformers or in another script.
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
    "overwrite_output_dir": " Nothing is overwritten here: choose another --output_dir, or go on with the run that is "
    "there by --resume_from_checkpoint true.",
    "warmup_ratio": " A warmup is part of the schedule: --schedule 'warmup(10%) >> linear()'.",
}
_ABSENT = object()


class Parser(HfArgumentParser):
    """HfArgumentParser that raises instead of printing all of its flags, and takes no abbreviated flag."""

    def __init__(self, dataclass_types: Iterable[type], **kwargs: Any):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message)


@dataclasses.dataclass
class Settings:
    """What was given, by name, and where it came from.

    Args:
        values (`dict[str, Any]`): The file's values with the flags' over them.
        config_file (`Path`, *optional*): The file.
    """

    values: dict[str, Any]
    config_file: Path | None


def read_settings(parser: Parser, argv: Sequence[str], paths: Iterable[str] = ()) -> Settings:
    """The settings of `script.py [CONFIG.yaml] [--flag value ...]`.

    Args:
        parser ([`Parser`]): Knows every setting.
        argv (`Sequence[str]`): The command line, without the script.
        paths (`Iterable[str]`): Settings that name files or folders. A relative one in the file is looked for in the
            working directory, then in the folder of the file.

    Raises:
        RecipeError: No such file, an unknown setting, or a value of the wrong type.
    """
    flags = list(argv)
    config_file = Path(flags.pop(0)) if flags and not flags[0].startswith("-") else None
    values: dict[str, Any] = {}
    if config_file is not None:
        values = _typed(parser, _read_file(config_file), config_file)
        for name in set(paths) & set(values):
            values[name] = _beside(values[name], config_file.parent)
    return Settings(values | _read_flags(parser, flags), config_file)


def _read_file(path: Path) -> dict[str, Any]:
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise RecipeError(f"the first argument is a .yaml, .yml or .json file or a --flag, got {str(path)!r}.")
    return read_yaml(path, _StrictLoader)  # JSON is YAML too


class _StrictLoader(yaml.SafeLoader):
    """A setting that is there twice is an error; YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(f"{name} is there twice, the second time {node.start_mark}.".replace("\n", " "))
        return super().construct_mapping(node, deep)


def _typed(parser: Parser, content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The file's values, each read as its flag would be, so that file and flags mean the same."""
    hints = {name: hint for dtype in parser.dataclass_types for name, hint in get_type_hints(dtype).items()}
    known = _names(parser)
    values = {}
    for name, value in content.items():
        if name not in known:
            raise RecipeError(f"{path}: unknown setting {name!r}.{_suggest(str(name), known)}")
        if value is None:
            continue
        if isinstance(value, list) and name == "text_column_names":
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


def _read_flags(parser: Parser, flags: list[str]) -> dict[str, Any]:
    known = _names(parser)
    # argparse leaves a value alone that the namespace has already: what is still absent was not given.
    namespace = Namespace(**dict.fromkeys(known, _ABSENT))
    given, unknown = parser.parse_known_args(flags, namespace)
    for flag in unknown:
        if flag.startswith("-"):
            name = flag.lstrip("-").split("=")[0].replace("-", "_")
            raise RecipeError(f"unknown flag {flag.split('=')[0]}.{_suggest(name, known, '--')}")
    if unknown:
        raise RecipeError(f"{' '.join(unknown)!r} belongs to no flag.")
    return {name: value for name, value in vars(given).items() if value is not _ABSENT}


def _names(parser: Parser) -> list[str]:
    return [field.name for dtype in parser.dataclass_types for field in dataclasses.fields(dtype) if field.init]


def _suggest(name: str, known: list[str], dashes: str = "") -> str:
    if name in _HINTS:
        return _HINTS[name]
    if _RENAMED.get(name) in known:
        return f" Here it is {dashes}{_RENAMED[name]}."
    return nearest(name, known).replace("'", f"'{dashes}", 1)


def _beside(value: str, folder: Path) -> str:
    path = Path(value).expanduser()
    if path.is_absolute() or path.exists() or not (folder / path).exists():
        return value
    return str(folder / path)
