"""A tiny BERT and tiny data for the recipe."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipe_runs import RECIPES, WORDS, as_flags, reviews, write_rows

for library in ("datasets", "evaluate", "seqeval", "sklearn"):
    pytest.importorskip(library)
sys.path.insert(0, str(RECIPES))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with random weights, 2 layers of 16, no dropout, and a WordPiece tokenizer of a few words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("model")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    numbers = {word: index for index, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(folder)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, (name, count) in enumerate({"train": 32, "validation": 13, "test": 9}.items()):
        write_rows(folder / f"{name}.csv", reviews(count, seed))
    write_rows(folder / "scores.csv", [(text, 0.5 + index / 8) for index, (text, _) in enumerate(reviews(16, 3))])
    return folder


@pytest.fixture
def flags(model_folder: Path, data_folder: Path, tmp_path: Path) -> dict[str, object]:
    """Settings of a run of 2 epochs of 4 updates."""
    return {
        "model_name_or_path": str(model_folder),
        "train_file": str(data_folder / "train.csv"),
        "validation_file": str(data_folder / "validation.csv"),
        "output_dir": str(tmp_path / "run"),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "logging_steps": 1,
        "use_cpu": True,
        "disable_tqdm": True,
    }


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, object]], int]:
    """Runs the recipe in this process; returns its exit code."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    import text_classification

    return lambda settings: text_classification.main(as_flags(settings))
