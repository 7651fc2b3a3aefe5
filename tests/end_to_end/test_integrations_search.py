"""`find_lr` with the trainers of TRL and sentence-transformers: a run after it is that of a run with the LR given."""

import pytest
import torch
from transformers import set_seed

from hf_lrsched import find_lr
from tests.end_to_end.test_integrations_losses import make_tokenizer, tiny_gpt2, tiny_sentence_transformer
from tests.searching import digest

pytestmark = pytest.mark.slow

SETTINGS = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "max_steps": 40,
    "lr_scheduler_type": "linear",
    "warmup_steps": 4,
    "report_to": "none",
    "save_strategy": "no",
    "use_cpu": True,
    "disable_tqdm": True,
}


def make_sft(tmp_path, **settings):
    trl = pytest.importorskip("trl", reason="needs trl: pip install .[integrations]")
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"text": f"w{i % 7} w8 w{i % 5}"} for i in range(48)])
    return trl.SFTTrainer(
        model=tiny_gpt2(),
        args=trl.SFTConfig(str(tmp_path / "out"), bf16=False, **SETTINGS, **settings),
        train_dataset=rows,
        eval_dataset=rows.select(range(16)),
        processing_class=make_tokenizer(tmp_path),
    )


def make_sentence_transformer(tmp_path, **settings):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    losses = pytest.importorskip("sentence_transformers.losses")
    datasets = pytest.importorskip("datasets")
    model = tiny_sentence_transformer(tmp_path)
    rows = [{"first": f"w{i % 9} w{i}", "second": f"w{i % 9} w{i + 9}", "score": i % 2 / 1.0} for i in range(48)]
    return sentence_transformers.SentenceTransformerTrainer(
        model=model,
        args=sentence_transformers.SentenceTransformerTrainingArguments(str(tmp_path / "out"), **SETTINGS, **settings),
        train_dataset=datasets.Dataset.from_list(rows),
        eval_dataset=datasets.Dataset.from_list(rows[:16]),
        loss=losses.CosineSimilarityLoss(model),
    )


@pytest.mark.parametrize("make", [make_sft, make_sentence_transformer])
def test_run_after_a_search_is_that_of_a_run_with_the_lr_given(make, tmp_path):
    set_seed(0)
    trainer = make(tmp_path)
    before, draws = digest(trainer.model), torch.get_rng_state()
    search = find_lr(trainer)
    assert search.suggestion > 0
    assert digest(trainer.model) == before and torch.equal(torch.get_rng_state(), draws)
    trainer.args.learning_rate = search.suggestion
    trainer.train()
    set_seed(0)
    given = make(tmp_path, learning_rate=search.suggestion)
    given.train()
    assert digest(trainer.model) == digest(given.model) != before
