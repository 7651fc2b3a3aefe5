"""Models and datasets by their names on the Hub, from what the Hub's cache holds on a machine without a network."""

import json
import shutil
from pathlib import Path

import pytest

from tests.recipe_runs import reviews


def put_dataset(cache: Path, work: Path, name: str, config: str, splits: dict) -> None:
    """Put splits where `datasets` keeps what it prepared from a dataset on the Hub."""
    import datasets

    files = {}
    for split, rows in splits.items():
        files[split] = str(work / f"{split}.parquet")
        rows.to_parquet(files[split])
    datasets.load_dataset("parquet", data_files=files, cache_dir=str(work / "prepared"))
    (info,) = (work / "prepared").rglob("dataset_info.json")
    short = name.split("/")[-1]
    target = cache / name.replace("/", "___") / config / "0.0.0" / ("0" * 40)
    shutil.copytree(info.parent, target)
    for path in target.glob("parquet-*.arrow"):
        path.rename(target / path.name.replace("parquet-", f"{short}-"))
    content = json.loads((target / "dataset_info.json").read_text())
    content |= {"dataset_name": short, "config_name": config}
    (target / "dataset_info.json").write_text(json.dumps(content))


def put_model(cache: Path, name: str, model: Path) -> None:
    """Put a model where huggingface_hub keeps what it downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1" * 40)
    shutil.copytree(model, folder / "snapshots" / ("1" * 40))


def test_glue_task_and_model_by_name(recipe, flags, model_folder, tmp_path):
    from datasets import Dataset

    rows = {
        name: [(text, "good film", index / 9) for index, (text, _) in enumerate(reviews(count, count))]
        for name, count in (("train", 16), ("validation", 5))
    }
    columns = ("sentence1", "sentence2", "label")
    splits = {
        name: Dataset.from_list([dict(zip(columns, row, strict=True)) for row in each]) for name, each in rows.items()
    }
    cache = tmp_path / "cache"
    put_dataset(cache, tmp_path, "nyu-mll/glue", "stsb", splits)
    put_model(cache, "google-bert/bert-base-uncased", model_folder)
    for name in ("train_file", "validation_file", "model_name_or_path"):
        del flags[name]
    settings = {**flags, "task_name": "stsb", "cache_dir": cache, "max_steps": 2, "ignore_mismatched_sizes": "true"}
    assert recipe(settings) == 0
    (last,) = json.loads(Path(flags["output_dir"], "metrics.json").read_text())
    assert {"mse", "pearson", "spearmanr"} <= set(last)
    card = Path(flags["output_dir"], "README.md").read_text()
    assert "google-bert/bert-base-uncased" in card and "nyu-mll/glue" in card


def test_missing_split_and_dataset(recipe, flags, tmp_path, capfd):
    from datasets import Dataset

    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    put_dataset(tmp_path / "cache", tmp_path, "someone/reviews", "default", {"train": rows, "test": rows})
    for name in ("train_file", "validation_file"):
        del flags[name]
    settings = {**flags, "dataset_name": "someone/reviews", "cache_dir": tmp_path / "cache", "max_steps": 2}
    assert recipe(settings) == 2
    assert (
        "someone/reviews has no split 'validation'; it has train, test. Set --validation_split_name"
        in capfd.readouterr().err
    )
    assert recipe({**settings, "dataset_name": "someone/else"}) == 2
    assert "the dataset 'someone/else' can't be loaded" in capfd.readouterr().err


@pytest.mark.parametrize("task", ["token_classification", "question_answering", "masked_lm"])
def test_datasets_of_other_recipes(recipe, flags, tmp_path, task):
    import importlib

    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    tags = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=["O", "B-X", "I-X"]))})
    made = {
        "token_classification": Dataset.from_dict({"tokens": [["good", "film"]], "ner_tags": [[1, 0]]}, features=tags),
        "question_answering": Dataset.from_dict(
            {"question": ["the film"], "context": ["is long"], "answers": [{"text": ["long"], "answer_start": [3]}]}
        ),
        "masked_lm": Dataset.from_dict({"text": ["a good film"]}),
    }
    put_dataset(
        tmp_path / "cache", tmp_path, "someone/data", "default", {"train": made[task], "validation": made[task]}
    )
    module = importlib.import_module(task)
    (kind,) = [
        value
        for value in vars(module).values()
        if getattr(value, "__module__", "") == task and hasattr(value, "readers")
    ]
    data = module.load_data(kind(dataset_name="someone/data"), cache_dir=str(tmp_path / "cache"))
    splits = data if isinstance(data, dict) else data.splits
    assert len(splits["train"]) == len(splits["validation"]) == 1


def test_dataset_that_is_a_script(tmp_path, monkeypatch):
    """The Hub has a copy of it in Parquet under another revision."""
    import datasets
    from common.data import DataArguments, read_splits

    asked = []

    def load(name, config, revision, **more):
        asked.append((name, revision))
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found data.py")
        return {split: datasets.Dataset.from_dict({"text": [split]}) for split in ("train", "validation")}

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(
        Exception, match=r"found data\.py\. The Hub may have .*: --dataset_revision refs/convert/parquet"
    ):
        read_splits(DataArguments(dataset_name="someone/data"))
    splits = read_splits(DataArguments(dataset_name="someone/data", dataset_revision="refs/convert/parquet"))
    assert splits["validation"].values("text") == ["validation"]
    assert asked == [("someone/data", None), ("someone/data", "refs/convert/parquet")]
