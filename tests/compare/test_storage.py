"""Studies that several processes share."""

import contextlib
import sys

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from hf_lrsched.compare import storage as module  # noqa: E402
from hf_lrsched.compare.storage import bind_folder, open_study  # noqa: E402
from hf_lrsched.schedules import ScheduleError  # noqa: E402

SETTINGS = {"maximize": True, "heartbeat": 1}


def test_same_configuration_opens_the_same_study(storage):
    first = open_study(storage, "a", {"epochs": 1, "hub_token": "hf_secret"}, **SETTINGS)
    first.enqueue_trial({}, user_attrs={"x": 1})
    second = open_study(storage, "a", {"epochs": 1, "hub_token": "hf_secret"}, **SETTINGS)
    assert [trial.user_attrs for trial in second.trials] == [{"x": 1}]
    assert "hf_secret" not in str(second.user_attrs)


def test_another_configuration_under_the_same_name(storage):
    open_study(storage, "a", {"epochs": 1, "model": "m"}, **SETTINGS)
    with pytest.raises(
        ScheduleError, match=r"another configuration: epochs was 1, now 2; size was null, now 3\. Choose"
    ):
        open_study(storage, "a", {"epochs": 2, "model": "m", "size": 3}, **SETTINGS)
    open_study(storage, "b", {"epochs": 2}, **SETTINGS)


def test_folder_holds_runs_of_one_configuration(tmp_path):
    bind_folder(tmp_path / "new" / "folder", {"epochs": 1})
    bind_folder(tmp_path / "new" / "folder", {"epochs": 1})
    with pytest.raises(ScheduleError, match="epochs was 1, now 2"):
        bind_folder(tmp_path / "new" / "folder", {"epochs": 2})


def test_trial_is_taken_once_where_two_processes_look_at_it_together(storage, monkeypatch):
    """On SQLite, another process reads and takes the trial between this one's look and its write."""
    from sqlalchemy import event

    study = open_study(storage, "a", {}, **SETTINGS)
    monkeypatch.setattr(module, "_SQLITE_TIMEOUT", 0.1)
    other = open_study(storage, "a", {}, **SETTINGS)
    study.enqueue_trial({})
    (trial,) = study.get_trials()
    took = []

    @event.listens_for(study._storage._backend.engine, "before_cursor_execute")
    def meanwhile(connection, cursor, statement, *rest):
        if not took and statement.startswith("UPDATE trials"):
            took.append(False)
            with contextlib.suppress(optuna.exceptions.StorageInternalError):  # the first one has the lock
                took[0] = other._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)

    took.append(study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING))
    assert took == [False, True]


@pytest.mark.parametrize("password", ["s3cret", "s3{cret}", "s3%40cret"])
def test_database_that_cannot_be_reached(password):
    pytest.importorskip("psycopg")
    with pytest.raises(ScheduleError) as raised:
        open_study(f"postgresql+psycopg://me:{password}@127.0.0.1:1/db", "a", {}, **SETTINGS)
    message = str(raised.value)
    assert "postgresql+psycopg://me:***@127.0.0.1:1/db cannot be used: " in message and "refused" in message
    assert "s3" not in message


@pytest.mark.parametrize("url", ["compare.db", "me:s3cret@host", "nosuchdb://me:s3cret@host/db"])
def test_text_that_is_no_url(url):
    with pytest.raises(ScheduleError, match="must be a URL such as sqlite:///") as raised:
        open_study(url, "a", {}, **SETTINGS)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_database_in_memory_is_refused(url):
    with pytest.raises(ScheduleError, match="keeps nothing: name a file"):
        open_study(url, "a", {}, **SETTINGS)


def test_driver_that_is_not_installed():
    with pytest.raises(
        ImportError, match=r"mysql://me:\*\*\*@host/db needs the driver MySQLdb: pip install mysqlclient"
    ):
        open_study("mysql://me:s3cret@host/db", "a", {}, **SETTINGS)


def test_sqlite_in_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ScheduleError, match=r"the folder .*missing does not exist"):
        open_study(f"sqlite:///{tmp_path}/missing/compare.db", "a", {}, **SETTINGS)


def test_file_that_is_no_database(tmp_path):
    (tmp_path / "text.db").write_text("no database" * 1000, encoding="utf-8")
    with pytest.raises(ScheduleError, match="not a database"):
        open_study(f"sqlite:///{tmp_path}/text.db", "a", {}, **SETTINGS)


def test_without_optuna(monkeypatch, storage):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "hf-lrsched\[compare\]"'):
        open_study(storage, "a", {}, **SETTINGS)


def test_folder_whose_configuration_is_corrupted_is_named(tmp_path):
    (tmp_path / "configuration.json").write_text("{")
    with pytest.raises(ScheduleError, match=r"configuration\.json is not JSON"):
        bind_folder(tmp_path, {"epochs": 1})
