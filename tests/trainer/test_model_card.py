"""The model card names the schedule that ran, and shows the LR beside every metric."""

from types import SimpleNamespace

import pytest
from transformers import Trainer

from hf_lrsched import LRLogger, get_scheduler
from hf_lrsched.trainer.model_card import format_readable_lrs

SPEC = "warmup(2) >> linear()"
EVERY_2 = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2}
ROUNDED = 5.1e-5  # transformers' cards show four decimals
AT = {2: 5e-4, 4: 7.5e-4, 6: 2.5e-4}  # the LRs used; the next ones would be 1e-3, 5e-4 and 0


def card_table(card):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_the_table_of_evaluations(make_trainer, tmp_path):
    trainer = make_trainer(SPEC, **EVERY_2)
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert {int(row["Step"]): float(row["Learning Rate"]) for row in table} == pytest.approx(AT, abs=ROUNDED)
    assert all(float(row["Validation Loss"]) > 0 for row in table)


def test_a_small_lr_is_not_rounded_to_0(make_trainer, tmp_path):
    trainer = make_trainer(SPEC, **EVERY_2, learning_rate=5e-5)
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    shown = {int(row["Step"]): float(row["Learning Rate"]) for row in table}
    assert shown == pytest.approx({2: 2.5e-5, 4: 3.75e-5, 6: 1.25e-5}, rel=0.05)
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "- Learning Rate: 1.25e-05" in card.splitlines()


def test_the_schedule(make_trainer, tmp_path):
    trainer = make_trainer("warmup(10%) >> linear() ", **EVERY_2)
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert [line for line in card.splitlines() if "schedule" in line] == [
        "- learning_rate_schedule: `warmup(10%) >> linear()`"
    ]
    assert "lr_scheduler" not in card


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("schedule", ["warmup(2) >> linear()", "hold()"])
def test_a_card_with_groups_and_an_evaluation_at_the_start(make_trainer, grouped, tmp_path, stock, schedule):
    """Groups whose LRs differ later, and an evaluation before the first update: a table with equal columns in each row."""
    model, optimizer = grouped(1e-5, 1e-5, names=["encoder", "head"])
    optimizer.param_groups[1]["schedule"] = "hold(3) >> linear(to=0.5)"
    settings = EVERY_2 | {"eval_on_start": True}
    if stock:
        scheduler = get_scheduler(schedule, optimizer, num_training_steps=6)
        trainer = make_trainer(
            cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=[LRLogger()], **settings
        )
    else:
        trainer = make_trainer(schedule, model=model, optimizers=(optimizer, None), **settings)
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert [row["Step"] for row in table] == ["0", "2", "4", "6"]
    assert "Lr/encoder" in table[0] and "Lr/head" in table[0]
    if not stock:
        assert table[0]["Learning Rate"] == "No log"
        assert [row["Lr/head"] for row in table[1:]] == ["1e-05", "1e-05", "6.667e-06"]


@pytest.mark.parametrize("stock", [False, True])
def test_a_resumed_run_has_each_value_in_its_column(make_trainer, tmp_path, stock):
    """The keys of the evaluations before the resume are sorted in trainer_state.json; Trainer takes the columns from them."""

    def make():
        settings = EVERY_2 | {"save_strategy": "steps", "save_steps": 4, "learning_rate": 1e-5}
        settings["compute_metrics"] = lambda _: {"zeal": 0.75, "accuracy": 0.25}
        if not stock:
            return make_trainer("hold()", **settings)
        settings["lr_scheduler_type"] = "constant"
        return make_trainer(cls=Trainer, callbacks=[LRLogger()], **settings)

    make().train()
    trainer = make()
    trainer.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4"))
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert [(row["Step"], row["Accuracy"], row["Zeal"], row["Learning Rate"]) for row in table] == [
        (step, "0.25", "0.75", "1e-05") for step in "246"
    ]


def test_a_run_that_ends_in_an_epoch_has_one_row_for_each_update(make_trainer, tmp_path):
    """The end of the cooldown is evaluated, and so is the end of the epoch that Trainer breaks off."""
    trainer = make_trainer("hold() >> cooldown(3)", eval_strategy="epoch", save_strategy="epoch", num_train_epochs=5)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/start_cooldown").touch()
    trainer.train()
    assert [record["step"] for record in trainer.state.log_history if "eval_loss" in record] == [4, 4]
    trainer.evaluate()
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert [row["Step"] for row in table] == ["4"]


def test_a_metric_that_only_some_evaluations_have(make_trainer, tmp_path):
    metrics = iter([{}, {"accuracy": 0.5}, {"accuracy": 0.25}])
    trainer = make_trainer(SPEC, **EVERY_2, compute_metrics=lambda _: next(metrics))
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    table = card_table((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert [row["Accuracy"] for row in table] == ["No log", "0.5", "0.25"]


def test_many_groups_have_one_column():
    record = {"eval_loss": 0.5, "eval_learning_rate": 1e-5} | {f"eval_lr/{index}": 1.0 for index in range(8)}
    state = SimpleNamespace(log_history=[record])
    with format_readable_lrs(state):
        assert state.log_history == [{"eval_loss": 0.5, "eval_learning_rate": "1e-05"}]
    assert state.log_history == [record]
