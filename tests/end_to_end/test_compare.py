"""hf-lrsched compare on two processes, one of which is killed: on a file of SQLite, and on a real PostgreSQL."""

import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from tests.compare.fake_recipe import COSINE, LINEAR
from tests.processes import environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="SIGKILL")]

SEEDS = 3


def start_worker(folder, storage, sleep=0.4):
    recipe = Path(__file__).parents[1] / "compare" / "fake_recipe.py"
    config = folder / "config.yaml"
    config.write_text("sleep: 0.4\n", encoding="utf-8")
    command = [sys.executable, "-m", "hf_lrsched", "compare", "config.yaml", "--recipe", recipe, "--schedule", LINEAR]
    command += [COSINE, "--learning_rate", "auto", "--seeds", SEEDS, "--storage", storage, "--heartbeat", "1"]
    command += ["--set", f"sleep={sleep}"]
    return subprocess.Popen([*map(str, command)], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)


def read_lines(folder, name):
    """The process of the comparison that started or ended each cell, in the order of time."""
    return {
        path.parent.name: path.read_text(encoding="utf-8").split() for path in folder.glob(f"runs/compare/*/*/{name}")
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_comparison_alone(tmp_path, number):
    """The recipe ends, and its run is given back at once instead of after three heartbeats."""
    import optuna

    storage = f"sqlite:///{tmp_path}/compare.db"
    worker = start_worker(tmp_path, storage, sleep=100)
    deadline = time.monotonic() + 60
    while not any("seed" in cell for cell in read_lines(tmp_path, "starts")):
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.05)
    worker.send_signal(number)
    output, _ = worker.communicate(timeout=60)  # the recipe has not kept the pipe
    assert worker.returncode == 128 + number
    assert "interrupted; repeat the command to continue" in output
    assert f"{2 * SEEDS} of {2 * SEEDS + 2} runs not done" in output
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    (given_back,) = [trial for trial in trials if "interrupted" in trial.user_attrs]
    assert given_back.state.name == "FAIL" and not any(trial.state.name == "RUNNING" for trial in trials)


def check_that_nothing_is_lost(folder, storage):
    killed, other = (start_worker(folder, storage) for _ in range(2))
    deadline = time.monotonic() + 60
    busy = None
    while busy is None:  # in the middle of a run that is no search
        starts, ends = read_lines(folder, "starts"), read_lines(folder, "ends")
        mine = [cell for cell, by in starts.items() if by == [str(killed.pid)] and cell not in ends]
        busy = next((cell for cell in mine if "seed" in cell), None)
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    output, _ = other.communicate(timeout=100)
    assert other.returncode == 0, output
    starts, ends = read_lines(folder, "starts"), read_lines(folder, "ends")
    cells = 2 * SEEDS
    assert len(ends) == cells and {len(by) for by in ends.values()} == {1}
    assert starts.pop(busy) == [str(killed.pid), str(other.pid)]
    assert {len(by) for by in starts.values()} == {1} and len(starts) == cells - 1 + 2  # the two searches
    with (folder / "runs" / "compare" / "config" / "accuracy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["state"] for row in rows} == {"complete"} and len(rows) == cells + 2
    assert f"accuracy of 2 arms, {SEEDS} seeds" in output


def test_two_processes_on_sqlite(tmp_path):
    check_that_nothing_is_lost(tmp_path, f"sqlite:///{tmp_path}/compare.db")


def test_two_processes_on_postgresql(tmp_path, postgresql):
    check_that_nothing_is_lost(tmp_path, postgresql)


@pytest.fixture
def postgresql():
    """The URL of a server that the test starts, by a user other than root, which PostgreSQL refuses."""
    pytest.importorskip("psycopg")
    folders = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    tools = {name: shutil.which(name, path=folders) for name in ("initdb", "postgres", "setpriv")}
    as_user = [tools["setpriv"], "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if not (tools["initdb"] and tools["postgres"] and all(as_user)):
        pytest.skip("no PostgreSQL; on Debian: apt install postgresql")
    folder = tempfile.mkdtemp(prefix="pg", dir="/tmp")
    try:
        if as_user:
            os.chown(folder, 65534, 65534)
        data = f"{folder}/data"
        init = [tools["initdb"], "-D", data, "-U", "me", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*as_user, *init], check=True, capture_output=True, cwd=folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = [tools["postgres"], "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
        with subprocess.Popen([*as_user, *server], cwd=folder, stderr=subprocess.DEVNULL) as running:
            try:
                url = f"postgresql+psycopg://me@127.0.0.1:{port}/postgres"
                wait_for(port)
                yield url
            finally:
                running.send_signal(signal.SIGQUIT)  # an immediate shutdown
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(port):
    import psycopg

    for _ in range(300):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="me", dbname="postgres").close()
            return
        time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start")
