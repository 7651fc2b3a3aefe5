"""Open an Optuna study that several processes share, and refuse one of another configuration."""

import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..extras import import_extra
from ..files import read_json, replace_file
from ..schedules import ScheduleError

if TYPE_CHECKING:
    import optuna

#: A process that gave no sign of life for this many heartbeats is taken for dead.
MISSED_HEARTBEATS = 3
_CONFIGURATION = "configuration"
#: Seconds for which SQLite waits until another process has written.
_SQLITE_TIMEOUT = 60
_ATTEMPTS = 5
#: The packages of drivers, where they are named otherwise.
_PACKAGES = {"psycopg": '"psycopg[binary]"', "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}


def open_study(
    url: str, name: str, configuration: Mapping[str, Any], *, maximize: bool, heartbeat: int, prune: bool = False
) -> "optuna.Study":
    """Open a study, or create it.

    Args:
        url (`str`): The storage, as SQLAlchemy reads it: `sqlite:///runs/compare.db`, `postgresql://user@host/database`.
        name (`str`): The study's name.
        configuration (`Mapping[str, Any]`): What all runs have in common. A study has that of the process that created it.
        maximize (`bool`): Whether a higher metric is better.
        heartbeat (`int`): Seconds between signs of life. The run of a process that misses three is given to others.
        prune (`bool`, defaults to `False`): End a run that is worse than the median at the same update.

    Raises:
        ScheduleError: The storage can't be reached, or the study has another configuration.
        ImportError: Optuna, or the driver of the storage, is missing.
    """
    import_extra("optuna", "compare", "comparisons need Optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(
        storage=_open_storage(url, heartbeat),
        study_name=name,
        direction="maximize" if maximize else "minimize",
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    known = study.user_attrs.get(_CONFIGURATION)
    plain = _hide_secrets(configuration)
    if known is None:
        study.set_user_attr(_CONFIGURATION, plain)
    else:
        refuse_another_configuration(known, plain, f"the study {name!r} in {hide_password(url)}", "--name")
    return study


def refuse_another_configuration(known: Mapping[str, Any], given: Mapping[str, Any], what: str, choose: str) -> None:
    """Raise a [`ScheduleError`] that names the differences of two configurations, if there are any."""
    missing = object()
    found = [
        f"{name} was {json.dumps(known.get(name))}, now {json.dumps(given.get(name))}"
        for name in sorted({*known, *given})
        if known.get(name, missing) != given.get(name, missing)
    ]
    if found:
        raise ScheduleError(
            f"{what} is a comparison of another configuration: {'; '.join(found)}. Choose another {choose}, or repeat the "
            "command with the earlier settings."
        )


def bind_folder(folder: Path, configuration: Mapping[str, Any]) -> None:
    """Make the folder of a comparison's runs; refuse one that holds runs of another configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    file, plain = folder / "configuration.json", _hide_secrets(configuration)
    if file.exists():
        refuse_another_configuration(read_json(file), plain, str(folder), "--output_dir")
    else:  # at once: another process may start now, and read it
        replace_file(file, (json.dumps(plain, indent=2) + "\n").encode())


def _hide_secrets(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as JSON reads it; of a token only a digest, so that it is in no database."""
    plain = json.loads(json.dumps(configuration, default=str))
    return {
        name: hashlib.sha256(str(value).encode()).hexdigest()[:12] if "token" in name and value else value
        for name, value in plain.items()
    }


def hide_password(url: str) -> str:
    """Write a storage's URL without its password.

    Example:
    ```python
    >>> hide_password("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'

    ```
    """
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


def _open_storage(url: str, heartbeat: int) -> Any:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, ValueError):  # NoSuchModuleError is an ArgumentError
        raise ScheduleError(
            "--storage must be a URL such as sqlite:///runs/compare.db or postgresql://user@host/database; the given text is not one."
        ) from None
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and parsed.database in (None, "", ":memory:"):
        raise ScheduleError(f"--storage {url} keeps nothing: name a file, e.g. sqlite:///runs/compare.db.")
    if is_sqlite and parsed.database and not Path(parsed.database).resolve().parent.is_dir():
        raise ScheduleError(f"--storage {url}: the folder {Path(parsed.database).parent} does not exist.")
    settings = {"connect_args": {"timeout": _SQLITE_TIMEOUT}} if is_sqlite else {"pool_pre_ping": True}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            storage = RDBStorage(
                url.replace("{", "{{").replace("}", "}}"),  # Optuna fills in templates
                engine_kwargs=settings,
                heartbeat_interval=heartbeat,
                grace_period=MISSED_HEARTBEATS * heartbeat,
            )
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            # Another process may be creating the tables at this moment.
            if attempt == _ATTEMPTS:
                raise ScheduleError(
                    f"--storage {hide_password(url)} cannot be used: {_explain(error, parsed)}"
                ) from None
            time.sleep(0.2 * attempt)
        except ImportError as error:
            module = getattr(error.__cause__, "name", None) or ""
            raise ImportError(
                f"--storage {hide_password(url)} needs the driver {module}: pip install {_PACKAGES.get(module, module)}"
            ) from None
        else:
            break
    if is_sqlite:
        _lock_before_reading(storage.engine)
    return storage


def _explain(error: BaseException, url: Any) -> str:
    """The first line of what the database says, without the password."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return line.replace(url.password, "***") if url.password else line


def _lock_before_reading(engine: Any) -> None:
    """Let each transaction on SQLite begin with the lock for writing.

    Optuna reads a trial's state and then sets it, and relies on `SELECT … FOR UPDATE`, which SQLite does not have. Python's
    driver begins a transaction only with the first write, so that two processes could both take one trial.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # the connections of before have no listeners
