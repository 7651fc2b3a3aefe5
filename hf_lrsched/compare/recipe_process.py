"""Run a recipe in a process that ends when this one does, even by SIGKILL.

    python -m hf_lrsched.compare.recipe_process SCRIPT.py ARGUMENTS

As a program, this module runs a script as `python SCRIPT.py` does, until its standard input closes.
"""

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

#: Seconds between two looks at a run.
POLL = 0.5


def run_recipe(command: Sequence[str], log: Path, on_poll: Callable[[], None]) -> int:
    """Run a recipe, and return its exit status.

    Args:
        command (`Sequence[str]`): The recipe's command line: Python, the script, its arguments.
        log (`Path`): The file that its output goes to.
        on_poll (`Callable`): Called twice a second while it runs. If it raises, the recipe is ended.
    """
    python, *arguments = command
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, "-m", __name__, *arguments], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                try:
                    return process.wait(POLL)
                except subprocess.TimeoutExpired:
                    on_poll()
        finally:
            process.kill()
            process.communicate()


def _end_with_parent() -> None:
    while os.read(0, 1):  # at the end of the process that holds the other end, there is nothing more
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
