"""The curve that settings ask for is the one that transformers trains with; its arguments are those that it takes."""

import math

import numpy as np
import pytest
import torch
import transformers
from transformers import TrainingArguments, get_scheduler

from hf_lrsched.doctor.expected_curve import count_stock_warmup, resolve_curve
from hf_lrsched.doctor.facts import Facts

IS_FIVE = int(transformers.__version__.partition(".")[0]) >= 5


def trace(name, warmup, total, kwargs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    scheduler = get_scheduler(name, optimizer, warmup, total, scheduler_specific_kwargs=dict(kwargs))
    lrs = []
    for _ in range(total):
        lrs.append(optimizer.param_groups[0]["lr"] / 2e-5)
        optimizer.step()
        scheduler.step()
    return lrs


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("linear", {}),
        ("cosine", {}),
        ("cosine", {"num_cycles": 1.0}),
        ("cosine_with_restarts", {"num_cycles": 3}),
        ("polynomial", {"power": 2.0, "lr_end": 1e-6}),
        ("constant", {}),
        ("constant_with_warmup", {}),
        ("inverse_sqrt", {}),
        ("cosine_with_min_lr", {"min_lr": 1e-6}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", {"num_decay_steps": 30}),
    ],
    ids=str,
)
@pytest.mark.parametrize("warmup", [0, 20, 121, 200])
def test_curve_equals_transformers(name, kwargs, warmup):
    total = 120
    expected = [1.0] * total if name == "constant" else trace(name, warmup, total, kwargs)
    facts = Facts(
        "",
        lr_scheduler_type=name,
        lr_scheduler_kwargs=kwargs,
        warmup_steps=warmup,
        num_updates=total,
        learning_rate=2e-5,
    )
    curve = resolve_curve(facts)
    assert curve.factor(np.arange(float(total))) == pytest.approx(expected, abs=1e-9)
    assert curve.peak_factor == pytest.approx(max(expected), abs=1e-9)


@pytest.mark.parametrize("warmup", [0, 1, 7, 0.1, 0.07, 500])
@pytest.mark.parametrize("total", [1, 100, 345])
def test_warmup_equals_trainer(warmup, total, tmp_path):
    is_share = 0 < warmup < 1
    settings = {"warmup_ratio": warmup} if is_share and not IS_FIVE else {"warmup_steps": warmup}
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **settings)
    assert count_stock_warmup(Facts("", lr_scheduler_type="linear", **settings), total) == args.get_warmup_steps(total)


def test_unknown_length_uses_shares_only():
    share = resolve_curve(Facts("", lr_scheduler_type="linear", warmup_ratio=0.25, learning_rate=1e-5))
    assert share.is_nominal and share.peak_update / share.num_updates == pytest.approx(0.25, abs=1e-3)
    epochs = resolve_curve(Facts("", schedule="warmup(1ep) >> linear()", num_train_epochs=3.0, learning_rate=1e-5))
    assert epochs.is_nominal and epochs.peak_update / epochs.num_updates == pytest.approx(1 / 3, abs=1e-3)


def test_long_run_is_sampled():
    curve = resolve_curve(
        Facts("", lr_scheduler_type="linear", warmup_steps=300_000, num_updates=3_000_000, learning_rate=1e-5)
    )
    assert math.isclose(curve.peak_update, 300_000, rel_tol=1e-3)


def test_metric_driven_schedule_has_no_curve():
    assert resolve_curve(Facts("", lr_scheduler_type="reduce_lr_on_plateau", num_updates=10)) is None
    assert resolve_curve(Facts("")) is None
