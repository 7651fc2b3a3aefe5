"""The LR beside every metric: the one used by the update before, in every place where Trainer shows a metric."""

import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import EarlyStoppingCallback, Trainer

from hf_lrsched import LRLogger, ScheduledTrainer, get_scheduler

PEAK = 1e-3
SPEC = "warmup(2) >> linear()"
USED = [0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4]  # by updates 1 to 6
EVERY_2 = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2}
AT = {2: 5e-4, 4: 7.5e-4, 6: 2.5e-4}  # the next LRs would be 1e-3, 5e-4 and 0


def evaluations(history, key="eval_learning_rate"):
    return {record["step"]: record.get(key) for record in history if "eval_loss" in record}


def lr_keys(record):
    return {key for key in record if "_lr/" in key or key.endswith("_learning_rate")}


def losses(history):
    return {record["step"]: record["learning_rate"] for record in history if "loss" in record}


def near(expected):
    return pytest.approx(expected, rel=1e-12)


def tensorboard(folder, tag):
    """The values of a tag in the event files below a folder, by step."""
    (place,) = {file.parent for file in Path(folder).rglob("events.out.tfevents*")}
    events = EventAccumulator(str(place)).Reload()
    return {event.step: event.value for event in events.Scalars(tag)} if tag in events.Tags()["scalars"] else {}


def accuracy(predictions):
    return {"accuracy": float((predictions.predictions.argmax(-1) == predictions.label_ids).mean())}


@pytest.fixture
def stock(make_trainer, grouped):
    """The stock Trainer with an LRLogger, and groups with the peaks `lrs`."""

    def make(*lrs, names=None, logger=None, **kwargs):
        model, optimizer = grouped(*(lrs or [PEAK]), names=names)
        scheduler = get_scheduler(SPEC, optimizer, num_training_steps=6)
        trainer = make_trainer(
            cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=[logger or LRLogger()], **kwargs
        )
        trainer.train()
        return trainer

    return make


# History, checkpoints and reporters


def test_history(make_trainer):
    trainer = make_trainer(SPEC, **EVERY_2)
    trainer.train()
    assert trainer.recorder.used == near(USED)
    assert evaluations(trainer.state.log_history) == near(AT)


def test_history_by_epochs(make_trainer):
    trainer = make_trainer(SPEC, max_steps=6, gradient_accumulation_steps=3, eval_strategy="epoch")
    trainer.train()
    assert evaluations(trainer.state.log_history) == near(AT)


def test_trainer_state_of_a_checkpoint(make_trainer, tmp_path):
    make_trainer(SPEC, **EVERY_2, save_strategy="steps", save_steps=4).train()
    state = json.loads((tmp_path / "out/checkpoint-4/trainer_state.json").read_text(encoding="utf-8"))
    assert evaluations(state["log_history"]) == near({2: 5e-4, 4: 7.5e-4})


def test_tensorboard(make_trainer, tmp_path):
    make_trainer(SPEC, **EVERY_2, report_to="tensorboard", logging_steps=1).train()
    out = tmp_path / "out"
    assert tensorboard(out, "eval/learning_rate") == pytest.approx(AT, rel=1e-6)
    assert set(tensorboard(out, "eval/loss")) == {2, 4, 6}
    assert tensorboard(out, "train/learning_rate") == pytest.approx(dict(enumerate(USED, 1)), rel=1e-6)


def test_tensorboard_with_groups(make_trainer, grouped, tmp_path):
    model, optimizer = grouped(1e-3, 4e-3, names=["encoder", "head"])
    settings = EVERY_2 | {"report_to": "tensorboard"}
    make_trainer(SPEC, model=model, optimizers=(optimizer, None), **settings).train()
    out = tmp_path / "out"
    assert tensorboard(out, "eval/lr/encoder") == pytest.approx(AT, rel=1e-6)
    assert tensorboard(out, "eval/lr/head") == pytest.approx({at: 4 * lr for at, lr in AT.items()}, rel=1e-6)


def card_table(card):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


# Groups


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["encoder", "head"], ["eval_lr/encoder", "eval_lr/head"]),
        ([], ["eval_lr/group_0", "eval_lr/group_1"]),
        (["encoder"], ["eval_lr/encoder", "eval_lr/group_1"]),
    ],
    ids=["named", "default names", "one named"],
)
def test_groups_that_differ(make_trainer, grouped, names, keys):
    model, optimizer = grouped(1e-3, 4e-3, names=names)
    trainer = make_trainer(SPEC, model=model, optimizers=(optimizer, None), **EVERY_2)
    trainer.train()
    history = trainer.state.log_history
    assert evaluations(history) == near(AT)
    assert evaluations(history, keys[0]) == near(AT)
    assert evaluations(history, keys[1]) == near({at: 4 * lr for at, lr in AT.items()})
    assert [lr_keys(record) for record in history if "eval_loss" in record] == [{"eval_learning_rate", *keys}] * 3


def test_groups_that_are_equal_have_one_key(make_trainer):
    trainer = make_trainer(SPEC, **EVERY_2)  # Trainer's own groups, with and without weight decay
    trainer.train()
    assert len(trainer.recorder.groups[0]) == 2
    records = [record for record in trainer.state.log_history if "eval_loss" in record]
    assert [lr_keys(record) for record in records] == [{"eval_learning_rate"}] * 3


def test_a_logger_in_a_second_trainer_uses_the_names_there(stock):
    logger = LRLogger()
    stock(1e-3, 4e-3, names=["a", "b"], logger=logger, eval_strategy="epoch")
    trainer = stock(1e-3, 4e-3, names=["c", "d"], logger=logger, eval_strategy="epoch")
    (record,) = [record for record in trainer.state.log_history if "eval_loss" in record]
    assert lr_keys(record) == {"eval_learning_rate", "eval_lr/c", "eval_lr/d"}


def test_tensor_lrs_are_those_used(make_trainer, grouped):
    model, optimizer = grouped(torch.tensor(1e-3), torch.tensor(4e-3), names=["encoder", "head"])
    trainer = make_trainer(SPEC, model=model, optimizers=(optimizer, None), **EVERY_2)
    trainer.train()
    history = trainer.state.log_history
    assert evaluations(history) == pytest.approx(AT, rel=1e-6)
    assert evaluations(history, "eval_lr/head") == pytest.approx({at: 4 * lr for at, lr in AT.items()}, rel=1e-6)
    assert json.loads(json.dumps(history)) == history


# Every kind of evaluation


def test_several_evaluation_sets(make_trainer, data):
    trainer = make_trainer(SPEC, **EVERY_2, dev={"easy": data(8), "hard": data(9)})
    trainer.train()
    found = [
        (record["step"], record["eval_learning_rate"], next(key for key in record if key.endswith("_loss")))
        for record in trainer.state.log_history
        if any(key.startswith("eval_") for key in record)
    ]
    names = ["eval_easy_loss", "eval_hard_loss"]
    assert found == [(at, near(lr), name) for at, lr in AT.items() for name in names]


@pytest.mark.parametrize("prefix", ["eval", "test", "dev", "train"])
@pytest.mark.parametrize("is_stock", [False, True], ids=["scheduled", "stock"])
def test_evaluating_by_hand_after_training(make_trainer, stock, prefix, is_stock):
    trainer = stock() if is_stock else make_trainer(SPEC)
    if not is_stock:
        trainer.train()
    trainer.evaluate(metric_key_prefix=prefix)
    record = trainer.state.log_history[-1]
    assert f"{prefix}_loss" in record
    assert {key: record[key] for key in lr_keys(record)} == near({f"{prefix}_learning_rate": 2.5e-4})


@pytest.mark.parametrize("callbacks", [[], [LRLogger]], ids=["own", "extra"])
def test_evaluating_before_training_shows_no_lr(make_trainer, callbacks):
    trainer = make_trainer(SPEC, callbacks=callbacks)
    metrics = trainer.evaluate()
    assert "eval_loss" in metrics and lr_keys(metrics) == set()
    assert lr_keys(trainer.state.log_history[-1]) == set()


def test_eval_on_start_shows_no_lr(make_trainer):
    trainer = make_trainer(SPEC, **EVERY_2, eval_on_start=True)
    trainer.train()
    assert evaluations(trainer.state.log_history) == {0: None} | near(AT).expected


def test_eval_on_start_of_a_second_run_does_not_show_the_first_ones_lr(make_trainer):
    trainer = make_trainer(SPEC, eval_on_start=True, max_steps=6)
    trainer.train()
    trainer.train()
    assert evaluations(trainer.state.log_history) == {0: None}


def test_a_resumed_run_shows_the_same_lrs(make_trainer, tmp_path):
    make_trainer(SPEC, **EVERY_2, save_strategy="steps", save_steps=3).train()
    resumed = make_trainer(SPEC, **EVERY_2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    assert evaluations(resumed.state.log_history) == near(AT)


def test_what_evaluate_returns(make_trainer, grouped):
    model, optimizer = grouped(1e-3, 4e-3)
    trainer = make_trainer(SPEC, model=model, optimizers=(optimizer, None), compute_metrics=accuracy, **EVERY_2)
    trainer.train()
    metrics = trainer.evaluate()
    assert lr_keys(metrics) == set()
    assert {"eval_loss", "eval_accuracy", "epoch"} <= set(metrics)
    assert metrics["epoch"] == 1.0
    assert [lr_keys(seen) for seen in trainer.recorder.metrics] == [set()] * 4
    assert all("epoch" in seen for seen in trainer.recorder.metrics)


def test_predict_is_unchanged(make_trainer, data):
    trainer = make_trainer(SPEC)
    trainer.train()
    records = len(trainer.state.log_history)
    assert lr_keys(trainer.predict(data(8)).metrics) == set()
    assert len(trainer.state.log_history) == records


def test_the_best_model_and_early_stopping_still_work(make_trainer):
    trainer = make_trainer(
        SPEC,
        **EVERY_2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=True,  # so that a falling loss never improves after the first
        learning_rate=PEAK,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=1, early_stopping_threshold=10.0)],
    )
    trainer.train()
    assert trainer.state.global_step == 4
    assert evaluations(trainer.state.log_history) == near({2: 5e-4, 4: 7.5e-4})


# Training records


def test_training_records_hold_the_lr_used(make_trainer):
    trainer = make_trainer(SPEC, max_steps=6, logging_steps=1)
    trainer.train()
    assert losses(trainer.state.log_history) == near(dict(enumerate(USED, 1)))


@pytest.mark.parametrize(
    "settings", [{"num_train_epochs": 1}, {"max_steps": 6}, {"max_steps": 6, "num_train_epochs": 9}]
)
def test_a_run_shorter_than_logging_steps_shows_its_loss_and_lr(make_trainer, settings):
    trainer = make_trainer(SPEC, train=24, logging_steps=500, **settings)
    trainer.train()
    assert losses(trainer.state.log_history) == near({6: 2.5e-4})
    assert trainer.state.log_history[0]["loss"] > 0


def test_a_run_that_ends_within_an_epoch_shows_its_loss_and_lr(make_trainer):
    trainer = make_trainer(SPEC, train=100, logging_steps=500, max_steps=6)
    trainer.train()
    assert losses(trainer.state.log_history) == near({6: 2.5e-4})


def test_a_short_run_of_the_stock_trainer_shows_its_loss_and_lr(stock):
    assert losses(stock(logging_steps=500).state.log_history) == near({6: 2.5e-4})


@pytest.mark.parametrize("logging", [{"logging_steps": 500}, {"logging_steps": 2}, {"logging_strategy": "epoch"}])
def test_a_training_record_before_every_evaluation(make_trainer, logging):
    trainer = make_trainer(SPEC, **EVERY_2, **logging)
    trainer.train()
    kinds = ["loss" if "loss" in record else "eval" for record in trainer.state.log_history[:-1]]
    assert kinds == ["loss", "eval"] * 3
    assert losses(trainer.state.log_history) == near(AT)


def test_evaluations_do_not_add_training_records_elsewhere(make_trainer):
    trainer = make_trainer(SPEC, max_steps=6, eval_strategy="steps", eval_steps=3, logging_steps=2)
    trainer.train()
    assert losses(trainer.state.log_history) == near({2: 5e-4, 3: 1e-3, 4: 7.5e-4, 6: 2.5e-4})


def test_no_logging_is_respected(make_trainer):
    trainer = make_trainer(SPEC, **EVERY_2, logging_strategy="no")
    trainer.train()
    assert losses(trainer.state.log_history) == {}
    assert evaluations(trainer.state.log_history) == near(AT)


# The callback in the stock Trainer


@pytest.mark.parametrize("logger", [LRLogger, LRLogger()], ids=["class", "object"])
def test_stock_trainer(stock, logger, tmp_path):
    trainer = stock(logger=logger, **EVERY_2, save_strategy="steps", save_steps=6)
    assert evaluations(trainer.state.log_history) == near(AT)
    state = json.loads((tmp_path / "out/checkpoint-6/trainer_state.json").read_text(encoding="utf-8"))
    assert evaluations(state["log_history"]) == near(AT)
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert {int(row["Step"]): float(row["Learning Rate"]) for row in table} == pytest.approx(AT, rel=1e-3)


def test_stock_trainer_with_groups(stock):
    trainer = stock(1e-3, 4e-3, names=["encoder", "head"], **EVERY_2)
    assert evaluations(trainer.state.log_history, "eval_lr/head") == near({at: 4 * lr for at, lr in AT.items()})


def test_the_card_of_a_stock_trainer_does_not_round_lrs_to_0(stock, tmp_path):
    peaks = {"encoder": 1e-5, "head": 3.21987e-5}
    trainer = stock(*peaks.values(), names=list(peaks), **EVERY_2)
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    for column, name in (("Learning Rate", "encoder"), ("Lr/encoder", "encoder"), ("Lr/head", "head")):
        shown = {int(row["Step"]): float(row[column]) for row in table}
        assert shown == pytest.approx({at: peaks[name] * lr / PEAK for at, lr in AT.items()}, rel=1e-3)


def test_wrapped_metrics_reach_the_reporters(stock, tmp_path):
    logger = LRLogger()
    trainer = stock(
        1e-3,
        4e-3,
        names=["encoder", "head"],
        logger=logger,
        compute_metrics=logger.wrap(accuracy),
        **EVERY_2,
        report_to="tensorboard",
    )
    out = tmp_path / "out"
    assert tensorboard(out, "eval/learning_rate") == pytest.approx(AT, rel=1e-6)
    assert tensorboard(out, "eval/lr/head") == pytest.approx({at: 4 * lr for at, lr in AT.items()}, rel=1e-6)
    assert set(tensorboard(out, "eval/accuracy")) == {2, 4, 6}
    assert evaluations(trainer.state.log_history) == near(AT)


def test_the_callback_alone_does_not_reach_the_reporters(stock, tmp_path):
    """Why `wrap` is needed."""
    stock(**EVERY_2, report_to="tensorboard")
    assert set(tensorboard(tmp_path / "out", "eval/loss")) == {2, 4, 6}
    assert tensorboard(tmp_path / "out", "eval/learning_rate") == {}


def test_wrap_adds_nothing_before_the_first_update():
    class Predictions:
        predictions = torch.tensor([[0.0, 1.0]])
        label_ids = torch.tensor([1])

    def metrics(given):
        """The share of right answers."""
        return {"right": bool((given.predictions.argmax(-1) == given.label_ids).all())}

    wrapped = LRLogger().wrap(metrics)
    assert wrapped(Predictions()) == {"right": True}
    assert wrapped.__doc__ == "The share of right answers."


def test_a_second_logger_changes_nothing(make_trainer, grouped, tmp_path):
    histories = []
    for name, callbacks in {"plain": [], "extra": [LRLogger()]}.items():
        model, optimizer = grouped(1e-3, 4e-3)
        trainer = make_trainer(
            SPEC,
            model=model,
            optimizers=(optimizer, None),
            callbacks=callbacks,
            output_dir=str(tmp_path / name),
            report_to="tensorboard",
            **EVERY_2,
        )
        trainer.train()
        assert tensorboard(tmp_path / name, "eval/lr/group_1") == pytest.approx({2: 2e-3, 4: 3e-3, 6: 1e-3}, rel=1e-6)
        histories.append(trainer.state.log_history)
    plain, extra = ([{k: v for k, v in r.items() if not _of_time(k)} for r in history] for history in histories)
    assert extra == plain


def _of_time(key):
    return key.endswith(("_runtime", "_per_second", "_preparation_time"))


def test_a_users_own_record_gets_no_lr(make_trainer):
    trainer = make_trainer(SPEC)
    trainer.train()
    trainer.log({"memory": 3.0})
    assert {key: value for key, value in trainer.state.log_history[-1].items() if key not in ("epoch", "step")} == {
        "memory": 3.0
    }


def test_a_scheduled_trainer_logs_once(make_trainer):
    trainer = make_trainer(SPEC, cls=ScheduledTrainer, **EVERY_2)
    trainer.train()
    assert [record["step"] for record in trainer.state.log_history if "eval_loss" in record] == [2, 4, 6]


@pytest.mark.parametrize("is_stock", [False, True])
def test_the_lr_belongs_to_the_weights_that_are_evaluated(make_trainer, stock, is_stock):
    """After `load_best_model_at_end`, the evaluated weights are those of the best update, not of the last one."""
    settings = EVERY_2 | {
        "save_strategy": "steps",
        "save_steps": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": True,  # the loss falls: the best evaluation is the first
    }
    if is_stock:
        trainer = stock(**settings)
    else:
        trainer = make_trainer(SPEC, **settings)
        trainer.train()
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-2")
    trainer.evaluate()
    assert trainer.state.log_history[-1]["eval_learning_rate"] == pytest.approx(AT[2])
    trainer.evaluate(metric_key_prefix="test")
    assert trainer.state.log_history[-1]["test_learning_rate"] == pytest.approx(AT[2])
