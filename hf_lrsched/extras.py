"""Import what only an extra of this package installs."""

import importlib
from typing import Any


def import_extra(module: str, extra: str, what: str) -> Any:
    """Import a module of an extra.

    Args:
        module (`str`): Its name.
        extra (`str`): The extra that installs it.
        what (`str`): The beginning of the error: what needs which library.

    Raises:
        ImportError: It is not installed; with the command that installs it.

    Example:
    ```python
    >>> import_extra("no_such_module", "plot", "plots need matplotlib")
    Traceback (most recent call last):
    ...
    ImportError: plots need matplotlib: pip install "hf-lrsched[plot]"

    ```
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{what}: pip install "hf-lrsched[{extra}]"') from error
