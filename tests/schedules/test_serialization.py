"""Schedules as plain data, and as the containers of other libraries."""

import json
from collections import UserDict, UserList

import pytest

from hf_lrsched.schedules import (
    from_data,
    multistep,
    parse,
    piecewise,
    to_data,
)

from .helpers import refused

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


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "a schedule as data is a dict"),
        ([], "a schedule as data is a dict"),
        ("linear()", "a schedule as data is a dict"),
        ({}, "a schedule as data is a dict"),
        ({"phase": 5}, "a schedule as data is a dict"),
        ({"phase": "lineer"}, "unknown schedule 'lineer'. Did you mean 'linear'?"),
        ({"phase": "linear", "too": 1}, "linear() has no argument 'too'"),
        ({"phase": "linear", "to": -1}, "to of linear()"),
        ({"phase": "linear", "to": None}, "to of linear() cannot be None"),
        ({"phase": "warmup"}, "warmup() needs 'over'"),
        ({"phase": "warmup", "over": 1.5}, "ambiguous"),
        ({"sequence": []}, "'sequence' must be a list of schedules, got []"),
        ({"product": 5}, "'product' must be a list of schedules"),
        ({"sequence": [5]}, "a schedule as data is a dict"),
        ({"sequence": [{"phase": "linear"}], "product": []}, "a schedule as data is a dict"),
        ({"phase": "repeat", "schedule": {"phase": "x"}, "cycles": 2}, "unknown schedule 'x'"),
        ({"phase": "__import__"}, "unknown schedule '__import__'"),
    ],
)
def test_invalid_data(data, said):
    refused(lambda: from_data(data), said)
    refused(lambda: from_data(json.loads(json.dumps(data))), said)
