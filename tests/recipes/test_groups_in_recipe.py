"""Parameter groups by the recipe's flags and YAML."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from tests.recipes.recipe_runs import ROOT, as_flags, state_of

#: The tiny BERT has two layers.
PLACES = ["head", "layer_1", "layer_0", "embeddings"]


def test_layerwise_lrs_by_flags(recipe, flags, capfd):
    given = {"layer_decay": 0.5, "head_learning_rate": 1e-3, "learning_rate": 1e-4, "optim": "adamw_torch"}
    assert recipe({**flags, **given, "schedule": "linear()", "save_strategy": "no"}) == 0
    peaks = {"head": 1e-3, "layer_1": 5e-5, "layer_0": 2.5e-5, "embeddings": 1.25e-5}
    folder = Path(flags["output_dir"])
    evaluations = [record for record in state_of(folder)["log_history"] if "eval_loss" in record]
    for record, factor in zip(evaluations, (5 / 8, 1 / 8), strict=True):
        for place in PLACES:
            for end in ("", "/no_decay"):
                assert record[f"eval_lr/{place}{end}"] == pytest.approx(peaks[place] * factor, rel=1e-9)
        assert record["eval_learning_rate"] == record["eval_lr/head"]

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
    lrs = [[record[f"eval_lr/{place}"] for place in PLACES] for record in records]
    # After update 4 of 8: the upper layer thawed after 20 % of 8 updates, 2 of them, the lower one after 40 %, 4.
    assert lrs == [[1e-3, 1e-3, 0, 0], [1e-3, 1e-3, 1e-3, 0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer_decay": 1.5}, "layer_decay must be above 0 and at most 1, got 1.5"),
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
def test_refused_groups(recipe, flags, given, message, capfd):
    assert recipe({**flags, **given, "max_steps": 8}) == 2
    assert message in capfd.readouterr().err
    assert not list(Path(flags["output_dir"]).glob("*"))


def test_the_configuration_is_a_layerwise_one(monkeypatch):
    from text_classification import read_arguments

    config = ROOT / "recipes" / "configs" / "layerwise.yaml"
    rule = read_arguments([str(config), "--use_cpu", "true", "--unfreeze_every", "5%"]).groups.rule
    assert (rule.decay, rule.head_lr, rule.unfreeze_every) == (0.95, 5e-5, "5%")
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["output_dir"] == "runs/layerwise"
