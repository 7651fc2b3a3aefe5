"""find_lr=: the search before the first update of a ScheduledTrainer's run."""

import json
from pathlib import Path

import pytest
import torch

from hf_lrsched import LRSearch, ScheduledTrainer, ScheduleError, read_run
from tests.searching import Found, FoundGrouped, Grouped, digest


@pytest.mark.parametrize("is_grouped", [False, True])
def test_run_starts_with_the_lr_found(searchable, is_grouped, capsys):
    trainer = searchable(cls=FoundGrouped if is_grouped else Found)
    trainer.train()
    search = trainer.lr_search
    assert str(search) in capsys.readouterr().out
    assert trainer.args.learning_rate == search.suggestion

    given = searchable(cls=Grouped if is_grouped else ScheduledTrainer, learning_rate=search.suggestion)
    given.head_lr = 5e-3 * (search.suggestion / 1e-3)  # as all peaks are scaled
    given.train()
    assert digest(trainer.model) == digest(given.model)
    assert trainer.recorder.groups == given.recorder.groups


def test_resumed_run_does_not_search_again(searchable, monkeypatch):
    whole = searchable(cls=FoundGrouped, save_strategy="epoch")
    whole.train()
    monkeypatch.setattr("hf_lrsched.trainer.peak_search.find_lr", None)
    resumed = searchable(cls=FoundGrouped, save_strategy="epoch")
    resumed.train(resume_from_checkpoint=f"{resumed.args.output_dir}/checkpoint-16")
    assert resumed.lr_search is None
    assert digest(resumed.model) == digest(whole.model)
    assert resumed.recorder.groups == whole.recorder.groups[16:]
    owners = [trainer.lr_scheduler.run_state.owners["lr_search"] for trainer in (whole, resumed)]
    assert owners[0] == owners[1]
    assert owners[0]["lr"] == whole.lr_search.suggestion


def test_resume_of_a_run_that_did_not_search(searchable):
    searchable(save_strategy="epoch").train()
    with pytest.raises(ScheduleError, match="its run has not searched for its peak LR"):
        searchable(cls=Found).train(resume_from_checkpoint=True)


def test_second_train_keeps_the_lr(searchable):
    trainer = searchable(cls=Found)
    trainer.train()
    search = trainer.lr_search
    trainer.train()
    assert trainer.lr_search is search and trainer.args.learning_rate == search.suggestion


def test_record_has_the_search(searchable):
    trainer = searchable(cls=Found)
    trainer.train()
    found = read_run(trainer.args.output_dir).lr_search
    assert found == json.loads(trainer.lr_search.to_json())
    searchable().train()
    assert read_run(trainer.args.output_dir).lr_search is None


def test_model_card_has_the_search(searchable):
    trainer = searchable(cls=Found)
    trainer.train()
    trainer.create_model_card()
    card = Path(trainer.args.output_dir, "README.md").read_text(encoding="utf-8")
    search = trainer.lr_search
    assert f"learning_rate: {search.suggestion:.4g}\n" in card
    text = f"plausible from {search.low:.3g} to {search.high:.3g}, by probes of {search.updates:,} updates"
    assert f"learning_rate_search: {text}" in card


def test_arguments_of_the_search(searchable, capsys):
    class Few(ScheduledTrainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, find_lr={"eval_samples": 16, "seeds": 2})

    trainer = searchable(cls=Few)
    trainer.train()
    assert trainer.lr_search.held_out == "16 samples of the evaluation set"
    assert {probe.seed for probe in trainer.lr_search.probes} == {0, 1}


def test_interrupted_search_trains_nothing(searchable, monkeypatch):
    trainer = searchable(cls=Found)
    search = LRSearch(1e-3, 5e-4, 2e-3, 48, 1e-3, is_complete=False)
    monkeypatch.setattr("hf_lrsched.trainer.peak_search.find_lr", lambda trainer: search)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.state.global_step == 0 and trainer.args.learning_rate == 1e-3
    assert trainer.lr_search is search


def test_two_learning_rates(searchable, grouped):
    model, optimizer = grouped(1e-3)
    with pytest.raises(ScheduleError, match="two learning rates: find_lr and that of the SGD in optimizers="):
        searchable(cls=Found, model=model, optimizers=(optimizer, None))


def test_wrong_argument(searchable):
    class Wrong(ScheduledTrainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, find_lr="auto")

    with pytest.raises(ScheduleError, match=r"find_lr must be True, False or the arguments of find_lr\(\) as a dict"):
        searchable(cls=Wrong)


def test_hyperparameter_search_is_a_second_search(searchable, net):
    trainer = searchable(cls=Found, model_init=net)
    with pytest.raises(ScheduleError, match="two searches"):
        trainer._search.refuse_trial({"learning_rate": 1e-3})


def test_peak_lr_of_a_checkpoint_is_plain_data(searchable):
    trainer = searchable(cls=Found, save_strategy="epoch")
    trainer.train()
    state = torch.load(Path(trainer.args.output_dir, "checkpoint-48", "scheduler.pt"), weights_only=True)
    assert state["owners"]["lr_search"]["lr"] == trainer.lr_search.suggestion
