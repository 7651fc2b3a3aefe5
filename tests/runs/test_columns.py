"""The names of step sizes in logs and records."""

from hf_lrsched.runs.columns import QUANTILES, UPDATE_RATIO, is_step_size


def test_every_size_of_a_group_is_known_by_its_name():
    assert all(is_step_size(f"{key}/layer_3/no_decay") for key in (UPDATE_RATIO, *QUANTILES))
    assert not any(map(is_step_size, (UPDATE_RATIO, "lr/head", "update_ratios/head", "loss")))
