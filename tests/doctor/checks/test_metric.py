"""Checks of schedules that follow a metric: each broken configuration is found by the right check alone, each sound one draws no warning."""

from tests.doctor.checks.cases import test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import GLUE, Config

BROKEN = {
    "best_metric_direction": [
        Config(345, **GLUE, metric_for_best_model="perplexity", eval_strategy="epoch"),
        Config(345, **GLUE, metric_for_best_model="eval_wer", greater_is_better=True, eval_strategy="epoch"),
        Config(345, schedule="linear()", metric_for_best_model="f1", greater_is_better=False, eval_strategy="epoch"),
    ],
    "plateau_direction": [
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            metric_for_best_model="accuracy",
            eval_strategy="steps",
            eval_steps=10,
        ),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"mode": "max"},
            eval_strategy="steps",
            eval_steps=10,
        ),
        Config(345, schedule="linear() * plateau(metric=accuracy, mode=min, patience=1)", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(metric=flow, patience=1)", eval_strategy="epoch"),
    ],
    "plateau_without_evaluation": [
        Config(345, **GLUE, lr_scheduler_type="reduce_lr_on_plateau"),
        Config(345, **GLUE, lr_scheduler_type="reduce_lr_on_plateau", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy=False),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy="steps", eval_steps=100),
    ],
}

SOUND = {
    "best_metric_direction": [
        Config(345, **GLUE, metric_for_best_model="perplexity", greater_is_better=False, eval_strategy="epoch"),
        Config(345, **GLUE, metric_for_best_model="f1", eval_strategy="epoch"),
        Config(345, **GLUE, metric_for_best_model="entropy", eval_strategy="epoch"),
        Config(345, schedule="linear()", metric_for_best_model="perplexity", eval_strategy="epoch"),
    ],
    "plateau_direction": [
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"mode": "max", "patience": 1},
            metric_for_best_model="accuracy",
            eval_strategy="epoch",
        ),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"patience": 1},
            metric_for_best_model="eval_loss",
            eval_strategy="epoch",
        ),
        Config(345, schedule="linear() * plateau(metric=accuracy, patience=1)", eval_strategy="epoch"),
    ],
    "plateau_without_evaluation": [
        Config(345, schedule="linear() * plateau(patience=1)", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy="steps", eval_steps=0.1),
    ],
}
