"""Facts: what follows from what is known of a run."""

import pytest

from hf_lrsched.doctor.facts import Facts


@pytest.mark.parametrize(
    ("known", "has_training"),
    [
        ({}, False),
        ({"learning_rate": 1e-5}, True),
        ({"schedule": "linear()"}, True),
        ({"lr_scheduler_type": "cosine"}, True),
    ],
)
def test_settings_of_a_training_are_known_from_its_lr_or_its_schedule(known, has_training):
    assert Facts("run", **known).has_training == has_training


def test_the_stock_schedule_trains_only_without_a_schedule_of_this_package():
    assert Facts("run", lr_scheduler_type="cosine").stock_schedule == "cosine"
    assert Facts("run", lr_scheduler_type="cosine", schedule="linear()").stock_schedule is None


@pytest.mark.parametrize(("averages", "batches"), [(True, 24), (False, 4)])
def test_a_loss_is_averaged_over_accumulated_batches_and_processes(averages, batches):
    facts = Facts("run", gradient_accumulation_steps=4, num_processes=6, averages_over_processes=averages)
    assert facts.batches_per_update == batches


def test_the_curve_is_that_of_the_settings():
    facts = Facts("run", schedule="warmup(2) >> linear()", num_updates=10, learning_rate=1e-3)
    assert [facts.curve.at(update) for update in (0, 1, 2, 6)] == [0, 0.5, 1, 0.5]
    assert facts.schedule_error is None and facts.curve is facts.curve


def test_an_invalid_schedule_has_an_error_and_no_curve():
    facts = Facts("run", schedule="warmup(20) >> linear()", num_updates=10)
    assert facts.curve is None and "20" in str(facts.schedule_error)


def test_without_a_schedule_there_is_neither():
    assert (Facts("run").curve, Facts("run").schedule_error) == (None, None)
