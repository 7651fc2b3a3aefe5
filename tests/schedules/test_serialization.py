"""Schedules as plain data, and as the containers of other libraries."""

from collections import UserDict, UserList

import pytest

from hf_lrsched.schedules import from_data, multistep, parse, piecewise, to_data

TEXT = "warmup(10%) >> multistep(at=[50%, 75%], factor=0.5) * plateau(metric=loss)"


def wrap(data):
    """Dicts and lists as other mappings and sequences."""
    if isinstance(data, dict):
        return UserDict({key: wrap(value) for key, value in data.items()})
    return UserList(map(wrap, data)) if isinstance(data, list) else data


def test_any_mapping_and_sequence():
    assert from_data(wrap(to_data(parse(TEXT)))) == parse(TEXT)
    assert multistep(at=UserList(["50%", "75%"])) == multistep(at=["50%", "75%"])
    assert piecewise(points=UserList([UserList([0, 0]), (4, 1)])) == piecewise(points=[[0, 0], [4, 1]])


def test_containers_of_omegaconf():
    omegaconf = pytest.importorskip("omegaconf")
    data = omegaconf.OmegaConf.create({"schedule": to_data(parse(TEXT)), "at": ["50%", "75%"]})
    assert from_data(data.schedule) == parse(TEXT)
    assert multistep(at=data.at) == multistep(at=["50%", "75%"])
