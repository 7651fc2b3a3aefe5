"""Checks of the settings before anything is read."""

import pytest


def test_processes_that_form_no_group(monkeypatch):
    """The variables that torchrun sets for two processes, and a Trainer that sees one."""
    from common.arguments import refuse_split_launch
    from common.errors import RecipeError

    monkeypatch.setenv("WORLD_SIZE", "2")
    args = type("Arguments", (), {"world_size": 1})()
    with pytest.raises(RecipeError, match=r"2 processes were launched.*--use_cpu true"):
        refuse_split_launch(args)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"metric_for_best_model": "perplexity"}, False),
        ({"metric_for_best_model": "perplexity", "early_stopping_patience": 2}, False),
        ({"metric_for_best_model": "perplexity", "greater_is_better": True}, True),  # the user's word
        ({"metric_for_best_model": "masked_accuracy"}, True),
        ({"early_stopping_patience": 2}, False),  # of the loss
        ({}, None),
    ],
)
def test_greater_is_better_follows_from_the_name_of_the_metric(settings, expected, tmp_path):
    from common.arguments import read_arguments
    from masked_lm import MaskedLMArguments

    (tmp_path / "text.txt").write_text("a line\n" * 8)
    files = dict.fromkeys(("train_file", "validation_file"), tmp_path / "text.txt")
    given = {"model_name_or_path": "any", "output_dir": tmp_path, "use_cpu": True, **files, **settings}
    arguments = read_arguments([f"--{name}={value}" for name, value in given.items()], MaskedLMArguments)
    assert arguments.training.greater_is_better is expected


@pytest.mark.parametrize(
    ("recipe_module", "arguments", "is_grouped"),
    [
        ("text_classification", "TextClassificationArguments", True),
        ("question_answering", "QuestionAnsweringArguments", True),
        ("token_classification", "TokenClassificationArguments", False),
        ("masked_lm", "MaskedLMArguments", False),
    ],
)
def test_batches_are_random_where_the_loss_is_a_mean_over_tokens(recipe_module, arguments, is_grouped, tmp_path):
    """With similar lengths, a token of a short text would count for more than one of a long text."""
    import importlib

    from common.arguments import read_arguments

    (tmp_path / "text.txt").write_text("a line\n" * 8)
    given = {"output_dir": tmp_path, "use_cpu": True, "train_file": tmp_path / "text.txt"}
    flags = [f"--{name}={value}" for name, value in given.items()]
    args = read_arguments(flags, getattr(importlib.import_module(recipe_module), arguments)).training
    by_length = getattr(args, "train_sampling_strategy", None) == "group_by_length"
    assert (by_length or getattr(args, "group_by_length", False)) is is_grouped


def test_help_begins_with_what_the_recipe_does_and_ends_with_its_settings(capsys):
    """Trainer's settings, more than a hundred, come first, and the command line is one line."""
    from common.arguments import read_arguments
    from masked_lm import MaskedLMArguments

    with pytest.raises(SystemExit) as end:
        read_arguments(["--help"], MaskedLMArguments)
    assert end.value.code == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0].endswith("[CONFIG.yaml] [--flag value ...]") and lines[2].startswith(
        "Train BERT or a relative to fill"
    )
    groups = ["options:", "model:", "data and task:", "schedule:", "parameter groups:", "early stopping:"]
    places = [lines.index(group) for group in groups]
    assert places == sorted(places)
    assert any("--mlm_probability" in line for line in lines[places[2] : places[3]])
