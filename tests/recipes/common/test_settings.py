"""A YAML file and flags."""

import pytest


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("learning_rate: car\n", "learning_rate: a number or auto is expected, got 'car'"),
        ("learning_rat: 1e-5\n", "unknown setting 'learning_rat'. Did you mean 'learning_rate'"),
        ("num_train_epochs: three\n", "num_train_epochs: invalid float value: 'three'"),
        ("num_train_epochs: [1, 2]\n", "num_train_epochs must be a single value, got the list"),
        ("use_cpu: perhaps\n", "use_cpu: Truthy value expected"),
        ("learning_rate: 1e-5\nlearning_rate: 2e-5\n", "learning_rate is set twice"),
        ("- learning_rate\n", "must be a mapping"),
        ("learning_rate: [\n", "is not YAML"),
    ],
)
def test_invalid_yaml(tmp_path, yaml, message, capfd):
    import text_classification

    config = tmp_path / "config.yaml"
    config.write_text(yaml, encoding="utf-8")
    assert text_classification.main([str(config)]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("non_padding", "non_padding"), ("all", "all"), ("true", "all"), ("False", "no"), ("no", "no")],
)
def test_counted_tokens(text, expected):
    from common.settings import read_counted_tokens

    assert read_counted_tokens(text) == expected


def test_invalid_counted_tokens():
    from argparse import ArgumentTypeError

    from common.settings import read_counted_tokens

    with pytest.raises(ArgumentTypeError, match="all, non_padding or no is expected, got 'some'"):
        read_counted_tokens("some")
