"""Checks of the curve: each broken configuration is found by the right check alone, each sound one draws no warning."""

import pytest
import torch

import hf_lrsched
from tests.doctor.checks.cases import passed, test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import GLUE, Config, Run, Stage, cosine_log, early_stop_at, lambda_state, log
from tests.doctor.files import checks_of

BROKEN = {
    "long_warmup": [
        Config(468, **GLUE, warmup_steps=500),  # a public model card's
        Config(468, **GLUE, warmup_steps=468),
        Config(345, **GLUE, warmup_ratio=0.8),
        Config(None, **GLUE, warmup_steps=0.7),
        Config(345, schedule="warmup(60%) >> linear()"),
        Config(None, schedule="warmup(2ep) >> cosine()", num_train_epochs=3),
    ],
    "peak_not_reached": [
        Config(345, schedule="linear() * warmup(50%)"),
        Config(345, schedule="piecewise(points=[[0, 0.2], [100%, 0]])"),
        Config(345, schedule="warmup(10%, to=5e-5) >> linear()", learning_rate=5e-5),  # an LR written as a factor
        Config(345, schedule="warmup(10%, to=0.1) >> linear()"),
        early_stop_at(40, 200, warmup_steps=50),
        early_stop_at(10, 100, warmup_steps=10),
    ],
    "ends_mid_schedule": [
        early_stop_at(50, 100, warmup_steps=10),
        early_stop_at(70, 100, lr_scheduler_type="cosine", history=cosine_log(70, 100)),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 1.0}),
        Run(Stage(50, 100, scheduler=lambda_state(40, 3e-5))),
    ],
    "doubtful_schedule": [
        Config(345, schedule="warmup(10%) >> linear(over=50%)"),
        Config(345, schedule="warmup(10%) >> step(every=400, factor=0.5)"),
        Config(
            1000,
            **GLUE,
            lr_scheduler_type="warmup_stable_decay",
            lr_scheduler_kwargs={"num_stable_steps": 100, "num_decay_steps": 100},
        ),
    ],
}

SOUND = {
    "long_warmup": [
        Config(468, **GLUE, warmup_steps=46),
        Config(345, **GLUE, warmup_ratio=0.5),
        Config(345, schedule="one_cycle()"),
        Config(None, schedule="warmup(1ep) >> linear()", num_train_epochs=3),
        Config(345, **GLUE, lr_scheduler_type="constant_with_warmup", warmup_steps=0.06),
    ],
    "peak_not_reached": [
        Config(345, schedule="(warmup(10%) >> linear()) * linear(to=50%)"),
        Config(345, schedule="warmup(10%, start=0.1) >> hold()"),
        Config(345, schedule="warmup(10%, to=0.5) >> hold() >> one_minus_sqrt(over=20%)"),
        Config(345, schedule="warmup(10%, to=0.2) >> linear()"),
        Config(345, schedule="warmup(10%, to_lr=1e-6) >> linear()", learning_rate=5e-5),
        early_stop_at(60, 200, warmup_steps=50, lr_scheduler_type="constant_with_warmup"),
    ],
    "ends_mid_schedule": [
        early_stop_at(97, 100, warmup_steps=10),
        early_stop_at(50, 100, history=cosine_log(50, 400)),  # of a scheduler of the user's, which is in no settings
        early_stop_at(30, 100, lr_scheduler_type="constant", history=log({"loss": 0.5, "learning_rate": 5e-5})),
        Run(Stage(50, 100, warmup_steps=10)),  # not over yet
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 3}),
        Config(345, **GLUE, lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs={"num_decay_steps": 60}),
        Run(Stage(50, 100, scheduler=lambda_state(49, 2.55e-5))),  # one step skipped
    ],
    "doubtful_schedule": [
        Config(345, schedule="warmup(10%) >> linear()"),
        Config(345, schedule="warmup(10%) >> step(every=1ep, factor=0.5)", num_train_epochs=3),
    ],
}


@pytest.mark.parametrize(("to", "is_lr"), [("5e-5", True), ("0.1", False)])
def test_an_lr_that_was_written_as_a_factor_is_named(tmp_path, to, is_lr):
    case = Config(345, schedule=f"warmup(10%, to={to}) >> linear()", learning_rate=5e-5)
    (finding,) = (each for each in hf_lrsched.diagnose(case.write(tmp_path), case.updates) if each.is_wrong)
    assert ("did you mean to_lr=5e-05?" in str(finding)) == is_lr


@pytest.mark.parametrize("total", [5, 40])
def test_scheduler_for_another_number_of_updates(make_trainer, total):
    model = make_trainer().model
    assert checks_of(make_trainer(model=model, optimizers=passed(model, total=total))) == {"ends_mid_schedule"}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = (optimizer, hf_lrsched.get_scheduler("linear()", optimizer, num_training_steps=total))
    assert checks_of(make_trainer(model=model, optimizers=ours)) == {"ends_mid_schedule"}
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
    assert checks_of(make_trainer(model=model, optimizers=(optimizer, cycle))) == {"ends_mid_schedule"}
