"""Fixtures of the tests of schedules."""

import sys

import pytest

import hf_lrsched.schedules  # noqa: F401


@pytest.fixture
def own_names():
    """Names that a test adds are gone after it."""
    module = sys.modules["hf_lrsched.schedules.registry"]
    custom_family = sys.modules["hf_lrsched.schedules.families.custom"]
    kept = (module.NAMES, module._DEFINITIONS, custom_family._FUNCTIONS)
    before = [dict(names) for names in kept]
    yield
    for names, then in zip(kept, before, strict=True):
        names.clear()
        names.update(then)
