"""docs/doctor.md lists the checks, and its example is what the command prints."""

import re
from pathlib import Path

from hf_lrsched.cli.main import main
from hf_lrsched.doctor.checks import CHECKS
from hf_lrsched.doctor.checks.optimizer import LR_RANGES

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def rows(header):
    """The rows of the table that begins so."""
    table = PAGE.read_text(encoding="utf-8").partition(header)[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line.startswith("| ")
    ]


def test_table_has_every_check():
    said = [[f"`{check.__name__}`", (check.__doc__ or "").splitlines()[0].rstrip(".")] for check in CHECKS]
    assert rows("| check | finds |") == said


def test_table_has_every_lr_range():
    said = [[f"`{name}…`", *(f"{lr:g}" for lr in lrs)] for name, lrs in sorted(LR_RANGES.items())]
    assert rows("| optimizer | lowest |") == said


def test_example_is_what_is_printed(tmp_path, capsys, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    command = re.search(r"```bash\n(hf-lrsched doctor .*)\n```", text)[1]
    config = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    printed = re.search(r"prints\n\n```\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "rte.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(command.split()[1:]) == 1
    assert capsys.readouterr().out == printed
