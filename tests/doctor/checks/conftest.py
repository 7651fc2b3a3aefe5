"""The cases of each test file's tables: `BROKEN`, which have a fault, and `SOUND`, which look like it but have not."""

import pytest

from tests.doctor.configurations import label


def pytest_generate_tests(metafunc):
    """Give a test of `broken` or of `sound` the cases of its file's table by that name, each with its check."""
    for table in {"broken", "sound"}.intersection(metafunc.fixturenames):
        cases = [
            pytest.param((check, case), id=f"{check}-{index}-{label(case)}")
            for check, listed in getattr(metafunc.module, table.upper()).items()
            for index, case in enumerate(listed)
        ]
        metafunc.parametrize(table, cases)
