"""The text classification recipe on a tiny model: its files, its checks, resume."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.processes import ROOT, run_forked
from tests.recipe_runs import (
    SCRIPT,
    as_flags,
    reviews,
    state_of,
    used_lrs,
    warmup_then_linear,
    write_rows,
)


def test_script_with_yaml_and_flags(flags, data_folder, tmp_path):
    """From another working directory; data beside the YAML; a flag overrides it."""
    config = data_folder / "config.yaml"
    lines = {**flags, "train_file": "train.csv", "validation_file": "validation.csv", "test_file": "test.csv"}
    lines |= {"learning_rate": "1e-3", "eval_strategy": False}
    config.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in lines.items()), encoding="utf-8")
    flagged = ["--learning_rate", "2e-3", "--eval_strategy", "epoch", "--schedule", "warmup(25%) >> linear()"]
    done = run_forked(SCRIPT, config, *flagged, folder=tmp_path)
    assert done.returncode == 0, done.stderr

    run = Path(flags["output_dir"])
    assert np.allclose(used_lrs(run), warmup_then_linear(8, 2, 2e-3), rtol=1e-12)
    table = json.loads((run / "metrics.json").read_text())
    assert [row["update"] for row in table] == [4, 8]
    assert [row["epoch"] for row in table] == [1.0, 2.0]
    assert [row["learning_rate"] for row in table] == pytest.approx([2e-3 * 5 / 6, 2e-3 * 1 / 6], rel=1e-12)
    history = state_of(run)["log_history"]
    losses = [record["loss"] for record in history if "loss" in record]
    assert [row["training_loss"] for row in table] == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4])
    assert [row["validation_loss"] for row in table] == [r["eval_loss"] for r in history if "eval_loss" in r]
    assert list(table[0])[5:] == ["accuracy", "f1", "matthews_correlation"]

    with (run / "metrics.csv").open(newline="") as file:
        read_back = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert read_back == table
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "README.md", "learning_rate_and_metrics.png"}
    wanted |= {f"{name}_results.json" for name in ("all", "train", "eval", "test")}
    assert wanted <= {path.name for path in run.iterdir()}
    test = json.loads((run / "test_results.json").read_text())
    assert round(test["test_accuracy"] * 9, 6) in range(10)
    labels = [line.rpartition(",")[2] for line in (data_folder / "validation.csv").read_text().splitlines()[1:]]
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    assert json.loads((run / "eval_results.json").read_text())["baseline_accuracy"] == majority
    labels = json.loads((run / "config.json").read_text())
    assert labels["id2label"] == {"0": "bad", "1": "good"}
    assert labels["label2id"] == {"bad": 0, "good": 1}
    assert "warmup(25%) >> linear()" in (run / "README.md").read_text()
    assert "LR used" in done.stdout and "1.667e-03" in done.stdout and "25% of 8 updates = 2" in done.stdout


@pytest.mark.parametrize("optim", ["adamw_torch", "adagrad", "rmsprop"])
@pytest.mark.parametrize(
    ("schedule", "curve"),
    [
        ("warmup(2) >> linear()", warmup_then_linear(8, 2, 1.0)),
        ("warmup(2) >> cosine()", [0, 0.5, *((1 + math.cos(math.pi * u / 6)) / 2 for u in range(6))]),
        ("warmup(2) >> step(every=1ep, factor=0.5)", [0, 0.5, 1, 1, 1, 1, 0.5, 0.5]),
    ],
)
def test_every_optimizer_with_every_schedule(recipe, flags, optim, schedule, curve):
    assert recipe({**flags, "optim": optim, "schedule": schedule, "learning_rate": 1e-3, "save_strategy": "no"}) == 0
    assert used_lrs(flags["output_dir"]) == pytest.approx([1e-3 * factor for factor in curve], abs=1e-15)


def test_default_schedule_and_sampler(recipe, flags):
    import torch

    assert recipe({**flags, "max_steps": 4, "save_strategy": "no"}) == 0
    assert used_lrs(flags["output_dir"]) == pytest.approx(warmup_then_linear(4, 1, 5e-5))
    args = torch.load(Path(flags["output_dir"], "training_args.bin"), weights_only=False)
    assert getattr(args, "train_sampling_strategy", None) == "group_by_length" or args.group_by_length


def test_loss_and_gradient_do_not_depend_on_accumulation(recipe, flags, tmp_path):
    found = []
    for batch, accumulation in ((32, 1), (8, 4)):
        settings = {**flags, "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        settings |= {"num_train_epochs": 1, "output_dir": tmp_path / f"{batch}", "schedule": "linear()"}
        assert recipe({**settings, "save_strategy": "no"}) == 0
        record = state_of(tmp_path / f"{batch}")["log_history"][0]
        found.append((record["loss"], record["grad_norm"]))
    assert found[1] == pytest.approx(found[0], rel=2e-4)  # 4.57 logs four digits of the loss
    assert found[0][0] == pytest.approx(math.log(2), rel=0.05)  # an untrained model guesses


def test_text_pairs_in_json_with_numbers_as_labels(recipe, flags, tmp_path):
    rows = [
        {"premise": "good film", "hypothesis": text, "label": int(label == "good")} for text, label in reviews(8, 3)
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert recipe({**flags, "train_file": file, "validation_file": file, "max_steps": 2}) == 0
    config = json.loads(Path(flags["output_dir"], "config.json").read_text())
    assert config["id2label"] == {"0": "0", "1": "1"}


def test_table_without_validation(recipe, flags):
    del flags["validation_file"]
    assert recipe({**flags, "max_steps": 3}) == 0
    table = json.loads(Path(flags["output_dir"], "metrics.json").read_text())
    assert [row["update"] for row in table] == [1, 2, 3]
    assert [row["validation_loss"] for row in table] == [None] * 3


def test_results_are_those_of_the_best_model(recipe, flags):
    more = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "learning_rate": 0.3, "optim": "sgd"}
    assert recipe({**flags, **more, "num_train_epochs": 4}) == 0
    table = json.loads(Path(flags["output_dir"], "metrics.json").read_text())
    final = json.loads(Path(flags["output_dir"], "eval_results.json").read_text())
    assert len(table) == 4
    assert final["eval_loss"] == min(row["validation_loss"] for row in table)


@pytest.mark.parametrize(("labels", "f1"), [(2, 2 / 3), (3, (2 / 3 + 1 / 2 + 0) / 3)])
def test_metrics_equal_hand_counts(labels, f1):
    from common.problem_types import SingleLabel
    from text_classification import make_compute_metrics

    problem = SingleLabel.__new__(SingleLabel)
    problem.names = tuple("abc"[:labels])
    true = np.array([0, 0, 1, 1, 1, 0]) if labels == 2 else np.array([0, 0, 1, 1, 2])
    said = np.array([0, 1, 1, 1, 0, 0]) if labels == 2 else np.array([0, 0, 1, 0, 1])
    prediction = type("Prediction", (), {"predictions": np.eye(labels)[said], "label_ids": true})
    found = make_compute_metrics(problem)(prediction, "validation")
    assert found["accuracy"] == pytest.approx((true == said).mean())
    # binary: 2 of 3 found, 2 of 3 right; macro: label 0 has 2 of 2 and 2 of 3, label 1 has 1 of 2 and 1 of 2, 2 has none
    assert found["f1"] == pytest.approx(f1 if labels == 2 else (0.8 + 0.5 + 0) / 3)
    if labels == 2:  # (TP·TN - FP·FN) / sqrt(…), with TP = TN = 2 and FP = FN = 1
        assert found["matthews_correlation"] == pytest.approx((4 - 1) / 9)


@pytest.mark.parametrize(
    ("given", "order"),
    [(["b", "a"], ["a", "b"]), ([10, 2], ["2", "10"]), ([1, -1], ["-1", "1"]), (["None", "NA"], ["NA", "None"])],
)
def test_order_of_labels(tmp_path, given, order):
    from text_classification import TextClassificationArguments, load_data

    file = write_rows(tmp_path / "train.csv", [("good film", given[0]), ("bad film", given[1])])
    assert (
        list(load_data(TextClassificationArguments(train_file=str(file)), cache_dir=str(tmp_path)).problem.names)
        == order
    )


def test_rows_keep_their_labels_when_shuffled(tmp_path):
    from text_classification import TextClassificationArguments, load_data

    file = write_rows(tmp_path / "train.csv", [(f"text {index}", index % 7) for index in range(70)])
    args = TextClassificationArguments(
        train_file=str(file), shuffle_train_dataset=True, shuffle_seed=0, max_train_samples=20
    )
    loaded = load_data(args, cache_dir=str(tmp_path))
    numbers = [int(text.split()[1]) for text in loaded.splits["train"]["text"]]
    assert len(numbers) == 20 and numbers != list(range(20))
    assert loaded.labels["train"] == [str(number % 7) for number in numbers]


INVALID_SETTINGS = {
    "unknown flag": ({"learning_rat": 1e-5}, "unknown flag --learning_rat. Did you mean '--learning_rate'?"),
    "abbreviated flag": ({"learning": 1e-5}, "unknown flag --learning."),
    "gone flag": ({"evaluation_strategy": "no"}, "unknown flag --evaluation_strategy. Here it is --eval_strategy."),
    "wrong type": ({"num_train_epochs": "three"}, "invalid float value: 'three'"),
    "missing file": ({"train_file": "{data}/trian.csv"}, "trian.csv does not exist. Did you mean 'train.csv'"),
    "unknown ending": ({"train_file": "{data}/train.xls"}, "a data file ends with .csv"),
    "missing column": (
        {"text_column_names": "txt"},
        "no column 'txt' in .*train.csv.*text, label. Did you mean 'text'",
    ),
    "missing label column": ({"label_column_name": "lable"}, "no column 'lable'.* Did you mean 'label'"),
    "text column of labels": ({"text_column_names": "label"}, "takes one or two text columns"),
    "two schedules": ({"schedule": "linear()", "lr_scheduler_type": "cosine"}, "two schedules: .*cosine.*linear"),
    "warmup next to a schedule": ({"warmup_steps": 5}, "two schedules: warmup_steps=5"),
    "misspelled schedule": ({"schedule": "warmup(10%) >> linaer()"}, "Did you mean 'linear'"),
    "impossible schedule": ({"schedule": "warmup(8) >> linear()"}, "nothing is left"),
    "unknown folder": ({"model_name_or_path": "./modle"}, "no such model folder: ./modle"),
    "folder without model": ({"model_name_or_path": "{data}"}, "has no config.json"),
    "unknown package": ({"model_name_or_path": "package:bert"}, "no package is known for 'package:bert'"),
    "not on this machine": ({"model_name_or_path": "no-one/nothing"}, "'no-one/nothing' can't be loaded"),
    "too long": ({"max_seq_length": 65}, "at most 64 tokens"),
    "negative seed": ({"seed": -1}, "--seed must be from 0 to 4294967295, got -1"),
    "negative seed of the shuffle": ({"shuffle_seed": -1}, "--shuffle_seed must be at least 0, got -1"),
    "negative workers": ({"dataloader_num_workers": -1}, "--dataloader_num_workers must be at least 0, got -1"),
    "beta of 1": ({"adam_beta2": 1}, "--adam_beta2 must be from 0 to 0.9999999, got 1"),
    "no number": ({"weight_decay": "nan"}, "--weight_decay must be a finite number, got nan"),
    "no Hub": ({"push_to_hub": "true"}, "--push_to_hub: the Trainer can't be made: "),
    "no updates": ({"max_train_samples": 0}, "max_train_samples must be at least 1"),
    "no checkpoint": ({"resume_from_checkpoint": "true"}, "no complete checkpoint"),
    "not a checkpoint": ({"resume_from_checkpoint": "{data}"}, "not a checkpoint"),
    "fractions as labels": (
        {"problem_type": "single_label_classification", "train_file": "{data}/scores.csv", "validation_file": None},
        r"scores.csv, row 1: the label is 0.5; .* --problem_type regression",
    ),
    "labels as numbers": ({"problem_type": "regression"}, "train.csv, row 1: 'bad' in column 'label' is not a number"),
    "unknown problem type": ({"problem_type": "ranking"}, "--problem_type is one of .*, got 'ranking'"),
    "unknown task": ({"task_name": "stsx"}, "--task_name is one of cola, .*, got 'stsx'"),
    "threshold of 1": ({"label_threshold": 1}, "a probability between 0 and 1, got 1"),
    "weight of no label": ({"class_weights": "god=2"}, "no label 'god' .* Did you mean 'good'"),
    "weight of 0": ({"class_weights": "good=0"}, "must be numbers above 0"),
    "no training data": ({"train_file": None}, "training data comes from --train_file or from --dataset_name"),
    "two sources": ({"dataset_name": "x/y"}, "both are given"),
    "validation without data": ({"validation_file": None, "eval_strategy": "epoch"}, "needs --validation_file"),
    "no output folder": ({"output_dir": None}, "--output_dir is required"),
    "no room for words": (
        {"max_seq_length": 2},
        "--max_seq_length 2 leaves no room for a text beside the 2 special tokens",
    ),
    "no epochs": (
        {"max_steps": -1, "num_train_epochs": 0},
        "--num_train_epochs must be a finite number above 0, got 0",
    ),
    "unknown metric": (
        {"metric_for_best_model": "eval_acuracy"},
        "'eval_acuracy' is unknown; there are loss, accuracy, f1, matthews_correlation. Did you mean 'accuracy'",
    ),
    "no training": ({"do_train": "false"}, "--do_train false: a recipe always trains"),
    "no evaluation": ({"do_eval": "false"}, "--do_eval false: set --eval_strategy no"),
    "nothing to predict": ({"do_predict": "true"}, "--do_predict needs rows with labels: --test_file"),
}


@pytest.mark.parametrize("case", INVALID_SETTINGS)
def test_invalid_settings(case, recipe, flags, data_folder, capfd):
    changed, message = INVALID_SETTINGS[case]
    settings = {**flags, "max_seq_length": 32, **changed}
    settings = {k: str(v).replace("{data}", str(data_folder)) for k, v in settings.items() if v is not None}
    assert recipe({"max_steps": 8, **settings}) == 2
    assert re.search(message, capfd.readouterr().err)
    assert not list(Path(flags["output_dir"]).glob("*"))


INVALID_DATA = {
    "empty file": ("", "is empty"),
    "empty split": ("text,label\n", "empty"),
    "missing label": ("text,label\ngood film,good\nbad film,\n", "validation.csv, row 2: no label in column 'label'"),
    "new label": (
        "text,label\ngood film,god\n",
        "has the label 'god' .1 row., but the training split .* Did you mean 'good'",
    ),
    "other columns": ("sentence,label\ngood film,good\n", "no column 'text' in the validation split"),
}


@pytest.mark.parametrize("case", INVALID_DATA)
def test_invalid_data(case, recipe, flags, tmp_path, capfd):
    content, message = INVALID_DATA[case]
    file = tmp_path / "validation.csv"
    file.write_text(content, encoding="utf-8")
    assert recipe({**flags, "validation_file": file}) == 2
    assert re.search(message, capfd.readouterr().err)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("good film", "good"), ("bad film", "good")], "only one label, 'good'"),
        ([("good film", 0), ("bad film", "")], "labels.csv, row 2: no label in column 'label'"),
    ],
)
def test_invalid_labels(recipe, flags, tmp_path, capfd, rows, message):
    assert recipe({**flags, "train_file": write_rows(tmp_path / "labels.csv", rows)}) == 2
    assert message in capfd.readouterr().err


def test_column_of_numbers_is_no_text(recipe, flags, tmp_path, capfd):
    file = write_rows(tmp_path / "numbers.csv", [(1, "good"), (2, "bad")])
    assert recipe({**flags, "train_file": file, "validation_file": file, "text_column_names": "text"}) == 2
    assert "numbers.csv: column 'text' holds int64, not text" in capfd.readouterr().err


@pytest.mark.parametrize(
    "labels",
    [["good", "bad"], [0.0, 1.0], [[0], [0, 1]], [["a"], ["b", "a"]]],
    ids=["texts", "numbers", "ints", "names"],
)
def test_label_column_that_is_called_as_the_inputs_of_models(recipe, flags, tmp_path, labels):
    """`labels` has the type of the column in the data, and another one for the model."""
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"{row % 3} good film", "labels": labels[row % 2], "input_ids": row} for row in range(4)]
    file.write_text("\n".join(map(json.dumps, rows)))
    settings = {**flags, "train_file": file, "validation_file": file, "max_steps": 2, "save_strategy": "no"}
    assert recipe(settings) == 0


@pytest.mark.parametrize("rows", ["a,1,0\nb,1,0\n", "a,0,0\nb,0,0\n"])
def test_rows_with_the_same_labels(tmp_path, rows):
    from text_classification import TextClassificationArguments, load_data

    file = tmp_path / "rows.csv"
    file.write_text(f"text,x,y\n{rows}")
    with pytest.raises(Exception, match=r"all rows of .*rows\.csv have the same labels: there is nothing to learn"):
        load_data(TextClassificationArguments(train_file=str(file), label_column_name="x,y"))


def test_rows_that_end_with_a_delimiter(tmp_path):
    from text_classification import TextClassificationArguments, load_data

    file = tmp_path / "rows.csv"
    file.write_text("text;label;\na;1;\nb;0;\n")
    assert load_data(TextClassificationArguments(train_file=str(file))).text_columns == ("text",)


@pytest.mark.parametrize("cells", ["10", "TF", "tf"])
def test_columns_that_say_whether_a_label_applies(tmp_path, cells):
    from text_classification import TextClassificationArguments, load_data

    yes, no = {"1": "10", "T": ("True", "False"), "t": ("true", "false")}[cells[0]]
    file = tmp_path / "rows.csv"
    file.write_text(f"text,x,y\na,{yes},{no}\nb,{yes},{yes}\n")
    data = load_data(TextClassificationArguments(train_file=str(file), label_column_name="x,y"))
    assert data.labels["train"] == [["x"], ["x", "y"]]
    file.write_text(f"text,x,y\na,{yes},\nb,{yes},{yes}\n")
    with pytest.raises(Exception, match=r"rows\.csv, row 1: column 'y' holds '', but it must hold 0 or 1"):
        load_data(TextClassificationArguments(train_file=str(file), label_column_name="x,y"))


def test_labels_in_one_order():
    from common.labels import order_labels

    assert order_labels(None, ["10", "01", "9", "1", "-2"]) == ("-2", "01", "1", "9", "10")
    assert order_labels(None, ["--5", "1"]) == ("--5", "1")


def test_decimals_of_parquet_are_numbers(tmp_path):
    from decimal import Decimal

    from datasets import Dataset
    from text_classification import TextClassificationArguments, load_data

    rows = {"text": ["a", "b"], "label": [Decimal("1.5"), Decimal("2.0")]}
    Dataset.from_dict(rows).to_parquet(str(tmp_path / "rows.parquet"))
    data = load_data(TextClassificationArguments(train_file=str(tmp_path / "rows.parquet")))
    assert data.problem.name == "regression" and data.labels["train"] == [1.5, 2.0]


def test_error_is_one_line_and_status_2(flags):
    done = run_forked(SCRIPT, *as_flags({**flags, "text_column_names": "txt"}))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert sum("error:" in line for line in done.stderr.splitlines()) == 1


def test_regression_is_guessed_from_fractions(recipe, flags, data_folder):
    from scipy.stats import pearsonr, spearmanr
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    files = dict.fromkeys(("train_file", "validation_file"), data_folder / "scores.csv")
    new_head = {"ignore_mismatched_sizes": "true"}  # the tiny model has one for two labels
    assert recipe({**flags, **files, **new_head, "learning_rate": 1e-2, "metric_for_best_model": "pearson"}) == 0
    folder = Path(flags["output_dir"])
    assert json.loads((folder / "config.json").read_text())["problem_type"] == "regression"
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModelForSequenceClassification, AutoTokenizer))
    with (data_folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    inputs = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    said = model.eval()(**inputs).logits[:, 0].detach().numpy()
    true = np.array([float(row["label"]) for row in rows])
    last = json.loads((folder / "metrics.json").read_text())[-1]
    expected = {"mse": ((said - true) ** 2).mean(), "pearson": pearsonr(said, true)[0]}
    expected |= {"spearmanr": spearmanr(said, true)[0]}
    assert {name: last[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert last["validation_loss"] == last["mse"]


@pytest.mark.parametrize("form", ["columns", "lists"])
def test_several_labels(recipe, flags, data_folder, tmp_path, form):
    with (data_folder / "train.csv").open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    applies = {"has a": ["a" in text.split() for text in texts], "good": ["good" in text.split() for text in texts]}
    if form == "columns":
        file = tmp_path / "rows.csv"
        with file.open("w", newline="") as opened:
            rows = zip(texts, *(map(int, values) for values in applies.values()), strict=True)
            csv.writer(opened).writerows([("text", *applies), *rows])
        columns = {"label_column_name": "has a,good"}
    else:
        file, columns = tmp_path / "rows.jsonl", {}
        sets = [[name for name in applies if applies[name][row]] for row in range(len(texts))]
        file.write_text("\n".join(json.dumps({"text": t, "labels": s}) for t, s in zip(texts, sets, strict=True)))
    settings = {**flags, **columns, "train_file": file, "validation_file": file, "label_threshold": 0.4}
    assert recipe({**settings, "max_steps": 4, "class_weights": "balanced"}) == 0
    config = json.loads(Path(flags["output_dir"], "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification" and set(config["label2id"]) == set(applies)
    (*_, last) = json.loads(Path(flags["output_dir"], "metrics.json").read_text())
    assert {"f1_micro", "f1_macro", "subset_accuracy"} <= set(last)


def test_metrics_of_several_labels_equal_hand_counts():
    from common.problem_types import MultiLabel
    from text_classification import make_compute_metrics

    problem = MultiLabel.__new__(MultiLabel)
    logits = np.array([[2.0, -2.0], [-0.5, 1.0], [0.1, -3.0]])
    true = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    prediction = type("Prediction", (), {"predictions": logits, "label_ids": true})
    # said [1,0] [0,1] [1,0]: label 0 has TP 1, FP 1, FN 1; label 1 has TP 1, FP 0, FN 1
    found = make_compute_metrics(problem)(prediction, "validation")
    assert found["f1_micro"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert found["f1_macro"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    p = 1 / (1 + np.exp(-logits))
    assert found["loss"] == pytest.approx(-(true * np.log(p) + (1 - true) * np.log(1 - p)).mean())
    # at a threshold of 0.3, -0.5 (0.38) counts, too: TP 2, FP 1, FN 0 of label 0
    found = make_compute_metrics(problem, threshold=0.3)(prediction, "validation")
    assert found["f1_macro"] == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_class_weights_do_not_depend_on_accumulation(recipe, flags, tmp_path):
    found = []
    for batch, accumulation in ((32, 1), (8, 4)):
        settings = {**flags, "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        settings |= {"num_train_epochs": 1, "output_dir": tmp_path / f"{batch}", "schedule": "linear()"}
        settings |= {"class_weights": "good=3"}
        assert recipe({**settings, "save_strategy": "no"}) == 0
        record = state_of(tmp_path / f"{batch}")["log_history"][0]
        found.append((record["loss"], record["grad_norm"]))
    assert found[1] == pytest.approx(found[0], rel=2e-4)
    assert found[0][0] == pytest.approx(2 * math.log(2), rel=0.1)  # half of the rows with weight 1, half with 3


@pytest.mark.parametrize("task", ["stsb", "sst2"])
def test_glue_task_sets_columns_and_metric(recipe, flags, tmp_path, task):
    rows = [
        {
            "sentence": text,
            "sentence1": text,
            "sentence2": "good film",
            "label": index / 9 if task == "stsb" else index % 2,
        }
        for index, (text, _) in enumerate(reviews(16, 0))
    ]
    file = tmp_path / "glue.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    settings = {**flags, "task_name": task, "train_file": file, "validation_file": file, "max_steps": 2}
    assert recipe({**settings, "ignore_mismatched_sizes": "true"}) == 0
    (last,) = json.loads(Path(flags["output_dir"], "metrics.json").read_text())
    assert ("pearson" if task == "stsb" else "accuracy") in last
    state = state_of(flags["output_dir"])
    assert state["best_metric"] == last["pearson" if task == "stsb" else "accuracy"]


def test_glue_task_from_the_hub_by_name(flags):
    from common.arguments import read_arguments
    from text_classification import TextClassificationArguments

    settings = [
        "--task_name",
        "mnli",
        "--output_dir",
        flags["output_dir"],
        "--use_cpu",
        "true",
        "--label_column_name",
        "y",
    ]
    arguments = read_arguments(settings, TextClassificationArguments)
    data = arguments.data
    assert (data.dataset_name, data.dataset_config_name) == ("nyu-mll/glue", "mnli")
    assert (data.text_column_names, data.label_column_name) == ("premise,hypothesis", "y")  # a flag overrides the task
    assert data.validation_split_name == "validation_matched"
    assert arguments.training.metric_for_best_model == "accuracy"
    assert arguments.training.eval_strategy == "epoch"


def test_checkpoint_with_other_labels(recipe, flags, tmp_path, capfd):
    import shutil

    model = Path(shutil.copytree(flags["model_name_or_path"], tmp_path / "trained"))
    config = json.loads((model / "config.json").read_text())
    names = {"id2label": {"0": "negative", "1": "positive"}, "label2id": {"negative": 0, "positive": 1}}
    (model / "config.json").write_text(json.dumps(config | names))
    settings = {**flags, "model_name_or_path": model, "max_steps": 2}
    assert recipe(settings) == 2
    error = capfd.readouterr().err
    assert "the checkpoint knows the labels negative, positive, but the data has bad, good" in error
    assert recipe({**settings, "ignore_mismatched_sizes": "true"}) == 0


@pytest.mark.parametrize("empty", ["", "\u200b\u2060"])
def test_empty_texts_draw_a_warning(recipe, flags, tmp_path, capfd, empty):
    file = write_rows(tmp_path / "train.csv", [("good film", "good"), (empty, "bad"), ("bad film", "bad")])
    assert recipe({**flags, "train_file": file, "max_steps": 2}) == 0
    assert (
        f"warning: {file}, row 2: the text in column 'text' is empty (1 such row in the train split)"
        in capfd.readouterr().out
    )


def test_other_runs_are_not_overwritten(recipe, flags, capfd):
    assert recipe({**flags, "max_steps": 2}) == 0
    folder = Path(flags["output_dir"])
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert recipe({**flags, "max_steps": 2, "model_name_or_path": "./never-looked-for"}) == 2
    error = capfd.readouterr().err
    assert "holds another run" in error and "--resume_from_checkpoint true" in error
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("saving", [{"save_strategy": "epoch"}, {"save_strategy": "steps", "save_steps": 2}], ids=str)
def test_resumed_run_equals_the_uninterrupted_one(recipe, flags, tmp_path, monkeypatch, saving):
    """Interrupted at a checkpoint: the rest of the log is the same."""
    from common import run
    from transformers import TrainerCallback

    class Interrupt(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            raise KeyboardInterrupt

    original = run.make_trainer

    def interrupted(*arguments):
        trainer = original(*arguments)
        trainer.add_callback(Interrupt())
        return trainer

    whole = {**flags, "num_train_epochs": 3, "learning_rate": 1e-2, **saving}
    assert recipe(whole) == 0
    settings = {**whole, "output_dir": tmp_path / "second"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "make_trainer", interrupted)
        recipe(settings)
    assert recipe({**settings, "resume_from_checkpoint": "true"}) == 0

    first, second = (state_of(each["output_dir"])["log_history"] for each in (whole, settings))
    for mine, other in zip(second, first, strict=True):
        for key in ("step", "learning_rate", "loss", "grad_norm", "eval_loss", "eval_learning_rate"):
            assert mine.get(key) == other.get(key)


def test_finished_run_keeps_its_results(recipe, flags, capfd):
    assert recipe({**flags, "num_train_epochs": 1}) == 0
    results = Path(flags["output_dir"], "train_results.json").read_text()
    assert recipe({**flags, "num_train_epochs": 1, "resume_from_checkpoint": True}) == 2
    assert "at the end of its run" in capfd.readouterr().err
    assert Path(flags["output_dir"], "train_results.json").read_text() == results


@pytest.mark.parametrize("name", ["warmup_linear", "warmup_cosine", "warmup_step", "demo"])
def test_configs_are_valid(name):
    from common.arguments import read_arguments
    from text_classification import TextClassificationArguments

    from hf_lrsched import parse

    config = ROOT / "recipes" / "configs" / f"{name}.yaml"
    arguments = read_arguments([str(config), "--use_cpu", "true"], TextClassificationArguments)
    curve = parse(arguments.schedule.schedule).resolve(6315, 2105)
    assert curve(0) == 0 and curve.parts[0].text.startswith("warmup")
    assert arguments.training.output_dir == f"runs/{name}"
