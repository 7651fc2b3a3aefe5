"""Whatever a file says: findings or one clear error."""

import contextlib
import json
import math
from dataclasses import asdict

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_lrsched import ScheduleError, diagnose
from hf_lrsched.doctor.finding import SEVERITIES
from hf_lrsched.schedules.from_transformers import TRANSFORMERS_NAMES

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 0.5, 2, 100, 345, 1e-300, 1e300, 10**18, math.inf, -math.inf, math.nan, "2e-5", "nan"]),
    st.integers(-10, 1000),
    st.floats(),
)
KWARGS = st.dictionaries(
    st.sampled_from(["num_cycles", "min_lr", "min_lr_rate", "lr_end", "mode", "num_decay_steps", "patience", "x"]),
    NUMBERS | st.just("max"),
    max_size=2,
)
TEXTS = {
    "lr_scheduler_type": [*TRANSFORMERS_NAMES, "reduce_lr_on_plateau", "greedy", "x"],
    "schedule": [
        "warmup(10%) >> linear()",
        "linear() * plateau()",
        "warmup(500) >> hold()",
        "cosine(to_lr=1e-5)",
        "x(",
    ],
    "clock": ["updates", "epochs", "tokens(5000)", "time(30min)", "x"],
    "eval_strategy": ["no", "steps", "epoch", False],
    "logging_strategy": ["no", "steps", "epoch", False],
    "metric_for_best_model": ["loss", "accuracy", "x"],
    "optim": ["adamw_torch", "sgd", "schedule_free_adamw", "x"],
    "model_name_or_path": ["bert-base-uncased", "x"],
    "deepspeed": ["x", {"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": 1}}}, {"scheduler": "x"}],
}
WHOLES = ("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
FLAGS = (
    "streaming",
    "auto_find_batch_size",
    "greater_is_better",
    "fp16",
    "logging_first_step",
    "load_best_model_at_end",
)
NUMERIC = ("learning_rate", "warmup_steps", "warmup_ratio", "num_train_epochs", "logging_steps", "eval_steps")
VALUES = st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=5), st.lists(NUMBERS, max_size=2), KWARGS)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from(values) for name, values in TEXTS.items()},
        **dict.fromkeys(WHOLES, st.integers(-10, 10**6) | st.sampled_from([0, 1, 10**18])),
        **dict.fromkeys(FLAGS, st.booleans()),
        **dict.fromkeys((*NUMERIC, "head_learning_rate"), NUMBERS),
        "lr_scheduler_kwargs": KWARGS,
    },
)
RECORDS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["step", "loss", "grad_norm", "learning_rate", "eval_loss", "train_runtime"], VALUES)
)
QUICK = settings(
    deadline=None, max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check(path, updates=None):
    with contextlib.suppress(ScheduleError):
        for finding in diagnose(path, updates):
            assert finding.severity in SEVERITIES
            assert finding.what and finding.why and finding.fix and finding.check
            json.dumps(asdict(finding))


@pytest.mark.slow
@QUICK
@given(SETTINGS, st.none() | st.integers(1, 500))
def test_settings(tmp_path, values, updates):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(values))
    check(path, updates)


@pytest.mark.slow
@QUICK
@given(st.dictionaries(st.sampled_from([*TEXTS, *WHOLES, *FLAGS, *NUMERIC, "lr_scheduler_kwargs"]), VALUES))
def test_settings_of_the_wrong_kind(tmp_path, values):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(values))
    check(path)


@pytest.mark.slow
@QUICK
@given(
    st.lists(RECORDS, max_size=5),
    st.dictionaries(st.sampled_from(["max_steps", "global_step"]), st.integers(-1, 1000)),
    st.dictionaries(st.sampled_from(["epoch", "num_train_epochs", "logging_steps"]), NUMBERS),
    st.dictionaries(st.sampled_from(["stateful_callbacks", "TrainerControl", "args"]), VALUES),
)
def test_states(tmp_path, records, wholes, numbers, others):
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": records, **wholes, **numbers, **others}))
    check(path)


@pytest.mark.slow
@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["num_processes", "mpirun_config", "deepspeed_config", "use_cpu", "distributed_type"]), VALUES
    )
)
def test_launches(tmp_path, values):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"compute_environment": "LOCAL_MACHINE", **values}))
    check(path)


@pytest.mark.slow
@QUICK
@given(st.binary(max_size=200))
def test_bytes(tmp_path, content):
    for name in ("a.yaml", "a.json", "training_args.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        check(path)
