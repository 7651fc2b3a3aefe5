"""The scheduler's state in a checkpoint: plain data, small, versioned; an invalid one is an error and changes nothing."""

import copy
import functools
import io
import pickle

import pytest
import torch
from transformers import Trainer

from hf_lrsched import ScheduledTrainer, ScheduleError, ScheduleLR

PEAK = 1e-3

SCHEDULE = "(warmup(10%) >> hold() >> cooldown(20%)) * plateau(factor=0.9, patience=0)"


def made(schedule=SCHEDULE, groups=1, updates=100, **kwargs):
    names = [f"layer_{index}/no_decay" for index in range(groups)]
    parameters = [
        {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 1e-5 * 0.9**k, "name": name}
        for k, name in enumerate(names)
    ]
    scheduler = ScheduleLR(torch.optim.AdamW(parameters), schedule, updates, **kwargs)
    scheduler.declare_driven("plateau", "cooldown")
    return scheduler


def run(scheduler, updates, evaluate_every=1):
    for update in range(1, updates + 1):
        scheduler.optimizer.step()
        scheduler.step()
        if update % evaluate_every == 0:
            scheduler.observe({"eval_loss": 0.5})
    return scheduler


def size(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return len(buffer.getvalue())


def test_below_10_kb_with_28_groups_and_not_growing():
    sizes = [size(run(made(groups=28, updates=20_000), updates).state_dict()) for updates in (40, 400, 4000)]
    assert max(sizes) < 10_000
    assert sizes[2] - sizes[1] < 100  # larger numbers, not more of them


def test_below_10_kb_with_every_group_on_its_own_schedule():
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [torch.nn.Parameter(torch.ones(1))],
                "lr": 1e-5,
                "schedule": f"(warmup(10%) >> linear()) * freeze({k + 1})",
            }
            for k in range(28)
        ]
    )
    assert size(ScheduleLR(optimizer, "warmup(10%) >> linear()", 100).state_dict()) < 10_000


def test_plain_data():
    state = run(made(), 5).state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == state

    def check(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None))
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(item)

    check(state)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"version": 4},
            "has version 4; this version of hf-lrsched reads version 3. Resume with the version that wrote it",
        ),
        ({"version": "2"}, "has version '2'"),
        ({"version": 0}, "has version 0"),
        ({"update": None}, "is corrupted"),
        ({"update": -1}, "is corrupted"),
        ({"update": "five"}, "is corrupted"),
        ({"position": float("nan")}, "is corrupted"),
        ({"scale": 0.0}, "is corrupted"),
        ({"scale": float("inf")}, "is corrupted"),
        ({"events": 3}, "is corrupted"),
        ({"events": ["x"]}, "is corrupted"),
        ({"events": [{"kind": "resume"}]}, "is corrupted"),
        ({"events": [{"kind": "plateau", "t": "soon"}]}, "is corrupted"),
        (
            {"events": [{"kind": "resume", "t": 5, "how": "keep", "lr_before": ["x"], "lr_after": [0.5]}]},
            "is corrupted",
        ),
        ({"seconds": -1.0}, "is corrupted"),
        ({"seconds": float("nan")}, "is corrupted"),
        ({"settings": None}, "is corrupted"),
        ({"settings": {}}, "is corrupted"),
        ({"trajectory": {"schedule": "linear()"}}, "is corrupted"),
        ({"plateaus": [{}]}, "is corrupted"),
        ({"plateaus": []}, "is corrupted"),
        (
            {
                "plateaus": [
                    {
                        "phase": "plateau(factor=0.9, patience=0)",
                        "best": "x",
                        "num_bad_epochs": 0,
                        "cooldown_counter": 0,
                        "scale": 1,
                    }
                ]
            },
            "is corrupted",
        ),
        ({"plateaus": None}, "is corrupted"),
        ({"owners": {"guard": {"actions": float("nan")}}}, "is corrupted"),
        ({"owners": {"guard": {"start": "high"}}}, "is corrupted"),
        ({"owners": {"guard": 3}}, "is corrupted"),
    ],
)
def test_a_damaged_state_changes_nothing(change, message):
    state = run(made(), 5).state_dict() | change
    scheduler = run(made(), 3)
    before = copy.deepcopy(scheduler.state_dict())
    with pytest.raises(ScheduleError, match=message):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before
    run(scheduler, 2)
    assert scheduler.get_last_lr() == run(made(), 5).get_last_lr()


@pytest.mark.parametrize(
    "key", ["update", "settings", "trajectory", "events", "owners", "plateaus", "scale", "seconds", "position"]
)
def test_a_state_without_a_part(key):
    state = run(made(), 5).state_dict()
    del state[key]
    with pytest.raises(ScheduleError, match="is corrupted"):
        made().load_state_dict(state)


def test_a_schedule_that_is_none_any_more():
    state = made("linear()").state_dict()
    state["settings"]["schedule"] = "gone_with_its_module()"
    with pytest.raises(ScheduleError, match="gone_with_its_module"):
        made("linear()").load_state_dict(state)


def test_pickled_and_back():
    scheduler = run(made(), 7)
    other = pickle.loads(pickle.dumps(scheduler))
    assert other.state_dict() == scheduler.state_dict()
    run(other, 3)
    run(scheduler, 3)
    assert other.get_last_lr() == scheduler.get_last_lr()


def test_rescale():
    scheduler = run(made("linear()"), 50, evaluate_every=999)
    event = scheduler.rescale(0.5, "a spike of the loss")
    assert scheduler.get_last_lr() == pytest.approx([0.25e-5])
    assert event == {
        "kind": "scale",
        "t": 50,
        "cause": "a spike of the loss",
        "scale_before": 1.0,
        "scale_after": 0.5,
        "lr_before": pytest.approx(0.5e-5),
        "lr_after": pytest.approx(0.25e-5),
    }
    other = made("linear()")
    other.load_state_dict(scheduler.state_dict())
    assert other.get_last_lr() == scheduler.get_last_lr()
    for factor in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ScheduleError, match="above 0"):
            scheduler.rescale(factor, "")


def test_a_checkpoint_of_the_model_alone_goes_on_where_the_curve_is(make_trainer, tmp_path, caplog):
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 5, "save_only_model": True}
    whole = make_trainer("warmup(25%) >> linear()", **settings)
    whole.train()
    resumed = make_trainer("warmup(25%) >> linear()", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-5"))
    assert resumed.recorder.used == whole.recorder.used[5:]
    assert "has no state of the optimizer and the scheduler" in caplog.text


@pytest.fixture
def checkpoint(make_trainer, tmp_path):
    """One after 5 of 12 updates, whose scheduler's state is changed before it is resumed."""

    def make(schedule="linear()", change=None, **kwargs):
        make_trainer(schedule, num_train_epochs=2, save_strategy="steps", save_steps=5, **kwargs).train()
        folder = tmp_path / "out" / "checkpoint-5"
        if change is not None:
            state = torch.load(folder / "scheduler.pt", weights_only=True)
            torch.save(change(state), folder / "scheduler.pt")
        return str(folder)

    return make


def test_a_scheduler_that_is_ahead_of_the_checkpoint_is_refused(make_trainer, checkpoint):
    folder = checkpoint(change=lambda state: state | {"update": 7, "position": 7.0})
    trainer = make_trainer("linear()", num_train_epochs=2)
    with pytest.raises(ScheduleError, match=r"its scheduler has done 7 updates, its trainer_state.json says 5"):
        trainer.train(resume_from_checkpoint=folder)
    assert trainer.recorder.used == []


def test_a_scheduler_that_did_not_count_skipped_updates_is_put_right(make_trainer, checkpoint, caplog):
    folder = checkpoint(change=lambda state: state | {"update": 3, "position": 3.0})
    trainer = make_trainer("linear()", num_train_epochs=2)
    trainer.train(resume_from_checkpoint=folder)
    assert trainer.recorder.used == pytest.approx([PEAK * (12 - t) / 12 for t in range(5, 12)])
    assert "is 2 updates behind" in caplog.text


@pytest.mark.parametrize("how, used", [("switch", [7, 6, 5]), ("rewarm(2)", [12, 8.5, 5])])
def test_a_stock_plateau_is_taken_over_at_its_update(make_trainer, checkpoint, how, used):
    """Its state counts evaluations: here none before the checkpoint."""
    stock = {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch", "metric_for_best_model": "loss"}
    folder = checkpoint(None, cls=Trainer, **stock)
    with pytest.raises(ScheduleError, match=r"LR is 0.001 by the checkpoint and 0.0005833 by"):
        make_trainer("linear()", num_train_epochs=2).train(resume_from_checkpoint=folder)
    trainer = make_trainer("linear()", cls=functools.partial(ScheduledTrainer, on_resume=how), num_train_epochs=2)
    trainer.train(resume_from_checkpoint=folder)
    assert trainer.recorder.used[:3] == pytest.approx([PEAK * f / 12 for f in used])
