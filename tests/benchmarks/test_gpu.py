"""benchmarks/gpu.py needs a GPU. Its dry run on the CPU shows that every part of it still works."""

import pytest

from tests.processes import ROOT, run_forked


@pytest.mark.slow
def test_dry_run_on_the_cpu(tmp_path):
    page = tmp_path / "gpu.md"
    ended = run_forked(ROOT / "benchmarks" / "gpu.py", "--cpu", "--output", page, folder=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text("utf-8").splitlines()]
    rows = {row[0]: row[1:] for row in cells if len(row) == 5}
    assert rows["compilations of an optimizer's step in 50 updates"][1:] == ["1 (LR a tensor)", "1", "pass"]
    assert rows["weights after one poisoned update (guard)"] == ["NaN", "finite", "finite", "pass"]
    assert rows["what the monitor reports of it"][-1] == "pass"
    assert rows[next(each for each in rows if each.startswith("weights after a search"))][1:] == [
        "the same to the bit",
        "the same",
        "pass",
    ]
