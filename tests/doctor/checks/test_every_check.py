"""Every check has cases of both kinds, and a summary for the docs."""

import importlib

import pytest

from hf_lrsched.doctor.checks import CHECKS

#: What only a built Trainer shows, or what is never more than a note: these have tests of their own.
WITHOUT_TABLE = {"loss_multiplied", "unused_schedule", "misspelled_setting", "unreadable_file"}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_check_has_two_cases_of_each_kind(check):
    if check.__name__ not in WITHOUT_TABLE:
        tests = importlib.import_module(f"tests.doctor.checks.test_{check.__module__.rpartition('.')[2]}")
        assert len(tests.BROKEN[check.__name__]) >= 2 and len(tests.SOUND[check.__name__]) >= 2


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_check_has_a_one_line_summary(check):
    first = (check.__doc__ or "").splitlines()[0]
    assert first and len(first) < 140
