"""What tests of invalid input share."""

import pytest

from hf_lrsched import ScheduleError

NAN, INF = float("nan"), float("inf")


def refused(make, *said):
    with pytest.raises(ScheduleError) as caught:
        make()
    for words in said:
        assert words in str(caught.value)
