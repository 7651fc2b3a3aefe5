"""A recipe's process: its script, its status, and its end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hf_lrsched.compare.recipe_process import run_recipe

SCRIPT = """
import sys, helper
print(__name__, helper.NAME, *sys.argv[1:])
sys.exit(5)
"""


def test_script_runs_as_by_python(tmp_path):
    (tmp_path / "helper.py").write_text("NAME = 'beside the script'", encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    log = tmp_path / "log"
    assert run_recipe([sys.executable, str(tmp_path / "script.py"), "--a=1"], log, lambda: None) == 5
    assert log.read_text(encoding="utf-8").splitlines() == ["__main__ beside the script --a=1"]


def test_recipe_ends_when_the_look_at_it_raises(tmp_path):
    (tmp_path / "script.py").write_text("import time; time.sleep(60)", encoding="utf-8")

    def stop():
        raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_recipe([sys.executable, str(tmp_path / "script.py")], tmp_path / "log", stop)
    assert time.monotonic() - begin < 50


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_recipe_ends_with_a_process_that_is_killed(tmp_path):
    script = "import os, time, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    code = (
        "import sys, pathlib; from hf_lrsched.compare.recipe_process import run_recipe\n"
        "run_recipe([sys.executable, 'script.py'], pathlib.Path('log'), lambda: None)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as worker:
        _wait(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
        worker.send_signal(signal.SIGKILL)
    recipe = int((tmp_path / "pid").read_text())
    _wait(lambda: not _is_alive(recipe))


def _wait(happened):
    for _ in range(600):
        if happened():
            return
        time.sleep(0.05)
    raise TimeoutError


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to reap an orphan.
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] != "Z"
