"""plateau() in Trainer: each evaluation counts once, also after a resume; a run without the metric is refused."""

import contextlib
import json
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainerCallback

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleError, get_scheduler

PEAK = 1e-3


class GivenMetric(TrainerCallback):
    """Replaces a metric of each evaluation."""

    def __init__(self, losses, key="eval_loss"):
        self.losses, self.key = iter(losses), key

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if self.key in metrics:
            metrics[self.key] = next(self.losses, metrics[self.key])


@pytest.fixture
def run(make_trainer):
    """`run(schedule, losses)`: 24 updates, an evaluation after every second one; returns the trainer, trained."""

    def make(schedule, losses=(), key="eval_loss", resume=None, **kwargs):
        defaults = {"num_train_epochs": 4, "eval_strategy": "steps", "eval_steps": 2}
        trainer = make_trainer(schedule, callbacks=[GivenMetric(losses, key)], **defaults | kwargs)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return make


def factors(trainer):
    return [lr / PEAK for lr in trainer.recorder.used]


def warm_linear(t, warmup=4, updates=24):
    return t / warmup if t < warmup else (updates - t) / (updates - warmup)


def test_a_scale_on_top_of_warmup_and_decay(run):
    # Evaluations after updates 2, 4, …; drops after two evaluations without improvement: updates 8 and 16.
    losses = [0.5, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.2, 0.1, 0.09, 0.08]
    trainer = run("(warmup(4) >> linear()) * plateau(factor=0.5, patience=1)", losses)
    expected = [warm_linear(t) * (1 if t < 8 else 0.5 if t < 14 else 0.25) for t in range(24)]
    assert factors(trainer) == pytest.approx(expected, rel=1e-12)
    kinds = [(event["kind"], event["t"], event["scale_after"]) for event in trainer.lr_scheduler.events]
    assert kinds == [("plateau", 8, 0.5), ("plateau", 14, 0.25)]
    assert "eval_loss 0.4, the best was 0.4" in trainer.lr_scheduler.events[0]["cause"]


def test_on_one_phase_alone(run):
    # The evaluations after updates 2 and 4 are in the warmup: they neither count nor set the best. Then the phase of updates
    # 5 to 12, then a decay that begins where it stands.
    losses = [0.1, 0.1, 0.5, 0.5, 0.5, 0.5, *[0.5] * 6]
    trainer = run("warmup(4) >> hold(8) * plateau(factor=0.5, patience=0) >> linear()", losses)
    held = [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]  # no improvement after 8, 10 and 12
    expected = [0, 0.25, 0.5, 0.75, *held, *[0.125 * (1 - u / 12) for u in range(12)]]
    assert factors(trainer) == pytest.approx(expected, rel=1e-12)


def test_two_plateaus(run):
    losses = [0.5, *[0.6] * 11]
    trainer = run("hold(12) * plateau(factor=0.5, patience=1) >> hold() * plateau(factor=0.1, patience=2)", losses)
    # the first: no improvement after 4, 6 | 8, 10 | 12 counts 1; the second starts again: best after 14, none after 16, 18, 20
    expected = [1] * 6 + [0.5] * 4 + [0.25] * 10 + [0.025] * 4
    assert factors(trainer) == pytest.approx(expected, rel=1e-12)


def test_a_metric_that_should_rise(run):
    trainer = run(
        "hold() * plateau(metric=accuracy, factor=0.5, patience=0)",
        [0.5, 0.6, 0.7, 0.8, *[0.8] * 8],
        key="eval_accuracy",
        compute_metrics=lambda _: {"accuracy": 0.0},
    )
    assert factors(trainer) == pytest.approx([1] * 10 + [0.5 ** (1 + k // 2) for k in range(14)], rel=1e-12)


def test_the_direction_of_an_unknown_metric_is_greater_is_better(run):
    kwargs = {"key": "eval_flow", "compute_metrics": lambda _: {"flow": 0.0}, "metric_for_best_model": "flow"}
    rising = [0.1 * k for k in range(1, 13)]
    schedule = "hold() * plateau(metric=flow, factor=0.5, patience=0)"
    assert factors(run(schedule, rising, greater_is_better=True, **kwargs)) == [1] * 24
    assert factors(run(schedule, rising, greater_is_better=False, **kwargs))[-1] == 0.5**10
    with pytest.raises(ScheduleError, match="does not show whether"):
        run(schedule, rising, **kwargs | {"metric_for_best_model": None})


@pytest.mark.parametrize("metric", ["perplexity", "wer"])
@pytest.mark.parametrize("mode", ["", ", mode=min"])
@pytest.mark.parametrize("is_stock", [False, True])
def test_the_direction_of_a_known_metric_outweighs_the_guess_of_trainer(make_trainer, caplog, metric, mode, is_stock):
    text = f"hold() * plateau(metric={metric}, factor=0.5, patience=0{mode})"
    values = [5.0, 4.0, 3.0, 2.0, *[2.0] * 8]
    settings = {"num_train_epochs": 4, "eval_strategy": "steps", "eval_steps": 2, "metric_for_best_model": metric}
    settings |= {"callbacks": [GivenMetric(values, f"eval_{metric}")], "compute_metrics": lambda _: {metric: 0.0}}
    if is_stock:
        trainer = make_trainer(cls=Trainer, **settings)
        optimizer = torch.optim.SGD(trainer.model.parameters(), lr=PEAK)
        trainer.optimizer, trainer.lr_scheduler = optimizer, get_scheduler(text, optimizer, num_training_steps=24)
        trainer.add_callback(ScheduleCallback())
    else:
        trainer = make_trainer(text, **settings)
    assert trainer.args.greater_is_better is True  # transformers' guess
    trainer.train()
    assert factors(trainer) == pytest.approx([1] * 10 + [0.5 ** (1 + k // 2) for k in range(14)], rel=1e-12)
    warnings = [each.getMessage() for each in caplog.records if "worst checkpoint" in each.getMessage()]
    assert len(warnings) == 1 and "Set greater_is_better=False" in warnings[0]


def test_no_warning_where_trainer_keeps_the_best(run, caplog):
    for settings in (
        {"metric_for_best_model": "accuracy"},
        {"metric_for_best_model": "wer", "greater_is_better": False},
    ):
        metric = settings["metric_for_best_model"]
        run("linear()", [], **settings, compute_metrics=lambda _, metric=metric: {metric: 0.5})
    assert "worst checkpoint" not in caplog.text


def test_several_sets_and_the_start_and_a_call_by_hand_count_once(make_trainer, data):
    """The metrics of several sets come in several events; only those of the Trainer's own evaluations count."""

    class ByHand(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step in (3, 5):
                self.trainer.evaluate(metric_key_prefix="eval_second")

    by_hand = ByHand()
    trainer = make_trainer(
        "hold() * plateau(metric=eval_second_loss, factor=0.5, patience=1, threshold=9, threshold_mode=abs)",
        dev={"first": data(4), "second": data(8), "third": data(4)},
        callbacks=[by_hand],
        num_train_epochs=2,
        eval_strategy="steps",
        eval_steps=2,
        eval_on_start=True,
    )
    by_hand.trainer = trainer
    trainer.train()
    # six evaluations, of which the first is the best: drops after the third and the fifth
    assert factors(trainer) == [1] * 6 + [0.5] * 4 + [0.25] * 2


def test_evaluations_at_epochs(run):
    trainer = run("hold() * plateau(factor=0.5, patience=0)", [0.5] * 4, eval_strategy="epoch")
    assert factors(trainer) == [1] * 12 + [0.5] * 6 + [0.25] * 6


def test_the_stock_trainer(make_trainer, grouped):
    def lrs(*callbacks):
        model, optimizer = grouped(PEAK)
        scheduler = get_scheduler(
            "(warmup(4) >> linear()) * plateau(factor=0.5, patience=0)", optimizer, num_training_steps=24
        )
        given = GivenMetric([0.5] * 12)
        trainer = make_trainer(
            cls=Trainer,
            model=model,
            optimizers=(optimizer, scheduler),
            callbacks=[given, *callbacks],
            num_train_epochs=4,
            eval_strategy="steps",
            eval_steps=4,
        )
        trainer.train()
        return factors(trainer)

    expected = [warm_linear(t) * 0.5 ** max(t // 4 - 1, 0) for t in range(24)]
    assert lrs(ScheduleCallback()) == pytest.approx(expected, rel=1e-12)


def test_the_stock_trainer_without_the_callback_warns(make_trainer, grouped, caplog):
    model, optimizer = grouped(PEAK)
    scheduler = get_scheduler("hold() * plateau()", optimizer, num_training_steps=6)
    make_trainer(cls=Trainer, model=model, optimizers=(optimizer, scheduler)).train()
    assert "plateau()" in caplog.text


def test_resumed_in_the_middle_of_its_patience(run, tmp_path):
    losses = [0.5, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    schedule = "(warmup(4) >> linear()) * plateau(factor=0.5, patience=2, cooldown=1)"
    whole = run(schedule, losses)
    saved = {"save_strategy": "steps", "save_steps": 2}
    run(schedule, losses, **saved)
    for update in (4, 8, 10, 12, 18):
        checkpoint = tmp_path / "out" / f"checkpoint-{update}"
        resumed = run(schedule, losses[update // 2 :], resume=str(checkpoint))
        assert resumed.recorder.used == whole.recorder.used[update:]
        assert resumed.lr_scheduler.events == whole.lr_scheduler.events
        state = torch.load(checkpoint / "scheduler.pt", weights_only=True)
        assert json.loads(json.dumps(state)) == state  # plain data


@pytest.mark.parametrize(
    "how, expected",
    [
        # At update 12 of 24 the scale is 0.5. The new curve, over 48 updates:
        ("switch", [0.5 * (1 - t / 48) for t in range(12, 48)]),
        ("keep", [0.5 * (1 - t / 24) for t in range(12, 24)] + [0.0] * 24),
        ("stretch", [0.5 * (1 - (12 + (t - 12) / 3) / 24) for t in range(12, 48)]),
        (
            "rewarm(6)",
            [0.25 + (0.5 * 30 / 48 - 0.25) * u / 6 for u in range(6)] + [0.5 * (1 - t / 48) for t in range(18, 48)],
        ),
    ],
)
def test_the_scale_stays_through_a_resume_with_other_settings(run, tmp_path, how, expected):
    schedule = "linear() * plateau(factor=0.5, patience=0)"
    run(schedule, [0.5, 0.4, 0.4, 0.3, 0.2, 0.1], save_strategy="steps", save_steps=12)
    resumed = run(
        schedule,
        [-k for k in range(30)],
        resume=str(tmp_path / "out" / "checkpoint-12"),
        num_train_epochs=8,
        cls=lambda **kwargs: ScheduledTrainer(on_resume=how, **kwargs),
    )
    assert factors(resumed) == pytest.approx(expected, rel=1e-12)


def test_another_plateau_starts_again(run, tmp_path):
    run("hold() * plateau(factor=0.5, patience=0)", [0.5] * 12, save_strategy="steps", save_steps=12)
    resumed = run(
        "hold() * plateau(factor=0.1, patience=0)",
        [0.5] * 12,
        resume=str(tmp_path / "out" / "checkpoint-12"),
        cls=lambda **kwargs: ScheduledTrainer(on_resume="switch", **kwargs),
    )
    assert factors(resumed)[:4] == pytest.approx([1, 1, 1, 1])  # the best, then the first without improvement
    event = resumed.lr_scheduler.events[-6]
    assert (event["kind"], event["lr_before"], event["lr_after"]) == ("resume", [PEAK * 0.5**5] * 2, [PEAK] * 2)


# ---- errors


def test_without_evaluations(make_trainer):
    trainer = make_trainer("hold() * plateau()")
    with pytest.raises(ScheduleError, match=r"eval_strategy is 'no'. Set eval_strategy='epoch'"):
        trainer.train()
    assert trainer.recorder.used == []


def test_a_missing_metric_is_found_before_the_first_update_with_eval_on_start(run):
    with pytest.raises(
        ScheduleError, match=r"no such metric; it has eval_loss.* Did you mean 'eval_accuracy'"
    ) as caught:
        run(
            "hold() * plateau(metric=acuracy, mode=max)",
            compute_metrics=lambda _: {"accuracy": 1.0},
            eval_on_start=True,
        )
    assert "A checkpoint was saved" not in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "best", "hint"),
    [
        ("acuracy", "accuracy", "Did you mean 'accuracy'?"),
        ("eval_los", None, "Did you mean 'loss'?"),
        ("accuracy", "accuracy", None),
        ("diversity", "density", None),  # two metrics
        ("micro_f1", "macro_f1", None),
        ("dev_loss", None, None),
    ],
)
def test_a_metric_that_looks_misspelled_is_a_warning_before_the_first_update(make_trainer, caplog, metric, best, hint):
    trainer = make_trainer(
        f"hold() * plateau(metric={metric}, mode=max)",
        eval_strategy="epoch",
        num_train_epochs=2,
        compute_metrics=lambda _: dict.fromkeys(
            ("accuracy", "density", "diversity", "macro_f1", "micro_f1", "dev_loss"), 1.0
        ),
        metric_for_best_model=best,
    )
    with pytest.raises(ScheduleError) if hint else contextlib.nullcontext():
        trainer.train()
    found = [message for message in caplog.messages if "no metric of this name is known" in message]
    assert len(found) == (hint is not None)
    assert all(hint in message for message in found)


@pytest.mark.parametrize("strategy", ["no", "steps", "best"])
def test_a_missing_metric_in_mid_run_loses_nothing(run, tmp_path, strategy):
    best = {"metric_for_best_model": "eval_loss", "greater_is_better": True} if strategy == "best" else {}
    with pytest.raises(ScheduleError, match=r"no such metric; it has eval_loss.*A checkpoint was saved"):
        run("hold() * plateau(metric=recall)", save_strategy=strategy, **best)
    (checkpoint,) = [path for path in Path(tmp_path, "out").glob("checkpoint-*") if (path / "scheduler.pt").exists()][
        -1:
    ]
    assert int(checkpoint.name.split("-")[1]) in (2, 3)
    # and it goes on from there with a metric that is there
    resumed = run(
        "hold() * plateau(metric=eval_loss)",
        [0.5] * 12,
        resume=str(checkpoint),
        cls=lambda **kwargs: ScheduledTrainer(on_resume="switch", **kwargs),
    )
    assert resumed.state.global_step == 24


def test_a_metric_that_is_no_number_loses_nothing(run, tmp_path):
    with pytest.raises(ScheduleError, match=r"'high' is not a number.*A checkpoint was saved"):
        run("hold() * plateau()", ["high"] * 12)
    assert list(Path(tmp_path, "out").glob("checkpoint-*"))


def test_nan_is_no_improvement(run):
    trainer = run("hold() * plateau(factor=0.5, patience=0)", [0.5, *[float("nan")] * 11])
    assert factors(trainer)[:6] == [1, 1, 1, 1, 0.5, 0.5]


def test_nan_from_the_start(run):
    trainer = run("hold() * plateau(factor=0.5, patience=0)", [float("nan"), *[0.5] * 11])
    assert trainer.lr_scheduler.events[0]["cause"] == "eval_loss nan, no best so far"


def test_state_does_not_grow(run, tmp_path):
    sizes = []
    for name, evaluations in (("few", 2), ("many", 60)):
        trainer = run(
            "hold() * plateau(factor=0.9, patience=0)",
            [0.5] * evaluations,
            output_dir=str(tmp_path / name),
            eval_steps=1,
            max_steps=evaluations,
        )
        torch.save(trainer.lr_scheduler.state_dict(), tmp_path / name / "state.pt")
        sizes.append((tmp_path / name / "state.pt").stat().st_size)
    assert len(trainer.lr_scheduler.events) == 16  # the latest
    assert trainer.lr_scheduler.events[-1]["t"] == 60
    assert max(sizes) < 10_000
