"""Runs of scripts in processes of their own, each forked from one process that has imported the large libraries.

A start then takes a second instead of ten, and a signal kills the process as it kills any other. Where the start itself or a
launcher is tested, tests run commands.
"""

import atexit
import contextlib
import functools
import json
import multiprocessing
import os
import re
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without a network and without a launcher's variables."""
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHER_VARIABLES}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@functools.cache
def forking_context() -> multiprocessing.context.BaseContext:
    """Start the process that others are forked from, and return what starts them."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    with mock.patch.dict(os.environ, environment(), clear=True):
        forkserver.ensure_running()
    return context


def _run_script(script: str, arguments: list[str], variables: dict[str, str], folder: str, logs: Path) -> None:
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


class Processes:
    """A script that runs in one or several processes, with what a launcher gives each of them.

    As with a launcher, the others are killed when one of several has failed.

    Args:
        script: The script.
        arguments: Its arguments, which become texts.
        count: How many processes. More than one have the variables of a launcher.
        folder: The current folder of the processes.
        variables: The environment.
        environments: The complete environment of each process, as [`launched_environments`] gives them.
    """

    def __init__(self, script, *arguments, count=1, folder=".", variables=None, environments=None):
        self._logs = tempfile.TemporaryDirectory()
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self._started = []
        if environments is None:
            environments = [variables or environment()] * count
        for rank, shared in enumerate(environments):
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
            own = {name: str(value) for name, value in ranks.items()} | address if count > 1 else {}
            given = str(script), [*map(str, arguments)], shared | own
            process = forking_context().Process(target=_run_script, args=(*given, str(folder), Path(self._logs.name)))
            process.start()
            self._started.append(process)

    @property
    def pids(self):
        return [process.pid for process in self._started]

    @property
    def is_running(self):
        return any(process.is_alive() for process in self._started)

    def kill(self):
        for process in self._started:
            process.kill()
        for process in self._started:
            process.join()

    def read(self, name="output"):
        """What the processes have written, to `output` or to `errors`."""
        path = Path(self._logs.name, name)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def wait(self, timeout=300):
        """Wait for the end, and return the status of the first process that failed, with all output."""
        end = time.monotonic() + timeout
        try:
            while (running := [each for each in self._started if each.is_alive()]) and not self._failed:
                if not wait([each.sentinel for each in running], max(0, end - time.monotonic())):
                    raise subprocess.TimeoutExpired(self._started[0].name, timeout, self.read(), self.read("errors"))
            status = self._failed[0].exitcode if self._failed else 0
        finally:
            self.kill()
        return subprocess.CompletedProcess(self.pids, status, self.read(), self.read("errors"))

    @property
    def _failed(self):
        return [process for process in self._started if process.exitcode]


def run_forked(script, *arguments, timeout=300, **more):
    """Run a script to its end; see [`Processes`]."""
    return Processes(script, *arguments, **more).wait(timeout)


@contextlib.contextmanager
def launched_environments(*launchers, count):
    """The environments that launchers give to their processes, which live as long as the context.

    Args:
        launchers: The command of each launcher without its script, for which `relay.py` stands in.
        count: How many processes they start together.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name), Path(name, "log")
        with log.open("w") as output:
            relay = [str(Path(__file__).with_name("relay.py")), name]
            started = [
                subprocess.Popen([*launcher, *relay], stdout=output, stderr=subprocess.STDOUT, env=environment())
                for launcher in launchers
            ]
        try:
            while len(found := sorted(folder.glob("*.json"))) < count:
                assert all(each.poll() is None for each in started), log.read_text()
                time.sleep(0.05)
            yield [json.loads(path.read_text(encoding="utf-8")) for path in found]
            (folder / "ended").touch()
            assert [each.wait(60) for each in started] == [0] * len(started), log.read_text()
        finally:
            for each in started:
                each.kill()
                each.wait()


def launched(script, *arguments, processes=1, **variables):
    """Return what each process printed as `FOUND {...}`, or the error output if none did.

    Options are one argument in JSON.
    """
    given = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    alone |= {"MASTER_PORT": str(free_port())}
    own = environment(**(alone if processes == 1 else {}), **variables)
    done = run_forked(script, *given, count=processes, variables=own)
    found = re.findall(r"FOUND (\{[^{}]*\})", done.stdout)  # may follow the line of another process
    if not found:
        return done.stderr
    assert len(found) == processes, done.stderr[-3000:]
    return [json.loads(line) for line in found]
