"""Facts from a built Trainer: what only it shows, and that diagnose() changes nothing."""

import pytest

from hf_lrsched import ScheduledTrainer, diagnose
from hf_lrsched.doctor import get_facts
from tests.doctor.files import checks_of


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"samples": 41},
        {"samples": 3},
        {"num_train_epochs": 2.5},
        {"gradient_accumulation_steps": 3},
        {"gradient_accumulation_steps": 4, "samples": 41, "num_train_epochs": 3},
        {"dataloader_drop_last": True, "samples": 43},
        {"max_steps": 7},
    ],
    ids=str,
)
def test_number_of_updates_equals_trainer(make_trainer, settings):
    trainer = make_trainer(**settings)
    facts = get_facts(trainer)
    trainer.train()
    assert facts.num_updates == trainer.state.max_steps


def test_sound_trainer_draws_no_warning(make_trainer, pretrained, texts):
    assert checks_of(make_trainer()) == set()
    assert checks_of(make_trainer(model=pretrained, data=texts, learning_rate=2e-5)) == set()
    ours = make_trainer(ScheduledTrainer, extra={"schedule": "warmup(10%) >> linear()"})
    assert diagnose(ours) == []


def test_diagnose_changes_nothing(make_trainer):
    def lrs(looks):
        trainer = make_trainer(warmup_steps=2, logging_steps=1, seed=3)
        if looks:
            diagnose(trainer)
        trainer.train()
        return [record.get("learning_rate") for record in trainer.state.log_history], [
            record.get("loss") for record in trainer.state.log_history
        ]

    assert lrs(True) == lrs(False)


def test_other_subject_is_refused():
    with pytest.raises(TypeError, match="takes a path or a Trainer, got int"):
        diagnose(5)
