"""The benchmarks run: each in its short form, which proves nothing about speed."""

import gzip
import json

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


@pytest.mark.slow
def test_runs_of_one_cell_are_trained_once(tmp_path):
    """Those that `leave_one_out.py` reads: a sweep over the LR, and one run that is ill because of its LR."""
    path = tmp_path / "runs.jsonl.gz"
    script = ROOT / "benchmarks" / "monitor" / "make_families.py"
    for _ in range(2):
        ended = run_forked(script, "--only", "pairs-towers", "--most", "1", "--output", path, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr[-2000:]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert [row["cause"] for row in rows[:5]] == ["sweep"] * 4 + ["lr_x30"]
    assert len({row["name"] for row in rows}) == len(rows)
    assert all(len(row["losses"]) == row["num_updates"] and row["verdict"] for row in rows)
