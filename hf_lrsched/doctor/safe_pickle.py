"""Read pickled files without executing anything: every object that they name becomes an [`Inert`]."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from ..files import check_is_file
from ..schedules import ScheduleError

#: Saved arguments have some thousand bytes, an optimizer's state without its tensors some hundred thousand.
MAX_BYTES = 1024 * 1024

#: Containers without any behaviour of their own.
_CONTAINERS: dict[tuple[str, str], type] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("collections", "OrderedDict"): dict,
    ("collections", "Counter"): dict,
}
#: What a file of `torch.save(…, _use_new_zipfile_serialization=False)` begins with: this number, a version and the machine, then
#: the content, each pickled by itself.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Inert:
    """Stands for an object of a pickled file: it holds the object's attributes, and has no behaviour."""

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
    """Read what `torch.save` or `pickle` wrote, without importing or calling anything that the file names.

    Args:
        path (`Path`): A zip archive, as `torch.save` makes it, or a bare pickle.

    Returns:
        `Any`: The content, with an [`Inert`] for each object of a class. Tensors are not read.

    Raises:
        ScheduleError: The file is missing, corrupted or too large.
    """
    check_is_file(path)
    try:
        stream = io.BytesIO(_read_bytes(path))
        found = _Reader(stream).load()
        if found == _LEGACY_MAGIC:
            for _ in range(3):
                found = _Reader(stream).load()
    except (ScheduleError, OSError):
        raise
    except Exception as error:  # zipfile and pickle raise many errors on corrupted bytes
        raise ScheduleError(f"{path} is corrupted: {' '.join(str(error).split()) or type(error).__name__}.") from error
    return found


def to_plain(value: Any) -> Any:
    """Replace the stand-in of an enum by its value, and any other stand-in by None.

    Example:
    ```python
    >>> to_plain(Inert("linear"))
    'linear'

    ```
    """
    if not isinstance(value, Inert):
        return value
    match value.__dict__.get("_arguments"):
        case (str() | int() | float() as argument,):
            return argument
    return None


class _Reader(pickle._Unpickler):
    """Python's own unpickler: unlike the one in C, it does not allocate what a file asks for without bringing it."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        self._classes = dict(_CONTAINERS)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._classes:
            self._classes[module, name] = type(name.rpartition(".")[2], (Inert,), {"__module__": module})
        return self._classes[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return Inert()  # a tensor's data


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            file.seek(0)
            return _read_at_most(file, path)
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ScheduleError(f"{path} is a zip archive, but not one of torch.save: it holds {len(names)} data.pkl.")
        with archive.open(names[0]) as member:
            return _read_at_most(member, path)


def _read_at_most(file: Any, path: Path) -> bytes:
    content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ScheduleError(f"{path} is too large to be read: over {MAX_BYTES // 2**20} MiB of pickle.")
    return content
