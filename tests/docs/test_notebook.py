"""The notebook of examples/: it is its text. `end_to_end/test_notebook.py` runs it."""

from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="needs the extra docs")
nbformat = pytest.importorskip("nbformat")

EXAMPLES = Path(__file__).parents[2] / "examples"


def read_notebook():
    return nbformat.read(EXAMPLES / "tutorial.ipynb", as_version=4)


def test_notebook_equals_its_text():
    text = jupytext.read(EXAMPLES / "tutorial.py")
    assert [(cell.cell_type, cell.source) for cell in read_notebook().cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ], "run: jupytext --sync examples/tutorial.py"


def test_committed_notebook_shows_what_it_promises():
    shown = [output for cell in read_notebook().cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 3, "plots of schedules, search and run"
    tables = [output.data["text/html"] for output in shown if "<table" in output.get("data", {}).get("text/html", "")]
    assert any("Learning Rate" in table for table in tables), "the LR in the table of the training"
