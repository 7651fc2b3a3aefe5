"""The README: its ten lines run as pasted, and its tables say what the code does."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hf_lrsched import parse
from tests.processes import environment, run_forked

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPET = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]

#: Stands in for the Hub: a model of two small layers, its tokenizer, and sixteen sentences.
STAND_INS = """
import datasets, transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

words = {"[PAD]": 0, "[UNK]": 1, "good": 2, "bad": 3}
core = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
core.pre_tokenizer = pre_tokenizers.Whitespace()
sizes = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2)
split = datasets.Dataset.from_dict({"text": ["good film", "bad"] * 8, "label": [1, 0] * 8})
model = BertForSequenceClassification(BertConfig(vocab_size=4, **sizes))
transformers.AutoTokenizer.from_pretrained = lambda name: PreTrainedTokenizerFast(
    tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]"
)
transformers.AutoModelForSequenceClassification.from_pretrained = lambda name: model
datasets.load_dataset = lambda name: datasets.DatasetDict(train=split, validation=split)
"""


def table(title):
    """The rows of the first table below a heading."""
    section = README.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_ten_lines():
    assert len([line for line in SNIPPET.splitlines() if line.strip()]) <= 11


def test_the_lines_run_as_pasted(tmp_path):
    pytest.importorskip("datasets")
    code = f"{STAND_INS}\n{SNIPPET}\nprint('HISTORY', trainer.state.log_history)"
    script = tmp_path / "pasted.py"
    script.write_text(code, encoding="utf-8")
    ended = run_forked(script, folder=tmp_path, variables=environment(CUDA_VISIBLE_DEVICES=""))
    assert ended.returncode == 0, ended.stderr
    records = ast.literal_eval(ended.stdout.rpartition("HISTORY ")[2])
    used = [record["eval_learning_rate"] for record in records if "eval_loss" in record]
    curve = parse("warmup(10%) >> linear()").resolve(6)
    assert used == [2e-5 * curve(t) for t in (1, 3, 5)]


def test_the_lengths_of_its_phases():
    shown = README.partition("prints the length of each phase:\n\n```\n")[2].partition("```")[0]
    assert parse("warmup(10%) >> linear()").explain(3201, 1067).strip() == shown.strip()


def test_its_migrated_schedules_are_those_of_the_docs():
    page = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    assert len(table("Migrate")) >= 5
    for row in table("Migrate"):
        assert f"| {' | '.join(row)} |" in page


def test_what_eight_processes_do():
    rows = {row[0]: row[1:] for row in table("Several GPUs")}
    for column, processes in enumerate((1, 8)):
        samples = 8 * processes
        updates = 3 * -(-8530 // samples)
        assert rows["samples per update"][column] == str(samples)
        assert rows["updates in 3 epochs"][column] == f"{updates:,}"
        assert f"{parse('warmup(10%) >> linear()').explain(updates)}".count(rows["`warmup(10%)`"][column].split()[0])


def test_the_schedules_of_its_table_are_schedules():
    for cell, _ in table("Schedules"):
        for text in re.findall(r"`([^`]+)`", cell):
            if "function" not in text:
                parse(text).resolve(1000, 100)


def test_its_figures_are_those_of_the_tables():
    ended = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "readme.py", "--check"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
