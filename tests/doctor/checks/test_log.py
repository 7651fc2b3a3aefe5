"""Checks of the log: each broken configuration is found by the right check alone, each sound one draws no warning."""

import math

from tests.doctor.checks.cases import test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import GLUE, NAN, Config, Run, Stage, log

BROKEN = {
    "no_lr_logged": [
        Config(345, **GLUE | {"logging_strategy": "no"}),
        Config(345, **GLUE | {"logging_steps": 1000}),
        Config(345, **GLUE | {"logging_strategy": False}),
        Run(Stage(100, 100, name="", ended=True, history=log({"eval_loss": 0.3}))),
        Run(Stage(100, 100, history=log({"loss": 0.3}, {"loss": 0.2}))),
    ],
    "hidden_nan": [
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": 1.0, "learning_rate": 5e-5},
                    {"loss": 0.0, "grad_norm": NAN, "learning_rate": 2.75e-5},
                ),
            )
        ),
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": math.inf, "learning_rate": 5e-5}, {"loss": 0.5, "learning_rate": 2.75e-5}
                ),
            )
        ),
        Run(Stage(10, 20, history=[*log({"loss": 0.7, "learning_rate": 5e-5}), {"step": 10, "eval_loss": NAN}])),
    ],
}

SOUND = {
    "no_lr_logged": [
        Config(345, **GLUE | {"logging_steps": 345}),
        Config(345, learning_rate=2e-5, num_train_epochs=3),  # Trainer's default of 500: a note
        Config(345, **GLUE | {"logging_strategy": "epoch"}),
        Config(345, schedule="bert()", logging_steps=1000),  # this package logs beside each evaluation
    ],
    "hidden_nan": [
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": 1.0, "learning_rate": 5e-5},
                    {"loss": 0.0, "grad_norm": 0.0, "learning_rate": 2.75e-5},
                ),
            )
        ),
        # Under fp16 an overflow is a step that is skipped.
        Run(
            Stage(
                20,
                20,
                fp16=True,
                history=log(
                    {"loss": 0.7, "grad_norm": math.inf, "learning_rate": 5e-5},
                    {"loss": 0.5, "grad_norm": 1.0, "learning_rate": 2.75e-5},
                ),
            )
        ),
    ],
}
