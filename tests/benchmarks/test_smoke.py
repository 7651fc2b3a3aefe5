"""The benchmarks run: each in its short form, which proves nothing about speed."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["scheduler_step.py", "overhead.py", "record.py", "plot.py", "large_record.py"])
def test_short_form(script, tmp_path):
    command = [sys.executable, str(FOLDER / script), "--smoke", "--output", str(tmp_path / "page.md")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert ended.returncode in (0, 1) and "Traceback" not in ended.stderr, ended.stderr[-2000:]
    assert "Machine:" in (tmp_path / "page.md").read_text(encoding="utf-8")
