"""The tests of this folder pass in a process that can import neither torch nor transformers."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: These need a ScheduleLR, or are this file.
NEED_TORCH = {"test_clocks.py", "test_without_torch.py"}

RUN = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "accelerate"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import pytest
sys.exit(pytest.main(["-q", "--noconftest", "-p", "no:cacheprovider", "--override-ini=addopts=", *sys.argv[1:]]))
"""


def test_the_trajectory_is_tested_without_torch_and_transformers():
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in NEED_TORCH]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *files],
        cwd=HERE.parents[1],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout
