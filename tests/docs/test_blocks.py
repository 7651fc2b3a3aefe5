"""The blocks of README and docs that are not doctests run as they stand: on tiny models, and on folders of tiny runs.

Python blocks with `>>>` are run by test_docs.py, and so are commands `hf-lrsched preview`. What is not run is in `NOT_RUN`.
"""

import importlib
import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
import yaml
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

import hf_lrsched
import hf_lrsched.plots
import hf_lrsched.runs
from hf_lrsched import ScheduledTrainer
from hf_lrsched.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: Commands that are not run here, by their beginnings, and why.
NOT_RUN = {
    "pip install": "a network",
    "make ": "an environment of its own: .ci/run",
    "DS_BUILD_OPS=0 pip install": "a network",
    "DS_ACCELERATOR=cpu pytest": "tests, of DeepSpeed",
    "hf-lrsched preview": "test_docs.py runs it",
}
#: Commands whose runs take minutes: their flags are read here, and tests/cli runs them.
LONG = {"find-lr", "budgets", "compare"}
RECIPE = re.compile(r"(?:python|(?:accelerate launch|torchrun) .*?) (recipes/\w+\.py) (.*)")


def list_blocks(page: Path, *languages: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for language, text in found if language in languages and ">>>" not in text]


def list_commands(page: Path) -> list[str]:
    """The commands of a page, without their comments; a command may go on in the next line."""
    lines = "".join(list_blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := line.partition("  #")[0].strip())]


def with_blocks(*languages: str) -> pytest.MarkDecorator:
    pages = [page for page in PAGES if list_blocks(page, *languages)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def make_model() -> BertForSequenceClassification:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(vocab_size=9, max_position_embeddings=16, **sizes))


def make_samples(count: int) -> list[dict[str, object]]:
    return [{"input_ids": [2 + index % 2, 4, 5], "labels": index % 2} for index in range(count)]


def compute_metrics(prediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def make_settings(folder: Path, **settings: object) -> dict[str, object]:
    """What a Trainer needs, by the names that the docs use."""
    quiet = {
        "eval_strategy": "epoch",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    args = TrainingArguments(str(folder), per_device_train_batch_size=4, **quiet | settings)
    samples = {"train_dataset": make_samples(32), "eval_dataset": make_samples(8)}
    return {"model": make_model(), "args": args, **samples, "compute_metrics": compute_metrics}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run with a record, evaluations and checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    settings = make_settings(folder, num_train_epochs=2, save_strategy="epoch", logging_steps=2, learning_rate=1e-3)
    ScheduledTrainer(**settings, schedule="warmup(10%) >> linear()").train()
    shutil.copytree(folder / "checkpoint-16", folder / "checkpoint-500")
    return folder


@pytest.fixture
def project(run_folder, tmp_path, monkeypatch):
    """A working directory with the files that the docs name."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "linear", "cosine", "layerwise", "a", "b", "demo-1"):
        shutil.copytree(run_folder, f"runs/{name}")
    shutil.copytree(run_folder, "out")
    for name in ("recipes", "examples"):
        Path(name).symlink_to(ROOT / name)
    for name in ("train.csv", "dev.csv"):
        Path(name).write_text("text,label\n" + "good film,1\nbad film,0\n" * 8, encoding="utf-8")
    Path("texts").mkdir()
    for name in ("texts/one.txt", "held_out.txt"):
        Path(name).write_text("a good film\n" * 9, encoding="utf-8")
    shutil.copy(ROOT / "recipes/configs/demo.yaml", "CONFIG.yaml")
    Path("rte.yaml").write_text(list_blocks(ROOT / "docs/doctor.md", "yaml")[0], encoding="utf-8")
    return tmp_path


@pytest.fixture
def names(project, monkeypatch):
    """The variables that the blocks of a page may use: a model, its data, a Trainer, and the names of the packages."""
    accelerate, pandas = pytest.importorskip("accelerate"), pytest.importorskip("pandas")
    settings = make_settings(project / "training", num_train_epochs=4)
    other = make_settings(project / "other", num_train_epochs=1, eval_strategy="no")
    trainer = ScheduledTrainer(**settings, schedule="warmup(10%) >> linear()")
    trainer.state.log_history = json.loads(Path("out/checkpoint-500/trainer_state.json").read_text())["log_history"]
    own = {name: getattr(hf_lrsched, name) for name in hf_lrsched.__all__}
    theirs = {name: getattr(transformers, name) for name in ("Trainer", "HfArgumentParser", "EarlyStoppingCallback")}
    stand_in_for_the_hub(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["train.py", "--output_dir", "parsed", "--schedule", "warmup(10%) >> linear()"])
    return {
        **own,
        **theirs,
        "torch": torch,
        "math": math,
        "np": np,
        "pandas": pandas,
        "datasets": pytest.importorskip("datasets"),
        "dataclass": importlib.import_module("dataclasses").dataclass,
        "TrainingArguments": TrainingArguments,
        "read_run": hf_lrsched.runs.read_run,
        "draw_heat_map": hf_lrsched.plots.draw_heat_map,
        "common": settings,
        "train": settings["train_dataset"],
        "dev": settings["eval_dataset"],
        **other,
        "trainer": trainer,
        "SFTTrainer": transformers.Trainer,  # TRL's own is run in tests/end_to_end
        "accelerator": accelerate.Accelerator(cpu=True),
        "loader": torch.utils.data.DataLoader([{"x": torch.zeros(1)}] * 8),
        "optimizer": torch.optim.AdamW(other["model"].parameters(), lr=2e-5),
        "epochs": 2,
        "accumulation": 2,
        "peaks": {"encoder": 2e-5, "head": 1e-4},
        "curve": hf_lrsched.parse("linear()").resolve(345),
    }


def stand_in_for_the_hub(monkeypatch) -> None:
    from datasets import Dataset, DatasetDict
    from tokenizers import Tokenizer, models, pre_tokenizers

    core = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 2, "bad": 3}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")
    split = Dataset.from_dict({"text": ["good film", "bad"] * 8, "label": [1, 0] * 8})
    read_files = importlib.import_module("datasets").load_dataset

    def load_dataset(name, **files):
        return read_files(name, **files) if files else DatasetDict(train=split, validation=split)

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name: tokenizer)
    load_model = lambda name, **settings: make_model()  # noqa: E731
    monkeypatch.setattr(transformers.AutoModelForSequenceClassification, "from_pretrained", load_model)


@with_blocks("python")
def test_python_blocks_run(page, names):
    for number, block in enumerate(list_blocks(page, "python"), 1):
        code = re.sub(r"\(\s*\.\.\.,", "(**common,", block)
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)


@with_blocks("bash")
def test_commands_run(page, project, monkeypatch, capsys):
    for command in list_commands(page):
        recipe = RECIPE.fullmatch(command)
        words = [word for part in shlex.split(command) for word in expand(part)]
        if recipe:
            check_recipe(recipe[1], shlex.split(recipe[2]), monkeypatch)
        elif words[0] == "hf-lrsched" and words[1] in {"plot", "report", "doctor"}:
            assert main(words[1:]) in ({0, 1} if words[1] == "doctor" else {0}), command
        elif words[0] == "hf-lrsched" and words[1] in LONG:
            monkeypatch.setattr(f"hf_lrsched.cli.{words[1].replace('-', '_')}.run", lambda arguments: 0)
            assert main(words[1:]) == 0, command
        else:
            assert command.startswith(tuple(NOT_RUN)), f"run it here, or say in NOT_RUN why not: {command}"


@with_blocks("bash")
def test_named_extras_and_targets_exist(page):
    extras = re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for command in list_commands(page):
        for named in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(named.split(",")) <= set(extras), command
        for target in re.findall(r"^make ([\w-]+)", command):
            assert target in targets, command


def expand(word: str) -> list[str]:
    """Expand a pattern as a shell does."""
    return sorted(map(str, Path().glob(word))) if "*" in word and not word.startswith("-") else [word]


def check_recipe(script: str, flags: list[str], monkeypatch) -> None:
    """Read the settings of a recipe's command; the run itself is tested in tests/recipes."""
    pytest.importorskip("datasets")
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    from common.arguments import read_arguments

    module = importlib.import_module(Path(script).stem)
    monkeypatch.setattr(module, "run_recipe", lambda prepare, data, task, argv: read_arguments(argv, data))
    output = [] if "--output_dir" in flags else ["--output_dir", "runs/other"]
    assert module.main([*flags, *output]).training.output_dir


@with_blocks("json", "yaml")
def test_files_can_be_read(page):
    assert all(map(json.loads, list_blocks(page, "json")))
    assert all(map(yaml.safe_load, list_blocks(page, "yaml")))


@with_blocks("bash")
def test_named_configurations_exist(page):
    for name in re.findall(r"recipes/[\w/]+\.(?:yaml|py)", "\n".join(list_commands(page))):
        assert (ROOT / name).is_file(), name
