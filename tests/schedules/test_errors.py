"""Messages of errors."""

import re

import pytest

from hf_lrsched.schedules import (
    ScheduleError,
    from_data,
    linear,
    multistep,
    warmup,
)


def test_errors_stay_readable(own_names):
    for make in (
        lambda: linear(to="x" * 10**6),
        lambda: warmup("9" * 10**6),
        lambda: multistep(at=list(range(10**5))),
        lambda: from_data({"phase": "x" * 10**6}),
        lambda: linear(**{"y" * 10**6: 1}),
    ):
        with pytest.raises(ScheduleError) as caught:
            make()
        assert len(str(caught.value)) < 500
        assert re.search(r"\w", str(caught.value))
