"""The masked-LM recipe on a tiny model: its masks, its samples, its perplexity."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from tests.processes import forking_context
from tests.recipe_runs import as_flags, reviews, state_of


@pytest.fixture(scope="session")
def tokenizer(model_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def masked_lm_folder(model_folder, tokenizer, tmp_path_factory):
    from transformers import AutoConfig, BertForMaskedLM, set_seed

    folder = tmp_path_factory.mktemp("masked_lm")
    set_seed(0)
    BertForMaskedLM(AutoConfig.from_pretrained(model_folder)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def main(recipe):
    import masked_lm

    return lambda settings: masked_lm.main(as_flags(settings))


@pytest.fixture
def settings(flags, masked_lm_folder, tmp_path):
    for seed, name in enumerate(("train", "validation")):
        (tmp_path / f"{name}.txt").write_text("\n".join(text for text, _ in reviews(24, seed)) + "\n\n")
    files = {f"{name}_file": tmp_path / f"{name}.txt" for name in ("train", "validation")}
    return {**flags, **files, "model_name_or_path": masked_lm_folder, "max_steps": 4, "learning_rate": 1e-2}


def make_masking(tokenizer, **settings):
    from common.masking import MaskingCollator

    return MaskingCollator(tokenizer, **{"probability": 0.15, "whole_words": False, "seed": 0, **settings})


def test_run_and_perplexity(main, settings, tokenizer, tmp_path):
    """The perplexity is that of the masked tokens, each counted once, whatever the batch size."""
    import torch
    from masked_lm import MaskedLMArguments, load_data, tokenize
    from transformers import AutoModelForMaskedLM

    tables = []
    for batch_size in (5, 24):
        folder = tmp_path / f"run{batch_size}"
        assert main({**settings, "per_device_eval_batch_size": batch_size, "output_dir": folder}) == 0
        tables.append(json.loads((folder / "metrics.json").read_text()))
    assert tables[0][-1]["validation_loss"] == pytest.approx(tables[1][-1]["validation_loss"], abs=1e-6)

    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    arguments = MaskedLMArguments(train_file=str(settings["validation_file"]))
    samples = tokenize(load_data(arguments), tokenizer, 64)["train"]
    masking, losses, correct = make_masking(tokenizer, seed=42), [], []
    for sample in samples:
        masked = masking.mask(sample, epoch=0)
        logits = model(input_ids=torch.tensor([masked["input_ids"]])).logits[0].detach()
        for row, label in zip(logits, masked["labels"], strict=True):
            if label != -100:
                losses.append(float(torch.nn.functional.cross_entropy(row, torch.tensor(label))))
                correct.append(int(row.argmax()) == label)
    last = tables[1][-1]
    assert last["validation_loss"] == pytest.approx(np.mean(losses), abs=1e-6)
    assert last["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-6)
    assert last["masked_accuracy"] == pytest.approx(np.mean(correct))


def test_shares_of_masks(tokenizer):
    source = np.random.default_rng(0)
    ids = source.integers(5, len(tokenizer), size=(400, 50))
    words, chosen = list(range(50)), np.zeros(3)
    count = 0
    for row in ids:
        masked = make_masking(tokenizer).mask({"input_ids": row.tolist(), "words": words}, epoch=0)
        mine, labels = np.array(masked["input_ids"]), np.array(masked["labels"])
        of = labels != -100
        count += of.sum()
        assert (labels[of] == row[of]).all() and (mine[~of] == row[~of]).all()
        chosen += [(mine[of] == tokenizer.mask_token_id).sum(), (mine[of] == row[of]).sum(), 0]
    assert count / ids.size == pytest.approx(0.15, abs=0.01)
    assert chosen[0] / count == pytest.approx(0.8, abs=0.02)
    assert chosen[1] / count == pytest.approx(0.1 + 0.1 / (len(tokenizer) - 5), abs=0.02)


def test_whole_words_are_masked_together(tokenizer):
    words = np.array([-1, *np.repeat(np.arange(40), 3), -1])
    ids = np.random.default_rng(0).integers(5, len(tokenizer), size=len(words)).tolist()
    masking = make_masking(tokenizer, whole_words=True)
    for epoch in range(20):
        masked = masking.mask({"input_ids": ids, "words": words.tolist()}, epoch)
        chosen = np.array(masked["labels"]) != -100
        assert not chosen[[0, -1]].any()
        of_words = chosen[1:-1].reshape(40, 3)
        assert (of_words.all(axis=1) == of_words.any(axis=1)).all() and of_words.any()
        is_mask = (np.array(masked["input_ids"]) == tokenizer.mask_token_id)[1:-1].reshape(40, 3)
        assert (is_mask.all(axis=1) == is_mask.any(axis=1)).all()


def test_masks_follow_from_seed_epoch_and_text(tokenizer):
    sample = {"input_ids": list(range(5, 20)) * 3, "words": list(range(45))}
    masks = [
        make_masking(tokenizer, seed=seed).mask(sample, epoch)["labels"]
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert masks[0] == masks[1] and masks[0] != masks[2] and masks[0] != masks[3]


def test_short_text_has_a_mask(tokenizer):
    masked = make_masking(tokenizer, probability=0.01).mask({"input_ids": [2, 7, 3], "words": [-1, 0, -1]}, epoch=0)
    assert masked["labels"] == [-100, 7, -100]


def test_long_texts_are_split_and_short_ones_joined(tokenizer):
    from datasets import Dataset
    from masked_lm import tokenize

    rows = {"train": Dataset.from_dict({"text": ["good film " * 5, "bad plot"]})}
    ids = [tokenizer.convert_tokens_to_ids(word) for word in ("good", "film", "bad", "plot")]
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    plain = tokenize(rows, tokenizer, max_seq_length=8)["train"]
    assert plain["input_ids"][:] == [
        [first, *ids[:2] * 3, last],
        [first, *ids[:2] * 2, last],
        [first, *ids[2:], last],
    ]
    assert plain["words"][:][1] == [-1, 6, 7, 8, 9, -1]
    joined = tokenize(rows, tokenizer, max_seq_length=8, join_texts=True)["train"]
    assert [len(each) for each in joined["input_ids"][:]] == [8, 8]
    assert joined["input_ids"][1] == [first, *ids[:2] * 2, *ids[2:], last]
    assert len(set(joined["words"][1])) == 7  # the words of the second text are other words


def test_texts_of_characters_that_tokenizers_drop(tokenizer, tmp_path):
    from datasets import Dataset
    from masked_lm import MaskedLMArguments, load_data, tokenize

    (tmp_path / "a.txt").write_text("good film\n\ufffd\ufffd\n\ue000\n\0\n", encoding="utf-8")
    assert load_data(MaskedLMArguments(train_file=str(tmp_path / "a.txt")))["train"]["text"][:] == ["good film"]
    with pytest.raises(Exception, match="no text of the train split has a token"):
        tokenize({"train": Dataset.from_dict({"text": ["\u0301"]})}, tokenizer, 64)  # an accent without its letter


def test_resumed_run_has_the_same_masks(main, settings, tmp_path, monkeypatch):
    from common import run
    from transformers import TrainerCallback

    class Interrupt(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            raise KeyboardInterrupt

    make = run.make_trainer

    def interrupted(*arguments):
        trainer = make(*arguments)
        trainer.add_callback(Interrupt())
        return trainer

    whole = {**settings, "max_steps": 7, "save_strategy": "steps", "save_steps": 2, "output_dir": tmp_path / "whole"}
    assert main(whole) == 0
    other = {**whole, "output_dir": tmp_path / "other"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "make_trainer", interrupted)
        main(other)
    assert main({**other, "resume_from_checkpoint": "true"}) == 0
    losses = [
        [r["loss"] for r in state_of(tmp_path / name)["log_history"] if "loss" in r] for name in ("whole", "other")
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 7


def test_workers_that_outlive_an_epoch_mask_anew(main, settings, tmp_path):
    losses = []
    for workers in ({}, {"dataloader_num_workers": 1, "dataloader_persistent_workers": "true"}):
        folder = tmp_path / str(len(workers))
        assert main({**settings, **workers, "max_steps": 7, "save_strategy": "no", "output_dir": folder}) == 0
        losses.append([r["loss"] for r in state_of(folder)["log_history"] if "loss" in r])
    assert losses[0] == losses[1] and len(losses[0]) == 7


@pytest.mark.parametrize("how", [*({"fork"} & set(multiprocessing.get_all_start_methods())), "pickled"])
def test_epoch_reaches_started_workers(tokenizer, how):
    from torch.utils.data import DataLoader

    context = multiprocessing.get_context("fork") if how == "fork" else forking_context()
    masking, sample = make_masking(tokenizer), {"input_ids": list(range(5, 20)) * 3, "words": list(range(45))}
    loader = DataLoader(
        [sample], collate_fn=masking, num_workers=1, persistent_workers=True, multiprocessing_context=context
    )
    for epoch in range(2):
        masking.epoch.fill_(epoch)
        (batch,) = loader
        assert batch["labels"].tolist() == [masking.mask(sample, epoch)["labels"]]


def test_model_without_a_head(main, settings, model_folder, capfd):
    assert main({**settings, "model_name_or_path": model_folder}) == 2
    assert "has no BertForMaskedLM head (cls.predictions" in capfd.readouterr().err
    assert main({**settings, "model_name_or_path": model_folder, "new_head": "true"}) == 0


def test_tokenizer_with_more_tokens_than_the_model(main, recipe, settings, tokenizer, tmp_path, capfd):
    import copy

    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["cinema"])
    larger.save_pretrained(tmp_path / "larger")
    settings["tokenizer_name"] = tmp_path / "larger"
    assert main(settings) == 2
    known = len(tokenizer)
    assert f"the tokenizer has {known + 1} tokens, but the model {known}. Resize" in capfd.readouterr().err
    (tmp_path / "train.csv").write_text("text,label\na film,x\na cinema,y\n")
    del settings["validation_file"]
    assert recipe({**settings, "train_file": tmp_path / "train.csv"}) == 2
    error = f"the train split has the token number {known}, but the model knows {known} tokens. Use the model's own tokenizer"
    assert error in capfd.readouterr().err


def test_column_of_a_table(main, settings, data_folder, tmp_path):
    files = {"train_file": data_folder / "train.csv", "validation_file": data_folder / "validation.csv"}
    assert main({**settings, **files, "max_steps": 2, "join_texts": "true", "whole_word_mask": "true"}) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_seq_length": 2}, "--max_seq_length 2 leaves no room for a text beside the 2 special tokens"),
        ({"metric_for_best_model": "accuracy"}, "'accuracy' is unknown; there are loss, perplexity, masked_accuracy"),
        ({"mlm_probability": 1}, "--mlm_probability is a share between 0 and 1"),
        ({"text_column_name": "txt"}, "no column 'txt'"),
        ({"validation_file": "{blank}"}, "blank.csv, row 2: the text is empty (1 such row)"),
    ],
)
def test_invalid(main, settings, given, message, tmp_path, capfd):
    (tmp_path / "blank.csv").write_text('text\ngood film\n"\u200b"\n', encoding="utf-8")
    given = {name: str(value).replace("{blank}", str(tmp_path / "blank.csv")) for name, value in given.items()}
    assert main({**settings, **given}) == 2
    assert message in capfd.readouterr().err
    assert not list(Path(settings["output_dir"]).glob("*"))
