"""A user's module that registers names of schedules."""

import importlib
import sys
from pathlib import Path

from . import ScheduleError


def import_names(module: str) -> None:
    """Imports a Python module that registers names; one beside the run is found, as `python -m` finds it.

    Raises:
        ScheduleError: It can't be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever the module does
        reason = f"{type(error).__name__}: {error}"
        raise ScheduleError(f"can't import {module!r}, which is to register names of schedules: {reason}") from error
