"""Pickled files, read without executing anything: what they name is replaced by objects that do nothing."""

import io
import pickle
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

from ..schedules import ScheduleError
from ..schedules.errors import brief

#: Saved arguments have some thousand bytes; an optimizer's state without its tensors has some millions at most.
_MOST_BYTES = 64 * 1024 * 1024

#: Packages whose classes may be named. They are never imported: each becomes an [`Inert`] of that name.
_PACKAGES = ("accelerate", "hf_lrsched", "peft", "sentence_transformers", "setfit", "torch", "transformers", "trl")
_CLASS = re.compile(r"[A-Z]\w*(\.[A-Z]\w*)*", re.ASCII)
_DTYPE = re.compile(r"(bfloat|bool|complex|float|int|uint)\w*", re.ASCII)
#: Other names that torch.save and saved arguments need.
_NAMES = {
    ("_codecs", "encode"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("datetime", "timedelta"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "WindowsPath"),
    ("torch", "device"),
    ("torch", "Size"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
}
#: Containers without any behaviour of their own.
_CONTAINERS: dict[tuple[str, str], type] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("collections", "OrderedDict"): dict,
    ("collections", "Counter"): dict,
}
#: NumPy's names of numbers, for `struct`.
_NUMBERS = {"f8": "<d", "f4": "<f", "f2": "<e", "i8": "<q", "i4": "<i"}
#: How torch.save began before it made zip archives: this number, a version and the machine, then what was saved.
_OLD_MAGIC = 0x1950A86A20F9469CFC6C


class Inert:
    """Stands for an object of a pickled file: it holds what the file says of it, and can do nothing."""

    _arguments: tuple[Any, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Inert":
        made = super().__new__(cls)
        made._arguments = args
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update({key: value for key, value in part.items() if isinstance(key, str)})


def read_pickle(path: Path) -> Any:
    """What `torch.save` or `pickle` wrote, with an [`Inert`] for each object of a class; tensors are not read.

    Only classes of transformers, torch, accelerate and their kin may be named, and not even those are imported.

    Args:
        path (`Path`): A zip archive, as `torch.save` makes it, or a bare pickle.

    Raises:
        ScheduleError: The file names something else, is damaged or is too large.
    """
    found: Any = None
    stream = io.BytesIO(_pickled_bytes(path))
    size = stream.getbuffer().nbytes
    try:
        for index in range(4):
            start = stream.tell()
            _check_opcodes(stream, size)
            stream.seek(start)
            found = _Reader(stream, path).load()
            if index == 0 and found != _OLD_MAGIC:
                break
    except ScheduleError:
        raise
    except Exception as error:  # a damaged pickle dies of many errors
        raise ScheduleError(f"{path} is damaged: {' '.join(str(error).split()) or type(error).__name__}.") from error
    return found


def plain(value: Any) -> Any:
    """A value without stand-ins: an enum's is what it was made of; what can't be told is None.

    Example:
    ```python
    >>> plain(Inert("linear"))
    'linear'

    ```
    """
    if isinstance(value, Inert):
        arguments = value.__dict__.get("_arguments")
        if type(value).__name__ == "scalar":
            return _number_of_numpy(arguments)
        if isinstance(arguments, tuple) and len(arguments) == 1 and isinstance(arguments[0], str | int | float):
            return arguments[0]
        return None
    return value


def _number_of_numpy(arguments: Any) -> float | None:
    """A NumPy scalar, as a sweep over np.logspace leaves it in the arguments: its kind and its bytes."""
    try:
        kind, content = arguments
        ((name, *_), (text, _)) = kind.__dict__["_arguments"], content.__dict__["_arguments"]
        (number,) = struct.unpack(_NUMBERS[name], text.encode("latin1"))
    except (AttributeError, KeyError, TypeError, ValueError, struct.error):
        return None
    return float(number)


class _Reader(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, path: Path):
        super().__init__(stream)
        self._path = path
        self._made: dict[tuple[str, str], type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        if not _is_allowed(module, name):
            raise ScheduleError(
                f"{self._path} names {brief(f'{module}.{name}')}, which is not on the list of what saved arguments may hold. "
                "It is not read, and nothing in it was executed. If you trust where it comes from, save the arguments as JSON "
                "instead: Path('args.json').write_text(args.to_json_string())."
            )
        return self._made.setdefault((module, name), type(name.rpartition(".")[2], (Inert,), {}))

    def persistent_load(self, pid: Any) -> Any:
        return Inert()  # a tensor's data


def _is_allowed(module: str, name: str) -> bool:
    if (module, name) in _NAMES or (module == "torch" and _DTYPE.fullmatch(name)):
        return True
    # A script's own subclass of TrainingArguments is in __main__.
    return (module.partition(".")[0] in _PACKAGES or module == "__main__") and bool(_CLASS.fullmatch(name))


def _check_opcodes(stream: io.BytesIO, size: int) -> None:
    """Reads one pickle's instructions without following them; it must be whole, and ask for no more than it brings."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name.startswith("EXT"):
            raise ValueError("it uses pickle's registry of extensions")
        if "PUT" in opcode.name and isinstance(argument, int) and argument > size:
            raise ValueError(f"it asks for a memory of {argument} places")


def _pickled_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                file.seek(0)
                return _at_most(file, path)
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(names) != 1:
                raise ScheduleError(
                    f"{path} is a zip archive, but not one of torch.save: it holds {len(names)} data.pkl."
                )
            with archive.open(names[0]) as member:
                return _at_most(member, path)
    except ScheduleError:
        raise
    except OSError:
        raise
    except Exception as error:  # zipfile dies of many errors on bytes that make no sense
        raise ScheduleError(f"{path} is damaged: {' '.join(str(error).split()) or type(error).__name__}.") from error


def _at_most(file: Any, path: Path) -> bytes:
    content: bytes = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ScheduleError(f"{path} is too large to be training arguments: over {_MOST_BYTES // 2**20} MiB of pickle.")
    if not content:
        raise ScheduleError(f"{path} is empty.")
    return content
