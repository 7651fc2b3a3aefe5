"""The benchmarks run: each in its short form, which proves nothing about speed."""

import pytest

from tests.processes import ROOT, run_forked


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", ["scheduler_step.py", "overhead.py", "record.py", "plot.py", "large_record.py", "compare.py"]
)
def test_short_form(script, tmp_path):
    ended = run_forked(ROOT / "benchmarks" / script, "--smoke", "--output", tmp_path / "page.md")
    assert ended.returncode in (0, 1) and "Traceback" not in ended.stderr, ended.stderr[-2000:]
    assert "Machine:" in (tmp_path / "page.md").read_text(encoding="utf-8")
