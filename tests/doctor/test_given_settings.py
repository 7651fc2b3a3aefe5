"""Settings from a file: each is read as its kind, or refused by name."""

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.doctor.given_settings import GivenSettings


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        ("2e-5", "number", 2e-5),
        (-3, "number", -3.0),
        ("0.1", "length", 0.1),
        ("500", "whole", 500),
        (500.0, "whole", 500),
        (True, "flag", True),
        ("YES", "flag", True),
        (0, "flag", False),
        (False, "text", "no"),  # YAML's bare `no`
        ("steps", "text", "steps"),
        ({"a": 1}, "mapping", {"a": 1}),
        ('{"num_cycles": 2}', "mapping", {"num_cycles": 2}),
        ("deepspeed.json", "mapping", None),  # the name of a file
        ("", "number", None),
        (None, "flag", None),
    ],
)
def test_each_kind(value, kind, read):
    found = GivenSettings({"name": value}, "a.yaml").get("name", kind)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("fast", "number"),
        (True, "number"),
        (-1, "length"),
        ("inf", "length"),
        ("nan", "length"),
        (1.5, "whole"),
        ("inf", "whole"),
        ("perhaps", "flag"),
        (2, "flag"),
        ([1], "text"),
        ({"a": 1}, "number"),
        ('{"a": ', "mapping"),
        (3, "mapping"),
    ],
)
def test_another_kind_is_refused_with_the_source_and_the_name(value, kind):
    with pytest.raises(ScheduleError, match=r"^a\.yaml: some_name must be "):
        GivenSettings({"some_name": value}, "a.yaml").get("some_name", kind)


def test_a_container_is_named_not_shown():
    endless = []
    endless.append(endless)
    with pytest.raises(ScheduleError, match="got a list"):
        GivenSettings({"optim": endless}, "a.yaml").get("optim", "text")


def test_a_missing_setting_is_none():
    assert GivenSettings({}, "a.yaml").get("optim", "text") is None


@pytest.mark.parametrize(("value", "is_set"), [(None, False), ("", False), (False, False), ("auto", True), ({}, True)])
def test_is_set(value, is_set):
    assert GivenSettings({"fsdp": value}, "a.yaml").is_set("deepspeed", "fsdp") == is_set
