"""The model cards of TRL and sentence-transformers name the schedule that trained, not `linear` without a warmup."""

from pathlib import Path

import pytest

from hf_lrsched import scheduled
from tests.end_to_end.test_integrations_losses import make_tokenizer, tiny_gpt2, tiny_sentence_transformer

pytestmark = pytest.mark.slow

SCHEDULE = "warmup(2) >> cosine()"
SETTINGS = {
    "per_device_train_batch_size": 4,
    "max_steps": 6,
    "learning_rate": 3e-3,
    "report_to": "none",
    "use_cpu": True,
    "disable_tqdm": True,
}


def test_trl(tmp_path):
    trl = pytest.importorskip("trl", reason="needs trl: pip install .[integrations]")
    datasets = pytest.importorskip("datasets")
    trainer = scheduled(trl.SFTTrainer)(
        model=tiny_gpt2(),
        args=trl.SFTConfig(output_dir=str(tmp_path / "out"), bf16=False, save_strategy="no", **SETTINGS),
        train_dataset=datasets.Dataset.from_list([{"text": f"w{i % 7} w8 w{i % 5}"} for i in range(24)]),
        processing_class=make_tokenizer(tmp_path),
        schedule=SCHEDULE,
    )
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    card = Path(trainer.args.output_dir, "README.md").read_text(encoding="utf-8")
    before, _, after = card.partition("### Learning rate\n")
    assert "This model was trained with SFT" in before
    assert after.startswith(f"\n- learning_rate: 0.003\n- learning_rate_schedule: `{SCHEDULE}`\n- num_updates: 6\n")
    assert "### Framework versions" in after


def test_sentence_transformers(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    losses = pytest.importorskip("sentence_transformers.losses")
    datasets = pytest.importorskip("datasets")
    model = tiny_sentence_transformer(tmp_path)
    rows = [{"first": f"w{i % 9} w{i}", "second": f"w{i % 9} w{i + 9}", "score": i % 2 / 1.0} for i in range(24)]
    trainer = scheduled(sentence_transformers.SentenceTransformerTrainer)(
        model=model,
        args=sentence_transformers.SentenceTransformerTrainingArguments(str(tmp_path / "out"), **SETTINGS),
        train_dataset=datasets.Dataset.from_list(rows),
        loss=losses.CosineSimilarityLoss(model),
        schedule=SCHEDULE,
    )
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    for folder in ("out", "out/checkpoint-6"):
        card = (tmp_path / folder / "README.md").read_text(encoding="utf-8")
        # Once among the settings that are not the defaults, and once among all of them.
        assert card.count(f"- `lr_scheduler_type`: {SCHEDULE}\n") == 2
        assert f"- `schedule`: {SCHEDULE}\n" in card and "- `num_updates`: 6\n" in card
        assert "warmup_steps" not in card and "warmup_ratio" not in card
