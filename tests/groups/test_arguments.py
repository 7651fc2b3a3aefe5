"""The parameter groups by flags and YAML."""

import re
from dataclasses import dataclass

import pytest
from transformers import HfArgumentParser, TrainingArguments

from hf_lrsched import GroupArguments, ScheduleArguments, ScheduleError
from hf_lrsched.groups import LayerwiseGroups


def test_flags():
    parser = HfArgumentParser((ScheduleArguments, GroupArguments, TrainingArguments))
    flags = ["--layer_decay", "0.95", "--head_learning_rate", "1e-3", "--unfreeze_every", "5%"]
    flags += ["--freeze", "embeddings", "layer_0", "--lora_plus_ratio", "16", "--layer_pattern", r"h\.(\d+)"]
    _, groups, _ = parser.parse_args_into_dataclasses([*flags, "--output_dir", "out"])
    assert groups.rule == LayerwiseGroups(
        decay=0.95,
        head_lr=1e-3,
        lora_plus_ratio=16,
        layer_pattern=r"h\.(\d+)",
        unfreeze_every="5%",
        freeze=("embeddings", "layer_0"),
    )
    _, unset, _ = parser.parse_args_into_dataclasses(["--output_dir", "out"])
    assert unset.rule is None
    assert "LoRA+" in " ".join(parser.format_help().split())  # a bare % in a help text fails only there


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"layer_decay": "0.9"}, LayerwiseGroups(decay=0.9)),
        ({"unfreeze_every": 100}, LayerwiseGroups(unfreeze_every="100")),
        ({"freeze": "embeddings, layer_0"}, LayerwiseGroups(freeze=("embeddings", "layer_0"))),
        ({"freeze": ["embeddings,layer_0"]}, LayerwiseGroups(freeze=("embeddings", "layer_0"))),
    ],
    ids=str,
)
def test_values_from_yaml(given, rule):
    (groups,) = HfArgumentParser(GroupArguments).parse_dict(given)
    assert groups.rule == rule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"layer_decay": 1.5},
            "layer_decay must be the LR of each layer as a fraction .* above 0 and at most 1, got 1.5",
        ),
        (
            {"layer_decay": "high"},
            "layer_decay must be the LR of each layer as a fraction .* above 0 and at most 1, got 'high'",
        ),
        ({"layer_decay": True}, "layer_decay must be"),
        ({"head_learning_rate": -1e-3}, "head_learning_rate must be a finite learning rate"),
        ({"head_learning_rate": [1e-3]}, "head_learning_rate must be a finite learning rate"),
        ({"lora_plus_ratio": "nan"}, "lora_plus_ratio must be a finite number above 0"),
        ({"layer_pattern": "("}, "layer_pattern is not a regular expression"),
        ({"unfreeze_every": "1 epoch"}, "unfreeze_every has the unknown unit"),
        ({"unfreeze_every": True}, "unfreeze_every must be"),
        ({"freeze": 3}, "freeze must be names of groups"),
        ({"freeze": ["embeddings", 3]}, "freeze must be names of groups"),
        ({"freeze": ""}, "freeze must be names of groups"),
    ],
    ids=str,
)
def test_invalid_flags(given, message):
    with pytest.raises(ScheduleError, match=message):
        HfArgumentParser(GroupArguments).parse_dict(given)


def test_flags_as_base_of_training_arguments(tmp_path):
    @dataclass
    class Args(ScheduleArguments, GroupArguments, TrainingArguments):
        pass

    (args,) = HfArgumentParser(Args).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), "--layer_decay", "0.9", "--schedule", "linear()", "--use_cpu", "true"]
    )
    assert args.rule == LayerwiseGroups(decay=0.9)
    assert args.device.type == "cpu"  # TrainingArguments' own __post_init__ has run
    assert re.search(r'"layer_decay": 0.9', args.to_json_string())


@dataclass
class MethodConfig(TrainingArguments):
    """As TRL's configurations: training arguments with a `__post_init__` of their own."""

    beta: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        self.has_own_checks = True


def test_every_check_runs_or_the_order_is_refused(tmp_path):
    @dataclass
    class Args(GroupArguments, MethodConfig):
        pass

    assert Args(output_dir=str(tmp_path), use_cpu=True, layer_decay="0.9").layer_decay == 0.9
    assert Args(output_dir=str(tmp_path), use_cpu=True).has_own_checks
    with pytest.raises(ScheduleError, match="layer_decay must be"):
        Args(output_dir=str(tmp_path), use_cpu=True, layer_decay=1.5)
    with pytest.raises(TypeError, match=r"its checks are skipped: class Skips\(GroupArguments, MethodConfig\)"):

        @dataclass
        class Skips(MethodConfig, GroupArguments):
            pass


def test_order_of_bases_with_trl(tmp_path):
    config = pytest.importorskip("trl").SFTConfig
    args = dataclass(type("Args", (GroupArguments, config), {}))
    with pytest.raises(ScheduleError, match="layer_decay must be"):
        args(output_dir=str(tmp_path), layer_decay=1.5)
    with pytest.raises(TypeError, match=r"class Args\(GroupArguments, SFTConfig\)"):
        type("Args", (config, GroupArguments), {})
