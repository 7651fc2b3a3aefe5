"""A search for the peak LR in several processes, and with the trainers and models of other libraries."""

from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification, Trainer

from hf_lrsched import find_lr
from tests.processes import launched
from tests.searching import digest, next_draws

SCRIPT = Path(__file__).with_name("find_lr_run.py")


@pytest.mark.slow
def test_processes_agree_and_the_run_is_that_of_a_run_with_the_lr_given(tmp_path):
    searched = launched(SCRIPT, str(tmp_path / "searched"), {}, processes=4)
    assert isinstance(searched, list), searched[-3000:]
    assert all(each["processes"] == 4 and each["is_left_alone"] for each in searched)
    assert all(each == searched[0] for each in searched)
    given = launched(SCRIPT, str(tmp_path / "given"), {"learning_rate": searched[0]["learning_rate"]}, processes=4)
    assert [each["weights"] for each in given] == [each["weights"] for each in searched]


def tiny_bert():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=32, max_position_embeddings=16, **sizes))


def texts(count):
    return [{"input_ids": [2, 3 + index % 7, 3 + index % 5], "labels": index % 2} for index in range(count)]


@pytest.mark.parametrize("optim", ["adamw_torch", "adafactor", "sgd"])
def test_lora_and_optimizers(training_args, optim):
    peft = pytest.importorskip("peft", reason="needs peft: pip install .[integrations]")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    args = training_args(max_steps=48, optim=optim)

    def make():
        import torch

        torch.manual_seed(0)
        return Trainer(
            model=peft.get_peft_model(tiny_bert(), config),
            args=args,
            train_dataset=texts(64),
            eval_dataset=texts(20),
        )

    trainer = make()
    before, numbers = digest(trainer.model), next_draws()
    search = find_lr(trainer)
    assert search.probes[0].lr == pytest.approx(0.4 if optim == "sgd" else 2e-3)  # adapters begin at four times the LR
    assert digest(trainer.model) == before and next_draws() == numbers
    args.learning_rate = search.suggestion
    trainer.train()
    given = make()
    given.train()
    assert digest(trainer.model) == digest(given.model)
