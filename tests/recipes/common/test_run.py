"""Settings of a run that every recipe has: early stopping, plateau, clocks, parameter groups."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from hf_lrsched import LRSearch, read_run
from tests.recipe_runs import (
    ROOT,
    as_flags,
    scheduler_state,
    state_of,
    used_lrs,
)

PEAK = 5e-5


def test_early_stopping_starts_the_cooldown(recipe, flags):
    settings = {**flags, "num_train_epochs": 9, "schedule": "hold() >> cooldown(1ep, shape=linear)"}
    settings |= {"early_stopping_patience": 2, "early_stopping_threshold": 9, "save_total_limit": 2}
    assert recipe(settings) == 0
    # the first evaluation is the best, for none is better by 9; so it stops after three epochs of 4, and goes on for one more
    used = used_lrs(flags["output_dir"])
    assert used == pytest.approx([PEAK] * 12 + [PEAK * (1 - u / 4) for u in range(4)])
    folder = Path(flags["output_dir"])
    assert (folder / "model.safetensors").exists()
    assert scheduler_state(folder)["events"][0]["cause"] == "early stopping"


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"early_stopping_patience": 0}, "at least 1"),
        ({"early_stopping_patience": 2, "eval_strategy": "no"}, "counts evaluations"),
    ],
)
def test_invalid_early_stopping(recipe, flags, capfd, setting, message):
    assert recipe({**flags, **setting}) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prediction_loss_only": "true", "metric_for_best_model": "f1"}, "'f1' is unknown; there are loss."),
        ({"eval_do_concat_batches": "false"}, "the metrics of a recipe need all predictions together"),
        (
            {"label_smoothing_factor": 0.1, "class_weights": "balanced"},
            "--label_smoothing_factor 0.1 smooths the loss of one",
        ),
        (
            {"label_smoothing_factor": 0.1, "train_file": "{data}/scores.csv", "validation_file": None},
            "has another loss",
        ),
        (
            {"dataloader_drop_last": "true", "per_device_train_batch_size": 33},
            "drops all 32 rows, since a batch has 33",
        ),
    ],
)
def test_settings_of_trainer_that_do_not_go_with_the_task(recipe, flags, data_folder, capfd, given, message):
    settings = {
        name: str(value).replace("{data}", str(data_folder)) for name, value in {**flags, **given}.items() if value
    }
    settings["ignore_mismatched_sizes"] = "true"
    assert recipe(settings) == 2
    assert message in capfd.readouterr().err
    assert not list(Path(flags["output_dir"]).glob("*"))


def test_plateau_by_flag(recipe, flags):
    settings = {
        **flags,
        "num_train_epochs": 4,
        "schedule": "warmup(2) >> hold() * plateau(factor=0.5, patience=0, threshold=9, threshold_mode=abs)",
    }
    assert recipe(settings) == 0
    expected = [0, 0.5, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert used_lrs(flags["output_dir"]) == pytest.approx([PEAK * factor for factor in expected])
    # 0.125 after the last evaluation, at the end of the run, which the last checkpoint of an epoch holds
    assert [event["scale_after"] for event in scheduler_state(Path(flags["output_dir"]))["events"]] == [
        0.5,
        0.25,
        0.125,
    ]


def test_plateau_on_an_unknown_metric(recipe, flags, capfd):
    assert recipe({**flags, "schedule": "hold() * plateau(metric=recall)"}) == 2
    error = capfd.readouterr().err
    assert "no such metric; it has eval_loss" in error and "eval_accuracy" in error
    assert list(Path(flags["output_dir"]).glob("checkpoint-*/scheduler.pt"))


def test_clock_by_flag(recipe, flags, capfd):
    assert recipe({**flags, "clock": "tokens(1000)", "schedule": "linear()"}) == 2
    assert "include_num_input_tokens_seen" in capfd.readouterr().err
    settings = {**flags, "clock": "tokens(1000)", "schedule": "linear()", "num_train_epochs": 20}
    assert recipe({**settings, "include_num_input_tokens_seen": "true"}) == 0
    state = state_of(flags["output_dir"])
    assert state["global_step"] < 80 and state["num_input_tokens_seen"] >= 1000
    used = used_lrs(flags["output_dir"])
    assert used[0] == PEAK and used == sorted(used, reverse=True) and used[-1] < 0.25 * PEAK


#: The tiny BERT has two layers.
PARTS = ["head", "layer_1", "layer_0", "embeddings"]


def test_layerwise_lrs_by_flags(recipe, flags, capfd):
    given = {"layer_decay": 0.5, "head_learning_rate": 1e-3, "learning_rate": 1e-4, "optim": "adamw_torch"}
    assert recipe({**flags, **given, "schedule": "linear()", "save_strategy": "no"}) == 0
    peaks = {"head": 1e-3, "layer_1": 5e-5, "layer_0": 2.5e-5, "embeddings": 1.25e-5}
    folder = Path(flags["output_dir"])
    evaluations = [record for record in state_of(folder)["log_history"] if "eval_loss" in record]
    for record, factor in zip(evaluations, (5 / 8, 1 / 8), strict=True):
        for part in PARTS:
            assert record[f"eval_lr/{part}"] == pytest.approx(peaks[part] * factor, rel=1e-9)
        assert record["eval_learning_rate"] == record["eval_lr/layer_1"]  # the first of the two largest groups

    with (folder / "metrics.csv").open(newline="") as file:
        (first, second) = csv.DictReader(file)
    assert float(first["lr/layer_0"]) == pytest.approx(2.5e-5 * 5 / 8) and float(second["lr/head"]) < 1e-3
    shown = capfd.readouterr().out
    assert shown.count("8 parameter groups") == 1
    table = shown.partition("LR used")[2]
    assert "Matthews" in table and "lr/" not in table  # the terminal has no room for a column for each group


def test_unfreezing_and_freezing_by_yaml(recipe, flags, tmp_path):
    import text_classification

    config = tmp_path / "config.yaml"
    lines = {**flags, "unfreeze_every": "20%", "freeze": ["embeddings"], "optim": "adamw_torch", "schedule": "hold()"}
    config.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in lines.items()), encoding="utf-8")
    assert text_classification.main([str(config), *as_flags({"learning_rate": 1e-3, "save_strategy": "no"})]) == 0
    records = [record for record in state_of(flags["output_dir"])["log_history"] if "eval_loss" in record]
    lrs = [[record[f"eval_lr/{place}"] for place in PARTS] for record in records]
    # After update 4 of 8: the upper layer thawed after 20 % of 8 updates, 2 of them, the lower one after 40 %, 4.
    assert lrs == [[1e-3, 1e-3, 0, 0], [1e-3, 1e-3, 1e-3, 0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"layer_decay": 1.5},
            "the LR of each layer as a fraction of the LR of the layer above it, above 0 and at most 1, got 1.5",
        ),
        ({"layer_decay": "high"}, "invalid float value: 'high'"),
        ({"head_learning_rate": -1}, "head_learning_rate must be a finite learning rate"),
        ({"unfreeze_every": "1epoch"}, "unfreeze_every has the unknown unit 'epoch'"),
        ({"freeze": "layer_7"}, "no group 'layer_7'"),
        ({"lora_plus_ratio": 16}, "lora_plus_ratio=16 would have no effect"),
        ({"layer_pattern": "blocks"}, "layer_pattern needs one group"),
        ({"layer_dekay": 0.9}, "unknown flag --layer_dekay. Did you mean '--layer_decay'"),
    ],
    ids=str,
)
def test_invalid_groups(recipe, flags, given, message, capfd):
    assert recipe({**flags, **given, "max_steps": 8}) == 2
    assert message in capfd.readouterr().err
    assert not list(Path(flags["output_dir"]).glob("*"))


def test_layerwise_configuration():
    from common.arguments import read_arguments
    from text_classification import TextClassificationArguments

    config = ROOT / "recipes" / "configs" / "layerwise.yaml"
    flags = [str(config), "--use_cpu", "true", "--unfreeze_every", "5%"]
    rule = read_arguments(flags, TextClassificationArguments).groups.rule
    assert (rule.decay, rule.head_lr, rule.unfreeze_every) == (0.95, 5e-5, "5%")
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["output_dir"] == "runs/layerwise"


@pytest.mark.slow
def test_run_with_auto(recipe, flags):
    settings = {**flags, "num_train_epochs": 8, "learning_rate": "auto", "eval_strategy": "no"}
    assert recipe(settings) == 0
    folder = Path(flags["output_dir"])
    found = read_run(folder).lr_search
    assert found["total"] == 32
    assert read_run(folder).starts[0]["peaks"][0] == found["suggestion"]
    assert f"learning_rate: {found['suggestion']:.4g}" in (folder / "README.md").read_text(encoding="utf-8")


def test_search_alone(recipe, flags, capsys):
    pytest.importorskip("matplotlib")
    settings = {**flags, "num_train_epochs": 8, "learning_rate": "auto", "find_lr_only": True, "find_lr_seeds": 2}
    assert recipe(settings) == 0
    folder = Path(flags["output_dir"])
    search = LRSearch.from_json((folder / "lr_search.json").read_text(encoding="utf-8"))
    assert {probe.seed for probe in search.probes} == {0, 1}
    assert search.summary in capsys.readouterr().out
    assert (folder / "lr_search.png").is_file()
    assert not (folder / "record").exists() and not [*folder.glob("checkpoint-*")]


def test_run_that_is_too_short(recipe, flags, capsys):
    assert recipe({**flags, "learning_rate": "auto"}) == 2
    assert "error: the LR cannot be found: the run has 8 updates" in capsys.readouterr().err
    assert recipe({**flags, "output_dir": flags["output_dir"] + "2", "find_lr_seeds": 0}) == 2
    assert "find_lr_seeds must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "texts are packed: those of a training batch share rows"),
        ({"pack_texts": "false"}, "texts are padded: --pack_texts is false; {flag} saves most of the padding"),
        ({"pack_texts": "false", "grouped": True}, "texts are padded: --pack_texts is false"),
        ({"accelerator_config": '{"split_batches": true}'}, "texts are padded: accelerator_config shares the rows"),
    ],
)
def test_line_on_packing(recipe, tmp_path, given, line):
    from common.arguments import read_arguments
    from common.run import describe_packing
    from masked_lm import MaskedLMArguments
    from transformers import BertConfig, BertForMaskedLM, TrainingArguments

    is_new = hasattr(TrainingArguments(use_cpu=True), "train_sampling_strategy")
    flag = "--train_sampling_strategy group_by_length" if is_new else "--group_by_length true"
    (tmp_path / "text.txt").write_text("a line\n")
    settings = {"output_dir": tmp_path, "use_cpu": "true", "train_file": tmp_path / "text.txt", **given}
    flags = flag.split() if settings.pop("grouped", False) else []
    arguments = read_arguments([*as_flags(settings), *flags], MaskedLMArguments)
    model = BertForMaskedLM(BertConfig(vocab_size=9, hidden_size=12, num_hidden_layers=1))
    (found,) = describe_packing(arguments, model)
    assert found.startswith(line.format(flag=flag)) and ("; --" in found) is ("{flag}" in line or "shares" in line)
